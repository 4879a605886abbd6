"""A cell in another type is the same value, or is refused: what Arrow cuts off, rounds or takes by its bits."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tidemill.core.errors import InvalidInput
from tidemill.data.casting import cast_exactly
from tidemill.data.cell_text import from_json, from_text
from tidemill.data.sources.source import Place
from tidemill.data.sources.values import column

NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 5)  # noqa: DTZ001 - of no zone
EAST = dt.timezone(dt.timedelta(hours=2))
POINT = pa.struct([("x", pa.int64())])


@pytest.mark.parametrize(
    ("values", "kind", "kept"),
    [
        ([1, None, 2.0], pa.int64(), [1, None, 2]),
        ([1.5], pa.decimal128(5, 2), [Decimal("1.50")]),
        ([0.1], pa.float32(), [0.10000000149011612]),
        ([300, 0.1], pa.float16(), [300.0, 0.0999755859375]),
        (["5"], pa.int64(), [5]),
        ([5], pa.duration("s"), [dt.timedelta(seconds=5)]),
        (["true", None], pa.bool_(), [True, None]),
        ([NOON], pa.timestamp("us"), [NOON]),
        ([NOON.replace(microsecond=0)], pa.timestamp("s"), [NOON.replace(microsecond=0)]),
        ([dt.datetime(2024, 2, 29)], pa.date32(), [dt.date(2024, 2, 29)]),  # noqa: DTZ001
        ([Decimal("0.120")], pa.decimal128(5, 2), [Decimal("0.12")]),
        ([Decimal("0.1"), Decimal(5)], pa.float64(), [0.1, 5.0]),
        ([[Decimal("1.5")], None, []], pa.list_(pa.decimal128(5, 2)), [[Decimal("1.50")], None, []]),
        ([[[b"x", None]]], pa.list_(pa.list_(pa.binary())), [[[b"x", None]]]),
        ([[{"x": 1}, {}]], pa.list_(POINT), [[{"x": 1}, {"x": None}]]),
        ([[{"key": 1, "value": {"x": 2}}], [[1, None]]], pa.map_(pa.int8(), POINT), [[(1, {"x": 2})], [(1, None)]]),
        ([uuid.UUID(int=5)], pa.string(), [str(uuid.UUID(int=5))]),
    ],
)  # fmt: skip
def test_python_values_become_cells_of_a_type(values: list[Any], kind: Any, kept: list[Any]):
    assert column(values, kind, "c", lambda row: Place("f", "row", row + 1)).to_pylist() == kept


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (2.5, pa.int64()),
        ([2.5], pa.list_(pa.int64())),
        (0.123456789, pa.float32()),
        ([0.123456789], pa.list_(pa.float32())),
        (2049, pa.float16()),
        (1e39, pa.float32()),
        (0.123, pa.decimal128(5, 2)),
        ("05", pa.int64()),
        ("1", pa.bool_()),
        (1, pa.bool_()),
        (5, pa.timestamp("s")),
        (5, pa.date32()),
        (5.5, pa.duration("s")),
        (NOON, pa.timestamp("s")),
        (NOON, pa.date32()),
        (NOON, pa.timestamp("us", "UTC")),
        (NOON.replace(tzinfo=EAST), pa.timestamp("us")),
        ([NOON.replace(tzinfo=EAST)], pa.list_(pa.timestamp("us"))),
        (dt.time(1, 2, 3, 5), pa.time32("s")),
        (dt.time(1, tzinfo=EAST), pa.time64("us")),
        (dt.timedelta(microseconds=5), pa.duration("s")),
        (Decimal("5.5"), pa.int64()),
        (Decimal("0.10000000000000000001"), pa.float64()),
        (Decimal("NaN"), pa.decimal128(5, 2)),
        (b"a", pa.string()),
        ([1], pa.list_(pa.string())),
        ({"x": 1, "y": 2}, POINT),
        ([{"x": 1}, {"y": 2}], pa.list_(POINT)),
        ([1, 2, 3], pa.list_(pa.int8(), 2)),
        ([[1]], pa.map_(pa.int8(), pa.int8())),
    ],
)  # fmt: skip
def test_a_python_value_that_would_become_another_is_refused(value: Any, kind: Any):
    with pytest.raises(InvalidInput, match=r"f, row 2, column 'c': .* is not ") as caught:
        column([None, value], kind, "c", lambda row: Place("f", "row", row + 1))
    assert caught.value.code == "wrong-type"


@pytest.mark.parametrize(
    ("cell", "own", "kind", "kept"),
    [
        (0.5, pa.float64(), pa.float16(), True),
        (0.1, pa.float64(), pa.float32(), True),
        (float("nan"), pa.float64(), pa.float32(), True),
        (0.123456789, pa.float64(), pa.float32(), False),
        (0.1, pa.float32(), pa.float16(), True),
        (0.12345, pa.float32(), pa.float16(), False),
        ("05", pa.string(), pa.int64(), False),
        ("5", pa.string(), pa.int64(), True),
        (5, pa.int64(), pa.bool_(), False),
        (1, pa.int64(), pa.bool_(), True),
        (5, pa.int64(), pa.timestamp("s"), False),
        (NOON, pa.timestamp("us"), pa.int64(), False),
        (NOON, pa.timestamp("us"), pa.date32(), False),
        (NOON, pa.timestamp("us"), pa.time64("us"), False),
        (NOON, pa.timestamp("us"), pa.timestamp("us", "UTC"), False),
        (NOON, pa.timestamp("us"), pa.timestamp("ns"), True),
        (dt.date(2024, 2, 29), pa.date32(), pa.timestamp("us"), True),
    ],
)
def test_a_typed_cell_is_the_same_value_or_is_refused(cell: Any, own: Any, kind: Any, kept: bool):
    array = pa.array([None, cell], own)
    for made, wanted in ((array, kind), (pa.array([[cell, None], None], pa.list_(own)), pa.list_(kind))):
        if kept:
            assert (got := cast_exactly(made, wanted)).null_count == made.null_count
            assert got.type == wanted
            continue
        with pytest.raises(pa.ArrowInvalid):
            cast_exactly(made, wanted)


def test_a_cell_of_json_in_csv_is_read_as_exactly():
    with pytest.raises(pa.ArrowInvalid):
        from_text(pa.array(["[1, 2.5]"]), pa.list_(pa.int64()))
    assert from_text(pa.array(["[1, 2.0]", None]), pa.list_(pa.int64())).to_pylist() == [[1, 2], None]
    assert from_json([[None, True]], pa.list_(pa.bool_())).to_pylist() == [[None, True]]
