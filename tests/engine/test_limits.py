"""What a step may take: time, and what the machine has."""

import threading
import time
from typing import Any

import pytest

import tidemill as tm
from tests.engine.projects import Project, statuses, step
from tidemill.core.errors import InvalidInput
from tidemill.engine.run import RunResult, run
from tidemill.pipeline.pipelines import Pipeline


def here(project: Project, pipeline: Pipeline[..., Any], **values: Any) -> RunResult:
    """Run what no other process can import, such as what a notebook's cell defines."""
    return run(
        project.store, pipeline.build(values), pipeline_name=pipeline.name, file=None, parameters=values
    )


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"timeout_seconds": 0}, "a number of seconds above 0"),
        ({"timeout_seconds": -1.5}, "a number of seconds above 0"),
        ({"timeout_seconds": "10m"}, "a number of seconds above 0"),
        ({"timeout_seconds": True}, "a number of seconds above 0"),
        ({"timeout_seconds": float("inf")}, "a number of seconds above 0"),
        ({"retries": -1}, "a whole number, 0 or more"),
        ({"retries": 1.5}, "a whole number, 0 or more"),
        ({"retry_seconds": float("nan")}, "a number of seconds, 0 or more"),
    ],
)
@pytest.mark.parametrize("kind", ["step", "row_step", "transform", "trainer", "check"])
def test_what_means_nothing_is_refused_where_it_is_written(kind: str, options: dict[str, Any], wanted: str):
    with pytest.raises(InvalidInput) as caught:
        getattr(tm, kind)(**options)
    (option, value), *_ = options.items()
    assert caught.value.code == "wrong-definition"
    assert caught.value.message == f"tm.{kind} says {option}={value!r}; it must be {wanted}."


LIMITED = """
import tidemill as tm

@tm.step{options}
def one() -> int:
    return 1

@tm.pipeline
def p():
    return one()
"""


def test_what_a_step_may_take_is_no_part_of_its_key(project: Project):
    project.write(LIMITED.format(options=""))
    assert statuses(project.run()) == {"one": "computed"}
    project.write(LIMITED.format(options="(timeout_seconds=600)"))
    assert statuses(project.run()) == {"one": "cached"}


def test_a_row_step_is_held_to_its_time_too(project: Project):
    from tests.engine.projects import numbers

    project.datasets.create("numbers", numbers(20), message="first")
    project.write(
        """
import time
import polars as pl
import tidemill as tm

@tm.row_step(timeout_seconds=1)
def slow(rows: pl.DataFrame) -> pl.DataFrame:
    time.sleep(1000)
    return rows

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers")):
    return slow(data)
"""
    )
    error = project.run().run.error
    assert error is not None
    assert error["code"] == "step-timeout"


def test_a_step_of_a_notebook_is_ended_amid_its_python(project: Project):
    @tm.step(timeout_seconds=0.2)
    def slow() -> int:
        print("last words")  # noqa: T201 - what a step prints
        try:
            while True:
                time.sleep(0.01)
        except Exception:  # noqa: BLE001 - not even this stops it
            return 1

    @tm.pipeline
    def p():
        return slow()

    result = here(project, p)
    assert result.run.error is not None
    assert result.run.error["code"] == "step-timeout"
    assert result.run.error["details"]["printed"] == "last words\n"
    assert statuses(result) == {"slow": "failed"}


def test_a_step_of_a_notebook_in_another_thread_fails_when_it_is_done(project: Project):
    """Nobody can end it there: that is said by its error, not by a result that came too late."""
    done = threading.Event()

    @tm.step(timeout_seconds=0.05, ignore=("done",))
    def slow() -> int:
        time.sleep(0.1)
        done.set()
        return 1

    @tm.pipeline
    def p():
        return slow()

    results: list[RunResult] = []
    thread = threading.Thread(target=lambda: results.append(here(project, p)))
    thread.start()
    thread.join()
    assert done.is_set()
    record = step(results[0], "slow")
    assert record.status == "failed"
    assert record.error is not None
    assert record.error["code"] == "step-timeout"
    assert "could not be ended sooner" in record.error["why"]
