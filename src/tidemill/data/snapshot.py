"""A dataset at one commit, to be read: whole, by rows, or fragment by fragment. Never changes."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes, identity
from tidemill.core.errors import NotFound
from tidemill.core.names import Digest, did_you_mean
from tidemill.data import deletions, export
from tidemill.data.bad_conditions import bad_condition
from tidemill.data.commits import Commit
from tidemill.data.id_files import IdFile
from tidemill.data.lance_table import LanceTable, ordered, translated
from tidemill.data.pieces import Piece, pieces_of
from tidemill.store import damage
from tidemill.store.table import ID, SYSTEM_COLUMNS, Table

if TYPE_CHECKING:
    import lance
    import numpy as np
    import pyarrow as pa


_ID_FIELD = 0
_PICK_BYTES = 1600
"""To pick one row from where it lies costs as much as reading so many bytes of rows in order (measured)."""


class Fragment:
    """Some rows of a snapshot, that were written together.

    Attributes:
        number: Its id in the table, at this commit.
        files: The data files that it is made of.
        deletion_file: What names the rows that left it; None when all are there.
        rows: How many are still there at this commit.
        stored_rows: How many its data files hold, those that left it too.
        size_bytes: Of its data files.
        lacking: The columns of this commit that none of its data files has: their cells are missing. A file may have
            cells of a column that was dropped, and of none that came later by the same name.
    """

    def __init__(
        self, table: LanceTable, inner: Any, schema: "pa.Schema", numbers: "Mapping[str, frozenset[int]]"
    ) -> None:
        self._table = table
        self._inner = inner
        self._schema = schema
        self.number: int = inner.fragment_id
        self.files: tuple[str, ...] = tuple(d.path for d in inner.data_files())
        self.deletion_file: str | None = inner.deletion_file()
        self.rows: int = inner.count_rows()
        self.stored_rows = int(inner.physical_rows)
        self.size_bytes = sum(d.file_size_bytes or 0 for d in inner.metadata.files)
        stored = {number for file in inner.metadata.files for number in file.fields}
        self.lacking: tuple[str, ...] = tuple(n for n in schema.names if not numbers[n] & stored)

    def __repr__(self) -> str:
        return f"Fragment({self.files[0]}, {self.rows} rows)"

    @cached_property
    def digest(self) -> Digest:
        """Names its data files and the columns read from them, not its deletions: rows only ever leave a digest."""
        shape: list[identity.Value] = [[f.name, str(f.type), _metadata(f)] for f in self._schema]
        files: list[identity.Value] = [[d.path, list(d.fields)] for d in self._inner.metadata.files]
        lacking: list[identity.Value] = [list(self.lacking)] if self.lacking else []
        return identity.value(["fragment", files, shape, *lacking])

    @property
    def stored(self) -> frozenset[str]:
        """The columns of this commit that its data files have."""
        return frozenset(self._schema.names) - frozenset(self.lacking)

    @cached_property
    def deleted(self) -> "np.ndarray[Any, Any]":
        """The offsets in its data files of the rows that left it, ascending; uint32."""
        import numpy as np  # noqa: PLC0415

        if self.deletion_file is None:
            return np.zeros(0, np.uint32)
        name = self.deletion_file.rpartition("/")[2]
        found = self._table.files.bytes_of(f"_deletions/{name}")
        with damage.reading(f"The file {name} of {self._table.uri}"):
            return deletions.read(name, found)

    def ids(self) -> "np.ndarray[Any, Any]":
        """The ``_id`` of each live row, in order; uint64."""
        return self.read([ID]).numpy(ID)

    def check(self) -> None:
        """See that its data files are as they were written.

        Raises:
            StorageError: ``store-damaged``.
        """
        self._table.check_data(self.files)

    def read(self, columns: Sequence[str] | None = None) -> Table:
        """The live rows, in order."""
        self.check()
        with translated(self._table.uri):
            return Table(self._inner.to_table(columns=list(columns or self._schema.names)))

    def find(self, wanted: "np.ndarray[Any, Any]") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """Which of these ids are live here, and where, without reading a column.

        Args:
            wanted: Distinct ids, ascending; uint64.

        Returns:
            Positions in ``wanted``, and offsets in the data files; as long as each other, in no order.
        """
        import numpy as np  # noqa: PLC0415

        positions, offsets = self.find_all(wanted)
        if not len(offsets) or self.deletion_file is None:
            return positions, offsets
        live = ~np.isin(offsets, self.deleted)
        return positions[live], offsets[live]

    def find_all(self, wanted: "np.ndarray[Any, Any]") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """As ``find``, also among the rows that left and are in the data files still."""
        return self._ids.find(wanted)

    @property
    def live(self) -> "np.ndarray[Any, Any]":
        """The offsets in the data files of the live rows, ascending; uint32."""
        import numpy as np  # noqa: PLC0415

        return np.setdiff1d(np.arange(len(self._ids.ids), dtype=np.uint32), self.deleted, assume_unique=True)

    def ids_at(self, offsets: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """The ``_id``s of the rows at these offsets in the data files, live or not; no column is read."""
        return self._ids.ids[offsets]

    def within(self, first: "np.ndarray[Any, Any]", last: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """The offsets in the data files of the live rows whose ``_id``s are in these ranges; see ``IdFile.within``."""
        import numpy as np  # noqa: PLC0415

        offsets = self._ids.within(first, last)
        return offsets if self.deletion_file is None else offsets[~np.isin(offsets, self.deleted)]

    def take(self, offsets: "np.ndarray[Any, Any]", columns: Sequence[str]) -> "pa.Table":
        """The live rows at these offsets in the data files, which must ascend."""
        import pyarrow as pa  # noqa: PLC0415

        if not len(offsets):
            return pa.schema([self._schema.field(name) for name in columns]).empty_table()
        self.check()
        with translated(self._table.uri):
            positions = self.positions(offsets)
            if self.scattered(positions):
                return self._inner.take(positions.tolist(), columns=list(columns))
            first, span = int(positions[0]), int(positions[-1] - positions[0]) + 1
            between = self._inner.to_table(columns=list(columns), offset=first, limit=span)
            return between.take(pa.array(positions - first))

    def positions(self, offsets: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """The place of each of these live rows among the live rows."""
        import numpy as np  # noqa: PLC0415

        return offsets - np.searchsorted(self.deleted, offsets)

    def scattered(self, positions: "np.ndarray[Any, Any]") -> bool:
        """Whether it costs less to pick these rows, which ascend, than to read all between the first and the last."""
        span = int(positions[-1] - positions[0]) + 1
        return len(positions) * _PICK_BYTES < span * self._row_bytes

    @cached_property
    def _row_bytes(self) -> int:
        sizes = [d.file_size_bytes or _PICK_BYTES for d in self._inner.metadata.files]
        return sum(sizes) // max(self._inner.physical_rows, 1)

    @cached_property
    def _ids(self) -> IdFile:
        # `_id` comes first in every new dataset, so it is the field with number 0.
        file = next(d.path for d in self._inner.data_files() if _ID_FIELD in d.fields)
        return self._table.id_files.of(file, self.stored_rows, lambda: self._table.file_ids(file))


class Snapshot:
    """A dataset at one commit.

    Attributes:
        table: Where it lies.
        commit: The commit.
        dataset: The dataset's name.
        rows: How many there are.
    """

    def __init__(self, table: LanceTable, commit: Commit) -> None:
        self.table = table
        self.commit = commit
        self.dataset = commit.dataset
        self.rows = commit.rows

    def __repr__(self) -> str:
        return f"Snapshot({self.dataset}@{self.commit.id}, {self.rows} rows)"

    @cached_property
    def _opened(self) -> "lance.LanceDataset":
        return self.table.open_whole(self.commit.version, self.commit.id)

    def check(self) -> None:
        """See that all files that its rows lie in are as they were written.

        Raises:
            StorageError: ``store-damaged``.
        """
        self._check(self._fragments)

    def wrong_files(self, *, again: bool = False) -> dict[str, bool]:
        """The files, by key below the dataset's folder, that are not as they were written, and whether each is gone.

        Args:
            again: Read through those too that did not change since this machine looked at them.

        Raises:
            StorageError: ``store-damaged``, when what says which files there are is damaged.
        """
        table = self.table
        keys = [key.removeprefix(f"{table.prefix}/") for key in table.holds(self.commit.version)]
        return table.files.wrong(table.files.known(keys), again=again)

    def _check(self, fragments: Iterable[Fragment]) -> None:
        self.table.check_data((file for f in fragments for file in f.files), self.commit.id)

    @cached_property
    def schema(self) -> "pa.Schema":
        """The columns' types, system columns too."""
        return ordered(self._opened.schema)

    @property
    def columns(self) -> list[str]:
        """The user's columns, in order."""
        return [n for n in self.schema.names if n not in SYSTEM_COLUMNS]

    def fragments(self) -> list[Fragment]:
        """The pieces that the rows lie in, in order."""
        return list(self._fragments)

    @cached_property
    def _fragments(self) -> tuple[Fragment, ...]:
        return _fragments(self.table, self._opened, self.schema)

    @cached_property
    def _starts(self) -> dict[int, int]:
        """The place of each fragment's first live row among all."""
        starts = itertools.accumulate((f.rows for f in self._fragments), initial=0)
        return {f.number: start for f, start in zip(self._fragments, starts, strict=False)}

    def ids(self) -> "np.ndarray[Any, Any]":
        """The ``_id`` of each row, in order; uint64."""
        return self.read([ID]).numpy(ID)

    def read(self, columns: Sequence[str] | None = None, ids: "Iterable[int] | None" = None) -> Table:
        """The rows, in the snapshot's order.

        Args:
            columns: Only these; None is all, system columns too.
            ids: Only the rows with these ``_id``s; one that is not there is left out.

        Raises:
            NotFound: ``column-not-found``.
        """
        there = self.schema.names
        names = list(columns) if columns is not None else there
        known = frozenset(there)
        for name in names:
            if name not in known:
                raise NotFound(
                    f"Dataset '{self.dataset}' has no column '{name}'.",
                    hint=did_you_mean(name, self.columns),
                    code=codes.COLUMN_NOT_FOUND,
                )
        if ids is None:
            self.check()
            with translated(self.table.uri):
                return Table(self._opened.to_table(columns=names))
        import numpy as np  # noqa: PLC0415

        return self.rows_at([(f, np.sort(offsets)) for f, _, offsets in self._find(ids)], names)

    def rows_at(
        self, wanted: "Sequence[tuple[Fragment, np.ndarray[Any, Any]]]", columns: Sequence[str] | None = None
    ) -> Table:
        """The live rows at these offsets of fragments, which must ascend in each; None is all columns."""
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        names = list(columns or self.schema.names)
        wanted = [(fragment, offsets) for fragment, offsets in wanted if len(offsets)]
        self._check(fragment for fragment, _ in wanted)
        places = [(fragment, fragment.positions(offsets)) for fragment, offsets in wanted]
        if len(places) > 1 and all(fragment.scattered(rows) for fragment, rows in places):
            # All at once: the fragments are read beside each other.
            rows = np.concatenate([self._starts[fragment.number] + rows for fragment, rows in places])
            with translated(self.table.uri):
                return Table(self._opened.take(rows.tolist(), columns=names))
        found = [fragment.take(offsets, names) for fragment, offsets in wanted]
        return Table(pa.concat_tables([self._part_of_schema(names).empty_table(), *found]))

    def first(self, rows: int) -> Table:
        """The first rows, in the snapshot's order; no more is read than they need."""
        starts = self._starts
        self._check(f for f in self._fragments if starts[f.number] < rows)
        with translated(self.table.uri):
            return Table(self._opened.head(rows, columns=self.schema.names))

    def has(self, ids: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Which of these ``_id``s (distinct, uint64) are there: bool, one for each."""
        import numpy as np  # noqa: PLC0415

        order = np.argsort(ids)
        there = np.zeros(len(ids), bool)
        for _, positions, _ in self._find(ids):
            there[order[positions]] = True
        return there

    def locate(self, ids: "np.ndarray[Any, Any]") -> "dict[int, np.ndarray[Any, Any]]":
        """Where the rows with these ``_id``s lie: fragment number to offsets in its data files, ascending."""
        import numpy as np  # noqa: PLC0415

        return {fragment.number: np.sort(offsets) for fragment, _, offsets in self._find(ids)}

    def where(self, condition: str) -> "np.ndarray[Any, Any]":
        """The ``_id``s of the rows that an SQL condition holds for, in order; uint64.

        Args:
            condition: Over the columns, such as ``label = 7 and weight is null``.

        Raises:
            InvalidInput: ``invalid-where``.
        """
        self.check()
        try:
            return self._opened.to_table(columns=[ID], filter=condition).column(ID).to_numpy()
        except (ValueError, OSError, RuntimeError) as error:
            raise bad_condition(condition, str(error), self.schema) from error

    def write_csv(self, path: Path, *, ids: bool = False) -> int:
        """Write the rows as CSV; a tensor unfolds into its columns, numbered from 1.

        What was at ``path`` is replaced when all is written. Importing the file again changes nothing; without ``ids``,
        only where ``naming.names_itself``. With ``ids``, a cell that was edited in it is imported as a change of its row even
        where there is no key.

        Returns:
            The rows written.

        Raises:
            StorageError: ``storage``.
        """
        names = [*([ID] if ids else []), *self.columns]
        export.write_csv(path, self._part_of_schema(names), self._pieces(names))
        return self.rows

    def write_parquet(self, path: Path, *, ids: bool = True) -> int:
        """Write the rows as Parquet; a tensor is a fixed-size list. ``ids`` includes the system columns.

        Returns:
            The rows written.

        Raises:
            StorageError: ``storage``.
        """
        names = [n for n in self.schema.names if ids or n not in SYSTEM_COLUMNS]
        export.write_parquet(path, self._part_of_schema(names), self._pieces(names))
        return self.rows

    def write_arrow(self, path: Path, *, ids: bool = True) -> int:
        """Write the rows as an Arrow file, as ``write_parquet`` does."""
        names = [n for n in self.schema.names if ids or n not in SYSTEM_COLUMNS]
        export.write_arrow(path, self._part_of_schema(names), self._pieces(names))
        return self.rows

    def write_json_lines(self, path: Path, *, ids: bool = False) -> int:
        """Write the rows as JSON lines, as ``write_csv`` does."""
        names = [*([ID] if ids else []), *self.columns]
        export.write_json_lines(path, self._part_of_schema(names), self._pieces(names))
        return self.rows

    def made_of(self) -> "tuple[Any, list[Piece]]":
        """What a version with these rows is made of: Lance's own schema, and its fragments."""
        return self._opened.lance_schema, pieces_of(self.table, self._opened)

    def every_row(self, fragment: Fragment) -> "pa.Table":
        """The rows of a fragment in its data files' order, those that left it too."""
        self._check([fragment])
        with translated(self.table.uri):
            found = self._opened.scanner(
                columns=self.schema.names,
                fragments=[self._opened.get_fragment(fragment.number)],
                include_deleted_rows=True,
                with_row_id=True,
            ).to_table()
        return found.select(self.schema.names)

    def _part_of_schema(self, names: list[str]) -> "pa.Schema":
        import pyarrow as pa  # noqa: PLC0415

        return pa.schema([self.schema.field(n) for n in names])

    def _pieces(self, names: list[str]) -> "Iterator[pa.Table]":
        return (fragment.read(names).to_arrow() for fragment in self.fragments())

    def _find(
        self, ids: "Iterable[int]"
    ) -> "Iterator[tuple[Fragment, np.ndarray[Any, Any], np.ndarray[Any, Any]]]":
        """Each fragment that has some of these ids: which of the distinct ones, ascending, and their offsets."""
        import numpy as np  # noqa: PLC0415

        given = ids if isinstance(ids, np.ndarray) else np.fromiter(ids, np.uint64)
        wanted = np.unique(given.astype(np.uint64, copy=False))
        for fragment in self._fragments if len(wanted) else ():
            positions, offsets = fragment.find(wanted)
            if len(offsets):
                yield fragment, positions, offsets


def fragments_of(table: LanceTable, version: int) -> tuple[Fragment, ...]:
    """The pieces that a version is made of, which need not be a commit."""
    opened = table.open_whole(version)
    return _fragments(table, opened, ordered(opened.schema))


def _fragments(table: LanceTable, opened: "lance.LanceDataset", schema: "pa.Schema") -> tuple[Fragment, ...]:
    with translated(table.uri):
        numbers = {field.name(): frozenset(_numbers(field)) for field in opened.lance_schema.fields()}
        return tuple(Fragment(table, inner, schema, numbers) for inner in opened.get_fragments())


def _numbers(field: Any) -> Iterator[int]:
    """The numbers by which data files know a column: its own, and those of what it is made of."""
    yield field.id()
    for part in field.children():
        yield from _numbers(part)


def _metadata(field: "pa.Field") -> list[identity.Value]:
    return [[k, v] for k, v in sorted((field.metadata or {}).items())]
