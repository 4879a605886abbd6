"""A snapshot as a file for other programs: CSV and JSON lines as they are imported again, Parquet and Arrow."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.files import replacing
from tidemill.data.cell_images import digits
from tidemill.data.cell_text import as_json, text_form, to_text
from tidemill.data.cell_types import as_logical, logical_type
from tidemill.data.nested import cells_with_missing
from tidemill.data.sources.layout import prefix_of
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

    array = _one(column)
    if text_form(array.type):
        texts = to_text(array)
    elif pa.types.is_decimal(array.type):
        texts = digits(array, trimmed=False)
    else:
        texts = written(array, spelling(field))
    if not (pa.types.is_string(field.type) or text_form(array.type) in ("JSON", "base64")):
        return texts
    return pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def write_json_lines(path: Path, schema: "pa.Schema", pieces: "Iterable[pa.Table]") -> None:
    """Write the rows of all pieces, an object a line; a tensor is a flat list.

    A missing cell is ``null``: were it left out, a column without a cell would not come back, nor the columns' order.
    """
    names = [json.dumps(name) for name in schema.names]
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        for piece in pieces:
            for start in range(0, piece.num_rows, _BATCH_ROWS):
                rows = piece.slice(start, _BATCH_ROWS).combine_chunks()
                columns = [as_json(_one(rows.column(name))) for name in schema.names]
                for cells in zip(*columns, strict=True):
                    there = (f"{n}: {c or 'null'}" for n, c in zip(names, cells, strict=True))
                    file.write("{" + ", ".join(there) + "}\n")


def write_parquet(path: Path, schema: "pa.Schema", pieces: "Iterable[pa.Table]") -> None:
    """Write the rows of all pieces, in the types that other programs know them by."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    known = _logical_schema(schema)
    with replacing(path) as part, pq.ParquetWriter(part, known, compression="zstd") as writer:
        for piece in pieces:
            writer.write_table(_logical(piece, known))


def write_arrow(path: Path, schema: "pa.Schema", pieces: "Iterable[pa.Table]") -> None:
    """Write the rows of all pieces as an Arrow file, in the types that other programs know them by."""
    import pyarrow as pa  # noqa: PLC0415

    known = _logical_schema(schema)
    with (
        replacing(path) as part,
        pa.OSFile(os.fspath(part), "wb") as file,
        pa.ipc.new_file(file, known) as writer,
    ):
        for piece in pieces:
            writer.write_table(_logical(piece, known))


def _logical_schema(schema: "pa.Schema") -> "pa.Schema":
    import pyarrow as pa  # noqa: PLC0415

    return pa.schema([f.with_type(logical_type(f)) for f in schema], metadata=schema.metadata)


def _logical(piece: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415

    arrays = [as_logical(_one(piece.column(field.name)), field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _one(column: Any) -> Any:
    """A column as one array."""
    import pyarrow as pa  # noqa: PLC0415

    array = column.combine_chunks()
    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.chunk(0) if array.num_chunks else pa.array([], array.type)


def _unfolded(rows: "pa.Table") -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415

    fields: list[pa.Field] = []
    arrays: list[Any] = []
    for field in rows.schema:
        array = _one(rows.column(field.name))
        if not pa.types.is_fixed_size_list(field.type):
            fields.append(field)
            arrays.append(array)
            continue
        size = field.type.list_size
        prefix = prefix_of(field)
        cells = cells_with_missing(array)
        for at in range(size):
            fields.append(pa.field(f"{prefix}{at + 1}", field.type.value_type))
            arrays.append(cells[at::size])
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
