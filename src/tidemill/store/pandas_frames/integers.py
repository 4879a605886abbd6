"""Integers beside missing cells: pandas reads them as float64, which has every one up to 2**53 only."""

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_EXACT = 2**53
"""Up to which float64 has every integer."""


def loses_integers(column: "pa.ChunkedArray") -> bool:
    """Whether pandas would round a member: it reads integers beside missing cells as float64, exact up to 2**53."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    members: Any = column
    while any(is_kind(members.type) for is_kind in _lists()):
        members = pc.list_flatten(members)
    if not (pa.types.is_int64(members.type) or pa.types.is_uint64(members.type)) or not members.null_count:
        return False
    ends = pc.min_max(members).as_py()
    return ends["max"] is not None and (ends["max"] > _EXACT or ends["min"] < -_EXACT)


def _lists() -> tuple[Any, ...]:
    import pyarrow as pa  # noqa: PLC0415

    return pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list


def make_exact(frame: "pd.DataFrame", arrow: "pa.Table") -> None:
    """Replaces the columns of ``frame``, which are those of ``arrow``, in which integers were rounded."""
    for at, column in enumerate(arrow.columns):
        if loses_integers(column):
            frame.isetitem(at, series_of(column).array)


def series_of(column: "pa.ChunkedArray") -> "pd.Series":
    """A column in pandas, its integers exact."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    if not loses_integers(column):
        return column.to_pandas()
    if pa.types.is_integer(column.type):
        kind: Any = pd.Int64Dtype() if pa.types.is_int64(column.type) else pd.UInt64Dtype()
        return pd.Series(kind.__from_arrow__(column))
    held = np.empty(len(column), dtype=object)
    for at, cell in enumerate(column.to_pylist()):
        held[at] = _exact_cell(cell, column.type)
    return pd.Series(held, dtype=object)


def _exact_cell(cell: Any, kind: Any) -> Any:
    """A list as an array, of integers where none is missing, else of objects."""
    import numpy as np  # noqa: PLC0415

    if not isinstance(cell, list):
        return cell
    members = cast("list[Any]", cell)
    if not any(is_kind(kind.value_type) for is_kind in _lists()) and None not in members:
        return np.array(members, dtype=kind.value_type.to_pandas_dtype())
    array = np.empty(len(members), dtype=object)
    for at, member in enumerate(members):
        array[at] = _exact_cell(member, kind.value_type)
    return array
