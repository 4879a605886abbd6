"""Cells as Python values, to be shown and compared: what Python has no value for is text, never another value."""

import base64
import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from tidemill.data.nested import members, rebuilt, records, tensor_cells

if TYPE_CHECKING:
    import pyarrow as pa


def values(column: "pa.Array | pa.ChunkedArray") -> list[Any]:
    """Each cell as a Python value, whatever else is installed.

    A time of nanoseconds is a text where it is none of microseconds, and a duration likewise; Arrow's own conversion
    drops them, or asks pandas.
    """
    import pyarrow as pa  # noqa: PLC0415

    arrays = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return [value for array in arrays for value in _in_python(array).to_pylist()]


def value(column: "pa.Array | pa.ChunkedArray", row: int) -> Any:
    """One cell as a Python value."""
    return values(column.slice(row, 1))[0]


def rows(table: "pa.Table") -> list[dict[str, Any]]:
    """Each row as Python values by column."""
    columns = [values(column) for column in table.columns]
    return [dict(zip(table.column_names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def as_text(value: Any) -> str:
    """A cell's Python value, or a row's, as an export spells it; a missing one is empty."""
    if value is None:
        return ""
    if isinstance(value, list | tuple | dict):
        return json.dumps(_in_json(value), ensure_ascii=False, allow_nan=False)
    if isinstance(value, Decimal):
        return format(value, "f")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _in_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _in_json(member) for name, member in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_in_json(member) for member in cast("list[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if value is None or isinstance(value, bool | int | float | str) else as_text(value)


def _in_python(array: Any) -> Any:
    kind = _python_type(array)
    return array if kind == array.type else rebuilt(array, kind, _leaf)


def _python_type(array: Any) -> Any:
    """The type of an array in which each cell is a Python value."""
    import pyarrow as pa  # noqa: PLC0415

    kind, types = array.type, pa.types
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return pa.struct(
            [pa.field(f.name, _python_type(cells)) for f, cells in zip(fields, records(array), strict=True)]
        )
    if types.is_map(kind):
        keys, items = members(array)[0].flatten()
        return pa.map_(_python_type(keys), _python_type(items))
    if types.is_fixed_size_list(kind):
        return pa.list_(_python_type(tensor_cells(array)), kind.list_size)
    if types.is_list(kind):
        return pa.list_(_python_type(members(array)[0]))
    if getattr(kind, "unit", "") != "ns":
        return kind
    coarse = {
        types.is_timestamp: pa.timestamp("us", getattr(kind, "tz", None)),
        types.is_time: pa.time64("us"),
        types.is_duration: pa.duration("us"),
    }
    wanted = next(other for test, other in coarse.items() if test(kind))
    try:
        array.cast(wanted)
    except pa.ArrowInvalid:
        return pa.string()
    return wanted


def _leaf(array: Any, kind: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if array.type == kind:
        return array
    if pa.types.is_duration(array.type) and pa.types.is_string(kind):
        return pa.array([None if n is None else f"{n} ns" for n in array.cast(pa.int64()).to_pylist()], kind)
    return array.cast(kind)
