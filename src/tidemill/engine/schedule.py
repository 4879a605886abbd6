"""Which nodes of a graph can start: those whose inputs are all there. Each port is looked at once, not once a turn.

What decides, repeats and gathers (``CONTROL``) is settled here, as what it needs comes in; it never leaves the schedule,
but for ``items``, whose list must be read.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.engine.content import value_ref
from tidemill.engine.orders import Ref
from tidemill.engine.unfolding import unfolded
from tidemill.pipeline.graph import Graph, Guard, Node, choice, ports_in
from tidemill.pipeline.handles import Port

Value = Any
"""A ``Ref``, or a tuple of values: what a ``join`` gathered."""
Found = dict[tuple[str, str], Value]
_MOST_POSITIONS = 2**31
UNWANTED = "nothing that was computed takes it"
EMPTY = "the list has no items"


class Schedule:
    """The way through one graph.

    Attributes:
        found: Each output that is there, by node and output.
        unfinished: The nodes that have not ended, by name.
        skipped: Nodes that stand under a condition that came to be otherwise, and why, since this was last emptied.
        taken: What each ``choice`` that is decided takes.
        nodes: Every node by name, those that templates became among them.
        positions: Where each node stands among the run's: what it takes results of stands before it.
    """

    def __init__(self, graph: Graph) -> None:
        self.found: Found = {}
        self.unfinished: dict[str, Node] = {}
        self.skipped: list[tuple[Node, str]] = []
        self.taken: dict[str, bool] = {}
        self.nodes: dict[str, Node] = {}
        self.positions: dict[str, int] = {}
        self._lacking: dict[str, int] = {}
        self._users: dict[tuple[str, str], list[Node]] = defaultdict(list)
        self._guarded: dict[tuple[str, str], list[tuple[Node, Guard]]] = defaultdict(list)
        self._undecided: dict[str, int] = {}
        self._asleep: dict[str, Node] = {}
        """What is read when something that is computed takes it."""
        self._templates: dict[str, list[Node]] = defaultdict(list)
        self._joins: dict[str, list[Node]] = defaultdict(list)
        self._ready: list[Node] = []
        self._made: Counter[int] = Counter()
        """How many nodes were made of the template at a position."""
        # What a template makes stands where the template does; so each leaves room for many.
        loops = any(n.loops for n in graph.nodes)
        count = len(graph.nodes)
        self._room = _MOST_POSITIONS // (count + len(graph.exits) + 1) if loops else 1
        for at, node in enumerate(graph.nodes):
            self._add(node, at * self._room)
        for at, node in enumerate(graph.exits, start=count):
            self.positions[node.name] = at * self._room
        for port in graph.outputs.values():
            self._want(port)

    @property
    def has_ready(self) -> bool:
        """Whether ``take`` has something to give."""
        return bool(self._ready)

    def take(self) -> list[Node]:
        """The nodes that have become ready since the last call, in the order of their positions."""
        ready, self._ready = self._ready, []
        ready.sort(key=lambda node: self.positions[node.name])
        return ready

    def end(self, node: Node, outputs: dict[str, Value]) -> None:
        """A node has ended well, and this came of it.

        Raises:
            InvalidInput: ``wrong-condition``.
        """
        waiting = [(node, outputs)]
        while waiting:
            ended, values = waiting.pop()
            del self.unfinished[ended.name]
            for name, value in values.items():
                port = (ended.name, name)
                self.found[port] = value
                for guarded, guard in self._guarded.pop(port, ()):
                    self._decide(guarded, guard)
                for user in self._users.pop(port, ()):
                    if user.name not in self.unfinished:
                        continue
                    self._lacking[user.name] -= 1
                    if not self._lacking[user.name]:
                        waiting += self._now(user)

    def fail(self, node: Node) -> None:
        """A node has ended without a result."""
        del self.unfinished[node.name]

    def enter(self, node: Node) -> None:
        """A node that waits for nothing is computed when all else has ended."""
        self.nodes[node.name] = self.unfinished[node.name] = node

    def unfold(self, items: Node, members: Sequence[Value]) -> list[tuple[Node, Node]]:
        """The list of an ``items`` node is there: a node of each of its templates for each member.

        Returns:
            Each new node, after the template that it was made of.
        """
        templates, joins = self._templates.pop(items.name, []), self._joins.pop(items.name, [])
        made, gathered = unfolded(items, templates, joins, len(members))
        for node in (*templates, *joins):
            self.unfinished.pop(node.name, None)
        self.end(items, {str(at): member for at, member in enumerate(members)})
        for template, node in made:
            first = self.positions[template.name] // self._room * self._room
            self._made[first] += 1
            self._add(node, first + min(self._made[first], self._room - 1))
        for join in gathered:
            self._add(join, self.positions[join.name])
        if not members:
            self.skipped += [(node, EMPTY) for node in templates]
        return made

    def undecided(self, node: Node) -> list[Guard]:
        """The conditions that a node stands under and that are not known."""
        return [g for g in node.guards if (g.condition.node, g.condition.output) not in self.found]

    def unwanted(self) -> list[Node]:
        """What nothing took, once all else has ended."""
        return [node for node in self._asleep.values() if node.name in self.unfinished]

    def origin(self, port: Port) -> str:
        """The step that a value really comes from, for a person to read."""
        while not (node := self.nodes[port.node]).is_step:
            sources = (
                [choice(node, taken=self.taken[node.name])] if node.name in self.taken else [*node.sources()]
            )
            unknown = [p for p in sources if (p.node, p.output) not in self.found]
            if not sources:
                return "tm.when" if node.role == "value" else "tm.each"
            port = (unknown or sources)[0]
        return str(port)

    # -- what waits for what

    def _add(self, node: Node, position: int) -> None:
        self.nodes[node.name] = node
        self.positions[node.name] = position
        self.unfinished[node.name] = node
        self._undecided[node.name] = len(node.guards)
        for guard in node.guards:
            condition = (guard.condition.node, guard.condition.output)
            if condition in self.found:
                self._decide(node, guard)
            else:
                self._guarded[condition].append((node, guard))
        if node.name not in self.unfinished:
            return
        if node.loops:
            self._templates[node.loops[0]].append(node)
            return
        if node.each is not None:
            self._joins[node.each].append(node)
            return
        if node.role in ("dataset", "model"):
            self._asleep[node.name] = node
        elif not node.guards:
            self._wants(node)
        sources: Iterable[Port] = (
            ports_in(node.inputs["condition"]) if node.role == "choice" else node.sources()
        )
        ports = {(p.node, p.output) for p in (*sources, *(g.condition for g in node.guards))}
        lacking = [port for port in ports if port not in self.found]
        self._lacking[node.name] = len(lacking)
        for port in lacking:
            self._users[port].append(node)
        if not lacking:
            for ended, outputs in self._now(node):
                self.end(ended, outputs)

    def _now(self, node: Node) -> list[tuple[Node, dict[str, Value]]]:
        """A node has all that it waits for: it is ready, or ends at once; then what comes of it."""
        if node.role == "value":
            return [(node, {"result": value_ref(node.settings["value"])})]
        if node.role == "join":
            return [(node, {"result": tuple(self._value(p) for p in ports_in(node.inputs["members"]))})]
        if node.role == "choice":
            return self._choose(node)
        if node.name not in self._asleep:
            self._ready.append(node)
        return []

    def _choose(self, node: Node) -> list[tuple[Node, dict[str, Value]]]:
        if node.name not in self.taken:
            (condition,) = ports_in(node.inputs["condition"])
            self.taken[node.name] = self._truth(condition)
        port = choice(node, taken=self.taken[node.name])
        if (port.node, port.output) in self.found:
            return [(node, {"result": self._value(port)})]
        self._want(port)
        self._lacking[node.name] = 1
        self._users[port.node, port.output].append(node)
        return []

    def _value(self, port: Port) -> Value:
        return self.found[port.node, port.output]

    def _decide(self, node: Node, guard: Guard) -> None:
        """A condition that a node stands under is known."""
        if node.name not in self.unfinished:
            return
        said = self._truth(guard.condition)
        if said is not guard.value:
            del self.unfinished[node.name]
            self.skipped.append((node, f"'{self.origin(guard.condition)}' said {said}"))
            return
        self._undecided[node.name] -= 1
        if not self._undecided[node.name] and not node.loops and node.each is None:
            self._wants(node)

    def _truth(self, condition: Port) -> bool:
        value = self._value(condition)
        content = value.meta.get("content") if isinstance(value, Ref) and value.kind == "value" else None
        if isinstance(content, bool):
            return content
        step = self.origin(condition)
        # Not what it is: errors are kept, and it may be of rows that are forgotten one day.
        kind = (
            "list" if isinstance(value, tuple) else value.kind if content is None else type(content).__name__
        )
        raise InvalidInput(
            f"Step '{step}' is the condition of tm.when, and returned a {kind}, which is neither True nor False.",
            why="Nothing is guessed from a number, a text or a table.",
            hint="Decide in the step: return accuracy > 0.9.",
            code=codes.WRONG_CONDITION,
            details={"step": step},
        )

    def _wants(self, node: Node) -> None:
        """A node will be computed, unless something fails: what it takes is to be read."""
        if node.role != "choice":
            for port in node.sources():
                self._want(port)

    def _want(self, port: Port) -> None:
        asleep = self._asleep.pop(port.node, None)
        if asleep is not None:
            self._ready.append(asleep)
