"""A script is started from any folder: it finds its project and its modules, and its steps run in workers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tidemill as tm
from tidemill.pipeline import load

SCRIPT = """
import json
import os
import sys
import tidemill as tm
import sibling

@tm.step
def one(n: int) -> list:
    return [sibling.value() + n, os.getpid()]

@tm.row_step
def kept(rows: tm.Table) -> tm.Table:
    return rows

@tm.pipeline
def p(n: int = 1):
    return one(n)

{guard}
    view = tm.run(p, n=1)
    again = tm.run(p, n=1)
    file = tm.run("flow.py", n=2)
    with tm.open() as project:
        other = project.run(p, {{"n": 3}})
        folder = str(project.folder)
    print(json.dumps({{
        "folder": folder,
        "pid": os.getpid(),
        "first": view.outputs.get("result"),
        "error": view.error or file.error or other.error,
        "again": [s.status for s in again.steps],
        "file": file.outputs.get("result"),
        "other": other.outputs.get("result"),
    }}))
"""
GUARDED, BARE = 'if __name__ == "__main__":', "if True:"
FLOW = SCRIPT.partition("{guard}")[0]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (folder / "tidemill.toml").write_text("")
    (folder / "flow.py").write_text(FLOW)
    for beside in (folder, folder / "deep"):
        (beside / "sibling.py").write_text("def value():\n    return 41\n")
    return folder


def started(file: Path, working: Path) -> dict[str, object]:
    """What a script prints that is started in a folder."""
    done = subprocess.run(
        [sys.executable, os.path.relpath(file, working)],
        cwd=working,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("where", "name", "guard"),
    [
        ("project", "script.py", GUARDED),
        ("elsewhere", "script.py", GUARDED),
        ("elsewhere", "deep/my-script.py", GUARDED),
        ("elsewhere", "script.py", BARE),
    ],
)
def test_a_script_runs_wherever_it_is_started(project: Path, where: str, name: str, guard: str) -> None:
    (project / name).write_text(SCRIPT.format(guard=guard))
    told = started(project / name, project.parent / where)
    assert told["error"] is None
    assert told["folder"] == str(project)
    first, file, other = told["first"], told["file"], told["other"]
    assert isinstance(first, list)
    assert isinstance(file, list)
    assert isinstance(other, list)
    assert (first[0], file[0], other[0]) == (42, 43, 44)
    assert told["again"] == ["cached"]
    # What another process may not import is computed in the script's own.
    assert (first[1] == told["pid"]) == (guard == BARE)
    assert not (project.parent / "elsewhere" / ".tidemill").exists()


def test_an_edit_of_a_module_beside_the_script_misses(project: Path) -> None:
    (project / "script.py").write_text(SCRIPT.format(guard=GUARDED))
    started(project / "script.py", project.parent / "elsewhere")
    (project / "sibling.py").write_text("def value():\n    return 51\n")
    told = started(project / "script.py", project.parent / "elsewhere")
    assert isinstance(told["first"], list)
    assert told["first"][0] == 52


MODEL = """
import numpy as np
import tidemill as tm
from tidemill import parts

@tm.row_step(columns="a", to="x")
def features(a: np.ndarray) -> np.ndarray:
    import sibling
    return np.stack([a, a * sibling.value()], axis=1)

def answer(x: np.ndarray) -> np.ndarray:
    return x[:, 0]

@tm.trainer(features="x", label="y")
def train(rows: tm.Table):
    return answer

@tm.pipeline
def doubled(data: tm.Dataset = tm.dataset("doubled")):
    rows = features(data)
    model = train(rows)
    return {"model": model, "report": parts.evaluate(model, rows)}

GUARD
    import json
    import unrelated
    view = tm.run(doubled)
    print(json.dumps({"error": view.error, "run": view.run, "outputs": sorted(view.outputs)}))
"""


def test_a_release_does_not_depend_on_who_started_its_run(project: Path) -> None:
    (project / "unrelated.py").write_text("")
    (project / "work.py").write_text(MODEL.replace("GUARD", GUARDED))
    with tm.open(project) as opened:
        opened.import_data("doubled", {"a": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]})
    told = started(project / "work.py", project.parent / "elsewhere")
    assert told["error"] is None
    load.load_module(project / "unrelated.py")
    with tm.open(project) as opened:
        view = opened.run(project / "work.py")
        assert view.error is None
        assert [s.status for s in view.steps if s.name == "predictor"] == ["cached"]
    load.leave()


def test_a_model_of_a_script_that_would_run_again_is_not_served(project: Path) -> None:
    (project / "unrelated.py").write_text("")
    (project / "work.py").write_text(MODEL.replace("GUARD", BARE))
    with tm.open(project) as opened:
        opened.import_data("doubled", {"a": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]})
    told = started(project / "work.py", project)
    assert told["error"] is None
    assert told["outputs"] == ["model", "report"]
