"""The list of runs, and which of them a condition picks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput
from tidemill.pipeline import load

PIPELINE = """
import tidemill as tm

@tm.step
def judge(accuracy: float, epochs: int) -> tm.Report:
    if epochs > 50:
        raise ValueError("too many")
    return tm.Report("small", {"accuracy": accuracy, "n": 10.0})

@tm.pipeline
def small(accuracy: float = 0.5, epochs: int = 1):
    return {"report": judge(accuracy, epochs)}
"""


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    with tm.open(tmp_path) as opened:
        yield opened
    load.leave()


def test_a_condition_picks_among_all_runs_and_the_limit_comes_after(project: tm.Project):
    file = project.folder / "pipeline.py"
    good = [project.run(file, accuracy=0.9 + n / 100, epochs=n).run for n in (1, 2)]
    project.run(file, accuracy=0.7, epochs=3)
    failed = project.run(file, accuracy=0.9, epochs=51).run
    assert [r.run for r in project.runs(where="metric.accuracy > 0.88")] == good[::-1]
    assert [r.run for r in project.runs(where="metric.accuracy > 0.88", limit=1)] == good[1:]
    assert [r.run for r in project.runs(where="param.accuracy > 0.88 and n is None")] == [failed]
    assert [r.run for r in project.runs(where="status == 'failed' or epochs == 1")] == [failed, good[0]]
    assert project.runs(where="metric.accuracy > 0.88 and epochs > 2") == []
    latest = project.runs(limit=1)[0]
    assert (latest.run, latest.computed, latest.cached, latest.metrics) == (failed, 0, 0, {})


def test_a_name_that_no_run_has_is_an_error_unless_there_is_no_run(project: tm.Project):
    assert project.runs(where="accuracy > 0.88") == []
    project.run(project.folder / "pipeline.py")
    with pytest.raises(InvalidInput, match="'epoch'"):
        project.runs(where="epoch > 1")
    with pytest.raises(InvalidInput, match="metric and a parameter"):
        project.runs(where="accuracy > 1")
