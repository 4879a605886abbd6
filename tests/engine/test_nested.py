"""A pipeline in another's body: its steps stand below its name, its parameters are what they are everywhere."""

# Wrong calls are the subject here.
# pyright: reportCallIssue=false, reportArgumentType=false

from typing import Any, NamedTuple

import pytest

import tidemill as tm
from tests.engine.projects import Project, numbers, statuses, step
from tidemill.core.errors import InvalidInput
from tidemill.engine.why import why

STEPS = """
from typing import NamedTuple
import tidemill as tm

FACTOR = 2

@tm.step
def double(x: int) -> int:
    return FACTOR * x

@tm.step
def count(rows: tm.Table) -> int:
    return len(rows)

@tm.step
def listed(n: int) -> list:
    return list(range(n))

class Pair(NamedTuple):
    a: int
    b: int

@tm.pipeline
def prepare(x: int, times: int = 1, rows: tm.Dataset = tm.dataset("numbers@main")):
    for _ in range(times):
        x = double(x)
    return Pair(x, count(rows))
"""


def write(project: Project, body: str, parameters: str = "n: int = 3") -> None:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    project.write(f"{STEPS}\n@tm.pipeline\ndef outer({parameters}):\n{lines}\n")


def run(project: Project, **values: Any) -> Any:
    return project.run(pipeline_name="outer", **values)


def test_its_steps_stand_below_its_name_and_results_keep_their_shape(project: Project) -> None:
    project.datasets.create("numbers", numbers(4), message="first")
    write(project, 'made = prepare(n, times=2)\nreturn {"a": double(made.a), "b": made.b}')
    result = run(project, n=1)
    assert project.value(result, "a") == 8
    assert project.value(result, "b") == 4
    assert [s.name for s in result.steps] == [
        "numbers",
        "prepare/double",
        "prepare/double-2",
        "prepare/count",
        "double",
    ]
    assert why(project.store, result.run.id, "prepare/double").record.name == "prepare/double"


def test_a_second_call_is_numbered_and_what_is_equal_is_computed_once(project: Project) -> None:
    project.datasets.create("numbers", numbers(4), message="first")
    write(
        project,
        "return {'one': prepare(n).a, 'two': prepare(double(n)).a, 'each': tm.each([n], lambda x: prepare(x).a)}",
    )
    result = run(project, n=1)
    assert [project.value(result, n) for n in ("one", "two", "each")] == [2, 4, [2]]
    assert {n: s for n, s in statuses(result).items() if "double" in n} == {
        "prepare/double": "computed",
        "double": "cached",
        "prepare-2/double": "computed",
        "prepare[1]/double": "cached",
    }


def test_a_constant_that_its_steps_use_is_in_their_keys(project: Project) -> None:
    project.datasets.create("numbers", numbers(4), message="first")
    write(project, "return prepare(n).a")
    run(project)
    file = project.folder / "pipeline.py"
    file.write_text(file.read_text().replace("FACTOR = 2", "FACTOR = 3"))
    result = run(project)
    assert step(result, "prepare/double").why == "code pipeline:FACTOR changed"
    assert project.value(result) == 9


def test_it_repeats_and_branches_like_any_steps(project: Project) -> None:
    project.datasets.create("numbers", numbers(4), message="first")
    write(project, "return tm.each(listed(n), lambda x: prepare(x).a)")
    result = run(project, n=2)
    assert project.value(result) == [0, 2]
    assert {"prepare[0]/double", "prepare[1]/double"} <= set(statuses(result))


class Both(NamedTuple):
    a: Any
    b: Any


@tm.step
def double(x: int) -> int:
    return 2 * x


@tm.pipeline
def inner(x: int, word: str = "a", ratio: float = 0.5):
    return Both(double(x), word)


@tm.pipeline(name="round-and-round")
def first(n: int = 1):
    return second(n)


@tm.pipeline
def second(n: int = 1):
    return first(n)


@pytest.mark.parametrize("by", ["build", "call"])
@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (lambda: inner(), "missing-parameter", "needs a value for 'x'"),
        (lambda: inner(1, wrod="b"), "unknown-parameter", "no parameter 'wrod'"),
        (lambda: inner("one"), "wrong-parameter-type", "'x' must be int, not 'one'"),
        (lambda: inner(1, ratio="half"), "wrong-parameter-type", "'ratio' must be float"),
        (lambda: inner(1, "a", 0.5, 4), "wrong-call", "takes 3 arguments, but 4"),
        (lambda: inner(1, x=2), "wrong-call", "'x' twice"),
        (lambda: first(), "pipeline-circle", "round-and-round → second → round-and-round"),
    ],
)
def test_a_wrong_call_is_refused_in_a_body_and_in_memory(body: Any, code: str, words: str, by: str) -> None:
    pipeline = tm.pipeline(name="outer")(lambda: body())
    with pytest.raises(InvalidInput) as error:
        pipeline.build() if by == "build" else pipeline()
    assert error.value.code == code
    assert words in error.value.message


def test_a_pipeline_that_calls_itself_is_refused() -> None:
    with pytest.raises(InvalidInput, match="round-and-round → second → round-and-round"):
        first.build()


def test_in_memory_its_values_are_held_against_their_annotations_too() -> None:
    assert inner(3, ratio=1) == Both(6, "a")
    with pytest.raises(InvalidInput, match="'x' must be int, not '3'"):
        inner("3")  # pyright: ignore[reportArgumentType]
