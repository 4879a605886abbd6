"""What a run was made from is kept with it: the project's files as they were, and what was installed."""

import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput
from tidemill.core.names import Digest
from tidemill.loop import origins
from tidemill.loop.lookup import find_run
from tidemill.pipeline import load

PIPELINE = """
import tidemill as tm
from tools.counting import more

@tm.step
def counted(n: int) -> int:
    import late
    return late.twice(more(n))

@tm.pipeline
def counts(n: int = 1):
    return counted(n)
"""
CELL = """
import tidemill as tm

@tm.step
def one() -> int:
    return 1

@tm.pipeline
def here():
    return one()
"""
FILES = {
    "pipeline.py": PIPELINE,
    "tools/__init__.py": "",
    "tools/counting.py": "def more(n):\n    return n + 1  # one more\n",
    "late.py": "def twice(n):\n    return 2 * n\n",
    "unused.py": "raise OSError('never imported')\n",
}


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with tm.open(tmp_path) as opened:
        yield opened
    load.leave()


def kept(project: tm.Project, run: str) -> dict[str, str]:
    ws = project._ws
    files = origins.code_of(ws, find_run(ws, run)).files
    return {name: ws.store.blobs.get(Digest(digest)).decode() for name, digest in files.items()}


def test_a_run_keeps_the_whole_files_that_it_loads_or_reaches(project: tm.Project):
    first = project.run(project.folder / "pipeline.py")
    wanted = {name: text for name, text in FILES.items() if name != "unused.py"}
    assert kept(project, first.run) == wanted
    (project.folder / "late.py").write_text("def twice(n):\n    return 3 * n\n")
    second = project.run(project.folder / "pipeline.py")
    assert (first.outputs, second.outputs) == ({"result": 4}, {"result": 6})
    assert kept(project, second.run)["late.py"] == "def twice(n):\n    return 3 * n\n"
    assert kept(project, first.run) == wanted


def test_a_run_says_what_was_installed(project: tm.Project):
    run = project.run(project.folder / "pipeline.py").run
    found = origins.environment_of(project._ws, find_run(project._ws, run))
    assert (found.python, found.machine) == (platform.python_version(), platform.machine())
    assert found.variables == {"KERAS_BACKEND": "jax"}
    assert found.packages["numpy"] == metadata.version("numpy")
    assert found.packages["sqlalchemy"] == metadata.version("SQLAlchemy")
    assert len(found.packages) >= len({d.name for d in metadata.distributions()}) - 2


def test_garbage_collection_keeps_both_for_every_run(project: tm.Project):
    first = project.run(project.folder / "pipeline.py").run
    for n in range(12):
        (project.folder / "late.py").write_text(f"def twice(n):\n    return {n} * n\n")
        project.run(project.folder / "pipeline.py", n=n)
    project.gc()
    assert kept(project, first)["late.py"] == FILES["late.py"]
    assert origins.environment_of(project._ws, find_run(project._ws, first)).packages


def test_a_pipeline_of_a_notebook_has_no_copy(project: tm.Project):
    cell: dict[str, Any] = {"__name__": "cell"}
    exec(CELL, cell)  # noqa: S102 - as a notebook does
    run = project.run(cell["here"]).run
    with pytest.raises(InvalidInput) as caught:
        origins.code_of(project._ws, find_run(project._ws, run))
    assert caught.value.code == "run-without-file"
