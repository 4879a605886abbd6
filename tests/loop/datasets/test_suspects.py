"""Suspected label errors of real images: found, put on a branch, reviewed and merged."""

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.loop.conftest import People
from tidemill.core.errors import AlreadyExists, InvalidInput, NotFound
from tidemill.loop.datasets import reading, review_showing, reviewing
from tidemill.loop.datasets.suspects import suspects
from tidemill.loop.workspace import Workspace
from tidemill.store.table import Table

pytestmark = pytest.mark.sklearn
ROWS, SWITCHED = 600, 12
MODELS = """
from sklearn.linear_model import LogisticRegression

plain = LogisticRegression(max_iter=300)
number = 3
"""


@pytest.fixture
def truth() -> dict[int, str]:
    """The true label of each row that ``ada`` has with a wrong one, by ``_id``; filled by her fixture."""
    return {}


@pytest.fixture
def ada(tmp_path: Path, people: People, truth: dict[int, str]) -> Workspace:
    """A project with handwritten digits, some of whose labels are switched by chance."""
    from sklearn.datasets import load_digits

    (tmp_path / "tidemill.toml").write_text("", "utf-8")
    (tmp_path / "models.py").write_text(MODELS, "utf-8")
    ws = people("ada")
    digits = load_digits()
    images, right = digits.images[:ROWS].astype(np.uint8), digits.target[:ROWS]  # pyright: ignore[reportAttributeAccessIssue]
    rng = np.random.default_rng(8)
    wrong = rng.choice(ROWS, SWITCHED, replace=False)
    labels = right.copy()
    labels[wrong] = (right[wrong] + rng.integers(1, 10, SWITCHED)) % 10
    table = Table.of({"name": np.arange(ROWS), "image": images, "label": labels.astype(str)})
    ws.datasets.create("digits", table, message="digits", key=["name"])
    rows = ws.datasets.open("digits").snapshot().read(["_id", "name"])
    ids = dict(zip(rows.numpy("name").tolist(), rows.numpy("_id").tolist(), strict=True))
    truth |= {ids[i]: str(right[i]) for i in wrong.tolist()}
    return ws


def plain(tmp_path: Path) -> str:
    return f"{tmp_path / 'models.py'}:plain"


def test_most_switched_labels_are_found_and_the_review_corrects_them(
    ada: Workspace, truth: dict[int, str], tmp_path: Path
):
    file = tmp_path / "out" / "suspects.csv"
    found = suspects(ada, "digits", limit=SWITCHED, folds=3, csv=file)
    ids = [int(s.id) for s in found.suspects]
    assert len(ids) == SWITCHED
    assert len(set(ids) & set(truth)) >= 0.8 * SWITCHED
    assert found.rows == ROWS
    assert found.review == "digits#1"
    # The review has them on its branch, with the suggested labels, and says how they were found.
    shown = review_showing.show_review(ada, "digits#1", limit=50)
    assert shown.about.title == f"{SWITCHED} suspected errors in label"
    assert shown.diff is not None
    assert {c["id"]: c["new"] for c in shown.diff.cells} == {s.id: s.suggested for s in found.suspects}
    assert f"| {found.suspects[0].id} |" in shown.description
    # The file says the same.
    with file.open(encoding="utf-8") as opened:
        written = list(csv.DictReader(opened))
    assert [(r["_id"], r["suggested"]) for r in written] == [(s.id, s.suggested) for s in found.suspects]
    reviewing.merge_review(ada, "digits#1")
    now = reading.read(ada, "digits").to_polars()
    labels = dict(zip(now["_id"], now["label"], strict=True))
    corrected = sum(labels[i] == right for i, right in truth.items())
    assert corrected >= 0.7 * SWITCHED


def test_a_model_of_the_users_judges_where_it_is_named(ada: Workspace, truth: dict[int, str], tmp_path: Path):
    found = suspects(ada, "digits", limit=SWITCHED, folds=3, trainer=plain(tmp_path))
    assert len({int(s.id) for s in found.suspects} & set(truth)) >= 0.6 * SWITCHED
    own = [s.given_probability for s in found.suspects]
    assert own == sorted(own)
    # The same again is said before anything is trained; under another name it gives the same.
    with pytest.raises(AlreadyExists) as caught:
        suspects(ada, "digits", limit=SWITCHED, folds=3, trainer=plain(tmp_path))
    assert caught.value.code == "branch-exists"
    again = suspects(ada, "digits", limit=SWITCHED, folds=3, trainer=plain(tmp_path), branch="again")
    assert again.suspects == found.suspects


def test_a_row_without_a_label_is_no_suspect_and_whole_numbers_are_labels(people: People, tmp_path: Path):
    (tmp_path / "tidemill.toml").write_text("", "utf-8")
    (tmp_path / "models.py").write_text(MODELS, "utf-8")
    ws = people("ada")
    rng = np.random.default_rng(1)
    x = rng.normal(size=300)
    label: list[int | None] = [int(v > 0) for v in x]
    label[7], label[8] = None, 1 - int(x[8] > 0)
    x[8] = 3.0 if x[8] > 0 else -3.0
    frame = pl.DataFrame({"x": x, "label": pl.Series(label, dtype=pl.Int8)})
    ws.datasets.create("points", Table.of(frame), message="")
    found = suspects(ws, "points", limit=1, trainer=plain(tmp_path))
    assert found.rows == 299
    assert found.branch is not None
    then = reading.read(ws, f"points@{found.branch}").to_polars()
    changed = then.filter(pl.col("_id") == int(found.suspects[0].id))
    assert changed["x"].item() == x[8]
    assert changed["label"].item() == int(x[8] > 0)
    assert then["label"].null_count() == 1


def test_what_cannot_be_done_is_said(ada: Workspace, tmp_path: Path):
    def code(**how: object) -> str:
        with pytest.raises((InvalidInput, NotFound)) as caught:
            suspects(ada, "digits", **how)  # pyright: ignore[reportArgumentType]
        return caught.value.code

    assert code(label="lable") == "column-not-found"
    assert code(label="image") == "not-a-label"
    assert code(label="name") == "not-a-label"
    assert code(columns=["label"]) == "no-features"
    assert code(columns=["picture"]) == "column-not-found"
    assert code(folds=1) == "invalid-folds"
    assert code(trainer="models.py") == "not-a-trainer"
    assert code(trainer=f"{tmp_path / 'models.py'}:number") == "not-a-trainer"
    assert code(trainer=f"{tmp_path / 'models.py'}:plan") == "component-not-found"
    assert list(ada.datasets.open("digits").branches()) == ["main"]
