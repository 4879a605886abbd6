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
    if types.is_floating(own) and types.is_floating(kind) and kind.bit_width < own.bit_width:
        return _narrowed(array, kind)
    _check_kinds(own, kind)
    made = array.cast(kind) if not types.is_string(kind) else as_text(array)
    if not has_known_years(made):
        raise pa.ArrowInvalid(f"a value is not in the years 1 to 9999, which {kind} has here")
    if _may_lose(own, kind) and not made.cast(own).equals(array):
        raise pa.ArrowInvalid(f"{kind} does not hold all that {own} says")
    return made


def as_text(array: Any) -> Any:
    """Plain cells as Arrow writes them; a time whose zone was then some seconds off a whole minute, in UTC.

    Before there were time zones, Berlin was 53 minutes and 28 seconds ahead: Arrow writes ``+0053``, which is another time.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    kind, texts = array.type, array.cast(pa.string())
    if not pa.types.is_timestamp(kind) or kind.tz in (None, "UTC"):
        return texts
    try:
        same = pc.equal(texts.cast(kind), array)
    except pa.ArrowInvalid:
        same = pc.equal(array, pa.scalar(None, kind)).fill_null(False)  # noqa: FBT003
    return pc.if_else(same, texts, array.cast(pa.timestamp(kind.unit, "UTC")).cast(pa.string()))


def _check_kinds(own: Any, kind: Any) -> None:
    """Refuse what Arrow takes by the number behind it: a number as a time, a time of no zone as one of UTC."""
    import pyarrow as pa  # noqa: PLC0415

    times = [pa.types.is_date(k) or pa.types.is_time(k) or pa.types.is_timestamp(k) for k in (own, kind)]
    numbers = [pa.types.is_integer(k) or pa.types.is_floating(k) for k in (own, kind)]
    of_day = pa.types.is_timestamp(own) and pa.types.is_time(kind)
    if of_day or (times[0] and numbers[1]) or (numbers[0] and times[1]):
        raise pa.ArrowInvalid(f"{own} is not {kind}")
    if all(times) and (getattr(own, "tz", None) is None) != (getattr(kind, "tz", None) is None):
        raise pa.ArrowInvalid(f"a time of a zone and one of none are two things: {own} is not {kind}")


def _may_lose(own: Any, kind: Any) -> bool:
    """Whether Arrow's cast leaves something out without a word: a time of day, a leading zero, a number above 1."""
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    day, digits = (
        types.is_timestamp(own) and types.is_date(kind),
        types.is_string(own) and types.is_integer(kind),
    )
    return day or digits or types.is_boolean(kind)


def _narrowed(array: Any, kind: Any) -> Any:
    """Floats in fewer bits; the shortest digits of each must come back, since Arrow rounds."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    own = array.type.to_pandas_dtype()
    numbers = array.to_numpy(zero_copy_only=False).astype(own)
    with np.errstate(over="ignore"):
        rounded = numbers.astype(kind.to_pandas_dtype())
    lost = (rounded.astype(own) != numbers) & ~np.isnan(numbers)
    if lost.any():
        few = rounded[lost]
        texts = (
            pa.array([str(x) for x in few]) if few.dtype.itemsize == 2 else pa.array(few).cast(pa.string())
        )
        if (texts.cast(array.type).to_numpy() != numbers[lost]).any():
            raise pa.ArrowInvalid(f"{kind} does not hold all digits of {array.type}")
    return pa.array(rounded, kind, mask=np.asarray(array.is_null()) if array.null_count else None)


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
