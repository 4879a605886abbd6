"""Templates become nodes: what stands in the function of a ``tm.each`` is made once for each item of the list."""

from collections.abc import Sequence
from dataclasses import replace

from tidemill.pipeline.graph import EACH, Guard, Input, Node, mapped, ports_in
from tidemill.pipeline.handles import Port


def unfolded(
    items: Node, templates: Sequence[Node], joins: Sequence[Node], count: int
) -> tuple[list[tuple[Node, Node]], list[Node]]:
    """What becomes of the nodes that are repeated by an ``items`` node, whose list is there now.

    Args:
        items: The node; its outputs are the members by their places: ``0``, ``1``, ...
        templates: What is repeated by it and by no other around it, in the order of the graph.
        joins: What gathers its results.
        count: How many members it has. Their nodes are told apart by their places, not by what they are: names stay in
            records, and a member may be made of rows that are forgotten one day.

    Returns:
        Each new node, after the template it was made of, item by item; and the joins with all that they gather.
    """
    names = {node.name for node in templates}
    made: list[tuple[Node, Node]] = []
    for at in range(count):
        one = _One(items.name, names, at)
        made += [(node, one.of(node)) for node in templates]
    gathered: list[Node] = []
    for join in joins:
        (member,) = ports_in(join.inputs["members"])
        ports = tuple(_One(items.name, names, at).port(member) for at in range(count))
        gathered.append(replace(join, each=None, inputs={"members": ports}))
    return made, gathered


class _One:
    """One item's share."""

    def __init__(self, items: str, templates: set[str], at: int) -> None:
        self._items, self._templates, self._at = items, templates, at

    def of(self, node: Node) -> Node:
        inputs: dict[str, Input] = {name: mapped(source, self.port) for name, source in node.inputs.items()}
        return replace(
            node,
            name=self.name(node.name),
            inputs=inputs,
            guards=tuple(Guard(self.port(g.condition), g.value) for g in node.guards),
            loops=tuple(self.name(name) for name in node.loops[1:]),
            each=self.name(node.each) if node.each is not None else None,
        )

    def port(self, port: Port) -> Port:
        if port.node == self._items:
            return Port(self._items, str(self._at))
        return Port(self.name(port.node), port.output)

    def name(self, name: str) -> str:
        return name.replace(EACH, f"[{self._at}]", 1) if name in self._templates else name
