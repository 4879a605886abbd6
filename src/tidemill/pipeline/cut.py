"""Cut the predictor out of the training graph: what happens to a raw row before the model sees it."""

from dataclasses import dataclass
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.graph import Graph, Node, Port, ports_in
from tidemill.pipeline.leaks import is_split
from tidemill.pipeline.secret import secrets_in


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage of a predictor.

    Attributes:
        step: The step it was cut from.
        role: ``rows``, or ``apply`` of a fitted transform.
        component: ``module:name``, as keys and records have it.
        module: The module that holds the component.
        variable: The component's name in that module.
        file: The module's file; None where it is not a file.
        settings: The step's settings.
        state: Which output holds the fitted state; None for ``rows``.
    """

    step: str
    role: str
    component: str
    module: str
    variable: str
    file: str | None
    settings: dict[str, Any]
    state: Port | None

    def to_json(self) -> dict[str, Any]:
        """The stage without its state, as the predictor's description holds it."""
        return {
            "name": self.step,
            "kind": "row_step" if self.role == "rows" else "transform",
            "component": self.component,
            "settings": self.settings,
        }


@dataclass(frozen=True, slots=True)
class Cut:
    """A predictor's outline.

    Attributes:
        trainer: The step that made the model.
        dataset: The step name of the dataset whose rows it takes.
        table: The rows as the trainer takes them.
        stages: From raw row to the model's table, in order; without those of which the model takes nothing.
        reads: The raw columns that a stage or the model takes; None where a stage takes whole rows.
        target: The raw column that the label is made from, one to one; the label itself where no step makes it.
    """

    trainer: str
    dataset: str
    table: Port
    stages: tuple[StageSpec, ...]
    reads: tuple[str, ...] | None = None
    target: str | None = None


class Undecided(Exception):
    """The way from the rows to a model leads through a ``tm.when`` that only a run decides."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.name)
        self.node = node


def cut(graph: Graph, model: Port | str) -> list[StageSpec]:
    """The stages between the raw rows and the model, in order.

    Args:
        graph: The training graph.
        model: The model's port, or the name of the pipeline's output that holds it.

    Raises:
        InvalidInput: ``not-servable``, when the model has no single trainer, or a step that mixes rows lies
            between the dataset and the trainer; ``secret-in-predictor``.
    """
    return list(outline(graph, model).stages)


def outline(graph: Graph, model: Port | str) -> Cut:
    """As ``cut``, with the trainer and the dataset named.

    Raises:
        Undecided: For a graph whose choices are not made yet.
    """
    port = graph.outputs.get(model) if isinstance(model, str) else model
    if port is None:
        raise InvalidInput(
            f"The pipeline has no output '{model}'.",
            hint=f"It has: {', '.join(graph.outputs) or 'none'}.",
            code=codes.NOT_SERVABLE,
        )
    cuts = [_outline(graph, trainer) for trainer in _trainers(graph, port)]
    if any((c.dataset, c.table, c.stages) != (cuts[0].dataset, cuts[0].table, cuts[0].stages) for c in cuts):
        raise InvalidInput(
            f"'{port}' comes from several trainers: {', '.join(c.trainer for c in cuts)}.",
            why="They take different rows, so no one predictor stands for all of them.",
            hint="Name the output of one of them as the model; or choose by tm.when.",
            code=codes.NOT_SERVABLE,
        )
    return cuts[0]


def _outline(graph: Graph, trainer: Node) -> Cut:
    blocked: Node | None = None
    for source in trainer.inputs.values():
        for start in ports_in(source):
            path, end = _path(graph, start)
            if (path and path[0].loops) or (end.role == "items" and len(trainer.inputs) == 1):
                raise InvalidInput(
                    f"No predictor can be cut for step '{trainer.name}': its rows are made in the function of a tm.each.",
                    why="They are other ones for each item, and the item of the model that comes out is not known.",
                    hint="Prepare the rows before tm.each, and train in it.",
                    code=codes.NOT_SERVABLE,
                    details={"step": trainer.name},
                )
            if end.role == "dataset":
                served, reads = _taken([n for n in path if _served(n)], _fact(trainer, "features"))
                stages = tuple(_stage(n) for n in reversed(served))
                return Cut(
                    trainer.name, end.name, start, stages, reads, _target(path, _fact(trainer, "label"))
                )
            if end.role == "call" and blocked is None:
                blocked = end
    raise InvalidInput(
        f"No predictor can be cut for step '{trainer.name}': its rows come through step "
        f"'{blocked.name if blocked else trainer.name}'.",
        why="A served row comes alone, and that step needs whole tables.",
        hint="Make it a @tm.row_step, or a @tm.transform with fit and apply.",
        code=codes.NOT_SERVABLE,
        details={"step": blocked.name if blocked else trainer.name},
    )


def _trainers(graph: Graph, port: Port) -> list[Node]:
    """Who trained a model; several, where a step chooses among theirs."""
    node = graph.node(port.node)
    if node.kind == "trainer":
        return [node]
    # A step between trainer and output (a choice, a calibration) is looked through, breadth first.
    level = [node]
    while level:
        for each in level:
            if each.role == "choice":
                raise Undecided(each)
        above = [graph.node(p.node) for n in level for p in n.sources()]
        trainers = {n.name: n for n in above if n.kind == "trainer"}
        if trainers:
            return list(trainers.values())
        level = list({n.name: n for n in above}.values())
    raise InvalidInput(
        f"'{port}' does not come from a trainer.",
        hint="Put @tm.trainer above the function that returns the model.",
        code=codes.NOT_SERVABLE,
    )


def _path(graph: Graph, start: Port) -> tuple[list[Node], Node]:
    """The row-wise nodes from ``start`` upward, and the first node that is not row-wise."""
    path: list[Node] = []
    node = graph.node(start.node)
    while node.role in ("rows", "apply"):
        path.append(node)
        assert node.table is not None
        source = node.inputs[node.table]
        assert isinstance(source, Port)
        node = graph.node(source.node)
    if node.role == "choice":
        raise Undecided(node)
    return path, node


def _fact(trainer: Node, name: str) -> str | None:
    """``features`` or ``label``, as the call or the decorator says it."""
    said = trainer.settings.get(name)
    if said is None and trainer.component is not None:
        said = trainer.component.options.get(name)
    return said if isinstance(said, str) else None


def _taken(path: list[Node], features: str | None) -> tuple[list[Node], tuple[str, ...] | None]:
    """Of the served nodes, the last first: those that the features come from, and the raw columns that they read.

    What a node in column form reads and makes is known; one that takes whole rows may read all that came before.
    """
    needed = None if features is None else {features}
    kept: list[Node] = []
    for node in path:
        known = _columns(node)
        if needed is None or known is None:
            needed = None
            kept.append(node)
            continue
        reads, makes = known
        if makes in needed:
            needed = needed - {makes} | {*reads}
            kept.append(node)
    return kept, None if needed is None else tuple(sorted(needed))


def _target(path: list[Node], label: str | None) -> str | None:
    """The raw column that the label is made from by steps of one column each."""
    for node in path:
        known = _columns(node)
        if known is not None and known[1] == label and known[0] != (label,):
            label = known[0][0] if len(known[0]) == 1 else None
    return label


def _columns(node: Node) -> tuple[tuple[str, ...], str] | None:
    """What a node reads and what it makes; None where it takes whole rows, or is served otherwise than it runs."""
    component = node.component
    assert component is not None
    if not component.columns or component.options.get("served") or hasattr(component.function, "serve"):
        return None
    return component.columns, component.options.get("to") or component.columns[0]


def _served(node: Node) -> bool:
    component = node.component
    assert component is not None
    return not is_split(node) and not component.options.get("training_only")


def _stage(node: Node) -> StageSpec:
    component = node.component
    assert component is not None
    if secrets_in(node.settings):
        raise InvalidInput(
            f"Step '{node.name}' takes a secret, and would be part of the predictor.",
            why="A predictor is shared and served as it is: it has no secrets.",
            hint="Say training_only=True, or use the secret in a step that the rows come from.",
            code=codes.SECRET_IN_PREDICTOR,
        )
    if component.options.get("rows") == "new":
        raise InvalidInput(
            f"No predictor can be cut: step '{node.name}' makes new rows (rows='new').",
            why="An answer belongs to a row of the request, and a new row is none of them.",
            hint="Say training_only=True, where it concerns training alone (more rows of a class, say).",
            code=codes.NOT_SERVABLE,
            details={"step": node.name},
        )
    state = node.inputs.get("state") if node.role == "apply" else None
    file = component.file
    return StageSpec(
        node.name,
        node.role,
        component.name,
        component.module,
        component.variable,
        str(file) if file else None,
        node.settings,
        state if isinstance(state, Port) else None,
    )
