"""Cleaning, row by row: types, missing cells, labels that do not exist."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.components import row_step

if TYPE_CHECKING:
    from tidemill.store.table import Table

Columns = dict[str, Any]
TYPES = (
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
    "string",
)


def _cast_columns(columns: Columns, *, types: Mapping[str, str]) -> Columns:
    import numpy as np  # noqa: PLC0415

    made = dict(columns)
    for name, kind in types.items():
        if name in made and kind != "string" and made[name].dtype != np.dtype(kind):
            made[name] = made[name].astype(kind)
    return made


@row_step(served=_cast_columns)
def cast(rows: "Table", types: dict[str, str]) -> "Table":
    """Give columns one type each; a tensor's cells too. Missing cells stay missing.

    Args:
        rows: The table.
        types: Column to type (``uint8``, ``float32``, ``string``, ...). A column that is not there is no error,
            so that rows without a label can be served.

    Raises:
        InvalidInput: ``unknown-type``; ``does-not-fit`` when a value has no place in the type.
    """
    import pyarrow as pa  # noqa: PLC0415

    arrow = rows.to_arrow()
    for name, kind in types.items():
        if kind not in TYPES:
            raise InvalidInput(
                f"'{kind}' is not a type that '{name}' can be cast to.",
                hint=f"Use one of {', '.join(TYPES)}.",
                code=codes.UNKNOWN_TYPE,
            )
        at = arrow.schema.get_field_index(name)
        if at < 0:
            continue
        field = arrow.schema.field(at)
        target: Any = pa.type_for_alias(kind)
        if pa.types.is_fixed_size_list(field.type):
            target = pa.list_(target, field.type.list_size)
        if field.type == target:
            continue
        try:
            column = arrow.column(at).cast(target)
        except pa.ArrowInvalid as error:
            raise InvalidInput(
                f"A value of column '{name}' does not fit {kind}: {error}.",
                hint="Choose a wider type, or correct the rows.",
                code=codes.DOES_NOT_FIT,
            ) from error
        arrow = arrow.set_column(at, pa.field(name, target, metadata=field.metadata), column)
    return rows.with_columns(arrow)


def _drop_missing_columns(batch: Columns, /, *, columns: Sequence[str] | None = None) -> Columns:
    import numpy as np  # noqa: PLC0415

    wanted, keep = columns, None
    for name, values in batch.items():
        if name == "_row" or (wanted and name not in wanted):
            continue
        if np.ma.isMaskedArray(values):
            missing = np.ma.getmaskarray(values)
        elif values.dtype.kind == "f":
            missing = np.isnan(values)
        else:
            continue
        missing = missing.reshape(len(values), -1).any(axis=1)
        keep = ~missing if keep is None else keep & ~missing
    if keep is None or keep.all():
        return {n: np.asarray(v) for n, v in batch.items()}
    return {n: np.asarray(v)[keep] for n, v in batch.items()}


@row_step(served=_drop_missing_columns)
def drop_missing(rows: "Table", columns: list[str] | None = None) -> "Table":
    """Drop the rows that lack a cell, even one cell of a tensor; NaN counts as missing.

    Args:
        rows: The table.
        columns: Which columns to look at; all but Tidemill's own if None.
    """
    import numpy as np  # noqa: PLC0415

    from tidemill.store.table import SYSTEM_COLUMNS  # noqa: PLC0415

    keep = np.ones(len(rows), bool)
    for name in columns if columns is not None else [c for c in rows.columns if c not in SYSTEM_COLUMNS]:
        keep &= ~rows.missing(name).reshape(len(rows), -1).any(axis=1)
    return rows if keep.all() else rows.filter(keep)


@row_step(training_only=True)
def keep_labels(rows: "Table", label: str, allowed: list[str]) -> "Table":
    """Drop the rows whose label is not one of ``allowed``."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    column = rows.select([label]).to_arrow().column(0)
    keep = np.asarray(pc.is_in(column, pa.array(allowed).cast(column.type)))  # pyright: ignore[reportAttributeAccessIssue]
    return rows if keep.all() else rows.filter(keep)
