"""The predictor is cut from the training graph; a leak is an error."""

import numpy as np
import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.cut import cut, outline
from tidemill.pipeline.graph import Graph
from tidemill.pipeline.handles import Port


@tm.row_step
def clean(rows: tm.Table, least: int = 1) -> tm.Table:
    return rows


@tm.row_step(training_only=True)
def known_labels(rows: tm.Table) -> tm.Table:
    return rows


@tm.row_step
def parted(rows: tm.Table) -> tuple[tm.Table, tm.Table]:
    return rows, rows


@tm.transform(columns="image")
class Scale:
    def fit(self, image: np.ndarray) -> dict:
        return {"mean": image.mean(axis=0)}

    def apply(self, image: np.ndarray, state: dict) -> np.ndarray:
        return image - state["mean"]


@tm.transform(sees_test_rows=True)
class Vocabulary:
    def fit(self, rows: tm.Table) -> dict:
        return {}

    def apply(self, rows: tm.Table, state: dict) -> tm.Table:
        return rows


@tm.trainer
def learn(train: tm.Table, epochs: int = 1):
    return None


@tm.step
def shuffled(rows: tm.Table) -> tm.Table:
    return rows


@tm.step
def better(a: object, b: object) -> object:
    return a


def graph_of(body) -> Graph:
    def p(data: tm.Dataset = tm.dataset("d")):
        return body(data)

    return tm.pipeline(p).build()


def trained(data):
    train, test = parted(known_labels(clean(data, least=2)))
    fitted = Scale.fit(train)
    return {"model": learn(fitted.apply(train)), "test": fitted.apply(test)}


def test_what_is_served_is_what_lies_between_raw_row_and_model() -> None:
    graph = graph_of(trained)
    stages = cut(graph, "model")
    assert [(s.step, s.role, s.settings, s.state) for s in stages] == [
        ("clean", "rows", {"least": 2}, None),
        ("Scale-apply", "apply", {}, Port("Scale-fit", "result")),
    ]
    assert stages[0].component.endswith(":clean")
    assert stages[0].to_json() == {
        "name": "clean",
        "kind": "row_step",
        "component": stages[0].component,
        "settings": {"least": 2},
    }
    found = outline(graph, "model")
    assert (found.trainer, found.dataset, found.table) == ("learn", "data", Port("Scale-apply", "result"))


def test_a_choice_behind_a_trainer_is_looked_through_but_not_two_trainers() -> None:
    assert cut(graph_of(lambda d: {"model": better(learn(clean(d)), 1)}), "model")[0].step == "clean"
    with pytest.raises(InvalidInput, match="several trainers: learn"):
        cut(graph_of(lambda d: {"model": better(learn(clean(d)), learn(d, epochs=2))}), "model")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda d: {"model": learn(shuffled(clean(d)))}, "through step 'shuffled'"),
        (lambda d: {"model": clean(d)}, "does not come from a trainer"),
        (lambda d: {"other": clean(d)}, "no output 'model'"),
    ],
)
def test_what_cannot_be_served_says_why(body, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        cut(graph_of(body), "model")
    assert caught.value.code == "not-servable"


@pytest.mark.parametrize(
    "body",
    [
        lambda d: parted(Scale.fit(d).apply(d)),
        lambda d: (parted(clean(d)), Scale.fit(clean(d)).apply(d))[1],
    ],
)
def test_a_transform_fitted_before_the_split_is_a_leak(body) -> None:
    with pytest.raises(InvalidInput) as caught:
        graph_of(lambda d: {"x": body(d)} if not isinstance(body(d), tuple) else {"x": body(d)[0]})
    assert caught.value.code == "leak"
    assert "'Scale-fit'" in caught.value.message
    assert "'parted'" in caught.value.message


def test_fitting_after_the_split_or_saying_so_is_no_leak() -> None:
    graph_of(trained)

    def meant(data):
        train, _ = parted(Vocabulary.fit(data).apply(data))
        return train

    graph_of(meant)
    graph_of(lambda d: Scale.fit(d).apply(d))


def test_a_transform_called_with_rows_says_how_it_is_used() -> None:
    with pytest.raises(InvalidInput) as caught:
        graph_of(lambda d: Scale(d))
    assert "Scale.fit(train)" in (caught.value.hint or "")


@tm.row_step(columns=("area", "rooms"), to="x")
def features(area: np.ndarray, rooms: np.ndarray) -> np.ndarray:
    return np.stack([area, rooms], axis=1)


@tm.row_step(columns="price", to="log_price")
def with_log(price: np.ndarray) -> np.ndarray:
    return np.log(price)


@tm.row_step(columns=("price", "area"), to="price_by_area")
def by_area(price: np.ndarray, area: np.ndarray) -> np.ndarray:
    return price / area


@tm.trainer(features="x", label="log_price")
def learn_log(train: tm.Table):
    return None


@tm.trainer(features="x", label="price_by_area")
def learn_by_area(train: tm.Table):
    return None


def test_a_step_that_makes_only_the_label_is_not_served_and_its_column_is_not_asked_for():
    @tm.pipeline
    def flats(data: tm.Dataset = tm.dataset("flats@main")):
        return {"model": learn_log(with_log(features(data)))}

    found = outline(flats.build({}), "model")
    assert [s.step for s in found.stages] == ["features"]
    assert found.reads == ("area", "rooms")
    assert found.target == "price"


def test_a_label_of_several_columns_has_no_column_that_feedback_could_fill():
    @tm.pipeline
    def flats(data: tm.Dataset = tm.dataset("flats@main")):
        return {"model": learn_by_area(by_area(features(data)))}

    assert outline(flats.build({}), "model").target is None


def test_a_stage_that_takes_whole_rows_may_read_all_of_them():
    @tm.pipeline
    def flats(data: tm.Dataset = tm.dataset("flats@main")):
        return {"model": learn_log(features(clean(with_log(data))))}

    found = outline(flats.build({}), "model")
    assert [s.step for s in found.stages] == ["with-log", "clean", "features"]
    assert found.reads is None
    assert found.target == "price"
