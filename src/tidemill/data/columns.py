"""Columns side by side: bringing rows to a dataset's schema, and telling cells apart."""

from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
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
            code="value-does-not-fit",
            details={"column": field.name},
        ) from error


def _cast_tensor(array: Any, kind: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    size = kind.list_size
    if size != array.type.list_size:
        raise pa.ArrowInvalid(f"{array.type} is no {kind}")
    inner = array.values[array.offset * size : (array.offset + len(array)) * size].cast(kind.value_type)
    mask = array.is_null() if array.null_count else None
    return pa.FixedSizeListArray.from_arrays(inner, type=kind, mask=mask)


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
        return pa.array([_cast_cell(cell, kind) for cell in array], kind)


def _cast_cell(cell: Any, kind: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    try:
        return cell.cast(kind).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def cast_column(column: "pa.ChunkedArray", kind: Any) -> "pa.ChunkedArray":
    """A column in another type; raises what Arrow does where a cell would lose something."""
    import pyarrow as pa  # noqa: PLC0415

    if column.type == kind:
        return column
    return pa.chunked_array([cast_exactly(c, kind) for c in column.chunks], kind)


def cast_exactly(array: Any, kind: Any) -> Any:
    """An array in another type; raises what Arrow does where a cell would lose something."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_fixed_size_list(kind) and pa.types.is_fixed_size_list(array.type):
        return _cast_tensor(array, kind)
    return array.cast(kind)


def differs(old: "pa.ChunkedArray", new: "pa.ChunkedArray") -> "np.ndarray[Any, Any]":
    """Which rows of two equally long columns differ; missing equals missing, NaN equals NaN.

    Where their types differ, a cell equals one that becomes the same in the other's type, and the other way round.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    rows = len(old)
    if not rows:
        return np.zeros(0, bool)
    a, b = _one(old), _one(new)
    if a.type != b.type:
        return differs(_cast_cells(a, b.type), b) | differs(a, _cast_cells(b, a.type))
    if pa.types.is_fixed_size_list(a.type):
        size = a.type.list_size
        outer = np.asarray(a.is_null()) != np.asarray(b.is_null())
        both = np.asarray(a.is_null()) & np.asarray(b.is_null())
        inner = differs(
            a.values[a.offset * size : (a.offset + rows) * size],
            b.values[b.offset * size : (b.offset + rows) * size],
        )
        return (outer | inner.reshape(rows, size).any(axis=1)) & ~both
    import pyarrow.compute as pc  # noqa: PLC0415

    lacks_a, lacks_b = np.asarray(a.is_null()), np.asarray(b.is_null())
    unequal = np.asarray(pc.not_equal(a, b).fill_null(pa.scalar(0).cast(pa.bool_())))
    if pa.types.is_floating(a.type):
        unequal &= ~(_is_nan(a) & _is_nan(b))
    return np.where(lacks_a | lacks_b, lacks_a != lacks_b, unequal)


def _is_nan(array: Any) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    return np.asarray(array.is_null(nan_is_null=True)) & ~np.asarray(array.is_null())


def _one(array: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
