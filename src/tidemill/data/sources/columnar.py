"""Parquet and Arrow files, read some megabytes at a time: their types are the columns' types."""

import mmap
import shutil
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Progress, Sink
from tidemill.core.kinds import reason
from tidemill.data.sources.paths import name_of
from tidemill.data.sources.typed import Typed
from tidemill.data.sources.unpacking import Unpacked
from tidemill.store.faults import translated

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE_ROWS = 65_536
_PIECE_BYTES = 32 * 1024 * 1024
_COPY_BYTES = 1024 * 1024
_DAMAGE = (OSError, ValueError, TypeError, KeyError, IndexError, MemoryError, NotImplementedError)
"""What Arrow raises while it reads a damaged file: its own errors are some of these."""


def parquet(paths: Sequence[Path], sink: Sink) -> Typed:
    """Parquet files as one source."""
    return Typed(name_of(paths), [_Parquet(path, sink) for path in paths])


def arrow(paths: Sequence[Path], sink: Sink) -> Typed:
    """Arrow files and streams as one source."""
    return Typed(name_of(paths), [_Arrow(path, sink) for path in paths])


class _File:
    """A file that is read twice, and must be the same both times."""

    kind: str

    def __init__(self, path: Path, sink: Sink) -> None:
        self.name = path.name
        self._path = path
        self._sink = sink
        self._identity: tuple[int, ...] | None = None
        self._copy: pa.Buffer | None = None

    @contextmanager
    def _open(self) -> "Generator[Any]":
        """The file, to be read by Arrow at any position."""
        import pyarrow as pa  # noqa: PLC0415

        data = Unpacked(self._path, self._identity, text=False)
        self._identity = self._identity or data.identity
        with closing(data):
            try:
                if data.packed:
                    # These formats are read from their end: what is packed as a whole is unpacked as a whole.
                    if self._copy is None:
                        self._copy = _unpacked(data)
                    yield pa.BufferReader(self._copy)
                else:
                    yield pa.OSFile(str(self._path))
            except _DAMAGE as error:
                data.check()
                raise InvalidInput(
                    f"{self.name}: this is not readable as {self.kind}.",
                    why=reason(error),
                    hint="The file may be cut short or damaged: get or write it again.",
                    code=codes.UNREADABLE_FILE,
                    details={"file": self.name},
                ) from error
            data.check()

    def _told(self, done: int, total: int) -> None:
        self._sink(Progress(f"Reading {self.name}", done, total, "rows"))


class _Parquet(_File):
    kind = "Parquet"

    @cached_property
    def _footer(self) -> "tuple[pa.Schema, int]":
        from pyarrow import parquet  # noqa: PLC0415

        with self._open() as source, parquet.ParquetFile(source) as file:
            return file.schema_arrow, file.metadata.num_rows

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self._footer[1]

    def schema(self) -> "pa.Schema":
        """Its columns."""
        return self._footer[0]

    def tables(self) -> "Iterator[pa.Table]":
        """Its rows, in order."""
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415

        done = 0
        with self._open() as source, parquet.ParquetFile(source) as file:
            stored = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
            in_memory = self.rows * sum(_cell_bytes(field.type) for field in self.schema())
            for batch in file.iter_batches(_piece_rows(max(stored, in_memory), self.rows)):
                done += batch.num_rows
                self._told(done, self.rows)
                yield pa.Table.from_batches([batch])
            if done != self.rows:
                raise pa.ArrowInvalid(f"Its end says {self.rows} rows, and {done} are there.")


class _Arrow(_File):
    kind = "Arrow"

    @cached_property
    def _facts(self) -> "tuple[pa.Schema, int]":
        """The columns and the count of rows; a stream has to be read for that."""
        with self._reader() as batches:
            schema = next(batches)
            return schema, sum(batch.num_rows for batch in batches)

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self._facts[1]

    def schema(self) -> "pa.Schema":
        """Its columns."""
        return self._facts[0]

    def tables(self) -> "Iterator[pa.Table]":
        """Its rows, in order."""
        import pyarrow as pa  # noqa: PLC0415

        done = 0
        with self._reader() as batches:
            next(batches)
            for batch in batches:
                step = _piece_rows(batch.nbytes, batch.num_rows)
                for start in range(0, batch.num_rows, step):
                    piece = batch.slice(start, step)
                    done += piece.num_rows
                    self._told(done, self.rows)
                    yield pa.Table.from_batches([piece])

    @contextmanager
    def _reader(self) -> "Generator[Iterator[Any]]":
        with self._open() as source:
            yield _batches(source)


def _batches(source: Any) -> "Iterator[Any]":
    """The schema, then each batch, of an Arrow file or stream."""
    import pyarrow as pa  # noqa: PLC0415

    start = source.read(6)
    source.seek(0)
    if start == b"ARROW1":
        file = pa.ipc.open_file(source)
        yield file.schema
        for number in range(file.num_record_batches):
            yield _whole(file.get_batch(number))
    else:
        stream = pa.ipc.open_stream(source)
        yield stream.schema
        yield from map(_whole, stream)


def _whole(batch: Any) -> Any:
    """The batch, if its offsets and indices stay inside of it: Arrow reads them as they are, and past the end."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        # A text that is not UTF-8 is told with its row and column, when the cells are taken.
        if "UTF8" not in str(error):
            raise
    return batch


def _unpacked(data: Unpacked) -> "pa.Buffer":
    """Packed bytes as they are unpacked: on disk, in a file without a name, which goes when nobody reads it any more.

    Raises:
        StorageError: ``disk-full``, when the folder for temporary files cannot hold them.
        InvalidInput: ``truncated-file``.
    """
    import pyarrow as pa  # noqa: PLC0415

    with translated(tempfile.gettempdir()), tempfile.TemporaryFile() as file:
        shutil.copyfileobj(data, file, _COPY_BYTES)
        file.flush()
        size = file.tell()
        found = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
    data.check()
    return pa.py_buffer(found)


def _piece_rows(size_bytes: int, rows: int) -> int:
    """How many rows to read at once, where so many take so many bytes; at least 1."""
    return max(1, min(_PIECE_ROWS, _PIECE_BYTES * rows // max(size_bytes, 1)))


def _cell_bytes(kind: Any) -> int:
    """What a cell takes in memory; of one without a fixed size, what is not known from its type left out."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_fixed_size_list(kind):
        return kind.list_size * _cell_bytes(kind.value_type)
    try:
        return -(-kind.bit_width // 8)
    except ValueError:
        return 0
