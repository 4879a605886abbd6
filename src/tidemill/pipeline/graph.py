"""The graph: nodes in the order of their making, which is a topological order."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tidemill.core.names import Reference
from tidemill.pipeline.handles import Port
from tidemill.pipeline.model import Model
from tidemill.pipeline.resources import Resources

if TYPE_CHECKING:
    from tidemill.pipeline.component import Component

Role = Literal["dataset", "model", "call", "rows", "fit", "apply", "value", "choice", "items", "join"]
"""How a node computes: reads a dataset, takes a registered model, calls a function once, or maps over rows; fits; applies a state.

The last four compute nothing and are no steps of a run; they only say which result goes where: a plain value; that of
the branch taken; each member of a list; the list of what became of each.
"""
CONTROL: frozenset[Role] = frozenset({"value", "choice", "items", "join"})
EACH = "[*]"
"""Stands in a name for the item, while the items are not known."""

Input = Port | tuple[Port, ...] | dict[str, Port]


@dataclass(frozen=True, slots=True)
class Guard:
    """What must have come of a condition for a node to be computed."""

    condition: Port
    value: bool


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
        guards: The conditions it stands under, the outermost first.
        loops: The ``items`` nodes that it is repeated by, the outermost first: then it is a template, and a run
            makes a node of it for each item.
        each: For ``join``: the ``items`` node whose results it gathers; None where they are all known.
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
    guards: tuple[Guard, ...] = ()
    loops: tuple[str, ...] = ()
    each: str | None = None

    @property
    def is_step(self) -> bool:
        """Whether a run records it."""
        return self.role not in CONTROL

    @property
    def kind(self) -> str:
        """The component's kind; ``dataset`` or ``model`` for what is read."""
        return self.component.kind if self.component is not None else self.role

    @property
    def resources(self) -> Resources:
        """What it needs of a machine."""
        said = self.component.options.get("resources") if self.component is not None else None
        return said or Resources()

    def sources(self) -> Iterator[Port]:
        """Every port this node reads."""
        for source in self.inputs.values():
            yield from ports_in(source)


def mapped(source: Input, change: Callable[[Port], Port]) -> Input:
    """One input with each of its ports changed."""
    if isinstance(source, Port):
        return change(source)
    if isinstance(source, dict):
        return {name: change(port) for name, port in source.items()}
    return tuple(change(port) for port in source)


def choice(node: Node, *, taken: bool) -> Port:
    """What a ``choice`` node gives when its condition said so."""
    port = node.inputs["then" if taken else "otherwise"]
    assert isinstance(port, Port)
    return port


def certain(nodes: Iterable[Node]) -> list[Node]:
    """The nodes that no condition and no list decides about; ``nodes`` are in the order of a graph."""
    sure: dict[str, Node] = {}
    for node in nodes:
        if not node.guards and not node.loops and all(port.node in sure for port in node.sources()):
            sure[node.name] = node
    return list(sure.values())


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
        exits: The steps that run when all else has ended.
    """

    nodes: tuple[Node, ...]
    inputs: dict[str, Reference]
    outputs: dict[str, Port]
    exits: tuple[Node, ...] = ()

    def pinned(self, commits: Mapping[str, str]) -> "Graph":
        """The same graph with datasets read at these commits: by reference (``name@branch``), or else by name."""

        def at(reference: Reference) -> Reference:
            commit = commits.get(str(reference)) or commits.get(reference.name)
            return Reference(reference.name, commit) if commit else reference

        nodes = tuple(replace(n, reference=at(n.reference)) if n.reference else n for n in self.nodes)
        inputs = {name: at(reference) for name, reference in self.inputs.items()}
        return replace(self, nodes=nodes, inputs=inputs)

    def decided(self, choices: Mapping[str, bool]) -> "Graph":
        """The graph as it is once these ``choice`` nodes are decided: what took one takes what it chose."""

        def chosen(port: Port) -> Port:
            while port.node in choices:
                port = choice(self.node(port.node), taken=choices[port.node])
            return port

        nodes = tuple(
            replace(n, inputs={name: mapped(s, chosen) for name, s in n.inputs.items()})
            for n in self.nodes
            if n.name not in choices
        )
        return replace(self, nodes=nodes, outputs={n: chosen(p) for n, p in self.outputs.items()})

    def before(self) -> dict[str, tuple[str, ...]]:
        """Of each step, and each exit, those whose results or decisions it takes, looking through what is no step."""
        found: dict[str, dict[str, None]] = {}
        for node in (*self.nodes, *self.exits):
            above: dict[str, None] = {}
            for port in (*node.sources(), *(g.condition for g in node.guards)):
                source = self._by_name[port.node]
                above.update({source.name: None} if source.is_step else found[source.name])
            found[node.name] = above
        return {n.name: tuple(found[n.name]) for n in (*self.nodes, *self.exits) if n.is_step}

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
