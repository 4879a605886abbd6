"""The builder: collects nodes while a pipeline's body runs, and knows where in the body that is."""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import Reference
from tidemill.pipeline.dataset import Dataset
from tidemill.pipeline.graph import EACH, Guard, Input, Node, Role
from tidemill.pipeline.handles import Handle, Port, builder_of, port_of
from tidemill.pipeline.model import Model

if TYPE_CHECKING:
    from tidemill.pipeline.component import Component

_TAG = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True, slots=True)
class Scope:
    """Where in a body a step is added.

    Attributes:
        path: The names of the pipelines around it, each with its items, and a slash.
        tags: The items it is for, within the innermost pipeline: ``[3]``.
        guards: The conditions it stands under.
        loops: The ``items`` nodes it is repeated by.
        pipelines: The names of the pipelines around it, the outermost first.
    """

    path: str = ""
    tags: str = ""
    guards: tuple[Guard, ...] = ()
    loops: tuple[str, ...] = ()
    pipelines: tuple[object, ...] = ()


@dataclass(slots=True)
class Builder:
    """Collects nodes while a pipeline's body runs."""

    pipeline: str
    nodes: list[Node] = field(default_factory=list[Node])
    exits: list[Node] = field(default_factory=list[Node])
    read: dict[Reference | Model, Handle] = field(default_factory=dict[Reference | Model, Handle])
    scope: Scope = field(default_factory=Scope)
    _counts: dict[str, int] = field(default_factory=dict[str, int])
    _by_name: dict[str, Node] = field(default_factory=dict[str, Node])

    def add(
        self,
        name: str,
        role: Role,
        component: "Component[..., Any] | None",
        settings: Mapping[str, Any],
        inputs: Mapping[str, Input],
        outputs: tuple[str, ...],
        *,
        table: str | None = None,
        each: str | None = None,
    ) -> tuple[Handle, ...]:
        """Add a node here; a handle for each of its outputs."""
        node = Node(
            self.unique(name),
            role,
            component,
            dict(settings),
            dict(inputs),
            outputs,
            table,
            guards=self.scope.guards,
            loops=self.scope.loops,
            each=each,
        )
        return self._added(node)

    def at_exit(self, name: str, component: "Component[..., Any]", settings: Mapping[str, Any]) -> None:
        """Add a step that runs when all else has ended."""
        self.exits.append(Node(self.unique(name), "call", component, dict(settings), {}, component.outputs))

    def input(self, value: Dataset | Model, name: str | None = None) -> Handle:
        """The handle of a dataset's rows, or of a registered model; the same one is read once.

        It belongs to the pipeline, wherever in it it is named: a run reads it if a step that it comes to takes it.
        """
        key = value.reference if isinstance(value, Dataset) else value
        if key not in self.read:
            with self.at(Scope()):
                node = Node(
                    self.unique(name or key.name),
                    "dataset" if isinstance(value, Dataset) else "model",
                    None,
                    {},
                    {},
                    ("result",),
                    reference=value.reference if isinstance(value, Dataset) else None,
                    model=value if isinstance(value, Model) else None,
                )
            (self.read[key],) = self._added(node)
        return self.read[key]

    def _added(self, node: Node) -> tuple[Handle, ...]:
        self.nodes.append(node)
        self._by_name[node.name] = node
        return tuple(Handle(Port(node.name, output), self) for output in node.outputs)

    # -- where

    @contextmanager
    def at(self, scope: Scope) -> Generator[None]:
        """Inside the block, steps are added there."""
        before, self.scope = self.scope, scope
        try:
            yield
        finally:
            self.scope = before

    def under(self, guard: Guard) -> Scope:
        """Here, where a condition says so."""
        return replace(self.scope, guards=(*self.scope.guards, guard))

    def per_item(self, tag: str, items: str | None = None) -> Scope:
        """Here, once for an item: for the one named ``tag``, or for each one of an ``items`` node."""
        loops = self.scope.loops if items is None else (*self.scope.loops, items)
        return replace(self.scope, tags=f"{self.scope.tags}{tag}", loops=loops)

    def inside(self, pipeline: object, name: str) -> Scope:
        """Below the name of a pipeline that is called here."""
        path = f"{self.unique(name)}/"
        return replace(self.scope, path=path, tags="", pipelines=(*self.scope.pipelines, pipeline))

    def unique(self, name: str) -> str:
        """The whole name of a step that is added here under ``name``: its second is called ``name-2``."""
        scope = self.scope
        # All items of one list have the same steps, so they count alike.
        key = _TAG.sub(EACH, f"{scope.path}{name}{scope.tags}")
        count = self._counts[key] = self._counts.get(key, 0) + 1
        return f"{scope.path}{name if count == 1 else f'{name}-{count}'}{scope.tags}"

    @contextmanager
    def counted_alike(self) -> "Generator[Alike]":
        """For bodies that are built several times, once an item: each counts its steps as the first did."""
        alike = Alike(self, dict(self._counts))
        yield alike
        self._counts = alike.counts

    def recount(self, counts: dict[str, int]) -> dict[str, int]:
        """Go on counting from here; the counts until now."""
        before, self._counts = self._counts, counts
        return before

    # -- what a value is

    def source(self, step: str, parameter: str, value: object) -> Input | None:
        """``value`` as an input, if it is a handle, a dataset, a model, or a list, tuple or dict of nothing else."""
        if isinstance(value, (Dataset, Model)):
            value = self.input(value)
        if isinstance(value, Handle):
            return self.seen(value, f"Step '{step}'", f"as '{parameter}'")
        if isinstance(value, (list, tuple)):
            return self._several(step, parameter, list(value))
        if isinstance(value, dict):
            ports = self._several(step, parameter, list(value.values()))
            return None if ports is None else dict(zip(map(str, value), ports, strict=True))
        return None

    def seen(self, handle: Handle, who: str, use: str) -> Port:
        """The port of a handle, which must be of this build and reach as far as here.

        Raises:
            InvalidInput: ``foreign-handle``, ``handle-out-of-scope``.
        """
        if builder_of(handle) is not self:
            raise InvalidInput(
                f"{who} gets a handle of another build {use}.",
                why="A handle lives only while the pipeline that made it is built.",
                hint="Call the step that makes it inside this pipeline.",
                code=codes.FOREIGN_HANDLE,
            )
        port = port_of(handle)
        node = self._by_name[port.node]
        loops = (*node.loops, node.name) if node.role == "items" else node.loops
        in_loop = loops == self.scope.loops[: len(loops)]
        if in_loop and node.guards == self.scope.guards[: len(node.guards)]:
            return port
        shown = "the item of a tm.each" if node.role == "items" else f"the result of step '{port}'"
        raise InvalidInput(
            f"{who} gets {shown} {use}, which is made "
            + ("in a branch of tm.when." if in_loop else "once for each item of a tm.each."),
            why="It is not there when that branch is not taken."
            if in_loop
            else "Outside of the function there is a list of them, not one.",
            hint="Return it from the branch, and take what tm.when returns."
            if in_loop
            else "Return it from the function, and take what tm.each returns.",
            code=codes.HANDLE_OUT_OF_SCOPE,
            details={"step": port.node},
        )

    def node_of(self, port: Port) -> Node:
        """The node that a port belongs to."""
        return self._by_name[port.node]

    def _several(self, step: str, parameter: str, values: list[object]) -> tuple[Port, ...] | None:
        found = [self.source(step, parameter, v) for v in values]
        ports = tuple(p for p in found if isinstance(p, Port))
        if not ports:
            return None
        if len(ports) != len(values):
            raise InvalidInput(
                f"'{parameter}' of step '{step}' mixes results of steps with plain values.",
                hint="Pass the plain values in a parameter of their own.",
                code=codes.MIXED_INPUT,
            )
        return ports


@dataclass(slots=True)
class Alike:
    """The counts of steps of bodies that are built several times.

    Attributes:
        counts: The most that any of them came to.
    """

    builder: Builder
    counts: dict[str, int]
    _start: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._start = dict(self.counts)

    @contextmanager
    def one(self) -> Generator[None]:
        """Inside the block, one of the bodies is built."""
        before = self.builder.recount(dict(self._start))
        try:
            yield
        finally:
            for name, count in self.builder.recount(before).items():
                if count > self.counts.get(name, 0):
                    self.counts[name] = count


_building: ContextVar[Builder | None] = ContextVar("building", default=None)


def current() -> Builder | None:
    """The build that is going on, if one is."""
    return _building.get()


@contextmanager
def building(builder: Builder) -> Generator[Builder]:
    """While it lasts, calls of components add nodes to ``builder``."""
    token = _building.set(builder)
    try:
        yield builder
    finally:
        _building.reset(token)
