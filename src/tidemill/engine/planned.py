"""The steps of a run as they are told before they are computed: what each comes after."""

from collections.abc import Sequence

from tidemill.core.events import PlannedStep
from tidemill.pipeline.graph import Graph, Node


class Planned:
    """The steps of a graph, and those that its templates become."""

    def __init__(self, graph: Graph) -> None:
        self._before = graph.before()
        self.steps = tuple(
            PlannedStep(n.name, n.kind, self._before[n.name])
            for n in (*graph.nodes, *graph.exits)
            if n.is_step
        )

    def unfolded(self, made: Sequence[tuple[Node, Node]]) -> tuple[PlannedStep, ...]:
        """New nodes, each after the template that it was made of, as ``unfolding`` gives them."""
        # Item by item: what a template stands for is, for those after it, the node of the same item.
        now: dict[str, str] = {}
        steps: list[PlannedStep] = []
        for template, node in made:
            if not node.is_step:
                continue
            now[template.name] = node.name
            before = tuple(now.get(name, name) for name in self._before[template.name])
            self._before[node.name] = before
            steps.append(PlannedStep(node.name, node.kind, before, template.name))
        return tuple(steps)
