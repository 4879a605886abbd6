"""Leaks: a transform that was fitted on rows before they were split has seen the test rows."""

from dataclasses import dataclass

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Leak:
    """A transform that is fitted upstream of a split.

    Attributes:
        fit: The step that fits.
        split: The step that parts the rows afterwards.
        component: The transform.
    """

    fit: str
    split: str
    component: str


def is_split(node: Node) -> bool:
    """Whether the node parts rows: a row-wise step with several results, or one that says so."""
    component = node.component
    return (
        node.role == "rows"
        and component is not None
        and (len(node.outputs) > 1 or bool(component.options.get("split")))
    )


def leaks(graph: Graph) -> list[Leak]:
    """Every transform whose training rows were not split off, though a split of the same data exists."""
    fits = [n for n in graph.nodes if n.role == "fit"]
    if not fits:
        return []
    datasets = {n.name for n in graph.nodes if n.role == "dataset"}
    splits = [n.name for n in graph.nodes if is_split(n)]
    upstream = {name: graph.upstream(name) for name in splits}
    found: list[Leak] = []
    for node in fits:
        component = node.component
        if component is None or component.options.get("sees_test_rows"):
            continue
        above = graph.upstream(node.name)
        if above.intersection(splits):
            continue
        for split in splits:
            if above & upstream[split] & datasets or node.name in upstream[split]:
                found.append(Leak(node.name, split, component.short_name))
                break
    return found


def refuse_leaks(graph: Graph) -> None:
    """Raise for the first leak.

    Raises:
        InvalidInput: ``leak``.
    """
    for leak in leaks(graph):
        raise InvalidInput(
            f"Step '{leak.fit}' fits '{leak.component}' on rows that step '{leak.split}' splits only later.",
            why="What it learns comes from the test rows too, so the test would flatter the model.",
            hint="Split first, fit on the training rows, then apply to each part. Where it is meant, "
            "say @tm.transform(sees_test_rows=True).",
            code=codes.LEAK,
            details={"fit": leak.fit, "split": leak.split},
        )
