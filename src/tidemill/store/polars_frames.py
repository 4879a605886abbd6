"""Arrow columns in Polars: what Polars has no type for is another form of the same value, or refused in words."""

import re
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_MOST_DIGITS = 38
"""Of a decimal in Polars, which ends the process's call by a panic where there are more."""

_OFFSET = r"[+-]\d\d:?(?!00)\d\d|-1[3-9].*|\+1[5-9].*|[+-]2.*"
"""Zones that have no name in the IANA list, which is all that Polars knows."""


def frame(arrow: "pa.Table") -> "pl.DataFrame":
    """A table as a Polars frame.

    A UUID is its text, a decimal of more digits than 38 is one of 38, a time of a zone like ``+05:30`` is that time in UTC.

    Raises:
        InvalidInput: ``not-in-polars``, when a decimal has more digits.
    """
    import polars as pl  # noqa: PLC0415

    for at, field in enumerate(arrow.schema):
        column = _column(field.name, arrow.column(at))
        if column.type != field.type:
            arrow = arrow.set_column(at, field.with_type(column.type), column)
    return pl.DataFrame(pl.from_arrow(arrow))


def series(name: str, column: "pa.Array | pa.ChunkedArray") -> "pl.Series":
    """A column as a Polars series; otherwise as ``frame``."""
    import polars as pl  # noqa: PLC0415

    return pl.Series(name, pl.from_arrow(_column(name, column)))


def _column(name: str, column: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    kind = _kind(column.type)
    if kind == column.type:
        return column
    if isinstance(column.type, pa.UuidType):
        texts = pa.array([None if cell is None else str(cell) for cell in column.to_pylist()], kind)
        return pa.chunked_array([texts]) if isinstance(column, pa.ChunkedArray) else texts
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(
            f"Column '{name}' holds decimals of more than {_MOST_DIGITS} digits ({column.type}), and Polars has none.",
            why=str(error).splitlines()[0],
            hint="Take the rows by to_arrow() or to_pandas(); or leave the column out, with select() or columns=.",
            code=codes.NOT_IN_POLARS,
            details={"column": name, "type": str(column.type)},
        ) from error


def _kind(kind: Any) -> Any:
    """The type that Polars reads a column in."""
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    if isinstance(kind, pa.UuidType):
        return pa.string()
    if types.is_decimal256(kind):
        return pa.decimal128(_MOST_DIGITS, min(kind.scale, _MOST_DIGITS))
    if types.is_timestamp(kind) and re.fullmatch(_OFFSET, kind.tz or ""):
        return pa.timestamp(kind.unit, "UTC")
    if types.is_map(kind):
        return pa.map_(_kind(kind.key_type), _kind(kind.item_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_kind(kind.value_type)), kind.list_size)
    if types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_kind(kind.value_type)))
    if types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_kind(kind.value_type)))
    if types.is_struct(kind):
        return pa.struct(
            [kind.field(at).with_type(_kind(kind.field(at).type)) for at in range(kind.num_fields)]
        )
    return kind
