"""A pipeline's body becomes a graph; what is not a graph is refused in words that help."""

# Wrong calls are the subject here.
# pyright: reportCallIssue=false, reportArgumentType=false

import enum
from typing import Any

import polars as pl
import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput
from tidemill.core.names import Reference
from tidemill.pipeline.handles import Port


class Way(enum.Enum):
    RIDGE = "ridge"
    LASSO = "lasso"


@tm.step
def double(x: int) -> int:
    return 2 * x


@tm.step
def pair(x: int) -> tuple[int, str]:
    return x, str(x)


@tm.step
def joined(members: list) -> int:
    return sum(members)


@tm.row_step(ids=True)
def keep(rows: pl.DataFrame, least: float = 0.5) -> pl.DataFrame:
    return rows.filter(pl.col("x") > least)


@tm.step(outputs=("low", "high"))
def parted(rows: pl.DataFrame):
    return rows, rows


def test_the_graph_of_the_first_example() -> None:
    @tm.pipeline
    def quadruple(n: int = 1) -> int:
        return double(double(n))

    graph = quadruple.build({"n": 3})
    assert [(n.name, n.settings, n.inputs) for n in graph.nodes] == [
        ("double", {"x": 3}, {}),
        ("double-2", {}, {"x": Port("double", "result")}),
    ]
    assert graph.outputs == {"result": Port("double-2", "result")}


def test_loops_and_conditions_over_parameters_just_work() -> None:
    @tm.pipeline
    def powers(n: int, skip: bool = False):
        made = {}
        value = double(1)
        for number in range(n):
            if skip and number == 1:
                continue
            value = double(value)
            made[f"p{number}"] = value
        return made

    assert list(powers.build({"n": 3}).outputs) == ["p0", "p1", "p2"]
    assert list(powers.build({"n": 3, "skip": True}).outputs) == ["p0", "p2"]


@pytest.mark.parametrize(
    ("use", "words", "hint"),
    [
        (lambda h: 1 if h else 0, "as a condition", "inside a step"),
        (len, "by len()", "inside a step"),
        (list, "in a loop", "tuple[...]"),
        (lambda h: h[0], "with [ ]", "tuple[...]"),
        (lambda h: h == 1, "in a comparison", "inside a step"),
        (lambda h: h < 1, "in a comparison", "inside a step"),
        (lambda h: h + 1, "in a calculation", "inside a step"),
        (lambda h: 1 - h, "in a calculation", "inside a step"),
        (lambda h: h.shape, "for its attribute 'shape'", "inside a step"),
        (lambda h: h(), "as a function", "inside a step"),
        (int, "in a calculation", "inside a step"),
    ],
)
def test_a_handle_used_as_a_value_is_named_with_what_to_do(use, words: str, hint: str) -> None:
    @tm.pipeline
    def wrong():
        return use(double(1))

    with pytest.raises(InvalidInput) as caught:
        wrong.build()
    assert caught.value.code == "handle-used-as-value"
    assert f"The result of step 'double' is used {words}" in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_fixed_tuple_gives_several_handles() -> None:
    @tm.pipeline
    def p():
        number, text = pair(1)
        return {"n": double(number), "t": text}

    graph = p.build()
    assert graph.outputs["t"] == Port("pair", "1")
    assert graph.node("double").inputs == {"x": Port("pair", "0")}


def test_lists_and_dicts_of_results_are_inputs() -> None:
    @tm.pipeline
    def p(n: int = 3):
        return joined([double(i) for i in range(n)])

    assert p.build().node("joined").inputs == {
        "members": (Port("double", "result"), Port("double-2", "result"), Port("double-3", "result"))
    }

    @tm.pipeline
    def mixed():
        return joined([double(1), 2])

    with pytest.raises(InvalidInput, match="mixes results of steps with plain values"):
        mixed.build()


def test_a_dataset_parameter_is_read_once_and_named_after_it() -> None:
    @tm.pipeline
    def p(data: tm.Dataset = tm.dataset("fashion@main")):
        return {"a": keep(data), "b": keep(data, least=2)}

    graph = p.build()
    assert graph.inputs == {"data": Reference("fashion", "main")}
    assert [n.name for n in graph.nodes] == ["data", "keep", "keep-2"]
    assert graph.node("keep-2").settings == {"least": 2.0}
    assert p.build({"data": "fashion@v1"}).inputs == {"data": Reference("fashion", "v1")}
    with pytest.raises(InvalidInput):
        p.build({"data": "fashion@"})


def test_a_dataset_named_in_the_body_is_an_input() -> None:
    @tm.pipeline
    def p():
        return keep(tm.dataset("fashion"))

    assert p.build().inputs == {"fashion": Reference("fashion")}


def test_an_unused_dataset_is_not_read() -> None:
    @tm.pipeline
    def p(data: tm.Dataset = tm.dataset("fashion"), n: int = 1):
        return double(n)

    assert p.build().inputs == {}


@pytest.mark.parametrize(
    ("values", "code", "words", "hint"),
    [
        ({"epoch": 3}, "unknown-parameter", "no parameter 'epoch'", "Did you mean 'epochs'?"),
        ({"epochs": "ten"}, "wrong-parameter-type", "'epochs' must be int, not 'ten'", "such as 10"),
        ({"epochs": 1.5}, "wrong-parameter-type", "'epochs' must be int, not 1.5", "such as 10"),
        ({"epochs": True}, "wrong-parameter-type", "'epochs' must be int, not True", "such as 10"),
        ({"rate": "fast"}, "wrong-parameter-type", "'rate' must be float", "0.1"),
        ({"tune": "perhaps"}, "wrong-parameter-type", "'tune' must be bool", "False"),
        ({"loss": "mae"}, "wrong-parameter-type", "must be Literal['mse', 'bce']", "mse"),
        ({"data": 3}, "wrong-parameter-type", "'data' must be Dataset", None),
        ({"guess": []}, "wrong-parameter-type", "'guess' must be float", "0.5"),
        ({"kind": "ridge"}, "wrong-parameter-type", "'kind' must be Way", "Give kind=Way.RIDGE."),
        ({"kinds": '["lasso"]'}, "wrong-parameter-type", "'kinds' must be", "Give kinds=[Way.LASSO]."),
        ({"kinds": 3}, "wrong-parameter-type", "'kinds' must be", "such as [Way.RIDGE]"),
    ],
)
def test_wrong_values_are_refused_by_name(
    values: dict[str, object], code: str, words: str, hint: str | None
) -> None:
    from typing import Literal

    @tm.pipeline
    def train(
        data: tm.Dataset = tm.dataset("fashion"),
        epochs: int = 10,
        rate: float = 0.1,
        tune: bool = False,
        loss: Literal["mse", "bce"] = "mse",
        guess=0.5,
        kind: Way = Way.RIDGE,
        kinds: list[Way] = [Way.RIDGE],  # noqa: B006 - never written to
    ):
        return keep(data)

    with pytest.raises(InvalidInput) as caught:
        train.build(values)
    assert caught.value.code == code
    assert words in caught.value.message
    if hint:
        assert hint in (caught.value.hint or "")


def test_a_trainer_of_several_columns_is_refused_where_it_is_declared() -> None:
    for name, columns in (("features", ["a", "b"]), ("features", ("a",)), ("label", ["y"]), ("label", 3)):
        with pytest.raises(InvalidInput) as caught:
            tm.trainer(**{name: columns})
        assert caught.value.code == "wrong-definition"
        assert f"{name}={columns!r}" in caught.value.message
        assert (name == "features") == ("@tm.row_step(columns=" in str(caught.value.hint))

    @tm.trainer
    def fits(rows: tm.Table) -> object:
        return rows

    def body():
        return fits(tm.dataset("a"), features=["a", "b"])

    with pytest.raises(InvalidInput, match="Step 'fits' gets features="):
        tm.pipeline(body).build()


def test_calls_that_do_not_fit_are_refused() -> None:
    def build(body):
        return tm.pipeline(body).build()

    cases = [
        (lambda: double(), "lacks 'x'"),
        (lambda: double(1, 2), "takes 1 argument, but 2"),
        (lambda: double(y=1), "no parameter 'y'"),
        (lambda: double("a"), "must be int, not 'a'"),
        (lambda: keep(3), "must be a step's result or a dataset, not 3"),
        (lambda: double(object()), "must be int"),
        (lambda: joined({1, 2}), "must be list"),
        (lambda: 7, "returns 7 as 'result'"),
        (lambda: {"a": 7}, "returns 7 as 'a'"),
        (lambda: None, "has no step"),
    ]
    for body, words in cases:
        with pytest.raises(InvalidInput) as caught:
            build(body)
        assert words in caught.value.message


def test_a_handle_of_another_build_is_refused() -> None:
    kept: list[object] = []

    @tm.pipeline
    def first():
        kept.append(double(1))
        return kept[0]

    @tm.pipeline
    def second():
        return double(kept[0])

    first.build()
    with pytest.raises(InvalidInput, match="a handle of another build"):
        second.build()


def test_a_pipeline_in_a_pipeline_adds_its_steps() -> None:
    @tm.pipeline
    def inner(n):
        return double(n)

    @tm.pipeline
    def outer(n: int = 2):
        return inner(inner(n))

    assert [n.name for n in outer.build().nodes] == ["inner/double", "inner-2/double"]


def test_outside_a_build_a_component_is_its_function() -> None:
    assert double(4) == 8
    frame = pl.DataFrame({"x": [0.1, 0.9]})
    assert keep(frame)["x"].to_list() == [0.9]

    @tm.pipeline
    def quadruple(n: int) -> int:
        return double(double(n))

    assert quadruple(3) == 12


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput) as caught:
        tm.row_step(column="image")
    assert caught.value.hint == "Did you mean 'columns'?"


def test_decorators_on_the_wrong_thing_say_what_they_need() -> None:
    class NoApply:
        def fit(self, table): ...

    cases = [
        (lambda: tm.step(NoApply), "a function, not a class"),
        (lambda: tm.step(3), "needs a function"),
        (lambda: tm.row_step(columns="x")(object()), "needs a function"),
        (lambda: tm.transform(NoApply), "the methods fit(table) and apply(table, state)"),
        (lambda: tm.transform(lambda table: table), "a class with fit and apply"),
        (lambda: tm.trainer(object()), "needs a function"),
    ]
    for wrong, words in cases:
        with pytest.raises(InvalidInput) as caught:
            wrong()
        assert words in caught.value.message
        assert caught.value.code == "wrong-definition"


def test_a_result_deep_inside_a_setting_is_refused() -> None:
    with pytest.raises(InvalidInput, match="lies inside a setting, 'members' of step 'joined'"):
        tm.pipeline(lambda: joined([[double(1)]])).build()


def test_named_outputs() -> None:
    @tm.pipeline
    def p(data: tm.Dataset = tm.dataset("d")):
        low, high = parted(data)
        return {"low": low, "high": high}

    assert p.build().outputs == {"low": Port("parted", "low"), "high": Port("parted", "high")}


def test_the_decorator_stays_what_tm_pipeline_is() -> None:
    from tidemill.pipeline import graph

    assert graph.Graph
    assert callable(tm.pipeline)
    assert not hasattr(tm, "nothing")
    assert set(tm.__all__) <= set(dir(tm))
    for name in tm.__all__:
        assert getattr(tm, name) is not None


def plain(x: Any) -> Any:
    return x + 1


@pytest.mark.parametrize(
    ("body", "code", "words", "hint"),
    [
        (
            lambda: dubble(double(1)),  # noqa: F821 # pyright: ignore[reportUndefinedVariable]
            "pipeline-body-failed",
            "NameError: name 'dubble' is not",
            "mean 'double'?",
        ),
        (lambda: tm.ech([1], double), "pipeline-body-failed", "has no attribute 'ech'", "mean 'each'?"),
        (lambda: 1 / 0, "pipeline-body-failed", "test_build.py, line", "Correct that line"),
        (
            lambda: plain(double(1)),
            "handle-used-as-value",
            "in 'plain', which is no step",
            "@tm.step above 'plain'",
        ),
        (lambda: double(1) + 1, "handle-used-as-value", "in a calculation.", "inside a step"),
    ],
)
def test_a_body_that_raises_says_where_and_what_may_have_been_meant(
    body: Any, code: str, words: str, hint: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        tm.pipeline(name="p")(body).build()
    assert caught.value.code == code
    assert words in caught.value.message
    assert hint in str(caught.value.hint)
