"""What a run would do: which steps are stored, which would be computed and why. Nothing is computed or recorded."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from tidemill.core.names import Reference
from tidemill.engine import cache, inputs, lists, plan
from tidemill.engine.closure import Closure, closures_of
from tidemill.engine.exits import WHY as WHY_AT_EXIT
from tidemill.engine.schedule import UNWANTED, Found, Schedule
from tidemill.engine.why import FIRST, Change, Earlier, compare, reason, told
from tidemill.pipeline.graph import Graph, Node, ports_in

if TYPE_CHECKING:
    from tidemill.engine.orders import Ref
    from tidemill.store.open import Store

STORED = "nothing that it depends on has changed since it was computed"


@dataclass(frozen=True, slots=True)
class Expected:
    """What would become of one step.

    Attributes:
        rows: How many rows would be computed; None where that is not a matter of rows, or not known before.
        changes: What differs from the latest run.
    """

    step: str
    kind: str
    status: Literal["cached", "computed", "skipped"]
    why: str
    rows: int | None = None
    changes: tuple[Change, ...] = ()


def forecast(
    store: "Store",
    graph: Graph,
    *,
    pipeline_name: str,
    resolve: Callable[[Reference], Any] | None = None,
    seed: int = 0,
) -> list[Expected]:
    """What ``run`` would do with the same arguments, step by step.

    A step after one that would be computed counts as computed, as its input is not known before; when it turns out
    to be the same as it was, ``run`` takes the step from the cache after all.

    Raises:
        InvalidInput: ``no-code-digest``, ``file-not-found``, ``wrong-condition``, ``wrong-items``.
        NotFound: When a dataset or a model is not there.
    """
    earlier = Earlier(store, pipeline_name)
    known = cache.Known(store, earlier.keys())
    closures = closures_of((*graph.nodes, *graph.exits))
    look = _Look(store, closures, earlier, known, resolve, seed, Schedule(graph))
    look.through()
    last = [Expected(n.name, n.kind, "computed", WHY_AT_EXIT) for n in graph.exits]
    return [*look.expected(), *last]


@dataclass(slots=True)
class _Look:
    store: "Store"
    closures: dict[int, Closure]
    earlier: Earlier
    known: cache.Known
    resolve: Callable[[Reference], Any] | None
    seed: int
    schedule: Schedule
    made: dict[str, Expected] = field(default_factory=dict[str, Expected])
    computed: dict[str, str] = field(default_factory=dict[str, str])
    """Each key that would be computed, to the step that would do it."""

    @property
    def found(self) -> Found:
        """What is stored of what the run would make."""
        return self.schedule.found

    def through(self) -> None:
        """Go as far as what is stored leads."""
        while self.schedule.has_ready:
            for node in self.schedule.take():
                if node.role == "items":
                    members = lists.members_of(self.store.blobs, node, self.schedule, store=False)
                    self.schedule.unfold(node, members)
                else:
                    self._take(node, self.at(node))

    def expected(self) -> list[Expected]:
        """What becomes of each step, in the order of the graph."""
        for node, why in self.schedule.skipped:
            self.made[node.name] = Expected(node.name, node.kind, "skipped", why)
        left = [n for n in self.schedule.unfinished.values() if n.name not in self.made and n.is_step]
        unwanted = self.schedule.unwanted()
        for node in left:
            if len(unwanted) == len(left):
                self.made[node.name] = Expected(node.name, node.kind, "skipped", UNWANTED)
            else:
                self.made[node.name] = self._maybe(node)
        order, nodes = self.schedule.positions, self.schedule.nodes
        return sorted((e for e in self.made.values() if nodes[e.step].is_step), key=lambda e: order[e.step])

    def _take(self, node: Node, expected: "tuple[Expected, dict[str, Ref] | None]") -> None:
        self.made[node.name], outputs = expected
        if outputs is not None:
            self.schedule.end(node, outputs)

    def _maybe(self, node: Node) -> Expected:
        """A node that waits for what is not known."""
        if node.loops:
            (port,) = ports_in(self.schedule.nodes[node.loops[0]].inputs["items"])
            why = f"once for each item of what step '{self.schedule.origin(port)}' returns, which is not known before"
            return Expected(node.name, node.kind, "computed", why)
        expected, _ = self.at(node)
        conditions = [
            f"'{self.schedule.origin(g.condition)}' says {g.value}" for g in self.schedule.undecided(node)
        ]
        if conditions:
            return replace(expected, why=f"if {' and '.join(conditions)}: {expected.why}")
        return expected

    def at(self, node: Node) -> "tuple[Expected, dict[str, Ref] | None]":
        """One node, and what came of it, if that is known."""
        if node.model is not None:
            _, ref = inputs.registered_model(self.store, node.model)
            return Expected(node.name, node.kind, "cached", "it is registered"), {"result": ref}
        if node.reference is not None:
            return self._dataset(node, node.reference)
        unknown = {
            name: self.schedule.origin(
                next(p for p in ports_in(source) if (p.node, p.output) not in self.found)
            ).partition(".")[0]
            for name, source in node.inputs.items()
            if any((p.node, p.output) not in self.found for p in ports_in(source))
        }
        return (self._downstream(node, unknown), None) if unknown else self._ready(node)

    def _dataset(self, node: Node, reference: Reference) -> "tuple[Expected, dict[str, Ref] | None]":
        commit, table = inputs.look(self.store, reference, self.resolve)
        if table is not None:
            why = f"commit {commit} was read before"
            return Expected(node.name, node.kind, "cached", why), {"result": table}
        changes = self._changes(node, {"inputs": {"commit": commit}}, None)
        return Expected(node.name, node.kind, "computed", self._why(changes), None, changes or ()), None

    def _ready(self, node: Node) -> "tuple[Expected, dict[str, Ref] | None]":
        resolved = plan.resolve_inputs(node, self.found)
        assert resolved is not None
        parts = plan.parts_of(node, self._closure(node), resolved, self.seed)
        key = parts.key()
        if (hit := self.known.find([key]).get(key)) is not None:
            return Expected(node.name, node.kind, "cached", STORED), hit.outputs
        if key in self.computed:
            return Expected(node.name, node.kind, "cached", f"step {self.computed[key]} makes the same"), None
        self.computed[key] = node.name
        rows: int | None = None
        if node.table is not None and node.role in ("rows", "apply"):
            chunks = cache.plan_chunks(self.store, parts.chunk_base(node.table), resolved[node.table])
            rows = sum(task.chunk["rows"] for task in chunks.tasks)
        changes = self._changes(node, parts.to_json(), self._closure(node))
        return Expected(node.name, node.kind, "computed", self._why(changes), rows, changes or ()), None

    def _downstream(self, node: Node, unknown: dict[str, str]) -> Expected:
        """A node whose input is to be made yet: what else changed, and that."""
        there = {name: source for name, source in node.inputs.items() if name not in unknown}
        resolved = plan.resolve_inputs(node, self.found, there)
        assert resolved is not None
        parts = plan.parts_of(node, self._closure(node), resolved, self.seed).to_json()
        changes = self._changes(node, parts, self._closure(node), frozenset(unknown))
        new = [f"its input {name} will be new (step {step})" for name, step in unknown.items()]
        why = FIRST if changes is None else "; ".join([*([self._why(changes)] if changes else []), *new])
        return Expected(node.name, node.kind, "computed", why, None, changes or ())

    def _closure(self, node: Node) -> Closure:
        assert node.component is not None
        return self.closures[id(node.component.origin)]

    def _changes(
        self,
        node: Node,
        parts: dict[str, Any],
        closure: Closure | None,
        without: frozenset[str] = frozenset(),
    ) -> tuple[Change, ...] | None:
        """What differs from the run before, inputs ``without`` left out; None where there was none."""
        before = self.earlier.record(node.name)
        if before is None:
            return None
        changes = [c for c in compare(before.parts, parts) if not (c.kind == "input" and c.name in without)]
        return told(self.store, changes, closure.images if closure else None)

    @staticmethod
    def _why(changes: tuple[Change, ...] | None) -> str:
        return reason(list(changes or ()), first=changes is None)
