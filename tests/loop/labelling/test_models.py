"""Rows that a model chooses, and what it suggests for them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput
from tidemill.pipeline import load

pytestmark = pytest.mark.sklearn

PIPELINE = """
import tidemill as tm
from tidemill import parts

@tm.trainer(features="x", label="label", classes=["high", "low"])
def fit(train: tm.Table):
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression(C=1e-4, max_iter=1000).fit(train.numpy("x").astype("float32"), train.numpy("label"))

@tm.pipeline
def small(data: tm.Dataset = tm.dataset("points@main")):
    rows = parts.keep_labels(data, label="label", allowed=["high", "low"])
    train, _, test = parts.split(rows, test=0.3, validation=0.0)
    model = fit(train)
    return {"model": model, "report": parts.evaluate(model, test, name="small")}
"""
WRONG = (10, 240)
"""A row whose coordinates both say ``low`` for sure, labelled ``high``; and the other way round."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model of points, trained on labels of which two are wrong, and twenty points without a label."""
    folder = tmp_path_factory.mktemp("points")
    chance = np.random.RandomState(1)
    lines = ["label,x1,x2"]
    for n, (x, y) in enumerate(chance.randint(0, 256, (300, 2))):
        lines.append(f"{'' if n < 20 else 'high' if x + y > 255 else 'low'},{x},{y}")
    lines += [f"high,{WRONG[0]},{WRONG[0]}", f"low,{WRONG[1]},{WRONG[1]}"]
    (folder / "points.csv").write_text("\n".join(lines) + "\n")
    (folder / "pipeline.py").write_text(PIPELINE)
    with tm.open(folder) as project:
        project.import_data("points", folder / "points.csv", tensors={"x": "x*:2"})
        made = project.run(folder / "pipeline.py")
        assert made.status == "succeeded", made.error
    yield folder
    load.leave()


@pytest.fixture
def project(folder: Path) -> Iterator[tm.Project]:
    with tm.open(folder) as opened:
        yield opened


def points(project: tm.Project) -> dict[str, int]:
    """``_id`` to the sum of the coordinates."""
    table = project.read("points")
    return dict(zip(map(str, table.ids.tolist()), table.numpy("x").sum(1).tolist(), strict=True))


def test_a_suggestion_is_taken_or_not_and_that_is_counted(project: tm.Project):
    session = project.label_queue("points", queue="suggested", column="label", model="small", limit=4)
    sums = points(project)
    for turn in range(4):
        task = session.take()
        assert task is not None
        assert task.given is None
        assert task.suggestion in ("high", "low")
        assert task.confidence is not None
        assert 0.5 <= task.confidence <= 1
        if abs(sums[task.row] - 255) > 60:
            assert task.suggestion == ("high" if sums[task.row] > 255 else "low")
        other = "low" if task.suggestion == "high" else "high"
        session.answer(None if turn else other)
    view = session.progress()
    assert view.model == "small@1"
    assert [(p.labels, p.suggested, p.taken) for p in view.people] == [(4, 4, 3)]
    assert [c.name for c in view.classes] == ["high", "low"]


@pytest.mark.parametrize("by", ["margin", "entropy"])
def test_the_model_is_least_sure_of_the_first_rows(project: tm.Project, by: str):
    session = project.label_queue(
        "points", queue=f"unsure-{by}", column="label", rows="unsure", by=by, model="small", limit=30
    )
    confidences: list[float] = []
    while (task := session.take()) is not None:
        assert task.confidence is not None
        confidences.append(task.confidence)
        session.skip()
    assert len(confidences) == 30
    assert confidences == sorted(confidences)
    assert confidences[0] < 0.6


def test_a_label_that_the_model_finds_wrong_comes_first(project: tm.Project):
    session = project.label_queue(
        "points",
        queue="wrong",
        column="label",
        rows="contradicted",
        model="small/1",
        where="label is not null",
    )
    sums = points(project)
    found: list[int] = []
    for _ in range(2):
        task = session.take()
        assert task is not None
        assert task.given is not None
        assert task.given != task.suggestion
        found.append(sums[task.row])
        session.answer()
    assert sorted(found) == [2 * WRONG[0], 2 * WRONG[1]]
    again = project.label_queue("points", queue="wrong", model="small@1")
    assert again.progress().model == "small@1"
    project.commit_labels("wrong")
    after = project.read("points@labels-wrong")
    labels = dict(zip(after.numpy("x").sum(1).tolist(), after.to_polars()["label"].to_list(), strict=False))
    assert (labels[2 * WRONG[0]], labels[2 * WRONG[1]]) == ("low", "high")


def test_a_model_is_named_one_way_and_may_be_typed_as_a_release_is(project: tm.Project):
    shown = project.lineage("model:small@1").nodes
    assert "model:small@1" in [node["id"] for node in shown]
    assert project.lineage("model:small/1").nodes == shown
    with pytest.raises(InvalidInput) as refused:
        project.label_queue("points", queue="other", column="label", model="small/first")
    assert refused.value.code == "invalid-reference"
    assert refused.value.hint == "Type 'small' for the newest, or 'small@1'. 'tidemill models' shows them."


def test_a_model_that_does_not_fit_is_refused(project: tm.Project):
    (project.folder / "other.csv").write_text("kind,size\ncat,1\n,2\n")
    project.import_data("other", project.folder / "other.csv")
    with pytest.raises(InvalidInput) as refused:
        project.label_queue("other", column="kind", model="small")
    assert refused.value.code == "model-does-not-fit"
    with pytest.raises(InvalidInput) as condition:
        project.label_queue("other", column="kind", where="size <")
    assert condition.value.code == "invalid-where"
