"""Cells in another type, each the same value as before; one that would become another is refused."""

import uuid
from typing import TYPE_CHECKING, Any

from tidemill.data.cell_images import digits
from tidemill.data.nested import rebuilt

if TYPE_CHECKING:
    import pyarrow as pa


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
    return array.cast(kind)


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
