"""Why a metric moved: each factor's effect is known by hand here, and so is what two of them do together."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tidemill as tm
from tests.loop.test_origins import CELL
from tidemill.core.errors import Failed, InvalidInput, NotAllowed, NotFound, TidemillError
from tidemill.loop.replay_views import Explanation
from tidemill.pipeline import load
from tidemill.store.catalog import records

PIPELINE = """
import os
import tidemill as tm

BONUS = 0.0

@tm.step
def mean(rows: tm.Table) -> float:
    return float(rows.to_polars()["x"].mean())

@tm.step
def judge(middle: float, weight: float) -> tm.Report:
    return tm.Report("score", {"score": middle * weight + BONUS, "same": 1.0})

@tm.pipeline
def score(data: tm.Dataset = tm.dataset("numbers@main"), weight: float = 1.0):
    return {"report": judge(mean(data), weight)}

@tm.step
def drawn() -> int:
    return os.getpid()

@tm.step
def failing(number: float) -> float:
    raise ValueError("no luck")

@tm.pipeline
def chance():
    return drawn()

@tm.pipeline
def hopeless():
    return failing(drawn())
"""


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    with tm.open(tmp_path) as opened:
        rows(opened, 1, 3)
        yield opened
    load.leave()


def rows(project: tm.Project, *values: float) -> None:
    lines = "\n".join(f"{number},{value}" for number, value in enumerate(values))
    (project.folder / "numbers.csv").write_text(f"id,x\n{lines}\n")
    project.import_data("numbers", project.folder / "numbers.csv", key="id", sync=True)


def edit(project: tm.Project, before: str, after: str) -> None:
    file = project.folder / "pipeline.py"
    file.write_text(file.read_text().replace(before, after))


def run(project: tm.Project, name: str = "score", **parameters: Any) -> str:
    return project.run(load.load(project.folder / "pipeline.py", name), **parameters).run


def shares(found: Explanation, metric: str = "score") -> dict[str, float]:
    (told,) = (m for m in found.metrics if m.name == metric)
    assert math.fsum([*(s.share for s in told.shares), told.remainder]) == told.difference
    return {s.factor: s.share for s in told.shares}


def test_each_factor_gets_its_effect_and_half_of_what_two_do_together(project: tm.Project, tmp_path: Path):
    first = run(project)
    rows(project, 2, 4)
    edit(project, "BONUS = 0.0", "BONUS = 5.0")
    second = run(project, weight=10.0)
    # The score is mean * weight + bonus: 2 * 1 + 0 = 2 becomes 3 * 10 + 5 = 35. The code adds 5 in any case; the data
    # add 1 before the weight, and 10 after it; the weight adds 18 before the data, and 27 after them.
    before = [r.run for r in project.runs()]
    found = project.explain(first, second, tmp_path / "why.html")
    assert shares(found) == pytest.approx({"data": 5.5, "code": 5.0, "settings": 22.5})
    score = found.metrics[0]
    assert [(s.in_order, s.lowest, s.highest) for s in score.shares] == [
        (1.0, 1.0, 10.0),
        (5.0, 5.0, 5.0),
        (27.0, 18.0, 27.0),
    ]
    assert (score.a, score.b, score.difference, score.remainder) == (2.0, 35.0, 33.0, 0.0)
    assert set(shares(found, "same").values()) == {0.0}
    assert (found.orders, found.all_orders, len(found.states)) == (6, 6, 8)
    # Nothing is left of the runs but what they computed: asked again, nothing is.
    assert [r.run for r in project.runs()] == before
    assert sum(s.computed or 0 for s in found.states) > 0
    again = project.explain(first, second)
    assert (shares(again), {s.computed for s in again.states}) == (shares(found), {0})
    page = (tmp_path / "why.html").read_text()
    assert 'class="bar more"' in page
    assert "score: 2 → 35 (+33)" in page
    assert "+22.5" in found._repr_html_()


def test_a_dry_run_says_which_runs_it_would_make(project: tm.Project):
    first = run(project)
    rows(project, 2, 4)
    second = run(project, weight=10.0)
    found = project.explain(first, second, dry_run=True)
    assert [s.changed for s in found.states] == [[], ["data"], ["settings"], ["data", "settings"]]
    assert (found.dry_run, found.metrics) == (True, [])
    assert {f.name: f.differs for f in found.factors} == {
        "data": True,
        "code": False,
        "settings": True,
        "environment": False,
    }


@pytest.mark.both_stores
def test_a_parameter_that_the_code_does_not_have_is_left_out(project: tm.Project):
    first = run(project)
    edit(project, "middle * weight + BONUS", "middle * weight + more")
    edit(project, "(middle: float, weight: float)", "(middle: float, weight: float, more: float)")
    edit(project, "weight: float = 1.0):", "weight: float = 1.0, more: float = 0.0):")
    edit(project, "judge(mean(data), weight)", "judge(mean(data), weight, more)")
    second = run(project, more=4.0)
    assert shares(project.explain(first, second)) == pytest.approx({"code": 2.0, "settings": 2.0})


def test_ways_through_a_run_that_fails_are_left_out(project: tm.Project):
    first = run(project)
    rows(project, 2, 4, 6)
    edit(project, "return float(rows", "assert len(rows) == 3\n    return 10 + float(rows")
    second = run(project)
    found = project.explain(first, second)
    assert shares(found) == {"data": 2.0, "code": 10.0}
    assert (found.orders, found.all_orders) == (1, 2)
    assert [s.error is None for s in found.states] == [True, True, False, True]
    edit(project, "== 3", "== 2")
    rows(project, 2, 4)
    third = run(project)
    with pytest.raises(Failed, match="Each way from the first run to the second leads through one") as caught:
        project.explain(second, third)
    assert caught.value.code == "not-explained"


def test_what_is_another_in_the_same_again_is_told_and_is_no_share(project: tm.Project):
    first, second = run(project, "chance"), run(project, "chance")
    assert shares(project.explain(first, second), "result") == {}
    edit(project, "return os.getpid()", "return os.getpid() + 1000")
    third = run(project, "chance")
    store = project._ws.store
    with store.catalog.write() as write:
        write.forget([key for key, _ in write.cache_entries()])
    found = project.explain(first, third)
    (told,) = found.metrics
    assert told.a_again != told.a
    assert told.remainder != 0
    assert math.fsum([*(s.share for s in told.shares), told.remainder]) == told.difference


SLOW = """
import os, time
from pathlib import Path
import tidemill as tm

@tm.step
def slow(folder: str, number: int) -> int:
    Path(folder, "mine").write_text(str(os.getpid()))
    Path(folder, "mine").rename(Path(folder, "begun"))
    while number and not Path(folder, "go").exists():
        time.sleep(0.01)
    return number

@tm.pipeline
def slowly(folder: str, number: int = 0):
    return slow(folder, number)
"""


def test_one_that_is_stopped_leaves_no_run_and_no_process(project: tm.Project):
    (project.folder / "slow.py").write_text(SLOW)
    begun, go = project.folder / "begun", project.folder / "go"
    go.touch()
    made = [project.run(project.folder / "slow.py", folder=str(project.folder), number=n).run for n in (0, 1)]
    go.unlink()
    begun.unlink()
    store = project._ws.store
    with store.catalog.write() as write:
        write.forget([key for key, _ in write.cache_entries()])
    words = [sys.executable, "-m", "tidemill", "explain", *made]
    process = subprocess.Popen(words, cwd=project.folder, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not begun.exists():
        assert time.monotonic() < deadline, "the run did not begin"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=180)
    assert process.returncode == 130, said
    assert {r.run for r in project.runs()} == set(made)
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)


def test_what_cannot_be_explained_says_why(project: tm.Project):
    first, other, failed = run(project), run(project, "chance"), run(project, "hopeless")
    space: dict[str, Any] = {"__name__": "cell"}
    exec(CELL, space)  # noqa: S102 - as a notebook does
    cell = project.run(space["here"]).run
    edit(project, '{"score": middle * weight + BONUS, "same": 1.0}', '{"points": 1.0}')
    renamed = run(project)

    def refused(kind: type[TidemillError], code: str, a: str, b: str) -> None:
        with pytest.raises(kind) as caught:
            project.explain(a, b)
        assert caught.value.code == code

    refused(InvalidInput, "different-pipelines", first, other)
    refused(NotAllowed, "run-not-succeeded", failed, failed)
    refused(NotFound, "run-not-found", first, "20200101-000000-000000")
    refused(InvalidInput, "no-common-metric", first, renamed)
    refused(InvalidInput, "run-without-file", cell, cell)
    with project._ws.store.catalog.write() as write:
        write.change(records.Run, {"id": first}, environment=None)
    rows(project, 2, 4)
    edit(project, '{"points": 1.0}', '{"score": middle * weight + BONUS, "same": 1.0}')
    environment = project.explain(first, run(project)).factors[-1]
    assert (environment.replayed, environment.note) == (False, "it was not recorded then")
