"""The graph: nodes in the order of their making, which is a topological order; and the builder that makes it."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tidemill.core.errors import InvalidInput
from tidemill.core.names import Reference
from tidemill.pipeline.dataset import Dataset
from tidemill.pipeline.handles import Handle, Port, builder_of, port_of
from tidemill.pipeline.model import Model

if TYPE_CHECKING:
    from tidemill.pipeline.component import Component

Role = Literal["dataset", "model", "call", "rows", "fit", "apply"]
"""How a node computes: reads a dataset, takes a registered model, calls a function once, or maps over rows; fits; applies a state."""

Input = Port | tuple[Port, ...] | dict[str, Port]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One step of a graph. A node equals only itself.

    Attributes:
        component: None for a dataset or a model that is read.
        settings: Plain values, by parameter name.
        inputs: Where each artifact parameter comes from: one port, several, or several by name.
        table: The parameter that carries the rows, for ``rows``, ``fit`` and ``apply``.
        reference: The dataset, for ``dataset``.
        model: The registered model, for ``model``.
    """

    name: str
    role: Role
    component: "Component[..., Any] | None"
    settings: dict[str, Any]
    inputs: dict[str, Input]
    outputs: tuple[str, ...]
    table: str | None = None
    reference: Reference | None = None
    model: Model | None = None

    @property
    def kind(self) -> str:
        """The component's kind; ``dataset`` or ``model`` for what is read."""
        return self.component.kind if self.component is not None else self.role

    def sources(self) -> Iterator[Port]:
        """Every port this node reads."""
        for source in self.inputs.values():
            yield from ports_in(source)


def ports_in(source: Input) -> tuple[Port, ...]:
    """The ports of one input."""
    if isinstance(source, Port):
        return (source,)
    return tuple(source.values()) if isinstance(source, dict) else source


@dataclass(frozen=True)
class Graph:
    """What one build of a pipeline made.

    Attributes:
        nodes: In topological order.
        inputs: Step name of each dataset that is read, to its reference.
        outputs: Name of each result to where it comes from; ``result`` when the pipeline returns one.
    """

    nodes: tuple[Node, ...]
    inputs: dict[str, Reference]
    outputs: dict[str, Port]

    def pinned(self, commits: Mapping[str, str]) -> "Graph":
        """The same graph with datasets read at these commits: by reference (``name@branch``), or else by name."""

        def at(reference: Reference) -> Reference:
            commit = commits.get(str(reference)) or commits.get(reference.name)
            return Reference(reference.name, commit) if commit else reference

        nodes = tuple(replace(n, reference=at(n.reference)) if n.reference else n for n in self.nodes)
        return Graph(nodes, {name: at(reference) for name, reference in self.inputs.items()}, self.outputs)

    def node(self, name: str) -> Node:
        """The node of this name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def upstream(self, name: str) -> set[str]:
        """The names of all nodes that ``name`` depends on, itself excluded."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for port in self._by_name[waiting.pop()].sources():
                if port.node not in found:
                    found.add(port.node)
                    waiting.append(port.node)
        return found


@dataclass(slots=True)
class Builder:
    """Collects nodes while a pipeline's body runs."""

    pipeline: str
    nodes: list[Node] = field(default_factory=list[Node])
    counts: dict[str, int] = field(default_factory=dict[str, int])
    read: dict[Reference | Model, Handle] = field(default_factory=dict[Reference | Model, Handle])

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
        reference: Reference | None = None,
        model: Model | None = None,
    ) -> tuple[Handle, ...]:
        """Add a node; a handle for each of its outputs."""
        count = self.counts[name] = self.counts.get(name, 0) + 1
        unique = name if count == 1 else f"{name}-{count}"
        self.nodes.append(
            Node(unique, role, component, dict(settings), dict(inputs), outputs, table, reference, model)
        )
        return tuple(Handle(Port(unique, output), self) for output in outputs)

    def input(self, value: Dataset | Model, name: str | None = None) -> Handle:
        """The handle of a dataset's rows, or of a registered model; the same one is read once."""
        key = value.reference if isinstance(value, Dataset) else value
        if key not in self.read:
            role: Role = "dataset" if isinstance(value, Dataset) else "model"
            (self.read[key],) = self.add(
                name or key.name,
                role,
                None,
                {},
                {},
                ("result",),
                reference=value.reference if isinstance(value, Dataset) else None,
                model=value if isinstance(value, Model) else None,
            )
        return self.read[key]

    def source(self, step: str, parameter: str, value: object) -> Input | None:
        """``value`` as an input, if it is a handle, a dataset, a model, or a list, tuple or dict of nothing else."""
        if isinstance(value, (Dataset, Model)):
            value = self.input(value)
        if isinstance(value, Handle):
            if builder_of(value) is not self:
                raise InvalidInput(
                    f"Step '{step}' gets a handle of another build as '{parameter}'.",
                    why="A handle lives only while the pipeline that made it is built.",
                    hint="Call the step that makes it inside this pipeline.",
                    code="foreign-handle",
                )
            return port_of(value)
        if isinstance(value, (list, tuple)):
            return self._several(step, parameter, list(value))
        if isinstance(value, dict):
            ports = self._several(step, parameter, list(value.values()))
            return None if ports is None else dict(zip(map(str, value), ports, strict=True))
        return None

    def _several(self, step: str, parameter: str, values: list[object]) -> tuple[Port, ...] | None:
        found = [self.source(step, parameter, v) for v in values]
        ports = tuple(p for p in found if isinstance(p, Port))
        if not ports:
            return None
        if len(ports) != len(values):
            raise InvalidInput(
                f"'{parameter}' of step '{step}' mixes results of steps with plain values.",
                hint="Pass the plain values in a parameter of their own.",
                code="mixed-input",
            )
        return ports


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
