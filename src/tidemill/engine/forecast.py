"""What a run would do: which steps are stored, which would be computed and why. Nothing is computed or recorded."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tidemill.core.names import Reference
from tidemill.engine import cache, inputs, plan
from tidemill.engine.closure import Closure, closures_of
from tidemill.engine.orders import Ref
from tidemill.engine.why import FIRST, Change, Earlier, compare, reason, told
from tidemill.pipeline.graph import Graph, Node, ports_in

if TYPE_CHECKING:
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
    status: Literal["cached", "computed"]
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
        InvalidInput: ``no-code-digest``, ``file-not-found``.
        NotFound: When a dataset or a model is not there.
    """
    earlier = Earlier(store, pipeline_name)
    known = cache.Known(store, earlier.keys())
    look = _Look(store, closures_of(graph.nodes), earlier, known, resolve, seed)
    return [look.at(node) for node in graph.nodes]


@dataclass(slots=True)
class _Look:
    store: "Store"
    closures: dict[int, Closure]
    earlier: Earlier
    known: cache.Known
    resolve: Callable[[Reference], Any] | None
    seed: int
    found: dict[tuple[str, str], Ref] = field(default_factory=dict[tuple[str, str], Ref])
    computed: dict[str, str] = field(default_factory=dict[str, str])
    """Each key that would be computed, to the step that would do it."""

    def at(self, node: Node) -> Expected:
        """One node; those before it were looked at."""
        if node.model is not None:
            _, self.found[node.name, "result"] = inputs.registered_model(self.store, node.model)
            return Expected(node.name, node.kind, "cached", "it is registered")
        if node.reference is not None:
            return self._dataset(node, node.reference)
        unknown = {
            name: next(p.node for p in ports_in(source) if (p.node, p.output) not in self.found)
            for name, source in node.inputs.items()
            if any((p.node, p.output) not in self.found for p in ports_in(source))
        }
        return self._downstream(node, unknown) if unknown else self._ready(node)

    def _dataset(self, node: Node, reference: Reference) -> Expected:
        commit, table = inputs.look(self.store, reference, self.resolve)
        if table is not None:
            self.found[node.name, "result"] = table
            return Expected(node.name, node.kind, "cached", f"commit {commit} was read before")
        changes = self._changes(node, {"inputs": {"commit": commit}}, None)
        return Expected(node.name, node.kind, "computed", self._why(changes), None, changes or ())

    def _ready(self, node: Node) -> Expected:
        resolved = plan.resolve_inputs(node, self.found)
        assert resolved is not None
        parts = plan.parts_of(node, self._closure(node), resolved, self.seed)
        key = parts.key()
        if (hit := self.known.find([key]).get(key)) is not None:
            self.found.update({(node.name, name): ref for name, ref in hit.outputs.items()})
            return Expected(node.name, node.kind, "cached", STORED)
        if key in self.computed:
            return Expected(node.name, node.kind, "cached", f"step {self.computed[key]} makes the same")
        self.computed[key] = node.name
        rows: int | None = None
        if node.table is not None and node.role in ("rows", "apply"):
            chunks = cache.plan_chunks(self.store, parts.chunk_base(node.table), resolved[node.table])
            rows = sum(task.chunk["rows"] for task in chunks.tasks)
        changes = self._changes(node, parts.to_json(), self._closure(node))
        return Expected(node.name, node.kind, "computed", self._why(changes), rows, changes or ())

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
