"""The population stability index, against its formula by hand and what it must be like."""

import math

import numpy as np
import polars as pl
import pytest

from tidemill.data.checks.drift import stability_index


def test_it_is_its_formula():
    before, after = pl.Series(["a"] * 60 + ["b"] * 40), pl.Series(["a"] * 30 + ["b"] * 70)
    # Half a row is given to each bin beforehand.
    p, q = (60.5 / 101, 40.5 / 101), (30.5 / 101, 70.5 / 101)
    by_hand = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert stability_index(before, after) == pytest.approx(by_hand)


def test_it_is_the_same_from_either_side():
    before, after = pl.Series(["a", "a", "b"]), pl.Series(["b", "c", "c"])
    assert stability_index(before, after) == pytest.approx(stability_index(after, before))


def test_equal_columns_do_not_drift_and_more_rows_alike_hardly_do():
    chance = np.random.default_rng(0)
    before = pl.Series(chance.normal(size=5000))
    assert stability_index(before, before) == 0
    assert stability_index(before, pl.Series(chance.normal(size=50_000))) < 0.01
    assert stability_index(before, pl.Series(chance.normal(1, size=5000))) > 0.25


def test_missing_cells_and_new_values_are_drift():
    before = pl.Series(list(range(100)))
    assert stability_index(before, pl.Series([*range(50), *([None] * 50)])) > 0.25
    assert stability_index(pl.Series(["a"] * 100), pl.Series(["b"] * 100)) > 1


def test_nothing_drifts_from_nothing():
    empty = pl.Series([], dtype=pl.Int64)
    assert stability_index(empty, pl.Series([1])) == 0
    assert stability_index(pl.Series([1]), empty) == 0
