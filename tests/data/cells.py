"""One small array of each type that Parquet and Arrow have, with missing cells at every level; and with one cell changed."""

import datetime as dt
import math
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

ROWS = 4
"""Of each array: three cells, and a missing one in the third row. The changed array has another first cell."""


def _pair(first: list[Any], changed: Any, kind: Any) -> tuple[Any, Any]:
    return pa.array(first, kind), pa.array([changed, *first[1:]], kind)


def _stored(first: list[Any], changed: Any, kind: Any) -> tuple[Any, Any]:
    """Of an extension type, or of one that Arrow makes from another only."""
    pairs = (pa.array(first), pa.array([changed, *first[1:]]))
    if isinstance(kind, pa.BaseExtensionType):
        one, other = (pa.ExtensionArray.from_storage(kind, a.cast(kind.storage_type)) for a in pairs)
        return one, other
    return pairs[0].cast(kind), pairs[1].cast(kind)


def _names(*lists: list[bytes | None] | None) -> Any:
    """Lists of UUIDs, which Arrow makes from their parts only."""
    stored = pa.array(lists, pa.list_(pa.binary(16)))
    inner = pa.ExtensionArray.from_storage(pa.uuid(), stored.flatten())
    bounds = pa.array(np.cumsum([0, *(len(one or []) for one in lists)]), pa.int32())
    return pa.ListArray.from_arrays(bounds, inner, mask=stored.is_null())


POINT = pa.struct([("x", pa.float64()), ("y", pa.float64())])
BOX = pa.struct([("label", pa.string()), ("corners", pa.list_(POINT)), ("score", pa.float32())])
U = uuid.UUID("6c8f9d5e-0f2b-4f5e-9a53-1a2b3c4d5e6f")
NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 1)  # noqa: DTZ001 - of no zone, as most files have it

TYPES: dict[str, tuple[Any, Any]] = {
    "decimal": _pair([Decimal("1003.858"), Decimal("-0.010"), None, Decimal("0.000")], Decimal("1003.859"), pa.decimal128(7, 3)),
    "long_decimal": _pair([Decimal(f"{10**37}.5"), Decimal(1), None, Decimal(0)], Decimal(2), pa.decimal256(60, 20)),
    "short_decimal": _pair([Decimal("1.5"), Decimal(1), None, Decimal(0)], Decimal(2), pa.decimal32(5, 2)),
    "hundreds": _stored([Decimal(1200), Decimal(100), None, Decimal(0)], Decimal(300), pa.decimal128(5, -2)),
    "half": _pair([1.5, np.float16("nan"), None, 0.0], 2.5, pa.float16()),
    "float": _pair([0.1, float("nan"), None, float("-inf")], 0.2, pa.float32()),
    "uuid": _stored([U.bytes, b"\xff" * 16, None, b"\x00" * 16], b"\x01" * 16, pa.uuid()),
    "json": _stored(['{"b": 1.0,  "a": 2}', "[1e5]", None, '{"a": 1, "a": 2}'], '{"b": 1.00}', pa.json_()),
    "flag": _stored([1, 0, None, 1], 0, pa.bool8()),
    "binary": _pair([b"\xff\x00", b"", None, b"abc"], b"\xfe", pa.binary()),
    "large_binary": _pair([b"\xff\x00", b"", None, b"abc"], b"\xfe", pa.large_binary()),
    "code": _pair([b"abc", b"\x00\x00\x00", None, b"xyz"], b"abd", pa.binary(3)),
    "large_text": _pair(["a", "", None, 'ä\n,"'], "b", pa.large_string()),
    "text_view": _pair(["a", "", None, "ä"], "b", pa.string_view()),
    "category": _stored(["a", "b", None, "a"], "b", pa.dictionary(pa.int8(), pa.string())),
    "runs": (pa.RunEndEncodedArray.from_arrays([1, 3, 4], pa.array([5, None, 7])), pa.RunEndEncodedArray.from_arrays([1, 3, 4], pa.array([6, None, 7]))),
    "nothing": (pa.nulls(ROWS), pa.nulls(ROWS)),
    "day": _stored([86_400_000, 0, None, -86_400_000], 172_800_000, pa.date64()),
    "seconds": _pair([dt.time(1), dt.time(0), None, dt.time(23, 59, 59)], dt.time(2), pa.time32("s")),
    "nanos": _stored([1, 0, None, 86_399_999_999_999], 2, pa.time64("ns")),
    "moment": _stored([1, 0, None, 2**62], 2, pa.timestamp("ns")),
    "far": _stored([253_402_300_799, 0, None, -62_135_596_800], 1, pa.timestamp("s")),
    "zoned": _pair([NOON, NOON, None, NOON], NOON.replace(year=2023, day=1), pa.timestamp("us", "Europe/Berlin")),
    "offset": _stored([1, 0, None, 5], 2, pa.timestamp("ms", "+02:00")),
    "span": _stored([1, 0, None, -5], 2, pa.duration("ns")),
    "list": _pair([[1, None], [], None, [3]], [1, 2], pa.list_(pa.int32())),
    "large_list": _pair([["a", None], [], None, ["b"]], ["a"], pa.large_list(pa.large_string())),
    "list_view": _pair([[1.5, None], [], None, [float("nan")]], [1.5], pa.list_view(pa.float64())),
    "lists": _pair([[[1], None, []], [], None, [[2]]], [[1], []], pa.list_(pa.list_(pa.int64()))),
    "record": _pair([{"x": 1.0, "y": None}, {"x": None, "y": None}, None, {"x": 0.1, "y": 0.2}], {"x": 1.0, "y": 2.0}, POINT),
    "boxes": _pair(
        [
            [{"label": "cat", "corners": [{"x": 0.5, "y": 1.5}, None], "score": 0.25}, None],
            [],
            None,
            [{"label": None, "corners": None, "score": None}],
        ],
        [{"label": "dog", "corners": [{"x": 0.5, "y": 1.5}, None], "score": 0.25}, None],
        pa.list_(BOX),
    ),
    "prices": _pair([[Decimal("1.10"), None], [], None, [Decimal("0.00")]], [Decimal("1.20")], pa.list_(pa.decimal128(9, 2))),
    "names": (_names([U.bytes, None], [], None, [b"\x01" * 16]), _names([b"\x02" * 16], [], None, [b"\x01" * 16])),
    "blobs": _pair([[b"\xff", None], [], None, [b""]], [b"\xfe"], pa.list_(pa.binary())),
    "times": _pair([[NOON, None], [], None, [NOON]], [NOON.replace(day=1)], pa.list_(pa.timestamp("us"))),
    "map": _pair([[("a", 1), ("b", None)], [], None, [("", 2)]], [("a", 2), ("b", None)], pa.map_(pa.string(), pa.int64())),
    "table": _pair([[(1, {"x": 1.0, "y": None})], [], None, [(2, None)]], [(3, None)], pa.map_(pa.int8(), POINT)),
    "vector": _pair([[1.0, None], [2.0, float("nan")], None, [3.0, 4.0]], [1.0, 2.0], pa.list_(pa.float32(), 2)),
    "half_vector": _pair([[1.0, None], [2.0, 2.5], None, [3.0, 4.0]], [1.0, 2.0], pa.list_(pa.float16(), 2)),
    "price_vector": _pair([[Decimal("1.1"), None], [Decimal(2), Decimal(3)], None, [Decimal(0), None]], [None, Decimal(1)], pa.list_(pa.decimal128(5, 1), 2)),
    "matrix": _pair([[[1, None], [2, 3]], [[4, 5], [6, 7]], None, [[0, 0], [0, 0]]], [[1, 2], [2, 3]], pa.list_(pa.list_(pa.int16(), 2), 2)),
    "words": _pair([["a", None], ["b", "c"], None, ["", ""]], ["d", "e"], pa.list_(pa.string(), 2)),
    "image": (
        pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.uint8(), [2, 2]), pa.array([[1, 2, 3, 4], [0] * 4, None, [255] * 4], pa.list_(pa.uint8(), 4))),
        pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.uint8(), [2, 2]), pa.array([[9, 2, 3, 4], [0] * 4, None, [255] * 4], pa.list_(pa.uint8(), 4))),
    ),
}  # fmt: skip
"""Name of a column to its cells, and to the same with the first one changed (``nothing`` cannot be)."""


def table(*, changed: str | None = None, only: list[str] | None = None) -> Any:
    """All of them as columns of one table, with a key ``id``; of one of them the changed cells."""
    names = only or list(TYPES)
    columns = {name: TYPES[name][name == changed] for name in names}
    return pa.table({"id": pa.array(range(ROWS), pa.int64()), **columns})


_PARQUET_HAS_NOT = ("hundreds", "runs", "list_view", "short_decimal", "text_view", "span")
"""What pyarrow cannot write to Parquet."""


def in_parquet() -> list[str]:
    """The columns that a Parquet file can hold."""
    return [name for name in TYPES if name not in _PARQUET_HAS_NOT]


def plain(array: Any) -> list[Any]:
    """Cells as Python values that can be compared: times by their number, NaN by its name, as many digits as matter."""
    kind = array.type
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], kind)
    if isinstance(kind, pa.BaseExtensionType):
        return plain(array.storage)
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        import pyarrow.compute as pc

        return plain(pc.run_end_decode(array))
    if pa.types.is_date64(kind):
        array = array.cast(pa.date32())
    if pa.types.is_temporal(array.type):
        return array.view(pa.int32() if array.type.bit_width == 32 else pa.int64()).to_pylist()
    return [_plain(cell) for cell in array.to_pylist()]


def _plain(cell: Any) -> Any:
    if isinstance(cell, list | tuple):
        return [_plain(member) for member in cell]
    if isinstance(cell, dict):
        return {name: _plain(member) for name, member in cell.items()}
    if isinstance(cell, Decimal):
        return cell.normalize()
    return "NaN" if isinstance(cell, float) and math.isnan(cell) else cell


ONE_FORM: dict[str, Any] = {
    "short_decimal": pa.decimal128(5, 2),
    "hundreds": pa.decimal128(7, 0),
    "flag": pa.bool_(),
    "large_binary": pa.binary(),
    "large_text": pa.string(),
    "text_view": pa.string(),
    "category": pa.string(),
    "runs": pa.int64(),
    "nothing": pa.string(),
    "day": pa.date32(),
    "large_list": pa.list_(pa.string()),
    "list_view": pa.list_(pa.float64()),
    "names": pa.list_(pa.string()),
    "words": pa.list_(pa.string()),
}
"""The types of which a dataset keeps another form: of each kind of value it has one."""


def as_kept(values: Any, *, parquet: bool = False, nested: bool = False) -> Any:
    """A table's cells as a dataset gives them: a UUID in a list is a text, a flag is a truth value, a tensor is flat.

    Args:
        values: The table.
        parquet: As Parquet has them, whose largest unit of time is a millisecond.
        nested: Leave a tensor as the lists that it came as.
    """
    for at, name in enumerate(values.column_names):
        column = values.column(name).combine_chunks()
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        if name == "names":
            texts = [one and [cell and str(cell) for cell in one] for one in array.to_pylist()]
            array = pa.array(texts, pa.list_(pa.string()))
        elif name == "flag":
            array = array.cast(pa.bool_())
        elif name == "matrix" and not nested:
            array = pa.array(
                [one and [*one[0], *one[1]] for one in array.to_pylist()], pa.list_(pa.int16(), 4)
            )
        elif name in ("seconds", "far") and parquet:
            array = array.cast(pa.time32("ms") if name == "seconds" else pa.timestamp("ms"))
        values = values.set_column(at, name, array)
    return values


def empty(kind: Any) -> Any:
    """One missing cell of a type."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.nulls(1, kind.storage_type))
    if pa.types.is_union(kind):
        return pa.UnionArray.from_dense(
            pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1], pa.int8())], ["a"]
        )
    return pa.nulls(1, kind)
