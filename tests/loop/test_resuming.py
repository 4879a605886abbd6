"""A run that did not come to its end, gone on with."""

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
from tidemill.core.errors import InvalidInput, NotAllowed, NotFound
from tidemill.pipeline import load

PIPELINE = """
import os
import time
from pathlib import Path
import tidemill as tm

@tm.step
def counted(table: tm.Table, folder: str) -> int:
    with open(folder + "/counted", "a") as file:
        file.write("x")
    return len(table)

@tm.step
def slow(rows: int, folder: str, factor: int) -> int:
    Path(folder, "begun").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.01)
    if Path(folder, "broken").exists():
        raise OSError("no answer")
    return rows * factor

@tm.pipeline
def product(folder: str, factor: int = 2, data: tm.Dataset = tm.dataset("people")):
    return slow(counted(data, folder), folder, factor)
"""
CELL = """
import tidemill as tm

@tm.step
def hopeless() -> int:
    raise ValueError("no luck")

@tm.pipeline
def here():
    return hopeless()
"""


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "people.csv").write_text("name,age\nada,36\ngrace,45\n")
    with tm.open(tmp_path) as opened:
        opened.import_data("people", tmp_path / "people.csv")
        yield opened
    load.leave()


def start(project: tm.Project) -> "subprocess.Popen[bytes]":
    """The run as a process of its own, amid its second step."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tidemill", "run", "pipeline.py"),
            *("-p", f"folder={project.folder}", "-p", "factor=3"),
        ],
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (project.folder / "begun").exists():
        assert time.monotonic() < deadline, "the run did not begin"
        time.sleep(0.02)
    return process


def more_people(project: tm.Project) -> None:
    (project.folder / "people.csv").write_text("name,age\nalan,41\n")
    project.import_data("people", project.folder / "people.csv")


def test_a_killed_run_goes_on_with_its_parameters_and_its_data(project: tm.Project):
    process = start(project)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    more_people(project)
    (project.folder / "go").touch()
    view = project.resume()
    assert view.outputs == {"result": 6}
    assert view.parameters["factor"] == 3
    assert {s.name: s.status for s in view.steps} == {
        "data": "cached",
        "counted": "cached",
        "slow": "computed",
    }
    assert (project.folder / "counted").read_text() == "x"
    fresh = project.run(project.folder / "pipeline.py", folder=str(project.folder), factor=3)
    assert fresh.outputs == {"result": 9}


def test_a_run_that_goes_on_or_came_to_its_end_is_not_resumed(project: tm.Project):
    process = start(project)
    with pytest.raises(NotAllowed) as going:
        project.resume()
    assert going.value.code == "run-is-going-on"
    assert str(process.pid) in going.value.message
    (project.folder / "go").touch()
    assert process.wait() == 0
    with pytest.raises(NotAllowed) as finished:
        project.resume()
    assert finished.value.code == "run-finished"


def test_a_failed_run_goes_on_where_it_failed(project: tm.Project):
    for name in ("go", "broken"):
        (project.folder / name).touch()
    failed = project.run(project.folder / "pipeline.py", folder=str(project.folder))
    assert failed.status == "failed"
    (project.folder / "broken").unlink()
    view = project.resume(failed.run)
    assert (view.status, view.outputs) == ("succeeded", {"result": 4})
    assert (project.folder / "counted").read_text() == "x"


def test_what_cannot_be_gone_on_with_says_so(project: tm.Project):
    with pytest.raises(NotFound) as none:
        project.resume()
    assert none.value.code == "run-not-found"
    for name in ("go", "broken"):
        (project.folder / name).touch()
    file = project.folder / "pipeline.py"
    project.run(file, folder=str(project.folder))
    file.rename(project.folder / "elsewhere.py")
    with pytest.raises(NotFound) as gone:
        project.resume()
    assert gone.value.code == "file-not-found"

    space: dict[str, Any] = {"__name__": "cell"}
    exec(CELL, space)  # noqa: S102 - as a notebook does
    project.run(space["here"])
    with pytest.raises(InvalidInput) as unnamed:
        project.resume()
    assert unnamed.value.code == "run-without-file"
