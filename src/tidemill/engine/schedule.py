"""Which nodes of a graph can start: those whose inputs are all there. Each port is looked at once, not once a turn."""

from collections import defaultdict

from tidemill.engine.orders import Ref
from tidemill.pipeline.graph import Graph, Node


class Schedule:
    """The way through one graph.

    Attributes:
        found: Each output that is there, by node and output.
        unfinished: The nodes that have not ended, by name, in the graph's order.
    """

    def __init__(self, graph: Graph) -> None:
        self.found: dict[tuple[str, str], Ref] = {}
        self.unfinished: dict[str, Node] = {node.name: node for node in graph.nodes}
        self._lacking: dict[str, int] = {}
        self._users: dict[tuple[str, str], list[Node]] = defaultdict(list)
        self._ready: list[Node] = []
        for node in graph.nodes:
            ports = {(port.node, port.output) for port in node.sources()}
            self._lacking[node.name] = len(ports)
            for port in ports:
                self._users[port].append(node)
            if not ports:
                self._ready.append(node)

    @property
    def has_ready(self) -> bool:
        """Whether ``take`` has something to give."""
        return bool(self._ready)

    def take(self) -> list[Node]:
        """The nodes that have become ready since the last call."""
        ready, self._ready = self._ready, []
        return ready

    def end(self, node: Node, outputs: dict[str, Ref]) -> None:
        """A node has ended well, and this came of it."""
        del self.unfinished[node.name]
        for name, ref in outputs.items():
            port = (node.name, name)
            self.found[port] = ref
            for user in self._users[port]:
                self._lacking[user.name] -= 1
                if not self._lacking[user.name]:
                    self._ready.append(user)

    def fail(self, node: Node) -> None:
        """A node has ended without a result."""
        del self.unfinished[node.name]
