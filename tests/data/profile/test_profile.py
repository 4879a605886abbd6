"""A profile's numbers against the same computed by NumPy, Polars and scikit-learn from the whole table."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tidemill.core.errors import NotFound
from tidemill.data import Datasets
from tidemill.data.profile import SHARES, ColumnProfile, Profile, profile
from tidemill.data.profile import first as passes
from tidemill.store.table import Table

ROWS = 3000


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Columns of each kind, with missing cells, beside a label that some of them tell and some do not."""
    rng = np.random.default_rng(7)
    label = rng.choice(["ash", "elm", "oak"], ROWS, p=[0.6, 0.3, 0.1])
    code = np.select([label == "ash", label == "elm"], [0, 1], 2)
    height = code * 4 + rng.normal(size=ROWS)
    days = rng.integers(0, 3000, ROWS)
    return pl.DataFrame(
        {
            "height": pl.Series(height).set(pl.Series(rng.random(ROWS) < 0.05), float("nan")),
            "rings": pl.Series(rng.integers(-40, 900, ROWS)),
            "number": pl.Series(rng.integers(0, 10**12, ROWS)),
            "felled": pl.Series(rng.random(ROWS) < 0.1 + 0.4 * code),
            "site": pl.Series(rng.choice(["north", "south"], ROWS)),
            "leaf": pl.Series(np.char.add("leaf of ", label)),
            "seen": pl.Series(days).cast(pl.Int32).cast(pl.Date),
            "label": pl.Series(label),
        }
    ).with_columns(
        pl.when(pl.Series(rng.random(ROWS) < 0.1)).then(None).otherwise(pl.col("rings")).alias("rings"),
        pl.when(pl.Series(rng.random(ROWS) < 0.02)).then(None).otherwise(pl.col("label")).alias("label"),
    )


def of(datasets: Datasets, frame: pl.DataFrame, label: str | None) -> Profile:
    # Three commits: three fragments or more, so that what is merged is really merged.
    datasets.create("trees", Table.of(frame[:1000]), message="some")
    dataset = datasets.open("trees")
    dataset.commit(Table.of(frame[1000:2400]), message="more")
    dataset.commit(Table.of(frame[2400:]), message="rest")
    return profile(dataset.snapshot(), label)


def by_name(found: Profile) -> dict[str, ColumnProfile]:
    return {c.name: c for c in found.columns}


@pytest.fixture
def found(datasets: Datasets, frame: pl.DataFrame) -> dict[str, ColumnProfile]:
    return by_name(of(datasets, frame, "label"))


def ratio(values: np.ndarray, classes: np.ndarray) -> float:
    """The correlation ratio, from its definition."""
    total = ((values - values.mean()) ** 2).sum()
    means = [(values[classes == c].mean(), (classes == c).sum()) for c in np.unique(classes)]
    return float(np.sqrt(sum(n * (m - values.mean()) ** 2 for m, n in means) / total))


def cramer(table: np.ndarray) -> float:
    """Cramér's V after Bergsma, from his formulas."""
    n, (r, c) = table.sum(), table.shape
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi = max(0, ((table - expected) ** 2 / expected).sum() / n - (r - 1) * (c - 1) / (n - 1))
    least = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(phi / least))


@pytest.mark.parametrize("name", ["height", "rings", "number"])
def test_numbers(found: dict[str, ColumnProfile], frame: pl.DataFrame, name: str):
    column, got = frame[name].fill_nan(None), found[name]
    values = column.drop_nulls().to_numpy()
    assert got.kind == "number"
    assert got.missing == got.missing_cells == column.null_count()
    assert got.mean == pytest.approx(values.mean())
    assert got.std == pytest.approx(values.std())
    assert list(got.quantiles.values()) == np.quantile(values, list(SHARES.values())).tolist()
    assert got.quantiles_exact
    assert got.distinct_exact
    assert got.distinct == len(np.unique(values))
    assert got.histogram is not None
    edges = got.histogram.low + got.histogram.width * np.arange(len(got.histogram.counts) + 1)
    edges[-1] = max(edges[-1], values.max())
    assert got.histogram.counts == np.histogram(values, edges)[0].tolist()


def test_what_numbers_have_to_do_with_the_label(found: dict[str, ColumnProfile], frame: pl.DataFrame):
    for name in ("height", "rings", "number"):
        both = frame.select(pl.col(name).cast(pl.Float64).fill_nan(None), "label").drop_nulls()
        measured = found[name].association
        assert measured is not None
        assert measured.measure == "correlation ratio"
        assert measured.value == pytest.approx(ratio(both[name].to_numpy(), both["label"].to_numpy()))
    assert found["height"].association.value > 0.8
    assert found["rings"].association.value < 0.1


def test_what_words_have_to_do_with_the_label(found: dict[str, ColumnProfile], frame: pl.DataFrame):
    for name in ("site", "leaf", "felled"):
        both = frame.select(name, "label").drop_nulls()
        table = both.group_by(name, "label").len().pivot("label", index=name, values="len").fill_null(0)
        measured = found[name].association
        assert measured is not None
        assert measured.measure == "Cramér's V"
        assert measured.value == pytest.approx(cramer(table.drop(name).to_numpy()), abs=1e-9)
    assert found["leaf"].association.value == pytest.approx(1)
    assert found["site"].association.value < 0.05


def test_words_truths_and_times(found: dict[str, ColumnProfile], frame: pl.DataFrame):
    counts = frame["leaf"].value_counts(sort=True).rows()
    assert found["leaf"].top == counts
    assert found["leaf"].lengths == (11, 11.0, 11)
    assert dict(found["felled"].top) == dict(frame["felled"].value_counts().rows())
    assert found["felled"].quantiles == {}
    assert found["seen"].kind == "time"
    assert found["seen"].quantiles["min"] == str(frame["seen"].min())
    assert found["seen"].quantiles["median"] == str(frame["seen"].to_pandas().median().date())


def test_the_classes(datasets: Datasets, frame: pl.DataFrame):
    whole = of(datasets, frame, "label")
    counts = frame["label"].drop_nulls().value_counts().sort("label").rows()
    assert whole.classes == counts
    assert whole.unlabelled == frame["label"].null_count()
    shares = np.array([n for _, n in counts]) / sum(n for _, n in counts)
    assert whole.evenness == pytest.approx(-(shares * np.log(shares)).sum() / np.log(3))
    rows = datasets.open("trees").snapshot().read(["_id", "label"])
    classes = dict(zip(rows.numpy("_id").tolist(), rows.to_polars()["label"], strict=True))
    for name, ids in whole.samples.items():
        assert len(ids) == 8
        assert {classes[i] for i in ids} == {name}


def test_a_number_as_the_label(datasets: Datasets, frame: pl.DataFrame):
    whole = of(datasets, frame, "height")
    assert whole.classes == []
    both = frame.select(pl.col("height").fill_nan(None), "rings").drop_nulls()
    measured = by_name(whole)["rings"].association
    assert measured is not None
    assert measured.measure == "Pearson's r"
    assert measured.value == pytest.approx(np.corrcoef(both["height"], both["rings"])[0, 1])


def test_a_table_too_large_to_keep_is_read_twice_and_gives_the_same(
    datasets: Datasets, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    at_once = of(datasets, frame, "label")
    monkeypatch.setattr(passes, "_KEPT_BYTES", 0)
    monkeypatch.setattr(passes, "_READ_BYTES", 9000)
    assert profile(datasets.open("trees").snapshot(), "label") == at_once


def test_infinite_numbers_are_counted_apart(datasets: Datasets):
    values = [1.0, float("inf"), 2.0, float("nan"), float("-inf"), None]
    datasets.create("odd", Table.of(pl.DataFrame({"x": values, "n": range(6)})), message="")
    got = by_name(profile(datasets.open("odd").snapshot()))["x"]
    assert (got.missing, got.infinite, got.quantiles["max"], got.mean) == (2, 2, 2.0, 1.5)


def test_columns_that_hold_nothing(datasets: Datasets):
    rows = pl.DataFrame({"n": [1, 2], "x": pl.Series([None, None], dtype=pl.Float64), "same": [7, 7]})
    datasets.create("bare", Table.of(rows), message="")
    got = by_name(profile(datasets.open("bare").snapshot(), "n"))
    assert (got["x"].missing, got["x"].quantiles, got["x"].association) == (2, {}, None)
    assert (got["same"].std, got["same"].distinct, got["same"].association) == (0.0, 1, None)


def test_a_label_that_is_not_there_is_named(datasets: Datasets, frame: pl.DataFrame):
    with pytest.raises(NotFound) as caught:
        of(datasets, frame, "labels")
    assert caught.value.code == "column-not-found"
    assert "'label'" in (caught.value.hint or "")


@pytest.mark.sklearn
def test_images(datasets: Datasets, csv: Callable[..., Path]):
    from sklearn.datasets import load_digits
    from sklearn.feature_selection import f_classif

    digits: Any = load_digits()
    images, label = digits.images.astype(np.uint8), digits.target.astype(str)
    table = Table.of({"image": images, "label": label})
    datasets.create("digits", table, message="")
    whole = profile(datasets.open("digits").snapshot(), "label")
    got, maps = by_name(whole)["image"], whole.maps["image"]
    assert (got.type, got.kind, got.missing, got.distinct) == ("uint8[8x8]", "tensor", 0, None)
    assert (got.mean, got.std) == pytest.approx((images.mean(), images.std()))
    assert got.quantiles["75 %"] == np.quantile(images, 0.75)
    assert maps.mean == pytest.approx(images.mean(axis=0))
    assert maps.by_class[3] == pytest.approx(images[label == "3"].mean(axis=0))
    # F of the analysis of variance is another way to say how much of the spread lies between the classes.
    flat = images.reshape(len(images), -1)
    varies = flat.std(axis=0) > 0
    f = f_classif(flat[:, varies], label)[0]
    between = f * 9 / (f * 9 + len(flat) - 10)
    assert maps.strength is not None
    assert maps.strength.ravel()[varies] == pytest.approx(np.sqrt(between))
    assert np.isnan(maps.strength.ravel()[~varies]).all()
    assert got.association is not None
    assert got.association.value == pytest.approx(np.sqrt(between.max()))


def test_single_cells_of_a_tensor_may_be_missing(datasets: Datasets, csv: Callable[..., Path]):
    from tidemill.data import Tensor, import_files

    text = "label,p1,p2,p3,p4\na,1,,3,4\nb,5,6,7,8\na,,,0,2\n"
    import_files(datasets, "tiny", csv(text), tensors={"image": Tensor("p", (2, 2))})
    whole = profile(datasets.open("tiny").snapshot(), "label")
    got = by_name(whole)["image"]
    assert (got.missing, got.missing_cells) == (2, 3)
    assert got.mean == pytest.approx(np.mean([1, 3, 4, 5, 6, 7, 8, 0, 2]))
    assert whole.maps["image"].mean.tolist() == [[3.0, 6.0], [pytest.approx(10 / 3), pytest.approx(14 / 3)]]
    assert json.dumps(got.top[:1]) == "[[0, 1]]"
