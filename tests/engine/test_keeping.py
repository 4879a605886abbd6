"""Models that cannot be kept: refused before anything is trained where the type tells it, else kept aside."""

import pickle
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.projects import Project, table
from tidemill.engine import keeping

pytestmark = pytest.mark.sklearn

HEAD = """
import threading
from pathlib import Path
from typing import Any
import numpy as np
import tidemill as tm
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

class Own(RegressorMixin, BaseEstimator):
    def fit(self, x, y):
        Path({mark!r}).touch()
        self.mean_ = float(np.mean(y))
        return self
    def predict(self, x):
        return np.full(len(x), self.mean_)

class Foreign:
    weights = 3.5

def trained(model):
    Path({mark!r}).touch()
    x = np.arange(20.0).reshape(10, 2)
    return model.fit(x, x.sum(axis=1))
"""


def error_of(result: Any) -> dict[str, Any]:
    assert result.run.status == "failed"
    return result.run.error


def run(project: Project, code: str, pipeline: str) -> tuple[Any, Path]:
    """One pipeline of one trainer; the file is there when something was trained."""
    mark = project.folder / "trained"
    body = HEAD.format(mark=str(mark)) + code + f"\n\n@tm.pipeline\ndef p():\n    return {pipeline}\n"
    project.write(body)
    return project.run(), mark


@pytest.mark.parametrize(
    ("returned", "code"),
    [
        ("Own", "model-not-safe"),
        ("Foreign", "unknown-framework"),
        ("dict", "unknown-framework"),
    ],
)
def test_what_the_annotation_tells_is_refused_before_anything_runs(
    project: Project, returned: str, code: str
):
    result, mark = run(
        project,
        f"""
@tm.step
def first() -> int:
    Path({str(project.folder / "first")!r}).touch()
    return 1

@tm.trainer(features="x", label="y")
def train(n: int) -> {returned}:
    return trained(Own())
""",
        "train(first())",
    )
    assert error_of(result)["code"] == code
    assert not mark.exists()
    assert not (project.folder / "first").exists()


def test_what_the_annotation_leaves_open_is_tried(project: Project):
    for returned in ("Any", "object", "RegressorMixin", "BaseEstimator", "tm.TrainedModel"):
        result, _ = run(
            project,
            f"""
@tm.trainer(features="x", label="y")
def train() -> {returned}:
    made = trained(LinearRegression())
    return tm.TrainedModel.of(made, features="x", label="y") if "{returned}" == "tm.TrainedModel" else made
""",
            "train()",
        )
        assert result.run.status == "succeeded", (returned, result.run.error)


LEFT = {
    "own class": ("Own()", ""),
    "lambda": ("make_pipeline(FunctionTransformer(lambda x: 2 * x), LinearRegression())", ""),
    "generator": ("LinearRegression()", "model.numbers_ = (n for n in range(3))"),
    "lock": ("LinearRegression()", "model.lock_ = threading.Lock()"),
    "open file": ("LinearRegression()", "model.file_ = open(__file__)"),
    "foreign": ("Own()", "model = Foreign(); model.weights = [1.5, 2.5]"),
}


@pytest.mark.parametrize("kind", sorted(LEFT))
def test_what_was_trained_is_kept_aside(project: Project, kind: str):
    made, change = LEFT[kind]
    result, mark = run(
        project,
        f"""
@tm.trainer(features="x", label="y")
def train():
    model = trained({made})
    {change or "pass"}
    return model
""",
        "train()",
    )
    assert mark.exists()
    error = error_of(result)
    assert error["code"] in ("model-not-safe", "unknown-framework")
    file = Path(error["details"]["aside"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert str(file) in error["why"]
    # What the error says to type is typed, in the project's folder; then the model is asked.
    command = error["hint"].partition("type python -c ")[2].strip('"')
    asked = (
        "print(model.weights)"
        if kind == "foreign"
        else "import numpy; print(round(float(model.predict(numpy.array([[1.0, 2.0]]))[0]), 6))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{command}; {asked}"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == {"foreign": "[1.5, 2.5]", "own class": "19.0"}.get(kind, "3.0")
    left = {"lock": ", without a _thread.lock", "generator": ", without a builtins.generator"}
    left["open file"] = ", without a _io.TextIOWrapper"
    assert error["why"].endswith(f"is kept aside in {file}{left.get(kind, '')}.")


def test_an_estimator_that_cannot_be_kept_is_refused_before_it_is_fitted(project: Project):
    project.datasets.create(
        "d", table({"x": np.ones((4, 2)), "y": np.arange(4.0)}, [0, 1, 2, 3]), message="1"
    )
    body = (
        HEAD.format(mark=str(project.folder / "trained"))
        + """
learn = tm.trainer(make_pipeline(FunctionTransformer(np.testing.measure), Own()), features="x", label="y")

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("d")):
    return learn(data)
"""
    )
    project.write(body)
    result = project.run()
    assert error_of(result)["code"] == "model-not-safe"
    assert not (project.folder / "trained").exists()
    assert "aside" not in error_of(result)["details"]


def test_a_step_that_was_given_a_secret_keeps_nothing_aside(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TOKEN_OF_A_TEST", "a-very-secret-text")
    result, mark = run(
        project,
        """
@tm.trainer(features="x", label="y")
def train(token: str):
    return trained(Own())
""",
        'train(tm.secret("TOKEN_OF_A_TEST"))',
    )
    assert mark.exists()
    assert "aside" not in error_of(result)["details"]
    assert not list(project.folder.rglob("*.pickle"))


def test_what_nothing_can_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / keeping.FOLDER).write_text("a file where the folder should be")
    assert keeping.set_aside(tmp_path, "train", [1]) is None
    (tmp_path / keeping.FOLDER).unlink()
    done = keeping.set_aside(tmp_path, "inner/train", [1])
    assert done is not None
    file, left = done
    assert (pickle.loads(file.read_bytes()), left) == ([1], [])  # noqa: S301 - written a moment ago
