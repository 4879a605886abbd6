"""Exit steps run when all else has ended, whatever became of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.engine.projects import Project, statuses, step
from tidemill.core.events import RunStarted, StepStarted
from tidemill.engine.forecast import forecast
from tidemill.pipeline.load import load
from tidemill.store.catalog import records

TEXT = """
import os, time
from pathlib import Path
import tidemill as tm

@tm.step
def work(x: int) -> int:
    if x < 0:
        raise ValueError("negative")
    if x > 100:
        Path(os.environ["BEGUN"]).touch()
        time.sleep(600)
    return x

@tm.step
def after(x: int) -> int:
    return x

@tm.step
def tell(outcome: tm.RunOutcome, channel: str = "#all", boom: bool = False) -> str:
    print(f"to {channel}")
    if "TOLD" in os.environ:
        Path(os.environ["TOLD"]).touch()
    if boom:
        raise RuntimeError("boom")
    return f"{outcome.pipeline} {outcome.status} {outcome.failed_step} {outcome.error} {bool(outcome.run)}"

@tm.step
def clean_up(path: str) -> None:
    return None

@tm.pipeline
def p(x: int = 1, boom: bool = False):
    tm.at_exit(tell, channel="#models", boom=boom)
    tm.at_exit(clean_up, path="somewhere")
    return after(work(x))
"""


def test_after_success_it_is_told_so_each_time_anew(project: Project) -> None:
    project.write(TEXT)
    results = [project.run() for _ in range(2)]
    for result in results:
        assert result.run.status == "succeeded"
        assert project.load(step(result, "tell")) == "p succeeded None None True"
        assert [s.name for s in result.steps] == ["work", "after", "tell", "clean-up"]
        assert statuses(result)["tell"] == statuses(result)["clean-up"] == "computed"
        assert step(result, "tell").key is None
        assert step(result, "tell").log is not None
        assert step(result, "tell").why == "it runs at the end of each run"
    assert statuses(results[1])["work"] == "cached"
    begun = next(e for e in project.events if isinstance(e, RunStarted))
    assert [s.name for s in begun.steps] == ["work", "after", "tell", "clean-up"]
    assert any(isinstance(e, StepStarted) and e.step == "tell" for e in project.events)


def test_after_a_failure_it_is_told_which_step_and_what(project: Project) -> None:
    project.write(TEXT)
    result = project.run(x=-1)
    assert result.run.status == "failed"
    assert project.load(step(result, "tell")) == "p failed work Step 'work' raised ValueError: negative. True"
    assert statuses(result) == {
        "work": "failed",
        "after": "skipped",
        "tell": "computed",
        "clean-up": "computed",
    }


def test_its_own_failure_fails_a_run_and_the_next_exit_step_runs_still(project: Project) -> None:
    project.write(TEXT)
    result = project.run(boom=True)
    assert result.run.status == "failed"
    assert result.run.error is not None
    assert result.run.error["message"] == "Step 'tell' raised RuntimeError: boom."
    assert statuses(result) == {
        "work": "computed",
        "after": "computed",
        "tell": "failed",
        "clean-up": "computed",
    }


def test_its_own_failure_does_not_hide_the_first_error(project: Project) -> None:
    project.write(TEXT)
    result = project.run(x=-1, boom=True)
    assert result.run.error is not None
    assert result.run.error["message"] == "Step 'work' raised ValueError: negative."
    assert statuses(result)["tell"] == "failed"


def test_the_forecast_says_that_it_runs_and_another_process_runs_it(project: Project) -> None:
    project.write(TEXT)
    project.run()
    found = forecast(project.store, load(project.folder / "pipeline.py").build(), pipeline_name="p")
    assert [(e.step, e.status) for e in found] == [
        ("work", "cached"),
        ("after", "cached"),
        ("tell", "computed"),
        ("clean-up", "computed"),
    ]
    other = project.run(executor="process")
    assert other.run.status == "succeeded", other.run.error
    assert project.load(step(other, "tell")) == "p succeeded None None True"


def test_the_exit_steps_of_a_pipeline_within_run_at_the_end_of_all(project: Project) -> None:
    project.write(
        TEXT
        + """
@tm.pipeline
def outer():
    return after(p(2))
"""
    )
    result = project.run(pipeline_name="outer")
    assert [s.name for s in result.steps] == ["p/work", "p/after", "after", "p/tell", "p/clean-up"]
    assert project.load(step(result, "p/tell")) == "outer succeeded None None True"


def test_a_run_that_is_stopped_from_the_keyboard_ends_without_them(project: Project, tmp_path: Path) -> None:
    project.write(TEXT)
    told, begun = tmp_path / "told", tmp_path / "begun"
    environment = {**os.environ, "TOLD": str(told), "BEGUN": str(begun)}
    (tmp_path / "tidemill.toml").write_text("")
    process = subprocess.Popen(
        [sys.executable, "-m", "tidemill", "run", "pipeline.py", "-p", "x=200"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not begun.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert not told.exists()
    with project.store.catalog.read() as transaction:
        (run,) = transaction.find(records.Run)
    assert run.status == "interrupted"
