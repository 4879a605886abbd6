"""The least and the greatest: held against Python's own exact numbers, also where float64 has none of them."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data.checks.bounds import Side, within

_RANGES = {
    "int8": (-(2**7), 2**7 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_LARGE = 2**53
_EPOCH = dt.datetime.fromisoformat("1970-01-01")


def held(cells: list[Any], kind: pa.DataType, bound: Any, side: Side) -> list[bool | None]:
    column = pl.Series("x", pl.from_arrow(pa.array(cells, kind)))
    return (
        pl.DataFrame({"x": column}).select(within(pl.col("x"), kind, bound, side).alias("x"))["x"].to_list()
    )


def numbers(low: int, high: int) -> st.SearchStrategy[int]:
    """Any, and many about the places where float64 stops holding each of them."""
    near = [n for n in (low, high, 0, _LARGE, -_LARGE, 2**63) if low <= n <= high]
    close = st.builds(lambda n, d: min(max(n + d, low), high), st.sampled_from(near), st.integers(-3, 3))
    return close | st.integers(low, high)


@settings(max_examples=300)
@given(st.data(), st.sampled_from(sorted(_RANGES)), st.sampled_from(["minimum", "maximum"]))
def test_whole_numbers(data: st.DataObject, kind: str, side: Side):
    cells = data.draw(st.lists(numbers(*_RANGES[kind]), min_size=1, max_size=8))
    bound = data.draw(numbers(-(2**65), 2**65) | st.floats(allow_nan=False))
    right = [cell >= bound if side == "minimum" else cell <= bound for cell in cells]
    assert held([*cells, None], pa.type_for_alias(kind), bound, side) == [*right, None]


@settings(max_examples=200)
@given(
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=8),
    numbers(-(2**65), 2**65) | st.floats(allow_nan=False),
    st.sampled_from(["minimum", "maximum"]),
)
def test_floats(cells: list[float], bound: float, side: Side):
    # Python compares a float with a whole number exactly.
    right = [cell >= bound if side == "minimum" else cell <= bound for cell in cells]
    assert held([*cells, None], pa.float64(), bound, side) == [*right, None]


@settings(max_examples=200)
@given(
    st.lists(st.decimals(-(10**17), 10**17, places=2), min_size=1, max_size=8),
    numbers(-(10**20), 10**20) | st.floats(-1e25, 1e25),
    st.sampled_from(["minimum", "maximum"]),
)
def test_decimals_against_the_bound_as_it_was_written(cells: list[Decimal], bound: float, side: Side):
    exact = Decimal(repr(bound))
    right = [cell >= exact if side == "minimum" else cell <= exact for cell in cells]
    assert held([*cells, None], pa.decimal128(20, 2), bound, side) == [*right, None]


@settings(max_examples=100)
@given(st.lists(st.dates(), min_size=1, max_size=8), st.dates(), st.sampled_from(["minimum", "maximum"]))
def test_dates(cells: list[dt.date], bound: dt.date, side: Side):
    right = [cell >= bound if side == "minimum" else cell <= bound for cell in cells]
    assert held([*cells, None], pa.date32(), bound, side) == [*right, None]


@settings(max_examples=100)
@given(
    st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=8),
    st.datetimes(_EPOCH - dt.timedelta(days=90_000), _EPOCH + dt.timedelta(days=90_000)),
    st.sampled_from(["minimum", "maximum"]),
)
def test_times_to_the_nanosecond(cells: list[int], bound: dt.datetime, side: Side):
    micro = (bound - _EPOCH) // dt.timedelta(microseconds=1)
    # One on each side of the bound itself, a nanosecond apart.
    cells = [*cells, micro * 1000 - 1, micro * 1000, micro * 1000 + 1]
    right = [cell >= micro * 1000 if side == "minimum" else cell <= micro * 1000 for cell in cells]
    assert held(cells, pa.timestamp("ns"), bound, side) == right
    seconds = [cell // 10**9 for cell in cells]
    exact = Fraction(micro, 10**6)
    right = [cell >= exact if side == "minimum" else cell <= exact for cell in seconds]
    assert held(seconds, pa.timestamp("s"), bound, side) == right


def test_a_time_with_a_zone():
    noon = dt.datetime(2024, 5, 3, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    cells = [noon - dt.timedelta(microseconds=1), noon]
    assert held(cells, pa.timestamp("us", "UTC"), noon, "minimum") == [False, True]


def test_a_narrow_float_has_its_own_tenth():
    assert held([0.1], pa.float32(), 0.1, "maximum") == [True]
    assert held([0.1], pa.float32(), 0.1, "minimum") == [True]


@pytest.mark.parametrize("bound", [float("inf"), float("-inf")])
def test_no_end(bound: float):
    for kind in (pa.int64(), pa.float64(), pa.decimal128(5, 1)):
        assert held([1], kind, bound, "minimum") == [bound < 0]
