"""A trigger that is owed is done: a merge is killed at each moment, and whoever comes next finishes it, once."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tidemill as tm
from tests.loop import dying
from tests.services.waiting import until
from tidemill.cli.main import main
from tidemill.core.errors import Conflict, Interrupted, NotAllowed, NotFound, TidemillError
from tidemill.core.events import Event, StepStarted
from tidemill.loop import doctor, firing
from tidemill.loop.datasets import reviewing
from tidemill.loop.views import RefitView
from tidemill.pipeline import load
from tidemill.store.catalog import records
from tidemill.watch import triggers

pytestmark = pytest.mark.sklearn

PIPELINE = """
import tidemill as tm
from tidemill import parts

@tm.trainer(features="x", label="label", classes=["high", "low"])
def fit(train: tm.Table):
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression().fit(train.numpy("x"), train.numpy("label"))

@tm.pipeline
def small(data: tm.Dataset = tm.dataset("points@main")):
    train, _, test = parts.split(data, test=0.4, validation=0.0)
    model = fit(train)
    return {"model": model, "report": parts.evaluate(model, test, name="small")}
"""
SETTINGS = """
[pipelines.small]
file = "pipeline.py"

[pipelines.small.gate]
rules = []
max_drop = 1.0

[triggers.more]
dataset = "points@main"
pipeline = "small"
"""
DEPLOYS = 'deploy = "dev"\n'


def rows(seed: int, count: int) -> str:
    chance = np.random.RandomState(seed)
    points = chance.randint(0, 256, (count, 2)).tolist()
    return "label,x1,x2\n" + "".join(f"{'high' if x + y > 255 else 'low'},{x},{y}\n" for x, y in points)


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(textwrap.dedent(PIPELINE))
    (tmp_path / "tidemill.toml").write_text(SETTINGS)
    (tmp_path / "points.csv").write_text(rows(1, 100))
    with tm.open(tmp_path) as opened:
        opened.import_data("points", tmp_path / "points.csv", tensors={"x": "x*:2"}, label="label")
        opened.branch("points", "more")
        assert opened.run(tmp_path / "pipeline.py").status == "succeeded"
        yield opened
        opened.stop("dev")
    load.leave()


def more(project: tm.Project, seed: int) -> None:
    """New rows on the branch that is to be merged."""
    file = project.folder / "more.csv"
    file.write_text(rows(seed, 10))
    project.import_data("points", file, tensors={"x": "x*:2"}, branch="more")


def killed(project: tm.Project, moment: str) -> None:
    done = subprocess.run(
        [sys.executable, dying.__file__, moment, str(project.folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    # PostgreSQL frees the locks of a process that is gone once it has noticed.
    until(lambda: all(state != "at work" for state, _ in fired(project)))


def count(project: tm.Project, kind: type[object]) -> int:
    with project._ws.store.catalog.read() as read:
        return len(read.find(kind))


def fired(project: tm.Project) -> list[tuple[str, str | None]]:
    return [(f.state, f.outcome) for f in project.triggers()]


def settled(project: tm.Project) -> list[RefitView]:
    return project.settle_triggers()


def merged_again(project: tm.Project) -> list[RefitView]:
    again = project.merge("points", "more")
    assert again.already
    return again.fired


def refitted(project: tm.Project) -> list[RefitView]:
    assert project.refit().reason == "no data changed since the last run"
    return [
        RefitView("", "", None, None, None, deployed=False, reason=f.outcome or "")
        for f in project.triggers()
    ]


FINISHES = {"settle": settled, "merge": merged_again, "refit": refitted}


@pytest.mark.both_stores
def test_a_merge_killed_before_it_landed_owes_nothing_and_is_merged_when_it_is_typed_again(
    project: tm.Project,
):
    more(project, 2)
    killed(project, "owed")
    assert fired(project) == [("owed", None)]
    assert project.settle_triggers() == []
    assert fired(project) == []
    again = project.merge("points", "more")
    assert (again.already, [f.release for f in again.fired]) == (False, [1])


@pytest.mark.both_stores
@pytest.mark.parametrize("finish", FINISHES)
def test_a_merge_killed_after_it_landed_is_finished_once(project: tm.Project, finish: str):
    more(project, 2)
    killed(project, "landed")
    [left] = firing.owed(project._ws)
    assert (left.dataset, left.branch, left.state) == ("points", "main", "owed")
    [answer] = FINISHES[finish](project)
    assert answer.reason == "release 1"
    assert merged_again(project) == settled(project) == []
    assert fired(project) == [("answered", "release 1")]
    assert (count(project, records.Run), count(project, records.Release)) == (2, 1)


@pytest.mark.both_stores
@pytest.mark.slow
def test_an_answer_killed_at_any_moment_goes_on_where_it_was(project: tm.Project):
    runs, releases = 1, 0
    for seed, moment in enumerate(("began", "ran", "released", "answered"), 2):
        more(project, seed)
        killed(project, moment)
        assert fired(project)[0] == ("owed", None)
        [answer] = settled(project)
        # A run that was cut off is made again; one that had come to its end is not.
        runs, releases = runs + (2 if moment == "began" else 1), releases + 1
        assert (answer.reason, answer.release) == (f"release {releases}", releases)
        assert merged_again(project) == []
        assert (count(project, records.Run), count(project, records.Release)) == (runs, releases)


@pytest.mark.slow
def test_what_was_promoted_and_rolled_back_meanwhile_stays_rolled_back(project: tm.Project):
    project.release()
    project.promote("latest", "dev")
    with (project.folder / "tidemill.toml").open("a") as settings:
        settings.write(DEPLOYS)
    more(project, 2)
    killed(project, "promoted")
    assert project.rollback("dev").number == 1
    with tm.open(project.folder) as again:
        [answer] = settled(again)
    assert answer.reason == "release 2, live in dev"
    assert [e.number for e in project.environments() if e.environment == "dev"] == [1]


def test_a_review_killed_between_its_merge_and_its_triggers_is_finished_by_merging_it_again(
    project: tm.Project,
):
    more(project, 2)
    reviewing.open_review(project._ws, "points", "more")
    reviewing.merge_review(project._ws, "points#1", fire=False)
    head = project.log("points")[0].id
    triggers.owe(project._ws.store, "more", head, dataset="points", branch="main").close()
    done = reviewing.merge_review(project._ws, "points#1")
    assert (done.commit, done.already, [f.release for f in done.fired]) == (head, True, [1])
    with pytest.raises(NotAllowed) as refused:
        reviewing.merge_review(project._ws, "points#1")
    assert refused.value.code == "review-ended"


def test_a_merge_that_is_refused_owes_nothing(project: tm.Project):
    with (project.folder / "tidemill.toml").open("a") as settings:
        settings.write("\n[checks.points]\nmax_rows = 100\n")
    more(project, 2)
    with tm.open(project.folder) as strict, pytest.raises(TidemillError):
        strict.merge("points", "more")
    assert fired(project) == []


def test_an_answer_that_a_person_ends_is_owed_still(project: tm.Project):
    more(project, 2)

    def ends(event: Event) -> None:
        if isinstance(event, StepStarted):
            raise Interrupted("Ended by a person.")

    with pytest.raises(Interrupted):
        project.merge("points", "more", sink=ends)
    assert fired(project) == [("owed", None)]


@pytest.mark.parametrize("broken", ["def (:", None])
def test_what_cannot_begin_because_of_the_project_is_owed_until_that_is_put_right(
    project: tm.Project, capsys: pytest.CaptureFixture[str], broken: str | None
):
    def typed(*words: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main(["-C", str(project.folder), *words])
        return ended.value.code, capsys.readouterr().out

    more(project, 2)
    file = project.folder / "pipeline.py"
    whole = file.read_text()
    file.unlink() if broken is None else file.write_text(broken)
    status, said = typed("data", "merge", "points", "more")
    assert (status, fired(project)) == (1, [("owed", None)])
    assert "it failed, and is owed still" in said
    assert "Then type 'tidemill triggers settle'." in said
    assert typed("triggers", "settle")[0] == 1
    assert (count(project, records.Run), count(project, records.Release)) == (1, 0)
    file.write_text(whole)
    status, said = typed("triggers", "settle")
    assert (status, fired(project)) == (0, [("answered", "release 1")])
    assert count(project, records.Run) == 2


def test_what_is_owed_for_long_fails_the_doctor_until_it_is_dropped(
    project: tm.Project, capsys: pytest.CaptureFixture[str]
):
    store = project._ws.store
    head = project.log("points")[0].id
    claim = triggers.owe(store, "gone", head, dataset="points", branch="main")
    with pytest.raises(Conflict) as at_work:
        firing.give_up(project._ws, "gone", head[:4], "no more")
    assert at_work.value.code == "firing-claimed"
    claim.close()

    def found() -> tuple[bool, str]:
        [one] = [f for f in doctor.doctor(project.folder) if f.check == "triggers"]
        return one.ok, one.message

    assert found()[0]
    with store.catalog.write() as write:
        write.change(records.Firing, {"cause": head}, fired_at="2026-01-01T00:00:00.000000Z")
    assert found() == (False, f"1 owed: 'gone' for commit {head} since 2026-01-01T00:00:00")
    # Also by a command that has nothing to ask the catalog.
    for words in (["runs"], ["data", "list"], ["data", "log", "points"]):
        with pytest.raises(SystemExit):
            main(["-C", str(project.folder), *words])
        assert "Owed since a merge that was cut off: gone." in capsys.readouterr().err
    assert [f.state for f in firing.fired(project._ws, "gone")] == ["owed"]
    with pytest.raises(NotFound, match="no trigger 'gon'") as slip:
        firing.fired(project._ws, "gon")
    assert slip.value.hint == "Did you mean 'gone'?"
    # Another checkout's settings may have the trigger.
    assert settled(project) == []
    given_up = firing.give_up(project._ws, "gone", head[:4], "no more")
    assert given_up.outcome == f"dropped by {project._ws.project.author}: no more"
    assert found() == (True, "none is owed")
    with pytest.raises(NotFound):
        firing.give_up(project._ws, "gone", head, "no more")
