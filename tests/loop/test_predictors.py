"""Predictors of models that come of branches: one for each, where it can be served."""

from typing import Any

import tidemill as tm
from tidemill.core.events import Event, Note
from tidemill.loop.predictors import with_predictor
from tidemill.pipeline.graph import Graph, Guard
from tidemill.pipeline.handles import Port


@tm.step
def is_big(rows: tm.Table) -> bool:
    return len(rows) > 10


@tm.step
def is_odd(rows: tm.Table) -> bool:
    return len(rows) % 2 == 1


@tm.step
def mixed(rows: tm.Table) -> tm.Table:
    return rows


@tm.row_step(columns="x")
def scaled(x: Any, by: float = 2.0) -> Any:
    return x * by


@tm.trainer
def learned(rows: tm.Table, epochs: int = 1) -> Any:
    return None


def predicted(body: Any) -> tuple[Graph, list[str]]:
    @tm.pipeline
    def p(rows: tm.Dataset = tm.dataset("points")):
        return {"model": body(rows)}

    told: list[Event] = []
    graph = with_predictor(p.build(), "p", None, told.append)
    return graph, [event.text for event in told if isinstance(event, Note)]


def stages(graph: Graph) -> dict[str, list[str]]:
    return {
        n.name: [s["name"] for s in n.settings["stages"]]
        for n in graph.nodes
        if n.name.startswith("predictor")
    }


def test_each_branch_has_the_stages_of_its_own_rows_and_stands_under_its_conditions() -> None:
    def body(rows: Any) -> Any:
        taken = tm.when(is_big(rows), lambda: scaled(rows), lambda: rows)
        return tm.when(is_odd(rows), lambda: learned(taken), lambda: learned(taken, epochs=2))

    graph, notes = predicted(body)
    assert notes == []
    assert stages(graph) == {
        "predictor": ["scaled"],
        "predictor-2": [],
        "predictor-3": ["scaled"],
        "predictor-4": [],
    }
    odd, big = Port("is-odd", "result"), Port("is-big", "result")
    assert graph.node("predictor-2").guards == (Guard(odd, True), Guard(big, False))
    assert graph.node("predictor-2").inputs["model"] == Port("learned", "result")
    assert graph.node("predictor-3").inputs["model"] == Port("learned-2", "result")


def test_one_condition_is_decided_once_wherever_it_stands() -> None:
    def body(rows: Any) -> Any:
        big = is_big(rows)
        taken = tm.when(big, lambda: scaled(rows), lambda: rows)
        return tm.when(big, lambda: learned(taken), lambda: learned(taken, epochs=2))

    assert stages(predicted(body)[0]) == {"predictor": ["scaled"], "predictor-2": []}


def test_a_branch_that_cannot_be_served_is_noted_and_the_other_is_served() -> None:
    def body(rows: Any) -> Any:
        return learned(tm.when(is_big(rows), lambda: mixed(rows), lambda: scaled(rows)))

    graph, notes = predicted(body)
    assert stages(graph) == {"predictor": ["scaled"]}
    (note,) = notes
    assert note.startswith("Where 'is-big' says True, the model cannot be released: No predictor can be cut")


def test_where_no_branch_can_be_served_the_model_is_made_all_the_same() -> None:
    graph, notes = predicted(lambda rows: learned(mixed(rows)))
    assert "predictor" not in graph.outputs
    assert notes[0].startswith("This model cannot be released: ")
