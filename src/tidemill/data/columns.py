"""Columns side by side: bringing rows to a dataset's schema, and telling cells apart."""

from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data.casting import cast_column, cast_exactly
from tidemill.data.comparison import unequal
from tidemill.data.schema_change import ALLOW, SchemaChange, refused, schema_change
from tidemill.store.table import ID, PREDICTION, SYSTEM_COLUMNS, Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def system_schema(schema: "pa.Schema") -> "pa.Schema":
    """The schema of a new dataset with these columns: ``_id`` first, ``_prediction`` last."""
    import pyarrow as pa  # noqa: PLC0415

    own = [f for f in schema if f.name not in SYSTEM_COLUMNS]
    return pa.schema(
        [pa.field(ID, pa.uint64(), nullable=False), *own, pa.field(PREDICTION, pa.string())],
        metadata=schema.metadata,
    )


def arrange(table: Table, schema: "pa.Schema", dataset: str) -> Table:
    """``table`` with the columns of ``schema``, in its order and types.

    A missing ``_prediction`` column is filled with nulls; ``_id`` may be missing, and stays so.

    Raises:
        InvalidInput: ``schema-change`` or ``value-does-not-fit``.
    """
    import pyarrow as pa  # noqa: PLC0415

    arrow = table.to_arrow()
    change = schema_change(schema, arrow.schema)
    if change.added or change.dropped:
        raise refused(dataset, SchemaChange(change.added, change.dropped))
    given = frozenset(arrow.column_names)
    fields, arrays = [], []
    for field in schema:
        if field.name == ID and ID not in given:
            continue
        if field.name not in given:
            array: Any = pa.nulls(len(table), field.type)
        else:
            array = arrow.column(field.name)
        fields.append(field)
        arrays.append(_cast(array, field, dataset))
    return Table(pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=schema.metadata)))


def conform(arrow: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """Stored rows in the columns of another commit: a column that they do not have is missing in them.

    Raises:
        ArrowInvalid: When a cell does not fit the type that its column has there.
    """
    import pyarrow as pa  # noqa: PLC0415

    given = frozenset(arrow.column_names)
    arrays: list[Any] = []
    for field in schema:
        if field.name not in given:
            arrays.append(pa.nulls(arrow.num_rows, field.type))
            continue
        arrays.append(cast_column(arrow.column(field.name), field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def alike(arrow: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """Stored rows in the columns of another commit, to be compared: a cell that fits no such type is as it is."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        return conform(arrow, schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        given = {field.name: field for field in arrow.schema}
        own = [given.get(field.name, field) for field in schema]
        return conform(arrow, pa.schema(own))


def _cast(array: Any, field: "pa.Field", dataset: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if array.type == field.type:
        return array
    try:
        return cast_column(array, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(
            f"Column '{field.name}' of dataset '{dataset}' is {field.type}; the new values are "
            f"{array.type} and do not all fit.",
            why=str(error).splitlines()[0],
            hint=f"Correct those values, or let the column take their type with {ALLOW}.",
            code=codes.VALUE_DOES_NOT_FIT,
            details={"column": field.name},
        ) from error


def as_before(arrow: "pa.Table", first: "pa.Schema") -> "tuple[pa.Table, np.ndarray[Any, Any]]":
    """The columns of ``first`` in its types, and which rows hold exactly the same in them.

    A cell that does not fit the type it had first is missing in what is returned.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    fits = np.ones(arrow.num_rows, bool)
    arrays: list[Any] = []
    for field in first:
        column = _one(arrow.column(field.name))
        if column.type == field.type:
            arrays.append(column)
            continue
        cast = _cast_cells(column, field.type)
        fits &= ~differs(column, _cast_cells(cast, column.type))
        arrays.append(cast)
    return pa.Table.from_arrays(arrays, schema=first), fits


def _cast_cells(array: Any, kind: Any) -> Any:
    """The cells in another type; one that has no such value is missing."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        return cast_exactly(array, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        cells = [_cast_cell(array.slice(row, 1), kind) for row in range(len(array))]
        return pa.concat_arrays(cells) if cells else pa.nulls(0, kind)


def _cast_cell(cell: Any, kind: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    try:
        return cast_exactly(cell, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.nulls(1, kind)


def differs(old: "pa.ChunkedArray", new: "pa.ChunkedArray") -> "np.ndarray[Any, Any]":
    """Which rows of two equally long columns differ; missing equals missing, NaN equals NaN.

    Where their types differ, a cell equals one that becomes the same in the other's type, and the other way round.
    """
    import numpy as np  # noqa: PLC0415

    rows = len(old)
    if not rows:
        return np.zeros(0, bool)
    a, b = _one(old), _one(new)
    if a.type != b.type:
        return differs(_cast_cells(a, b.type), b) | differs(a, _cast_cells(b, a.type))
    return unequal(a, b)


def _one(array: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
