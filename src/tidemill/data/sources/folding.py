"""A source's columns as the table's: numbered columns fold into one tensor, the others keep their name."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.data.sources.layout import Column, tensor_field
from tidemill.data.spelling import spelled
from tidemill.store.table import Table

if TYPE_CHECKING:
    import pyarrow as pa


def schema_of(
    columns: Sequence[Column], types: "Mapping[str, pa.DataType]", spellings: Mapping[str, str] | None = None
) -> "pa.Schema":
    """The table's schema.

    Args:
        columns: The table's columns.
        types: The type of each source column.
        spellings: Of source columns, what their cells have in common beyond their values.
    """
    import pyarrow as pa  # noqa: PLC0415

    return pa.schema(
        [
            tensor_field(column, types[column.sources[0]])
            if column.tensor
            else pa.field(
                column.name,
                types[column.sources[0]],
                metadata=spelled(column.metadata, (spellings or {}).get(column.sources[0])),
            )
            for column in columns
        ]
    )


def folded(piece: "pa.Table", columns: Sequence[Column], schema: "pa.Schema") -> Table:
    """Some of the source's rows, as rows of the table."""
    import pyarrow as pa  # noqa: PLC0415

    arrays = [
        _fold(piece.select(column.sources)) if column.tensor else piece.column(column.sources[0])
        for column in columns
    ]
    return Table(pa.Table.from_arrays(arrays, schema=schema))


def _fold(arrow: "pa.Table") -> Any:
    """The columns as one fixed-size list; a cell that is missing stays missing."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    kind = arrow.schema.field(0).type
    if pa.types.is_decimal(kind):
        order = np.arange(arrow.num_rows * arrow.num_columns).reshape(arrow.num_columns, -1).T.reshape(-1)
        cells = pa.concat_arrays([chunk for column in arrow.columns for chunk in column.chunks])
        return pa.FixedSizeListArray.from_arrays(cells.take(pa.array(order)), arrow.num_columns)
    dtype = np.dtype(bool) if pa.types.is_boolean(kind) else np.dtype(kind.to_pandas_dtype())
    width = arrow.num_columns
    matrix = np.empty((arrow.num_rows, width), dtype)
    mask: Any = None
    start = 0
    for batch in arrow.to_batches():
        part = np.empty((width, batch.num_rows), dtype)
        end = start + batch.num_rows
        for at, array in enumerate(batch.columns):
            if array.null_count:
                mask = np.zeros(matrix.shape, bool) if mask is None else mask
                mask[start:end, at] = np.asarray(array.is_null())
                array = array.fill_null(dtype.type(0).item())  # noqa: PLW2901
            part[at] = array.to_numpy(zero_copy_only=False)
        matrix[start:end] = part.T
        start = end
    flat = pa.array(matrix.reshape(-1), kind, mask=None if mask is None else mask.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, width)
