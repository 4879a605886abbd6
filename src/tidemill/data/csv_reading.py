"""The bytes of a CSV file as a table: fast, whole in memory, every complaint with its line and column."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import Conflict, InvalidInput, NotFound, StorageError
from tidemill.core.events import Progress, Sink
from tidemill.data.csv_faults import check_quotes, first_fault
from tidemill.data.csv_layout import Column, tensor_field
from tidemill.store.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES = 8 * 1024 * 1024
_EXACT_IN_FLOAT64 = 2**53
"""From here on float64 does not hold every whole number."""


def read_unchanging(path: Path, sink: Sink) -> bytearray:
    """All bytes of a file that nobody writes to meanwhile.

    Raises:
        NotFound: ``file-not-found``.
        InvalidInput: ``not-a-file``.
        Conflict: ``file-changed``, when it was written to while it was read.
        StorageError: When it cannot be read.
    """
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = bytearray(before.st_size)
            view, done = memoryview(data), 0
            while done < len(data):
                got = file.readinto(view[done : done + _PIECE_BYTES])
                if not got:
                    break
                done += got
                sink(Progress(f"Reading {path.name}", done, len(data), "bytes"))
            view.release()
            more = file.read(1)
        after = path.stat()
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", hint="Check the path.", code="file-not-found") from error
    except IsADirectoryError as error:
        raise InvalidInput(
            f"{path} is a folder, not a CSV file.", hint="Name a file in it.", code="not-a-file"
        ) from error
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}.", code="storage") from error
    same = all(
        getattr(before, a) == getattr(after, a) for a in ("st_size", "st_mtime_ns", "st_ino", "st_dev")
    )
    if not same or more or done != len(data):
        line = data.count(b"\n", 0, done) + 1
        raise Conflict(
            f"{path.name} changed while it was read: it had {before.st_size} bytes at first and "
            f"{after.st_size} at the end, {line} lines in.",
            why="Another program is writing it, so what was read may be neither the old nor the new file.",
            hint="Wait for that program to end, then run the same command again.",
            code="file-changed",
            details={"file": path.name, "line": line, "column": 1},
        )
    return data


def parse(file: str, data: bytearray, names: Sequence[str], columns: Sequence[Column]) -> Table:
    """The rows, with tensors folded. An empty cell is missing; an empty text in quotes is a text.

    A type that is not given is the narrowest of int64, uint64, bool, date, time, timestamp, float64 and string
    that every cell fits without losing a digit; for a tensor's cells, the narrowest integer, else float64.

    Raises:
        InvalidInput: ``ragged-row``, ``wrong-type`` or ``unreadable-csv``.
    """
    import pyarrow as pa  # noqa: PLC0415

    fixed = {s: c.type for c in columns if c.type is not None for s in c.sources}
    guess = {s: pa.uint8() for c in columns if c.type is None and c.tensor for s in c.sources}
    quotes = data.count(b'"')
    if quotes % 2:
        # The fast reader takes a quote that is never closed for a value that reaches to the file's end.
        check_quotes(file, data)
    # Reading is a seventh faster where no value can hold a line's end.
    quoted = quotes > 0
    try:
        arrow = _read(data, fixed | guess, quoted=quoted)
    except pa.ArrowInvalid:
        # Either the file is wrong, or a guess was, made from the file's first block or for a tensor: look
        # again with every cell that has no given type as text.
        texts = {s: pa.string() for c in columns if c.type is None for s in c.sources}
        try:
            arrow = _narrowed(_read(data, fixed | texts, quoted=quoted), columns)
        except pa.ArrowInvalid as error:
            kinds = [str(fixed.get(n, "text")) for n in names]
            raise first_fault(file, data, names, str(error), kinds) from error
    arrow = _exact(data, arrow, columns, quoted=quoted)
    fields, arrays = [], []
    for column in columns:
        if column.tensor is None:
            array = arrow.column(column.sources[0])
            array = array.cast(pa.string()) if pa.types.is_null(array.type) else array
            fields.append(pa.field(column.name, array.type))
        else:
            array = _fold(arrow.select(column.sources), column)
            fields.append(tensor_field(column, array.type.value_type))
        arrays.append(array)
    return Table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)))


def _read(data: bytearray, types: dict[str, Any], *, quoted: bool) -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    return csv.read_csv(
        pa.BufferReader(pa.py_buffer(data)),
        read_options=csv.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=csv.ParseOptions(newlines_in_values=quoted),
        convert_options=csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )


def _exact(data: bytearray, arrow: "pa.Table", columns: Sequence[Column], *, quoted: bool) -> "pa.Table":
    """Whole numbers too large for int64 as uint64, or as text where that is too small as well.

    As float64, which is what they were inferred to be, 12345678901234567890 and its neighbour are one number.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    untyped = [c.sources[0] for c in columns if c.type is None and c.tensor is None]
    floats = [n for n in untyped if pa.types.is_float64(arrow.schema.field(n).type)]
    large = [n for n in floats if (pc.max(pc.abs(arrow.column(n))).as_py() or 0) >= _EXACT_IN_FLOAT64]
    if not large:
        return arrow
    texts = _read(data, {n: pa.string() for n in arrow.column_names}, quoted=quoted)
    for name in large:
        cells = texts.column(name)
        if not pc.all(pc.match_substring_regex(cells, r"^[+-]?\d+$")).as_py():
            continue
        kind = pa.uint64() if _fits(cells, pa.uint64()) else pa.string()
        arrow = arrow.set_column(arrow.schema.get_field_index(name), name, cells.cast(kind))
    return arrow


def _narrowed(texts: "pa.Table", columns: Sequence[Column]) -> "pa.Table":
    """The text columns of an untyped column or tensor, as the narrowest type that all of their cells fit."""
    import pyarrow as pa  # noqa: PLC0415

    plain = (
        pa.int64(),
        pa.bool_(),
        pa.date32(),
        pa.time32("s"),
        pa.timestamp("s"),
        pa.float64(),
        pa.string(),
    )
    for column in (c for c in columns if c.type is None):
        inner = (*_integers(), pa.float64(), pa.string()) if column.tensor else plain
        arrays = [texts.column(s) for s in column.sources]
        # Each source narrows from where the one before stopped: a tensor has one type for all of its cells.
        start = 0
        for array in arrays:
            while not _fits(array, inner[start]):
                start += 1
        for source, array in zip(column.sources, arrays, strict=True):
            at = texts.schema.get_field_index(source)
            texts = texts.set_column(at, source, array.cast(inner[start]))
    return texts


def _fits(array: Any, kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    try:
        array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _integers() -> "tuple[pa.DataType, ...]":
    import pyarrow as pa  # noqa: PLC0415

    return (pa.uint8(), pa.int8(), pa.uint16(), pa.int16(), pa.uint32(), pa.int32(), pa.int64())


def _fold(arrow: "pa.Table", column: Column) -> Any:
    """The columns as one fixed-size list; a cell that is missing stays missing."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    kind = arrow.schema.field(0).type
    dtype = np.dtype(bool) if pa.types.is_boolean(kind) else np.dtype(kind.to_pandas_dtype())
    matrix = np.empty((arrow.num_rows, len(column.sources)), dtype)
    mask: Any = None
    start = 0
    for batch in arrow.to_batches():
        part = np.empty((len(column.sources), batch.num_rows), dtype)
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
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
