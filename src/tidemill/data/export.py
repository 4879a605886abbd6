"""A snapshot as a file for other programs: CSV as it was imported, or Parquet."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.files import replacing
from tidemill.data.sources.layout import PREFIX
from tidemill.data.spelling import spelling, written

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 4096


def write_csv(path: Path, schema: "pa.Schema", pieces: "Iterable[pa.Table]") -> None:
    """Write the rows of all pieces, tensors unfolded; text in double quotes, so that it differs from a missing cell."""
    import pyarrow as pa  # noqa: PLC0415

    names = _unfolded(schema.empty_table()).schema.names
    with replacing(path) as part, pa.OSFile(os.fspath(part), "wb") as file:
        file.write((",".join(_quoted(name) for name in names) + "\n").encode())
        for piece in pieces:
            for start in range(0, piece.num_rows, _BATCH_ROWS):
                file.write(_lines(_unfolded(piece.slice(start, _BATCH_ROWS).combine_chunks())))


def _lines(rows: "pa.Table") -> bytes:
    """The rows, in one piece, as lines of CSV. One column's missing cell is an empty line."""
    import pyarrow.compute as pc  # noqa: PLC0415

    cells = [
        _cells(rows.column(name), field) for name, field in zip(rows.column_names, rows.schema, strict=True)
    ]
    lines = pc.binary_join_element_wise(*cells, ",", null_handling="replace", null_replacement="")
    _, offsets, data = pc.binary_join_element_wise(lines, "", "\n").buffers()
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[: ends[len(lines)]].tobytes()


def _cells(column: Any, field: "pa.Field") -> Any:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    array = column.chunk(0) if column.num_chunks else pa.array([], field.type)
    texts = written(array, spelling(field))
    if not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
        return texts
    return pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def write_parquet(path: Path, schema: "pa.Schema", pieces: "Iterable[pa.Table]") -> None:
    """Write the rows of all pieces as they are."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    with replacing(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for piece in pieces:
            writer.write_table(piece.cast(schema))


def _unfolded(rows: "pa.Table") -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415

    fields: list[pa.Field] = []
    arrays: list[Any] = []
    for field in rows.schema:
        column = rows.column(field.name)
        if not pa.types.is_fixed_size_list(field.type):
            fields.append(field)
            arrays.append(column)
            continue
        size = field.type.list_size
        prefix = (field.metadata or {}).get(PREFIX, f"{field.name}_".encode()).decode()
        array = column.chunk(0) if column.num_chunks else pa.array([], field.type)
        cells = array.values[array.offset * size : (array.offset + len(array)) * size]
        for at in range(size):
            fields.append(pa.field(f"{prefix}{at + 1}", field.type.value_type))
            arrays.append(cells[at::size])
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
