"""Every number that a profile states of random columns, against NumPy and pandas."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.data import Datasets
from tidemill.data.profile import SHARES, profile
from tidemill.store.table import Table

_numbers = itertools.count()
_INTEGERS = {
    pl.Int64: (-(2**63), 2**63 - 1),
    pl.UInt64: (0, 2**64 - 1),
    pl.Int32: (-(2**31), 2**31 - 1),
    pl.UInt8: (0, 255),
}


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | values, min_size=1, max_size=40)


@st.composite
def columns(draw: st.DrawFn) -> pl.Series:
    """Numbers that lie close together, far apart, or at an end of what their type can hold."""
    kind = draw(st.sampled_from([*_INTEGERS, pl.Float64, pl.Float32]))
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        around = draw(st.sampled_from([low, high, max(low, 0)]))
        reach = draw(st.sampled_from([3, 900, high - low]))
        values = st.integers(max(low, around - reach), min(high, around + reach))
    else:
        most = 2.0 ** draw(st.sampled_from([3, 40]))
        values = st.floats(-most, most, allow_nan=False, width=32 if kind == pl.Float32 else 64)
    return pl.Series("x", draw(some(values)), dtype=kind)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns())
def test_a_column_of_numbers(datasets: Datasets, column: pl.Series):
    name = f"d{next(_numbers)}"
    datasets.create(name, Table.of(pl.DataFrame({"x": column, "n": range(len(column))})), message="")
    got = profile(datasets.open(name).snapshot()).columns[0]
    there = column.drop_nulls()
    assert got.missing == column.null_count()
    assert got.distinct == there.n_unique()
    if not len(there):
        assert got.quantiles == {}
        return
    # To the last digit, also above 2 ** 53.
    assert (got.quantiles["min"], got.quantiles["max"]) == (there.min(), there.max())
    exact = column.dtype.is_integer() and int(np.abs(there.to_numpy().astype(object)).max()) < 2**53
    values = there.to_numpy().astype(np.float64)
    expected = pd.Series(values).quantile(list(SHARES.values()))
    assert list(got.quantiles.values()) == (
        pytest.approx(expected.tolist()) if exact else pytest.approx(expected.tolist(), rel=1e-6, abs=1e-6)
    )
    assert got.quantiles_exact
    assert got.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-9 * np.abs(values).max())
    assert got.std == pytest.approx(values.std(), rel=1e-6, abs=1e-7 * np.abs(values).max())
    assert got.histogram is not None
    assert sum(got.histogram.counts) == len(there)
    if got.histogram.width and exact:
        edges = got.histogram.low + got.histogram.width * np.arange(len(got.histogram.counts) + 1)
        edges[-1] = max(edges[-1], values.max())
        counts = np.array(got.histogram.counts)
        # A value on an edge may fall to either side by the last bit.
        assert np.abs(np.cumsum(counts) - np.cumsum(np.histogram(values, edges)[0])).max() <= (
            np.isclose(values[:, None], edges[None, 1:-1], rtol=1e-12, atol=0).any(axis=1).sum()
        )


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(-1000, 1000), st.floats(-1e3, 1e3)), min_size=2, max_size=60))
def test_the_correlation_with_a_label(datasets: Datasets, pairs: list[tuple[int, float]]):
    name = f"d{next(_numbers)}"
    frame = pl.DataFrame(pairs, schema={"x": pl.Int64, "y": pl.Float64}, orient="row")
    datasets.create(name, Table.of(frame.with_row_index("n")), message="")
    got = {c.name: c for c in profile(datasets.open(name).snapshot(), "y").columns}["x"].association
    x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
    if np.ptp(x) > 1e-3 and np.ptp(y) > 1e-3:
        assert got is not None
        assert got.value == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.none() | st.datetimes(), min_size=1, max_size=20))
def test_a_column_of_times(datasets: Datasets, times: list[Any]):
    name = f"d{next(_numbers)}"
    series = pl.Series("t", times, dtype=pl.Datetime("us"))
    datasets.create(name, Table.of(pl.DataFrame({"t": series, "n": range(len(times))})), message="")
    got = profile(datasets.open(name).snapshot()).columns[0]
    there = series.drop_nulls().to_physical().sort().to_list()
    if there:
        middle = there[(len(there) - 1) // 2], there[len(there) // 2]
        expected = pl.Series([sum(middle) // 2], dtype=pl.Int64).cast(pl.Datetime("us"))[0]
        assert np.datetime64(got.quantiles["median"], "us") == np.datetime64(expected, "us")
