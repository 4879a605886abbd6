"""CSV and TSV: files read by Arrow's streaming reader, some megabytes at a time, each cell as its text says it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.events import Sink, silent
from tidemill.data.sources import delimited_faults, dialect
from tidemill.data.sources.delimited_reader import UNNAMED, DelimitedReader
from tidemill.data.sources.missing import Missing
from tidemill.data.sources.narrowing import PlainNarrowing, TensorNarrowing, without_empty
from tidemill.data.sources.noticing import Noticed
from tidemill.data.sources.paths import name_of
from tidemill.data.sources.source import Group, Note, Place
from tidemill.data.spelling import exact, first_loss, loose

if TYPE_CHECKING:
    import pyarrow as pa

_KEPT_BYTES = 256 * 1024 * 1024
"""Parsed rows that are kept from finding the types to reading, so that a file of usual size is read once."""


class Delimited:
    """One or more CSV or TSV files with the same columns, as one source.

    Args:
        paths: The files.
        usual: What stands between the cells of a line, by the files' ending.
        sink: Is told how far it is.
        delimiter: What stands there, where a person said so; None is found in the first lines.
        missing: Words that mean a missing cell, beside the empty one.
    """

    how = "found in the cells"
    sparse = False

    def __init__(
        self,
        paths: Sequence[Path],
        usual: str = ",",
        sink: Sink = silent,
        *,
        delimiter: str | None = None,
        missing: Missing | None = None,
    ) -> None:
        self.name = name_of(paths)
        self.spellings: dict[str, str] = {}
        self._usual = usual
        self._given = delimiter
        self._reader = DelimitedReader(
            paths, usual, delimiter=delimiter, missing=missing or Missing(), sink=sink
        )
        self._kept: list[pa.RecordBatch] | None = None
        self._found: list[Note] = []

    @property
    def head(self) -> Place:
        """The first file's first line."""
        return Place(self._reader.paths[0].name, "line", 1)

    @property
    def notes(self) -> Sequence[Note]:
        """How the cells are separated and an unnamed column is named, where that was not said; and what the cells say."""
        found = list(self._found)
        if self._reader.names[0] != self._reader.headers[0][0]:
            text = f"The first column of {self.head.file} has no name: it is imported as '{UNNAMED}'."
            found.insert(0, Note("unnamed-column", UNNAMED, text))
        if self._given is None and self._reader.delimiter != self._usual:
            mark = dialect.DELIMITERS[self._reader.delimiter]
            text = f"The cells of {self.head.file} are separated by {mark}, as its first lines show."
            found.insert(0, Note("delimiter", None, text))
        return found

    def fields(self) -> "Sequence[pa.Field]":
        """The columns; all types are to be found."""
        import pyarrow as pa  # noqa: PLC0415

        self._reader.missing.check(self._reader.names)
        return [pa.field(name, pa.null()) for name in self._reader.names]

    def types(self, groups: Sequence[Group], fixed: "Mapping[str, pa.DataType]") -> "dict[str, pa.DataType]":
        """The type of each source column of the groups: the first that takes every cell exactly."""
        import pyarrow as pa  # noqa: PLC0415

        noticed = [Noticed(group.sources[0]) for group in groups]
        guess = self._guessed(groups, noticed)
        try:
            unsure = self._first_reading(groups, guess | dict(fixed), noticed)
        except pa.ArrowInvalid:
            # Either a file is wrong, or a guess was, made from the first block.
            unsure = list(range(len(groups)))
        if unsure:
            guess |= self._narrowed(groups, unsure, noticed)
            if self._kept and any(self._kept[0].schema.field(n).type != t for n, t in guess.items()):
                self._kept = None
        self._note(groups, guess, noticed)
        return {s: guess[s] for g in groups for s in g.sources}

    def pieces(self, types: "Mapping[str, pa.DataType]", given: Collection[str] = ()) -> "Iterator[pa.Table]":
        """All rows, in order, with exactly the columns of ``fields`` in these types."""
        import pyarrow as pa  # noqa: PLC0415

        kept, self._kept = self._kept, None
        if kept and not given and all(kept[0].schema.field(n).type == t for n, t in types.items()):
            while kept:
                yield pa.Table.from_batches([kept.pop(0)]).select(list(types))
            return
        whole = self._fast([n for n in types if n not in given], types)
        yielded = 0
        try:
            for path, start, batch in self._reader.batches("Reading", list(types), whole):
                yield pa.Table.from_batches([self._converted(path, start, batch, types, given)])
                yielded += batch.num_rows
        except pa.ArrowInvalid as error:
            if not whole:
                raise self._reader.fault(str(error)) from error
        else:
            if whole and self._reader.looks.suspicious:
                self._check(list(whole), types)
            return
        # A cell is no whole number: refused with its place, unless it is an empty text in quotes, which is missing.
        yield from self._read_as_text(types, given, yielded)

    def _read_as_text(
        self, types: "Mapping[str, pa.DataType]", given: Collection[str], passed: int
    ) -> "Iterator[pa.Table]":
        """What ``pieces`` gives but for its first ``passed`` rows, each cell read as text first."""
        import pyarrow as pa  # noqa: PLC0415

        try:
            for path, start, batch in self._reader.batches("Reading again", list(types)):
                converted = self._converted(path, start, batch, types, given)
                if batch.num_rows > passed:
                    yield pa.Table.from_batches([converted.slice(passed)])
                passed = max(passed - batch.num_rows, 0)
        except pa.ArrowInvalid as error:
            raise self._reader.fault(str(error)) from error

    def place(self, row: int) -> Place:
        """Where a row is."""
        for path in self._reader.paths:
            count = sum(1 for _ in delimited_faults.records(path, self._reader.delimiter)) - 1
            if row < count:
                return delimited_faults.place(path, self._reader.delimiter, row)
            row -= count
        raise AssertionError(row)

    def _guessed(self, groups: Sequence[Group], noticed: Sequence[Noticed]) -> "dict[str, pa.DataType]":
        """What the first block says of the types."""
        import pyarrow as pa  # noqa: PLC0415

        names = [s for g in groups for s in g.sources]
        if not names:
            # To Arrow, no name means every column.
            return {}
        try:
            _, _, batch = next(self._reader.batches(None, names))
        except StopIteration:
            return dict.fromkeys(names, pa.string())
        except pa.ArrowInvalid as error:
            raise self._reader.fault(str(error)) from error
        found: dict[str, pa.DataType] = {}
        for group, seen in zip(groups, noticed, strict=True):
            cells = [batch.column(source) for source in group.sources]
            if not group.tensor and group.known is None and exact(cells[0], pa.int64()) is not None:
                empty = cells[0].null_count == len(cells[0])
                found[group.sources[0]] = pa.null() if empty else pa.int64()
                continue
            narrowing = _narrowing(group)
            narrowing.see(_joined(cells), 0, batch.num_rows)
            self._check_numbers(group, narrowing)
            seen.decided = narrowing.decided
            found |= dict.fromkeys(group.sources, narrowing.found())
        return found

    def _first_reading(
        self, groups: Sequence[Group], types: "Mapping[str, pa.DataType]", noticed: Sequence[Noticed]
    ) -> list[int]:
        """All rows in these types, kept where they are not too many.

        Returns:
            The numbers of the groups that have a cell which is not exactly of that type.
        """
        import pyarrow as pa  # noqa: PLC0415

        names = self._reader.names
        kept: list[pa.RecordBatch] | None = []
        unsure: set[int] = set()
        whole = self._fast(names, types)
        others = [n for n in names if n in types and n not in {s for g in groups for s in g.sources}]
        size = start = 0
        for _, _, batch in self._reader.batches("Looking for the types in", names, whole):
            arrays: dict[str, Any] = {n: batch.column(n) for n in whole}
            for at, group in enumerate(groups):
                if group.sources[0] in whole or at in unsure:
                    continue
                cells = _joined([batch.column(s) for s in group.sources])
                kind = types[group.sources[0]]
                values = _noticed(cells, kind, noticed[at], start)
                if values is None:
                    unsure.add(at)
                    kept = None
                    continue
                arrays |= _parted(values, group.sources, batch.num_rows)
            for name in others if kept is not None else ():
                if name not in whole:
                    arrays[name] = _taken(batch.column(name), types[name])
            start += batch.num_rows
            if kept is not None and len(arrays) == len(names) and all(a is not None for a in arrays.values()):
                kept.append(pa.RecordBatch.from_arrays([arrays[n] for n in names], names=names))
                size += kept[-1].nbytes
                kept = kept if size <= _KEPT_BYTES else None
            else:
                kept = None
        if self._reader.looks.suspicious:
            # What was read fast may have lost something.
            unsure |= {at for at, group in enumerate(groups) if group.sources[0] in whole}
            kept = None if whole else kept
        empty = {at for at, g in enumerate(groups) if pa.types.is_null(types[g.sources[0]])}
        self._kept = None if empty else kept
        return sorted(unsure | empty)

    def _narrowed(
        self, groups: Sequence[Group], which: Sequence[int], noticed: list[Noticed]
    ) -> "dict[str, pa.DataType]":
        """Another reading, with these groups' cells as text, to hold every type against every cell."""
        import pyarrow as pa  # noqa: PLC0415

        names = [s for at in which for s in groups[at].sources]
        seen = {at: _narrowing(groups[at]) for at in which}
        start = 0
        try:
            for _, _, batch in self._reader.batches("Looking closer for the types in", names):
                for at, narrowing in seen.items():
                    narrowing.see(
                        _joined([batch.column(s) for s in groups[at].sources]), start, batch.num_rows
                    )
                start += batch.num_rows
            for at, narrowing in seen.items():
                self._check_numbers(groups[at], narrowing)
            found = {s: n.found() for at, n in seen.items() for s in groups[at].sources}
            for at, narrowing in seen.items():
                noticed[at] = Noticed(groups[at].sources[0])
                noticed[at].decided = narrowing.decided
            start = 0
            for _, _, batch in self._reader.batches("Looking for odd cells in", names):
                for at in which:
                    cells = _joined([batch.column(s) for s in groups[at].sources])
                    _noticed(cells, found[groups[at].sources[0]], noticed[at], start)
                start += batch.num_rows
        except pa.ArrowInvalid as error:
            raise self._reader.fault(str(error)) from error
        return found

    def _check_numbers(self, group: Group, narrowing: "PlainNarrowing | TensorNarrowing") -> None:
        """Refuse a cell of a tensor that is not exactly a number.

        Raises:
            InvalidInput: ``wrong-type``.
        """
        if isinstance(narrowing, TensorNarrowing) and narrowing.decided is not None:
            row, text, kind = narrowing.decided
            raise delimited_faults.wrong_type(self.place(row), group.sources[narrowing.column], text, kind)

    def _note(
        self, groups: Sequence[Group], types: "Mapping[str, pa.DataType]", noticed: Sequence[Noticed]
    ) -> None:
        self._found, self.spellings = [], {}
        for group, seen in zip(groups, noticed, strict=True):
            kind = types[group.sources[0]]
            self._found += seen.notes(kind, self._row)
            if seen.spelling is not None and not group.tensor:
                self.spellings[group.sources[0]] = seen.spelling

    def _row(self, row: int) -> str:
        """Words for where a row is, without reading the file once more."""
        for path in self._reader.paths:
            count = self._reader.rows[path]
            if row < count:
                return f"row {row + 1:,}" if len(self._reader.paths) == 1 else f"{path.name}, row {row + 1:,}"
            row -= count
        raise AssertionError(row)

    def _fast(self, names: Sequence[str], types: "Mapping[str, pa.DataType]") -> "dict[str, pa.DataType]":
        """The columns that Arrow may read as whole numbers at once, as nothing in the files speaks against it."""
        import pyarrow as pa  # noqa: PLC0415

        if self._reader.looks.suspicious or self._reader.missing:
            return {}
        return {n: types[n] for n in names if n in types and pa.types.is_integer(types[n])}

    def _converted(
        self,
        path: Path,
        start: int,
        batch: "pa.RecordBatch",
        types: "Mapping[str, pa.DataType]",
        given: Collection[str] = (),
    ) -> "pa.RecordBatch":
        """A batch in these types; ``start`` is the number of its first row in its file."""
        import pyarrow as pa  # noqa: PLC0415

        arrays: dict[str, Any] = {}
        alike: dict[Any, list[str]] = {}
        for name in batch.schema.names:
            if batch.column(name).type == types[name]:
                arrays[name] = batch.column(name)
            else:
                alike.setdefault((types[name], name in given), []).append(name)
        for (kind, by_value), names in alike.items():
            values = _taken(_joined([batch.column(n) for n in names]), kind, by_value=by_value)
            if values is not None:
                arrays |= _parted(values, names, batch.num_rows)
                continue
            for name in names:
                arrays[name] = _taken(batch.column(name), kind, by_value=by_value)
                if arrays[name] is None:
                    raise self._lossy(path, start, name, batch.column(name), kind, by_value=by_value)
        return pa.RecordBatch.from_arrays([arrays[n] for n in batch.schema.names], names=batch.schema.names)

    def _lossy(
        self, path: Path, start: int, name: str, texts: Any, kind: "pa.DataType", *, by_value: bool
    ) -> Exception:
        cells, _ = without_empty(texts)
        at = first_loss(cells, kind, loose if by_value else exact)
        place = delimited_faults.place(path, self._reader.delimiter, start + at)
        return delimited_faults.wrong_type(place, name, cells[at].as_py(), kind)

    def _check(self, names: Sequence[str], types: "Mapping[str, pa.DataType]") -> None:
        """Refuse a cell of these columns that is not exactly of their type.

        Raises:
            InvalidInput: ``wrong-type``.
        """
        import pyarrow as pa  # noqa: PLC0415

        try:
            for path, start, batch in self._reader.batches("Checking", list(names)):
                self._converted(path, start, batch, types)
        except pa.ArrowInvalid as error:
            raise self._reader.fault(str(error)) from error


def _narrowing(group: Group) -> "PlainNarrowing | TensorNarrowing":
    return TensorNarrowing(group.known) if group.tensor else PlainNarrowing(group.known)


def _noticed(cells: Any, kind: "pa.DataType", noticed: Noticed, start: int) -> Any:
    """Text cells as ``kind``, and what is to be told of them noted; None where one is not exactly of that type."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_null(kind):
        return pa.nulls(len(cells)) if cells.null_count == len(cells) else None
    if pa.types.is_string(kind):
        noticed.texts(cells, start)
        return cells
    full, empty = without_empty(cells)
    values = exact(full, kind)
    if values is None or (empty and cells.null_count):
        return None
    noticed.typed(full, kind, empty)
    # True and TRUE in one column cannot both be written again.
    return None if pa.types.is_boolean(kind) and noticed.mixed else values


def _taken(texts: Any, kind: "pa.DataType", *, by_value: bool = False) -> Any:
    """Text cells as ``kind``; None where one cannot be. An empty text is missing, but where the type is text."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_string(kind):
        return texts
    cells, _ = without_empty(texts)
    return (loose if by_value else exact)(cells, kind)


def _joined(cells: Sequence[Any]) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return cells[0] if len(cells) == 1 else pa.concat_arrays(cells)


def _parted(values: Any, names: Sequence[str], rows: int) -> dict[str, Any]:
    """What ``_joined`` joined, by column again."""
    return {name: values.slice(at * rows, rows) for at, name in enumerate(names)}
