"""Cells in another type, each the same value as before; one that would become another is refused."""

import uuid
from typing import TYPE_CHECKING, Any

from tidemill.data.cell_images import digits
from tidemill.data.nested import rebuilt

if TYPE_CHECKING:
    import pyarrow as pa

_DAYS = (-719_162, 2_932_896)
"""The first day of year 1 and the last one of year 9999, counted from 1970."""
_PER_DAY = {"day": 1, "s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def has_known_years(array: Any) -> bool:
    """Whether every day or time lies in the years 1 to 9999, the only ones that texts, JSON and Python have.

    Cells of any other type have none, and pass. Arrow itself reads and holds more years, such as the year 0.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    kind = array.type
    if not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        return True
    per_day = _PER_DAY["day" if pa.types.is_date32(kind) else getattr(kind, "unit", "ms")]
    bounds = pc.min_max(array.view(pa.int32() if kind.bit_width == 32 else pa.int64())).as_py()
    first, last = _DAYS
    if getattr(kind, "tz", None):
        # In its own zone, a time may be in the year before or after.
        first, last = first + 1, last - 1
    return bounds["min"] is None or (
        bounds["min"] >= first * per_day and bounds["max"] < (last + 1) * per_day
    )


def cast_column(column: "pa.ChunkedArray", kind: Any) -> "pa.ChunkedArray":
    """A column in another type; raises what Arrow does where a cell would lose something."""
    import pyarrow as pa  # noqa: PLC0415

    if column.type == kind:
        return column
    return pa.chunked_array([cast_exactly(c, kind) for c in column.chunks], kind)


def cast_exactly(array: Any, kind: Any) -> Any:
    """An array in another type; raises what Arrow does where a cell would lose something."""
    import pyarrow as pa  # noqa: PLC0415

    own, types = array.type, pa.types
    if own == kind:
        return array
    if isinstance(own, pa.UuidType) and types.is_string(kind):
        return pa.array([None if cell is None else str(cell) for cell in array.to_pylist()], kind)
    if isinstance(kind, pa.UuidType) and types.is_string(own):
        return pa.array([_uuid(text) for text in array.to_pylist()], kind)
    if types.is_nested(own) or types.is_nested(kind):
        return _cast_nested(array, kind)
    if types.is_decimal(own) and types.is_floating(kind):
        # As many digits as the decimal has must come back from the number.
        made = array.cast(kind)
        back = made.cast(pa.string()).cast(own) if not types.is_float16(kind) else None
        if back is None or not digits(back).equals(digits(array)):
            raise pa.ArrowInvalid(f"{kind} does not hold all digits of {own}")
        return made
    if types.is_floating(own) and types.is_decimal(kind):
        return array.cast(pa.string()).cast(kind)
    made = array.cast(kind)
    if not has_known_years(made):
        raise pa.ArrowInvalid(f"a value is not in the years 1 to 9999, which {kind} has here")
    return made


def _uuid(text: str | None) -> uuid.UUID | None:
    import pyarrow as pa  # noqa: PLC0415

    try:
        return None if text is None else uuid.UUID(text)
    except ValueError as error:
        raise pa.ArrowInvalid(f"'{text}' is not a UUID") from error


def _cast_nested(array: Any, kind: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    own = array.type
    if pa.types.is_list(own) and pa.types.is_fixed_size_list(kind):
        array = array.cast(pa.list_(own.value_type, kind.list_size))
    return rebuilt(array, kind, cast_exactly)
