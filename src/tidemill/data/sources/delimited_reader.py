"""The batches of CSV and TSV files, by Arrow's streaming reader: some megabytes at a time, and what is wrong in words."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core.events import Progress, Sink
from tidemill.data.sources import delimited_faults, dialect
from tidemill.data.sources.looks import Looks
from tidemill.data.sources.missing import Missing
from tidemill.data.sources.paths import check_same_columns
from tidemill.data.sources.unpacking import Unpacked, read_ahead

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES = 2 * 1024 * 1024
UNNAMED = "index"
"""What a first column without a name is called: it is the index that pandas writes."""


class DelimitedReader:
    """Reads some columns of files with the same columns, as often as asked. A file that changed since is refused.

    Args:
        paths: The files.
        usual: What stands between the cells of a line, by the files' ending.
        delimiter: What stands there, where a person said so; None is found in the first lines.
        missing: Words that mean a missing cell, beside the empty one.
        sink: Is told how far it is.

    Attributes:
        rows: How many rows each file has, as far as they were read the last time.
    """

    def __init__(
        self, paths: Sequence[Path], usual: str, *, delimiter: str | None, missing: Missing, sink: Sink
    ) -> None:
        self.paths = list(paths)
        self.missing = missing
        self.rows: dict[Path, int] = {}
        self._usual = usual
        self._given = delimiter
        self._sink = sink
        self._identities: dict[Path, tuple[int, ...]] = {}
        self._block_bytes = _BLOCK_BYTES

    @cached_property
    def delimiter(self) -> str:
        """What stands between the cells of a line."""
        return self._given or dialect.delimiter_of(self.paths[0], self._usual)

    @cached_property
    def looks(self) -> Looks:
        """What the bytes that were read look like."""
        return Looks(self.delimiter)

    @cached_property
    def headers(self) -> list[list[str]]:
        """What each file calls its columns."""
        found = [delimited_faults.header(path, self.delimiter) for path in self.paths]
        for path, names in zip(self.paths[1:], found[1:], strict=True):
            check_same_columns(self.paths[0].name, found[0], path.name, names, line=1)
        return found

    @cached_property
    def names(self) -> list[str]:
        """What the columns are called here."""
        first, *others = self.headers[0]
        return [first or (UNNAMED if others and UNNAMED not in others else first), *others]

    def batches(
        self, doing: str | None, names: Sequence[str], whole: "Mapping[str, pa.DataType] | None" = None
    ) -> "Iterator[tuple[Path, int, pa.RecordBatch]]":
        """The batches of all files, each with its file and the number of its first row there.

        Args:
            doing: What for, so that progress of one name never goes back: ``Reading``, before the file's name. None of who reads
                the beginning only.
            names: The columns.
            whole: The type of those that Arrow reads as whole numbers; all others are read as text.
        """
        self.rows = {}
        for path in self.paths:
            start = 0
            for batch in self._file(doing, path, names, whole or {}):
                yield path, start, batch
                start += batch.num_rows
                self.rows[path] = start

    def _file(
        self, doing: str | None, path: Path, names: Sequence[str], whole: "Mapping[str, pa.DataType]"
    ) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa  # noqa: PLC0415

        given = told = 0
        while True:
            passed = 0
            try:
                for batch, done, size in self._blocks(path, names, whole):
                    told = max(told, done)
                    if doing is not None:
                        self._sink(Progress(f"{doing} {path.name}", told, size, "bytes"))
                    # After a second start, what was given already is passed over.
                    fresh = batch.slice(min(max(given - passed, 0), batch.num_rows))
                    passed += batch.num_rows
                    given = max(given, passed)
                    if fresh.num_rows:
                        yield fresh
                return
            except pa.ArrowInvalid as error:
                if "straddling" not in str(error):
                    raise
                # A line is longer than a block, or a quote is never closed.
                delimited_faults.check_quotes(path, self.delimiter)
                self._block_bytes *= 8

    def _blocks(
        self, path: Path, names: Sequence[str], whole: "Mapping[str, pa.DataType]"
    ) -> "Iterator[tuple[pa.RecordBatch, int, int]]":
        """Each batch, and how many bytes of how many were read by then."""
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import csv  # noqa: PLC0415

        header = self.headers[0]
        called = dict(zip(self.names, header, strict=True))
        alone = len(header) == 1
        with Unpacked(path, self._identities.get(path), watch=self.looks.see) as data:
            self._identities.setdefault(path, data.identity)
            try:
                reader_of = partial(
                    csv.open_csv,
                    read_options=csv.ReadOptions(
                        block_size=self._block_bytes,
                        skip_rows=delimited_faults.blank_lines(path) if alone else 0,
                    ),
                    parse_options=csv.ParseOptions(
                        delimiter=self.delimiter,
                        newlines_in_values=True,
                        # Where there is one column, an empty line is a missing cell.
                        ignore_empty_lines=not alone,
                    ),
                    convert_options=csv.ConvertOptions(
                        column_types={called[n]: whole.get(n, pa.string()) for n in names},
                        include_columns=[called[n] for n in names],
                        null_values=[""],
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                    ),
                )
                for batch in read_ahead(data, reader_of):
                    yield self._renamed(batch, names), data.done_bytes, data.size_bytes
            except pa.ArrowInvalid:
                delimited_faults.check(path, self.delimiter, data)
                raise
            delimited_faults.check(path, self.delimiter, data)
            if data.quotes % 2:
                # The fast reader takes a quote that is never closed for a value that reaches to the file's end.
                delimited_faults.check_quotes(path, self.delimiter)

    def _renamed(self, batch: "pa.RecordBatch", names: Sequence[str]) -> "pa.RecordBatch":
        """A batch with the columns' names here, and without the words that mean missing."""
        import pyarrow as pa  # noqa: PLC0415

        if not self.missing and batch.schema.names == list(names):
            return batch
        arrays = [
            self.missing.applied(name, array) if pa.types.is_string(array.type) else array
            for name, array in zip(names, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, names=list(names))

    def fault(self, arrow_says: str) -> Exception:
        """The first thing that is wrong in the files, in words."""
        return delimited_faults.first_fault(self.paths, self.delimiter, arrow_says)
