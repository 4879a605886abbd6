"""The list of runs, and which of them a condition picks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.loop import listing, registry
from tidemill.loop.conditions import Condition
from tidemill.loop.lookup import check_listed
from tidemill.loop.narrowing import Narrow
from tidemill.pipeline import load
from tidemill.store.catalog import records

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


CONDITIONS = [
    "status == 'failed'",
    "status in ('failed', 'running') and epochs > 1",
    "pipeline == 'small' and metric.accuracy > 0.5",
    "pipeline == 'other' and metric.accuracy > 0.5",
    "status == 'failed' and metric.accuracy > 0.5",
    "status == 'failed' and status == 'succeeded'",
    "started >= '{third}'",
    "started > '{third}' and status = 'succeeded'",
    "started < '{third}'",
    "started <= '{third}' and not epochs == 2",
    "started == '{day}' and param.epochs in (1, 3)",
    "run == '{first}'",
    "run in ('{first}', '{last}')",
    "status == 'succeeded' or status == 'failed'",
    "'failed' == status",
    "trigger == 'person' and n is None",
]


def test_a_name_of_which_nothing_can_be_listed_is_a_slip_where_others_have_something(project: tm.Project):
    assert (project.runs("tune"), project.models("tune"), project.releases("tune")) == ([], [], [])
    ran = project.run(project.folder / "pipeline.py")
    name = project.runs()[0].pipeline
    assert [r.run for r in project.runs(name)] == [ran.run]
    with pytest.raises(NotFound, match=f"no pipeline of the name '{name}z'") as refused:
        project.runs(name + "z")
    assert (refused.value.code, refused.value.hint) == ("pipeline-not-found", f"Did you mean '{name}'?")
    # No model or release is there at all.
    assert (project.models(name + "z"), project.releases(name + "z")) == ([], [])
    with pytest.raises(NotFound) as refused:
        check_listed(project._ws, "model", "zzz", [name])
    assert (refused.value.code, refused.value.hint) == ("model-not-found", f"There are: {name}.")
    check_listed(project._ws, "release", name, ["other"])


def test_what_the_catalog_leaves_out_is_what_the_condition_would(project: tm.Project):
    file = project.folder / "pipeline.py"
    made = [project.run(file, accuracy=n / 10, epochs=n) for n in (1, 2, 3, 60, 7)]
    names = {"first": made[0].run, "last": made[-1].run, "third": made[2].started_at.replace("T", " ")}
    names["day"] = made[0].started_at[:10]
    known = [listing._facts(r, registry.metrics_of(project._ws, r)) for r in everything(project)]
    for text in CONDITIONS:
        condition = Condition(text.format(**names))
        condition.bind(known)
        wanted = [str(facts.get("own", "run")) for facts in known if condition.holds(facts)]
        assert [r.run for r in project.runs(where=condition.text)] == wanted, text


def everything(project: tm.Project) -> list[records.Run]:
    with project._ws.store.catalog.read() as read:
        return read.find(records.Run, order=("-started_at", "-id"))


def test_the_catalog_gives_only_the_runs_that_the_columns_leave():
    found = Condition(
        "status = 'failed' and (epochs > 1 or n is None) and started >= '2026-11-02 10'"
    ).columns
    assert found == Narrow({"status": ["failed"]}, {"started_at": ("2026-11-02T10", None)})
    assert Condition("status in ('a', 'b') and status in ('b', 'c')").columns.equal == {"status": ["b"]}
    assert not Condition("status = 'failed' or epochs > 1").columns
    assert not Condition("not status = 'failed'").columns
    assert not Condition("status != 'failed' and status == started").columns


def test_a_name_is_a_slip_where_no_run_at_all_has_it(project: tm.Project):
    project.run(project.folder / "pipeline.py")
    assert project.runs(where="status = 'failed' and metric.accuracy > 0.1") == []
    with pytest.raises(InvalidInput, match="'acuracy'"):
        project.runs(where="status = 'failed' and acuracy > 0.1")
