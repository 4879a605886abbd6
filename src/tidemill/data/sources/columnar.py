"""Parquet and Arrow files: their types are the columns' types."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
from tidemill.core.events import Progress, Sink
from tidemill.data.sources.paths import name_of
from tidemill.data.sources.typed import Typed
from tidemill.data.sources.unpacking import Unpacked

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE_ROWS = 65_536


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
                    yield pa.BufferReader(data.readall())
                else:
                    yield pa.OSFile(str(self._path))
            except (pa.ArrowInvalid, OSError) as error:
                data.check()
                raise InvalidInput(
                    f"{self.name}: this is not readable as {self.kind}.",
                    why=str(error).splitlines()[0],
                    hint="The file may be cut short or damaged: get or write it again.",
                    code="unreadable-file",
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
            for batch in file.iter_batches(_PIECE_ROWS):
                done += batch.num_rows
                self._told(done, self.rows)
                yield pa.Table.from_batches([batch])


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
                done += batch.num_rows
                self._told(done, self.rows)
                yield pa.Table.from_batches([batch])

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
            yield file.get_batch(number)
    else:
        stream = pa.ipc.open_stream(source)
        yield stream.schema
        yield from stream
