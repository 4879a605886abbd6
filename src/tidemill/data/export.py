"""A snapshot as a file for other programs: CSV as it was imported, or Parquet."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.files import replacing
from tidemill.data.sources.layout import PREFIX

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 4096


def write_csv(path: Path, schema: "pa.Schema", pieces: "Iterable[pa.Table]") -> None:
    """Write the rows of all pieces, tensors unfolded."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    unfolded = _unfolded(schema.empty_table()).schema
    with (
        replacing(path) as part,
        pa.OSFile(os.fspath(part), "wb") as file,
        csv.CSVWriter(file, unfolded) as writer,
    ):
        for piece in pieces:
            for start in range(0, piece.num_rows, _BATCH_ROWS):
                writer.write_table(_unfolded(piece.slice(start, _BATCH_ROWS).combine_chunks()))


def write_parquet(path: Path, schema: "pa.Schema", pieces: "Iterable[pa.Table]") -> None:
    """Write the rows of all pieces as they are."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    with replacing(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for piece in pieces:
            writer.write_table(piece.cast(schema))


def _unfolded(rows: "pa.Table") -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415

    fields: list[str] = []
    arrays: list[Any] = []
    for field in rows.schema:
        column = rows.column(field.name)
        if not pa.types.is_fixed_size_list(field.type):
            fields.append(field.name)
            arrays.append(column)
            continue
        size = field.type.list_size
        prefix = (field.metadata or {}).get(PREFIX, f"{field.name}_".encode()).decode()
        array = column.chunk(0) if column.num_chunks else pa.array([], field.type)
        cells = array.values[array.offset * size : (array.offset + len(array)) * size]
        for at in range(size):
            fields.append(f"{prefix}{at + 1}")
            arrays.append(cells[at::size])
    return pa.table(arrays, names=fields)
