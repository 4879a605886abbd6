"""An audit finds what a key does not see, and is content with what a key sees."""

from pathlib import Path

from tests.engine.projects import Project, numbers, statuses
from tidemill.store.catalog import records

TEXT = """
import random
from pathlib import Path
import numpy as np
import tidemill as tm

@tm.row_step(columns="x")
def shift(x):
    return x + 1

@tm.step
def draw(rows: tm.Table) -> float:
    return random.random() + np.random.random() + len(rows)

@tm.step(outputs=("one", "two"))
def pair() -> tuple[list, str]:
    return [1, 2], Path({file!r}).read_text()

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers@main")):
    one, two = pair()
    return {{"drawn": draw(shift(data)), "one": one, "two": two}}
"""


def prepared(project: Project) -> Path:
    hidden = project.folder / "hidden.txt"
    hidden.write_text("first")
    project.datasets.create("numbers", numbers(5), message="first")
    project.write(TEXT.format(file=str(hidden)))
    return hidden


def test_steps_that_depend_on_their_key_alone_pass(project: Project) -> None:
    prepared(project)
    assert project.run(audit=1.0).audited == []
    result = project.run(audit=1.0)
    assert result.run.status == "succeeded", result.run.error
    assert sorted(result.audited) == ["draw", "pair", "shift"]
    assert set(statuses(result).values()) == {"cached"}


def test_a_file_that_is_read_behind_the_engine_s_back_is_found(project: Project) -> None:
    hidden = prepared(project)
    first = project.run()
    hidden.write_text("second")
    assert project.run().run.status == "succeeded"
    result = project.run(audit=1.0)
    assert result.run.status == "failed"
    error = result.run.error
    assert error is not None
    assert (error["code"], error["details"]["step"]) == ("audit-failed", "pair")
    (differing,) = error["details"]["differing"]
    assert differing["output"] == "two"
    assert differing["cached"] == first.outputs["two"].digest
    assert differing["computed"] != differing["cached"]
    for text in (differing["cached"], differing["computed"]):
        assert text in error["message"]
    with project.store.catalog.read() as transaction:
        assert transaction.find(records.Run, {"id": result.run.id})[0].status == "failed"


def test_a_step_that_cannot_be_computed_again_fails_the_audit(project: Project) -> None:
    hidden = prepared(project)
    project.run()
    hidden.unlink()
    error = project.run(audit=1.0).run.error
    assert error is not None
    assert error["code"] == "audit-failed"
    assert "could not be computed again" in error["message"]


def test_a_small_share_is_at_least_one_step_and_not_always_the_same(project: Project) -> None:
    prepared(project)
    project.run()
    drawn = [project.run(audit=0.01).audited for _ in range(12)]
    assert {len(names) for names in drawn} == {1}
    assert len({name for names in drawn for name in names}) > 1


def test_a_table_that_grew_and_lost_rows_commit_by_commit_is_the_same(project: Project) -> None:
    prepared(project)
    project.run()
    dataset = project.datasets.open("numbers")
    dataset.commit(numbers(4, start=10), message="more")
    project.run()
    dataset.commit(numbers(6, start=3), message="others", replace=True)
    project.run()
    result = project.run(audit=1.0)
    assert result.run.status == "succeeded", result.run.error
    assert "shift" in result.audited
