"""What a run would do is told without doing it, and is what it does then."""

from typing import Any

from tests.engine.projects import Project, numbers, statuses
from tidemill.engine.forecast import Expected, forecast
from tidemill.pipeline.load import load
from tidemill.store.catalog import records

TEXT = """
import tidemill as tm

def helper(x):
    return x + 1

@tm.row_step(columns="x")
def shift(x, by: int = 1):
    return x + by

@tm.step
def count(rows: tm.Table) -> int:
    return len(rows)

@tm.step
def plus(x: int, y: int = 0) -> int:
    return helper(x) + y

@tm.step
def apart(x: int = 1) -> int:
    return x

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers@main"), by: int = 1, y: int = 0):
    return {"plus": plus(count(shift(data, by=by)), y=y), "apart": apart()}
"""


def foretold(project: Project, **values: Any) -> dict[str, Expected]:
    pipeline = load(project.folder / "pipeline.py")
    found = forecast(
        project.store, pipeline.build(values), pipeline_name=pipeline.name, resolve=project.resolve
    )
    return {e.step: e for e in found}


def test_before_the_first_run_everything_is_new_and_nothing_is_recorded(project: Project) -> None:
    project.datasets.create("numbers", numbers(3), message="first")
    project.write(TEXT)
    blobs = project.store.blobs.all()
    found = foretold(project)
    assert {e.status for e in found.values()} == {"computed"}
    assert {e.why for e in found.values()} == {"it was never computed before"}
    with project.store.catalog.read() as transaction:
        assert transaction.find(records.Run) == []
        assert list(transaction.cache_entries()) == []
    assert project.store.blobs.all() == blobs


def test_after_a_run_all_of_it_is_in_the_cache(project: Project) -> None:
    project.datasets.create("numbers", numbers(3), message="first")
    project.write(TEXT)
    project.run()
    assert {e.status for e in foretold(project).values()} == {"cached"}


def test_a_changed_function_is_named_with_its_difference(project: Project) -> None:
    project.datasets.create("numbers", numbers(3), message="first")
    project.write(TEXT)
    project.run()
    project.write(TEXT.replace("x + 1", "x + 2"))
    found = foretold(project)
    assert {n for n, e in found.items() if e.status == "computed"} == {"plus"}
    assert found["plus"].why == "code pipeline:helper changed"
    (change,) = found["plus"].changes
    assert str(change.diff).endswith("-    return x + 1\n+    return x + 2")
    done = statuses(project.run())
    assert done == {n: e.status for n, e in found.items()}


def test_what_comes_after_a_computed_step_says_which_input_will_be_new(project: Project) -> None:
    project.datasets.create("numbers", numbers(3), message="first")
    project.write(TEXT)
    project.run()
    found = foretold(project, by=2, y=5)
    assert (found["shift"].why, found["shift"].rows) == ("setting by: 1 → 2", 3)
    assert found["count"].why == "its input rows will be new (step shift)"
    assert found["plus"].why == "setting y: 0 → 5; its input x will be new (step count)"
    assert found["apart"].status == "cached"


def test_a_new_commit_is_told_before_it_is_read(project: Project) -> None:
    project.datasets.create("numbers", numbers(3), message="first")
    project.write(TEXT)
    project.run()
    project.datasets.open("numbers").commit(numbers(2, 10), message="more")
    found = foretold(project)
    assert found["data"].why.startswith("input commit")
    assert found["shift"].why == "its input table will be new (step data)"
    assert found["apart"].status == "cached"


def test_of_two_steps_of_one_key_one_is_computed(project: Project) -> None:
    project.write(
        """
import tidemill as tm

@tm.step
def double(x: int) -> int:
    return 2 * x

@tm.pipeline
def p():
    return double(1), double(1)
"""
    )
    found = foretold(project)
    assert [e.status for e in found.values()] == ["computed", "cached"]
    assert found["double-2"].why == "step double makes the same"
