"""The summaries against what NumPy says of the same values in one piece."""

from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.data.profile.sketches import Distinct, Frequent, Moments, Quantiles

SHARES = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]
finite = st.floats(-1e6, 1e6)


@given(st.lists(st.lists(finite, max_size=40), min_size=1, max_size=8).filter(any))
def test_quantiles_of_few_values_are_exact(pieces: list[list[float]]):
    sketch = Quantiles()
    for piece in pieces:
        sketch.add(np.array(piece))
    whole = np.concatenate([np.array(p) for p in pieces])
    assert sketch.exact
    assert sketch.at(SHARES) == np.quantile(whole, SHARES).tolist()


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=30), st.floats(0, 1))
def test_a_quantile_of_whole_numbers_is_exact(values: list[int], share: float):
    """By rational arithmetic: NumPy would go through float64."""
    sketch = Quantiles()
    sketch.add(np.array(values))
    ordered, place = sorted(values), share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    assert sketch.at([share]) == [ordered[low] + (ordered[high] - ordered[low]) * Fraction(place - low)]


def test_the_median_lies_between_the_two_in_the_middle():
    for values, median in (([1.0, 2.0], 1.5), ([1, 2], Fraction(3, 2)), ([2**60 + 1, 2**60 + 3], 2**60 + 2)):
        sketch = Quantiles()
        sketch.add(np.array(values))
        assert sketch.at([0.5]) == [median]


@pytest.mark.parametrize("order", ["random", "rising", "falling"])
def test_quantiles_of_many_values_are_off_by_little_in_rank(order: str):
    values = np.random.default_rng(5).lognormal(size=600_000)
    if order != "random":
        values = np.sort(values)[:: 1 if order == "rising" else -1]
    sketch = Quantiles()
    for piece in np.array_split(values, 37):
        sketch.add(piece)
    assert not sketch.exact
    ranks = np.searchsorted(np.sort(values), sketch.at(SHARES[1:-1])) / len(values)
    assert np.abs(ranks - SHARES[1:-1]).max() < 0.002


@given(st.lists(st.lists(st.integers(0, 300), max_size=60), max_size=6))
def test_few_distinct_values_are_counted(pieces: list[list[int]]):
    sketch = Distinct()
    for piece in pieces:
        sketch.add(pl.Series(piece, dtype=pl.Int64))
    assert sketch.exact
    assert sketch.count == len({v for p in pieces for v in p})


def test_many_distinct_values_are_estimated():
    sketch = Distinct()
    for start in range(0, 900_000, 100_000):
        # Half of each piece has been there before.
        sketch.add(pl.Series(np.arange(start // 2, start // 2 + 100_000)))
    assert not sketch.exact
    assert sketch.count == pytest.approx(500_000, rel=0.08)


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=50), max_size=5))
def test_frequent_values_are_counted_by_class(pieces: list[list[tuple[int, int]]]):
    sketch = Frequent()
    for piece in pieces:
        values, codes = [v for v, _ in piece], np.array([c for _, c in piece], np.int64)
        sketch.add(pl.Series(values, dtype=pl.Int64), codes)
    pairs = [p for piece in pieces for p in piece]
    seen = sorted({v for v, _ in pairs})
    assert dict(sketch.top(99)) == {v: sum(1 for w, _ in pairs if w == v) for v in seen}
    if pairs:
        assert sketch.table(3).tolist() == [[pairs.count((v, c)) for c in range(3)] for v in seen]


def test_too_many_different_values_keep_the_frequent_ones():
    sketch = Frequent()
    rng = np.random.default_rng(2)
    for _ in range(4):
        rare = rng.integers(0, 10**9, 20_000)
        sketch.add(pl.Series(np.concatenate([rare, np.full(9000, 7), np.full(6000, 5)])), None)
    assert not sketch.exact
    assert sketch.table(0) is None
    (first, most), (second, fewer) = sketch.top(2)
    assert (first, second) == (7, 5)
    assert 36_000 - 104_000 // 4096 * 4 <= most <= 36_000
    assert fewer <= 24_000


@given(st.lists(st.tuples(finite, st.integers(0, 3)), min_size=1, max_size=60), st.integers(1, 5))
def test_moments_are_those_of_the_whole(rows: list[tuple[float, int]], cuts: int):
    values, codes = np.array([v for v, _ in rows]), np.array([c for _, c in rows])
    moments = Moments(3, shift=float(values[0]))
    for part in np.array_split(np.arange(len(rows)), cuts):
        moments.add(values[part], codes[part])
    mean, std = moments.overall()
    assert mean == pytest.approx(values.mean(), abs=1e-6)
    assert std == pytest.approx(values.std(), rel=1e-6, abs=1e-2)
    for c in range(3):
        if (codes == c).any():
            assert moments.means()[c, 0] == pytest.approx(values[codes == c].mean(), abs=1e-6)


def test_moments_of_cells_leave_out_what_is_not_there():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 256, (3000, 6), dtype=np.uint8)
    codes, absent = rng.integers(0, 3, 3000), rng.random((3000, 6)) < 0.1
    moments = Moments(2, shift=128.0, cells=6)
    moments.add_cells(values, codes, absent)
    there = np.ma.masked_array(values, absent)
    for c in range(2):
        assert moments.means()[c] == pytest.approx(there[codes == c].mean(axis=0).filled())
    assert moments.overall() == pytest.approx((there.mean(), there.std()))
