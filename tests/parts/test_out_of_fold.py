"""No row has a say in what is said about it; and any table becomes numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import InvalidInput
from tidemill.parts.judges import judge
from tidemill.parts.matrix import matrix
from tidemill.parts.out_of_fold import fold_of, out_of_fold
from tidemill.store.table import Table


@given(st.sets(st.integers(0, 2**64 - 1), min_size=2, max_size=80), st.integers(2, 6), st.integers(0, 3))
def test_each_row_is_answered_once_by_a_model_that_never_saw_it(ids: set[int], folds: int, seed: int):
    rows = np.array(sorted(ids), np.uint64)
    features = np.arange(len(rows), dtype=float)[:, None]
    answered: list[int] = []

    def fit(seen: np.ndarray, labels: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
        assert len(seen) == len(labels)
        own = set(seen[:, 0].tolist())

        def predict(asked: np.ndarray) -> np.ndarray:
            assert own.isdisjoint(asked[:, 0].tolist())
            assert own | set(asked[:, 0].tolist()) == set(features[:, 0].tolist())
            answered.extend(asked[:, 0].astype(int).tolist())
            return np.hstack([asked, -asked])

        return predict

    found = out_of_fold(features, np.full(len(rows), "x"), rows, fit, folds=folds, seed=seed)
    assert sorted(answered) == list(range(len(rows)))
    assert found.tolist() == np.hstack([features, -features]).tolist()


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50, unique=True))
def test_a_row_keeps_its_fold_when_others_come(ids: list[int]):
    rows = np.array(ids, np.uint64)
    assert fold_of(rows, 5)[:1].tolist() == fold_of(rows[:1], 5).tolist()


def test_the_folds_are_about_equal():
    counts = np.bincount(fold_of(np.arange(100_000, dtype=np.uint64), 5), minlength=5)
    assert counts.min() > 19_000


def test_any_table_becomes_numbers():
    images = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    table = Table.of(
        {
            "image": images,
            "legs": pl.Series([4, None, 2, 6]).to_arrow(),
            "colour": pl.Series(["red", "blue", None, "red"]).to_arrow(),
            "alive": pl.Series([True, False, True, True]).to_arrow(),
            "born": pl.Series([1, 2, 3, 4]).cast(pl.Int32).cast(pl.Date).to_arrow(),
            "same": pl.Series([7, 7, 7, 7]).to_arrow(),
        }
    )
    made, used = matrix(table, table.columns)
    assert used == ["image", "legs", "colour", "alive", "born"]
    assert made.dtype == np.float32
    assert made.shape == (4, 6 + 1 + 2 + 1 + 1)
    assert made[:, :6] == pytest.approx(images.reshape(4, 6) / 23)
    assert made[:, 6] == pytest.approx(np.array([0, 0, -2, 2]) / np.std([4, 2, 6]))
    assert made[:, 7:9].tolist() == [[0, 1], [1, 0], [0, 0], [0, 1]]
    assert made[:, 10] == pytest.approx((np.arange(4) - 1.5) / np.std(np.arange(4)), rel=1e-5)


def test_names_are_left_out():
    table = Table.of({"name": pl.Series([f"n{i}" for i in range(90)]).to_arrow()})
    made, used = matrix(table, ["name"])
    assert (made.shape, used) == ((90, 0), [])


@pytest.fixture(scope="module")
def digits() -> Any:
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    images = (found.images / 16).astype(np.float32)[:600]
    return images, found.target[:600].astype(str), [str(i) for i in range(10)]


@pytest.mark.sklearn
@pytest.mark.parametrize("kind", ["committee", "estimator", "function"])
def test_a_judge_gives_each_class_its_probability(digits: Any, kind: str):
    from sklearn.linear_model import LogisticRegression

    images, labels, classes = digits

    def trained(features: np.ndarray, of: np.ndarray) -> Any:
        return LogisticRegression(max_iter=500).fit(features, of)

    models = {"committee": None, "estimator": LogisticRegression(max_iter=500), "function": trained}
    # A class that the training rows lack has a column all the same.
    some = labels[:400] != "3"
    features = images.reshape(600, -1)
    predict = judge(models[kind], classes)(features[:400][some], labels[:400][some], 1)
    found = predict(features[400:])
    assert found.shape == (200, 10)
    assert found.sum(axis=1) == pytest.approx(np.ones(200), abs=1e-5)
    assert (found[:, 3] == 0).all()
    others = labels[400:] != "3"
    assert (np.array(classes)[found.argmax(axis=1)] == labels[400:])[others].mean() > 0.85


def test_what_cannot_be_trained_is_named():
    with pytest.raises(InvalidInput) as caught:
        judge(3, ["a"])
    assert caught.value.code == "not-a-trainer"
