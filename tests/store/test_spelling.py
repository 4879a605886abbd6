"""Dates, times and decimals as text: what is written is read as it was, and what does not fit is refused."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import InvalidInput
from tidemill.store.spelling import Spelling, type_of

UNITS = {"s": 10**6, "ms": 10**3, "us": 1}
UNTIL_THE_YEAR_8970 = 7000 * 365 * 86400 * 10**6


@st.composite
def columns(draw: st.DrawFn) -> pa.Array:
    """A column of one of the types, with missing cells."""
    kind = draw(st.sampled_from(["date32", "date64", "timestamp", "time", "decimal"]))
    whole = st.none() | st.integers(0, UNTIL_THE_YEAR_8970)
    cells: list[Any] = draw(st.lists(whole, min_size=1, max_size=5))
    if kind.startswith("date"):
        days = [None if c is None else c // (86400 * 10**6) - 300 * 365 for c in cells]
        return pa.array(days, pa.int32()).cast(pa.date32()).cast(getattr(pa, kind)())
    if kind == "decimal":
        return pa.array(
            [None if c is None else c % 10**8 for c in cells], pa.decimal128(12, draw(st.integers(0, 4)))
        )
    unit = draw(st.sampled_from(sorted(UNITS)))
    scaled = [None if c is None else c // UNITS[unit] for c in cells]
    if kind == "time":
        day = 86400 * 10**6 // UNITS[unit]
        found = [None if c is None else c % day for c in scaled]
        return pa.array(found, pa.time64("us") if unit == "us" else pa.time32(unit))
    zone = draw(st.sampled_from([None, "UTC", "Europe/Berlin", "+05:30"]))
    return pa.array(scaled, pa.timestamp(unit, zone))


@given(columns())
def test_what_is_written_is_read_as_it_was(column: pa.Array):
    spelling = Spelling(type_of(column.type))
    texts = np.ma.MaskedArray(spelling.write(column), mask=np.asarray(column.is_null()))
    read = spelling.read("x", texts)
    assert read.dtype == spelling.dtype
    assert spelling.arrow(read).equals(column)
    assert spelling.arrow(spelling.cells(column)).equals(column)


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("date32[day]", "30.11.2026", "no date"),
        ("date32[day]", "2026-13-01", "out of range"),
        ("date32[day]", "2026-11-30T00:00", "no date"),
        ("time64[us]", "25:00", "must be in 0..23"),
        ("time32[s]", "10:00:00.5", "finer than s"),
        ("timestamp[us]", "2026-11-30T08:53Z", "no time zone"),
        ("timestamp[us, tz=UTC]", "2026-11-30T08:53", "no offset"),
        ("timestamp[us, tz=UTC]", "2026-11-30T08:53+99:00", "offset"),
        ("timestamp[ms]", "2026-11-30T08:53:00.0001", "finer than ms"),
        ("decimal128(10, 2)", "1.234", "more than 2 decimals"),
        ("decimal128(10, 2)", "123456789", "more than 8 digits"),
        ("decimal128(10, 2)", "NaN", "no decimal"),
        ("decimal128(10, 2)", "1e3", "no decimal"),
    ],
)
def test_what_does_not_fit_is_refused_by_row(kind: str, text: str, why: str):
    spelling = Spelling(kind)
    with pytest.raises(InvalidInput) as caught:
        spelling.read("when", np.array([spelling.example, text], object))
    assert caught.value.code == "wrong-dtype"
    assert (caught.value.details["field"], caught.value.details["row"]) == ("when", 1)
    assert why in str(caught.value.why)


def test_zeros_beyond_the_unit_and_other_spellings_of_one_moment_are_no_loss():
    spelling = Spelling("timestamp[ms, tz=Europe/Berlin]")
    texts = ["2026-07-01T10:00:00.000000+02:00", "2026-07-01 08:00Z", "2026-07-01T03:30:00-0430"]
    assert len(set(spelling.read("x", np.array(texts, object)).tolist())) == 1
    assert type_of(pa.int64()) == type_of(pa.string()) == type_of(pa.duration("s")) == ""
