"""A project on a disk that cannot be written: what only reads works, what writes says so and changes nothing."""

import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.services.disks import mounted
from tidemill.core.config import load_project
from tidemill.core.errors import TidemillError
from tidemill.loop.datasets import history, importing, merging, reading
from tidemill.loop.gc import gc
from tidemill.loop.runs import run
from tidemill.loop.workspace import Workspace

PIPELINE = "import tidemill as tm\n\n@tm.step\ndef one() -> int:\n    return 1\n\n@tm.pipeline\ndef p():\n    return one()\n"


@pytest.fixture
def folder(tmp_path: Path) -> Generator[Path]:
    """A file system of its own, with a project and a dataset; it can be made read-only."""
    with mounted(tmp_path / "disk", megabytes=64) as folder:
        yield folder


def test_a_store_that_cannot_be_written(folder: Path, tmp_path: Path):
    csv = tmp_path / "animals.csv"
    csv.write_text("name,legs\ncat,4\nhen,2\n", "utf-8")
    (folder / "pipeline.py").write_text(PIPELINE, "utf-8")
    made = Workspace(load_project(folder))
    importing.import_data(made, "animals", csv, key=["name"])
    history.branch(made, "animals@main", "side")
    run(made, folder / "pipeline.py")
    made.close()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    ws = Workspace(load_project(folder))
    assert len(reading.read(ws, "animals")) == 2
    assert reading.export(ws, "animals", tmp_path / "out" / "animals.csv").rows == 2
    assert [c.number for c in history.log(ws, "animals")] == [1]
    csv.write_text("name,legs\ncat,3\nhen,2\n", "utf-8")
    attempts: list[Callable[[], object]] = [
        lambda: importing.import_data(ws, "animals", csv, key=["name"]),
        lambda: importing.import_data(ws, "new", csv),
        lambda: history.branch(ws, "animals@main", "other"),
        lambda: history.tag(ws, "animals@main", "v1"),
        lambda: merging.merge(ws, "animals", "side", into="main"),
        lambda: run(ws, folder / "pipeline.py"),
        lambda: gc(ws),
    ]
    for attempt in attempts:
        with pytest.raises(TidemillError) as refused:
            attempt()
        assert refused.value.code == "store-read-only", refused.value.to_json()
    assert len(reading.read(ws, "animals")) == 2
    ws.close()
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    again = Workspace(load_project(folder))
    assert importing.import_data(again, "animals", csv, key=["name"]).rows.changed == 1
    again.close()
