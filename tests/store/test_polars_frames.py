"""Tables in Polars: what it has no type for is the same value in another form, or is refused; nothing panics."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.data import cells
from tidemill.core.errors import InvalidInput
from tidemill.data.cell_types import keep, kept_field
from tidemill.store import polars_frames
from tidemill.store.table import Table

LONG = pa.decimal256(60, 20)
POINT = pa.struct([("x", LONG), ("y", pa.int8())])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (LONG, Decimal(f"{10**17}.5")),
        (pa.list_(LONG), [Decimal(1), None]),
        (POINT, {"x": Decimal("-1.5"), "y": 2}),
        (pa.list_(POINT), [{"x": Decimal("-1.5"), "y": 2}, None]),
        (pa.map_(pa.string(), LONG), {"a": Decimal(1)}),
        (pa.list_(LONG, 2), [Decimal(1), Decimal(2)]),
        (pa.decimal256(76, 50), Decimal("0.5")),
        (pa.uuid(), uuid.UUID(int=7)),
        (pa.timestamp("ms", "+05:30"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (pa.timestamp("ms", "-13:00"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    ],
)
def test_what_polars_has_no_type_for_is_the_same_value_in_another_form(kind: Any, value: Any):
    column = pa.array([value, None], kind)
    first, second = Table(pa.table({"c": column})).to_polars()["c"].to_list()
    assert (str(value) if isinstance(value, uuid.UUID) else value) == first
    assert second is None
    series = polars_frames.series("c", pa.chunked_array([column]))
    assert (series.name, series.to_list()) == ("c", [first, None])


@pytest.mark.parametrize("kind", [LONG, pa.list_(LONG), pa.map_(pa.string(), LONG)])
def test_a_decimal_of_more_digits_than_polars_has_is_refused(kind: Any):
    far = Decimal(10**37)
    value = far if kind == LONG else [far] if pa.types.is_list(kind) else {"a": far}
    with pytest.raises(InvalidInput, match="Column 'c' holds decimals of more than 38 digits") as caught:
        Table(pa.table({"b": [1], "c": pa.array([value], kind)})).to_polars()
    assert caught.value.code == "not-in-polars"
    assert "to_arrow()" in str(caught.value.hint)


def test_every_kept_type_arrives_in_polars():
    for name in sorted(set(cells.TYPES) - {"long_decimal"}):
        array, _ = cells.TYPES[name]
        field = kept_field("f", pa.field(name, array.type))
        frame = Table(pa.Table.from_arrays([keep(array)], schema=pa.schema([field]))).to_polars()
        # One tensor of several dimensions that is missing lacks all of its cells.
        shaped = name in ("matrix", "image")
        assert frame[name].is_null().to_list() == ([False] * 4 if shaped else array.is_null().to_pylist()), (
            name
        )
