"""One of two branches, by what a step says; the other is skipped and says why."""

from typing import Any

import pytest

from tests.engine.projects import Project, numbers, statuses, step
from tidemill.core.events import RunStarted, StepFinished
from tidemill.engine.forecast import forecast
from tidemill.engine.why import why
from tidemill.pipeline.load import load

STEPS = """
import tidemill as tm

@tm.step
def above(x: int, least: int = 2) -> bool:
    return x > least

@tm.step
def share(x: int):
    return x / 2

@tm.step
def double(x: int) -> int:
    return 2 * x

@tm.step
def minus(x: int) -> int:
    return -x

@tm.step
def shown(x: int | None) -> str:
    return f"<{x}>"

@tm.step
def two(x: int) -> tuple[int, int]:
    return x, x + 1

@tm.step
def start(n: int) -> int:
    return n

@tm.step
def count(rows: tm.Table) -> int:
    return len(rows)

@tm.step
def maybe(rows: tm.Table | None) -> int:
    return -1 if rows is None else len(rows)

@tm.row_step(columns="x")
def shift(x, by: int = 1):
    return x + by
"""


def write(project: Project, body: str) -> None:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    project.write(f"{STEPS}\n@tm.pipeline\ndef p(n: int = 1, least: int = 2):\n    x = start(n)\n{lines}\n")


ONE = "return shown(tm.when(above(x, least), then=lambda: double(x), otherwise=lambda: minus(x)))"


@pytest.mark.parametrize(
    ("n", "value", "skipped", "why_"), [(1, "<-1>", "double", "False"), (3, "<6>", "minus", "True")]
)
def test_the_branch_that_is_taken_runs_and_the_other_says_why_not(
    project: Project, n: int, value: str, skipped: str, why_: str
) -> None:
    write(project, ONE)
    result = project.run(n=n)
    assert project.value(result) == value
    assert step(result, skipped).status == "skipped"
    assert step(result, skipped).why == f"'above' said {why_}"
    assert why(project.store, result.run.id, skipped).reason == f"'above' said {why_}"
    assert "tm.when" not in statuses(result)
    ended = {e.step: e for e in project.events if isinstance(e, StepFinished)}
    assert (ended[skipped].status, ended[skipped].why) == ("skipped", f"'above' said {why_}")
    (begun,) = [e for e in project.events if isinstance(e, RunStarted)]
    planned = {s.name: s.after for s in begun.steps}
    assert planned["double"] == ("start", "above")
    assert set(planned["shown"]) == {"above", "double", "minus"}


def test_what_comes_after_depends_on_the_content_alone(project: Project) -> None:
    write(project, ONE)
    first = project.run(n=3)
    again = project.run(n=3, least=1)
    assert statuses(again) == {
        "start": "cached",
        "above": "computed",
        "double": "cached",
        "minus": "skipped",
        "shown": "cached",
    }
    assert step(again, "shown").key == step(first, "shown").key
    write(project, "return shown(double(x))")
    assert statuses(project.run(n=3))["shown"] == "cached"


@pytest.mark.parametrize(("n", "value"), [(1, "<None>"), (3, "<6>")])
def test_without_another_branch_there_is_none(project: Project, n: int, value: str) -> None:
    write(project, "return shown(tm.when(above(x), lambda: double(x)))")
    assert project.value(project.run(n=n)) == value


def test_a_branch_gives_any_result_a_tuple_a_dict_a_value_or_what_was_there(project: Project) -> None:
    write(
        project,
        """
c = above(x)
a, b = tm.when(c, lambda: two(x), lambda: (minus(x), x))
named = tm.when(c, lambda: {"k": double(x)}, lambda: {"k": 7})
none, _ = tm.when(c, lambda: two(x))
return {"a": a, "b": b, "named": named["k"], "none": none, "list": tm.when(c, lambda: [a, b], lambda: [])}
""",
    )
    low, high = project.run(n=1), project.run(n=3)
    names = ("a", "b", "named", "none", "list")
    assert [project.value(low, n) for n in names] == [-1, 1, 7, None, []]
    assert [project.value(high, n) for n in names] == [3, 4, 6, 3, [3, 4]]


@pytest.mark.parametrize(("n", "least", "value"), [(1, 2, -1), (3, 2, 6), (3, 0, 6), (9, 2, -9)])
def test_branches_nest(project: Project, n: int, least: int, value: int) -> None:
    write(
        project,
        """
small = lambda: tm.when(above(x, 5), lambda: minus(x), lambda: double(x))
return tm.when(above(x, least), small, lambda: minus(x))
""",
    )
    assert project.value(project.run(n=n, least=least)) == value


def test_a_condition_in_a_branch_that_is_not_taken_is_skipped_with_all_under_it(project: Project) -> None:
    write(
        project,
        "return tm.when(above(x), lambda: tm.when(above(x, 5), lambda: minus(x), lambda: double(x)), lambda: 0)",
    )
    result = project.run(n=1)
    assert project.value(result) == 0
    assert {s.name: s.why for s in result.steps if s.status == "skipped"} == dict.fromkeys(
        ("above-2", "minus", "double"), "'above' said False"
    )


def test_what_one_branch_alone_takes_is_read_only_if_it_is_taken(project: Project) -> None:
    project.datasets.create("numbers", numbers(3), message="first")
    write(project, 'return tm.when(above(x), lambda: count(shift(tm.dataset("numbers"))), lambda: 0)')
    low = project.run(n=1)
    assert step(low, "numbers").status == "skipped"
    assert step(low, "numbers").why == "nothing that was computed takes it"
    assert low.run.inputs == {}
    assert project.value(project.run(n=3)) == 3


def test_rows_can_be_missing_where_the_annotation_says_so(project: Project) -> None:
    project.datasets.create("numbers", numbers(3), message="first")
    body = 'return STEP(tm.when(above(x), lambda: shift(tm.dataset("numbers"))))'
    write(project, body.replace("STEP", "maybe"))
    assert project.value(project.run(n=1)) == -1
    assert project.value(project.run(n=3)) == 3
    write(project, body.replace("STEP", "count"))
    failed = project.run(n=1)
    assert failed.run.error is not None
    assert failed.run.error["code"] == "wrong-input-kind"
    assert "wants a table as 'rows', but gets None" in failed.run.error["message"]


def test_a_condition_that_is_no_bool_names_its_step(project: Project) -> None:
    write(project, "return tm.when(share(x), lambda: double(x), lambda: minus(x))")
    result = project.run(n=3)
    assert result.run.status == "failed"
    assert result.run.error is not None
    assert result.run.error["code"] == "wrong-condition"
    assert result.run.error["message"].startswith(
        "Step 'share' is the condition of tm.when, and returned a float, which is"
    )
    assert statuses(result) == {
        "start": "computed",
        "share": "computed",
        "double": "skipped",
        "minus": "skipped",
    }


def test_a_failure_in_a_branch_is_a_failure(project: Project) -> None:
    write(
        project,
        "return tm.when(above(x), lambda: double(count(x)), lambda: minus(x))".replace(
            "count(x)", "shift2(x)"
        ),
    )
    project.write(
        (project.folder / "pipeline.py").read_text()
        + "\n@tm.step\ndef shift2(x: int) -> int:\n    raise ValueError('no')\n"
    )
    result = project.run(n=3)
    assert statuses(result) == {
        "start": "computed",
        "above": "computed",
        "shift2": "failed",
        "double": "skipped",
        "minus": "skipped",
    }
    assert step(result, "minus").why == "'above' said True"
    assert step(result, "double").why == ""


def test_the_forecast_knows_a_condition_that_is_stored(project: Project) -> None:
    write(project, ONE)

    def foretold(**values: Any) -> dict[str, tuple[str, str]]:
        pipeline = load(project.folder / "pipeline.py")
        found = forecast(project.store, pipeline.build(values), pipeline_name="p")
        return {e.step: (e.status, e.why) for e in found}

    before = foretold()
    assert before["double"] == ("computed", "if 'above' says True: it was never computed before")
    assert before["shown"][0] == "computed"
    project.run(n=3)
    after = foretold(n=3)
    assert [after[n][0] for n in ("above", "double", "minus", "shown")] == [
        "cached",
        "cached",
        "skipped",
        "cached",
    ]
    assert after["minus"][1] == "'above' said True"


def test_the_audit_and_another_process_come_to_the_same(project: Project) -> None:
    write(project, ONE)
    first = project.run(n=3)
    assert set(project.run(n=3, audit=1.0).audited) == {"start", "above", "double", "shown"}
    write(project, ONE + "  # the same")
    other = project.run(n=3, executor="process", audit=1.0)
    assert other.run.status == "succeeded", other.run.error
    assert other.run.outputs == first.run.outputs
