"""``when``, ``each`` and ``at_exit`` while a graph is built, and outside of a build."""

# Wrong calls are the subject here.
# pyright: reportCallIssue=false, reportArgumentType=false

from typing import Any, NamedTuple

import numpy as np
import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.graph import Graph


@tm.step
def double(x: int) -> int:
    return 2 * x


@tm.step
def is_odd(x: int) -> bool:
    return x % 2 == 1


@tm.step
def ratio(x: int) -> float:
    return x / 2


@tm.step
def listed(n: int) -> list:
    return list(range(n))


@tm.step
def facts(x: int) -> dict:
    return {"x": x}


@tm.step
def two(x: int) -> tuple[int, int]:
    return x, -x


@tm.step
def shape(xs: list) -> list:
    return xs


@tm.step
def tell(word: str, outcome: tm.RunOutcome | None = None) -> str:
    return f"{word} {outcome}"


heard: list[tuple[str, tm.RunOutcome]] = []


@tm.step
def hear(word: str, outcome: tm.RunOutcome) -> None:
    heard.append((word, outcome))


def built(body: Any) -> Graph:
    @tm.pipeline
    def p():
        return body()

    return p.build()


def refused(body: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        built(body)
    return error.value


def names(graph: Graph) -> list[str]:
    return [n.name for n in graph.nodes if n.is_step]


def test_a_plain_condition_decides_while_the_graph_is_built() -> None:
    assert names(built(lambda: tm.when(True, lambda: double(1), lambda: two(1)))) == ["double"]
    assert names(built(lambda: {"a": double(1), "b": tm.when(np.bool_(False), lambda: two(1))})) == ["double"]


def test_what_a_branch_made_is_seen_through_the_when_alone() -> None:
    leaked: list[Any] = []

    def body() -> Any:
        tm.when(is_odd(1), lambda: leaked.append(double(1)))
        return double(leaked[0])

    error = refused(body)
    assert error.code == "handle-out-of-scope"
    assert "Step 'double' gets the result of step 'double' as 'x', which is made in a branch" in error.message
    assert "take what tm.when returns" in str(error.hint)


def test_what_an_item_made_is_seen_through_the_each_alone() -> None:
    leaked: list[Any] = []
    error = refused(
        lambda: (tm.each(listed(3), lambda x: leaked.append(x) or double(x)), double(leaked[0]))[1]
    )
    assert error.code == "handle-out-of-scope"
    assert "gets the item of a tm.each as 'x'" in error.message


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (lambda: tm.when(1, lambda: double(1)), "wrong-condition", "not 1"),
        (lambda: tm.when(ratio(1), lambda: double(1)), "wrong-condition", "annotated float"),
        (lambda: tm.when(tm.dataset("a"), lambda: 1), "wrong-condition", "takes True, False"),
        (lambda: tm.when(tm.when(False, lambda: 1), lambda: 1), "wrong-condition", "not None"),
        (lambda: tm.when(is_odd(1), double(1)), "wrong-branch", "a function as 'then', not <result of"),
        (lambda: tm.when(is_odd(1), lambda: 1, 2), "wrong-branch", "as 'otherwise', not a int"),
        (
            lambda: tm.when(is_odd(1), lambda: two(1), lambda: double(1)),
            "wrong-branch",
            "a tuple of 2, one result",
        ),
        (lambda: tm.when(is_odd(1), lambda: {"a": 1}, lambda: {"b": 1}), "wrong-branch", "a dict of a"),
        (lambda: tm.when(is_odd(1), lambda: object()), "not-a-setting", "object"),
        (lambda: tm.each(5, double), "wrong-items", "not a int"),
        (lambda: tm.each("abc", double), "wrong-items", "not a str"),
        (lambda: tm.each(tm.dataset("a"), double), "wrong-items", "not a Dataset"),
        (lambda: tm.each([1, 2], double(1)), "wrong-branch", "as 'function'"),
        (
            lambda: tm.each([1, 2], lambda x: two(x) if x == 1 else double(x)),
            "wrong-branch",
            "different shapes",
        ),
        (lambda: tm.at_exit(double(1)), "wrong-exit", "takes a step"),
        (lambda: tm.at_exit(tell, word=double(1)), "wrong-exit", "as 'word'"),
        (lambda: tm.at_exit(tell), "wrong-call", "lacks 'word'"),
        (lambda: tm.at_exit(tell, word="a", other=1), "wrong-call", "no parameter 'other'"),
        (lambda: tm.when(is_odd(1), lambda: tm.at_exit(tell, word="a")), "wrong-exit", "in a branch"),
        (lambda: tm.each([1], lambda _: tm.at_exit(tell, word="a")), "wrong-exit", "for an item"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(body: Any, code: str, words: str) -> None:
    error = refused(body)
    assert error.code == code
    assert words in f"{error.message} {error.why}"


def test_a_graph_has_no_circle_as_a_step_takes_only_what_was_called_before_it() -> None:
    """A handle is there once its step has its inputs; so no order of calls can make a circle."""
    graph = built(
        lambda: shape(tm.each(listed(2), lambda x: tm.when(is_odd(x), lambda: double(x), lambda: x)))
    )
    seen: set[str] = set()
    for node in graph.nodes:
        assert {p.node for p in node.sources()} | {g.condition.node for g in node.guards} <= seen
        seen.add(node.name)


@tm.row_step(split=True)
def parted(rows: tm.Table) -> tm.Table:
    return rows


@tm.transform(columns="x")
class Center:
    def fit(self, x: Any) -> dict[str, Any]:
        return {"mean": x.mean()}

    def apply(self, x: Any, state: dict[str, Any]) -> Any:
        return x - state["mean"]


@pytest.mark.parametrize(
    "around", [lambda f: tm.each(listed(2), lambda _: f()), lambda f: tm.when(is_odd(1), f)]
)
def test_a_leak_is_seen_in_a_function_too(around: Any) -> None:
    def leaking() -> Any:
        rows = tm.dataset("points")
        return parted(Center().fit(rows).apply(rows))

    def clean() -> Any:
        rows = parted(tm.dataset("points"))
        return Center().fit(rows).apply(rows)

    assert refused(lambda: around(leaking)).code == "leak"
    assert built(lambda: around(clean))


def test_what_they_return_is_no_value_and_says_so() -> None:
    assert (
        "step 'tm.when' is used as a condition"
        in refused(lambda: bool(tm.when(is_odd(1), lambda: 1))).message
    )
    assert "step 'tm.each' is used by len()" in refused(lambda: len(tm.each(listed(2), double))).message
    assert (
        "step 'tm.each item' is used in a calculation"
        in refused(lambda: tm.each(listed(2), lambda x: x + 1)).message
    )


def test_equal_names_are_counted_alike_for_each_item() -> None:
    def one(x: Any) -> Any:
        return double(double(x))

    graph = built(lambda: (tm.each([1, 2], one), tm.each(listed(1), one)))
    assert names(graph) == [
        "double[1]",
        "double-2[1]",
        "double[2]",
        "double-2[2]",
        "listed",
        "double-3[*]",
        "double-4[*]",
    ]


class Pair(NamedTuple):
    a: Any
    b: Any


def test_outside_of_a_build_they_do_what_they_say_at_once() -> None:
    assert tm.when(is_odd(3), lambda: double(3), lambda: 0) == 6
    assert tm.when(is_odd(2), lambda: double(3)) is None
    assert tm.each(listed(3), lambda x: double(x)) == [0, 2, 4]
    assert tm.each([1, 2], lambda x: two(x)) == ([1, 2], [-1, -2])
    assert tm.each([1, 2], lambda x: Pair(x, double(x))) == Pair([1, 2], [2, 4])
    # A dict that one step returned is one result; a dict of results is several.
    assert tm.each([1, 2], lambda x: facts(x)) == [{"x": 1}, {"x": 2}]
    assert tm.each([1, 2], lambda x: {"d": double(x)}) == {"d": [2, 4]}
    assert tm.each([], lambda x: double(x)) == []
    with pytest.raises(InvalidInput) as error:
        tm.when(ratio(3), lambda: 1)
    assert error.value.code == "wrong-condition"
    with pytest.raises(InvalidInput, match="outside a pipeline"):
        tm.at_exit(hear, word="a")


def test_a_pipeline_in_memory_ends_with_its_exit_steps() -> None:
    @tm.pipeline
    def inner(n: int):
        tm.at_exit(hear, word="inner")
        return shape(tm.each(listed(n), lambda x: double(x)))

    @tm.pipeline
    def outer(n: int, worse: bool = False):
        tm.at_exit(hear, word="outer")
        found = inner(n)
        if worse:
            raise ValueError("worse")
        return found

    heard.clear()
    assert outer(3) == [0, 2, 4]
    assert heard == [(w, tm.RunOutcome("", "outer", "succeeded")) for w in ("outer", "inner")]
    heard.clear()
    with pytest.raises(ValueError, match="worse"):
        outer(3, worse=True)
    assert heard[0] == ("outer", tm.RunOutcome("", "outer", "failed", None, "worse"))
