"""CSV and TSV: files read by Arrow's streaming reader, some megabytes at a time."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core.events import Progress, Sink, silent
from tidemill.data.sources import delimited_faults
from tidemill.data.sources.narrowing import LARGE, PlainNarrowing, TensorNarrowing
from tidemill.data.sources.paths import check_same_columns, name_of
from tidemill.data.sources.source import Group, Place
from tidemill.data.sources.unpacking import Unpacked

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES = 2 * 1024 * 1024
_KEPT_BYTES = 256 * 1024 * 1024
"""Parsed rows that are kept from finding the types to reading, so that a file of usual size is read once."""


class Delimited:
    """One or more CSV or TSV files with the same columns, as one source.

    Args:
        paths: The files.
        delimiter: Between the cells of a line.
        sink: Is told how far it is.
    """

    how = "found in the cells"
    sparse = False

    def __init__(self, paths: Sequence[Path], delimiter: str = ",", sink: Sink = silent) -> None:
        self.name = name_of(paths)
        self._paths = list(paths)
        self._delimiter = delimiter
        self._sink = sink
        self._identities: dict[Path, tuple[int, ...]] = {}
        self._block_bytes = _BLOCK_BYTES
        self._kept: list[pa.RecordBatch] | None = None

    @cached_property
    def _headers(self) -> list[list[str]]:
        found = [delimited_faults.header(path, self._delimiter) for path in self._paths]
        for path, names in zip(self._paths[1:], found[1:], strict=True):
            check_same_columns(self._paths[0].name, found[0], path.name, names, line=1)
        return found

    @property
    def head(self) -> Place:
        """The first file's first line."""
        return Place(self._paths[0].name, "line", 1)

    def fields(self) -> "Sequence[pa.Field]":
        """The columns; all types are to be found."""
        import pyarrow as pa  # noqa: PLC0415

        return [pa.field(name, pa.null()) for name in self._headers[0]]

    def types(self, groups: Sequence[Group], fixed: "Mapping[str, pa.DataType]") -> "dict[str, pa.DataType]":
        """The type of each source column of the groups: the narrowest that every cell fits."""
        import pyarrow as pa  # noqa: PLC0415

        unsure = [g for g in groups if g.known is not None]
        new = [g for g in groups if g.known is None]
        guess = {s: pa.uint8() for g in new if g.tensor for s in g.sources}
        known = {s: g.known for g in unsure for s in g.sources if g.known is not None}
        try:
            found, large = self._first_reading({**fixed, **guess, **known})
        except pa.ArrowInvalid:
            # Either a file is wrong, or a guess was, made from the first block or for a tensor.
            found, large, unsure = {}, set(), list(groups)
        else:
            unsure = [g for g in new if any(s in large for s in g.sources)]
        if unsure:
            found.update(self._narrowed(unsure))
            if self._kept and any(self._kept[0].schema.field(n).type != t for n, t in found.items()):
                self._kept = None
        return {s: found[s] for g in groups for s in g.sources}

    def pieces(self, types: "Mapping[str, pa.DataType]") -> "Iterator[pa.Table]":
        """All rows, in order, with exactly the columns of ``fields`` in these types."""
        import pyarrow as pa  # noqa: PLC0415

        kept = self._kept
        if kept and all(kept[0].schema.field(n).type == t for n, t in types.items()):
            self._kept = None
            while kept:
                yield pa.Table.from_batches([kept.pop(0)])
            return
        try:
            for batch in self._batches(dict(types)):
                yield pa.Table.from_batches([batch])
        except pa.ArrowInvalid as error:
            raise self._fault(str(error), types) from error

    def place(self, row: int) -> Place:
        """Where a row is."""
        for path in self._paths:
            count = sum(1 for _ in delimited_faults.records(path, self._delimiter)) - 1
            if row < count:
                return delimited_faults.place(path, self._delimiter, row)
            row -= count
        raise AssertionError(row)

    def _first_reading(self, types: "dict[str, pa.DataType]") -> "tuple[dict[str, pa.DataType], set[str]]":
        """What Arrow finds, and which columns hold whole numbers that are too large for what it found."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        kept: list[pa.RecordBatch] | None = []
        large: set[str] = set()
        found: dict[str, pa.DataType] = {}
        size = 0
        for batch in self._batches(types):
            found = {f.name: f.type for f in batch.schema}
            for name in (n for n, t in found.items() if n not in types and t == pa.float64()):
                if name not in large and (pc.max(pc.abs(batch.column(name))).as_py() or 0) >= LARGE:
                    large.add(name)
            size += batch.nbytes
            kept = [*kept, batch] if kept is not None and size <= _KEPT_BYTES else None
        # A column without a cell is a column of texts.
        empty = {n: pa.string() for n, t in found.items() if pa.types.is_null(t)}
        self._kept = None if empty else kept
        return found | empty, large

    def _narrowed(self, groups: Sequence[Group]) -> "dict[str, pa.DataType]":
        """Another reading, with the groups' cells as text, for where Arrow's own inference will not do."""
        import pyarrow as pa  # noqa: PLC0415

        texts = {s: pa.string() for g in groups for s in g.sources}
        seen = [TensorNarrowing(g.known) if g.tensor else PlainNarrowing(g.known) for g in groups]
        try:
            for batch in self._batches(texts, list(texts)):
                for group, narrowing in zip(groups, seen, strict=True):
                    for source in group.sources:
                        narrowing.see(batch.column(source))
        except pa.ArrowInvalid as error:
            raise self._fault(str(error), texts) from error
        return {s: n.found() for g, n in zip(groups, seen, strict=True) for s in g.sources}

    def _batches(
        self, types: "dict[str, pa.DataType]", only: Sequence[str] | None = None
    ) -> "Iterator[pa.RecordBatch]":
        """The batches of all files; the first block of the first file gives the types that are not given."""
        for path in self._paths:
            for batch in self._file(path, types, only or self._headers[0]):
                types = types | {f.name: f.type for f in batch.schema}
                yield batch

    def _file(
        self, path: Path, types: "dict[str, pa.DataType]", columns: Sequence[str]
    ) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa  # noqa: PLC0415

        given = 0
        while True:
            passed = 0
            try:
                for batch in self._blocks(path, types, columns):
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
                delimited_faults.check_quotes(path, self._delimiter)
                self._block_bytes *= 8

    def _blocks(
        self, path: Path, types: "dict[str, pa.DataType]", columns: Sequence[str]
    ) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import csv  # noqa: PLC0415

        with Unpacked(path, self._identities.get(path)) as data:
            self._identities.setdefault(path, data.identity)
            try:
                reader = csv.open_csv(
                    data,
                    read_options=csv.ReadOptions(block_size=self._block_bytes),
                    parse_options=csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
                    convert_options=csv.ConvertOptions(
                        column_types={n: t for n, t in types.items() if n in columns},
                        include_columns=columns,
                        null_values=[""],
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                    ),
                )
                for batch in reader:
                    self._sink(Progress(f"Reading {path.name}", data.done_bytes, data.size_bytes, "bytes"))
                    yield batch
            except pa.ArrowInvalid:
                delimited_faults.check(path, self._delimiter, data)
                raise
            delimited_faults.check(path, self._delimiter, data)
            if data.quotes % 2:
                # The fast reader takes a quote that is never closed for a value that reaches to the file's end.
                delimited_faults.check_quotes(path, self._delimiter)

    def _fault(self, arrow_says: str, types: "Mapping[str, pa.DataType]") -> Exception:
        names = self._headers[0]
        kinds = {n: str(types.get(n, "text")) for n in names}
        return delimited_faults.first_fault(self._paths, self._delimiter, arrow_says, kinds)
