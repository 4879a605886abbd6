"""A dataset at one commit, to be read: whole, by rows, or fragment by fragment. Never changes."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.core.errors import NotFound
from tidemill.core.names import Digest, nearest
from tidemill.data import export
from tidemill.data.commits import Commit
from tidemill.data.lance_table import LanceTable, translated
from tidemill.store.table import ID, SYSTEM_COLUMNS, Table

if TYPE_CHECKING:
    import lance
    import numpy as np
    import pyarrow as pa


class Fragment:
    """Some rows of a snapshot, that were written together.

    Attributes:
        digest: Names its data files and schema, not its deletions: rows only ever leave a digest.
        rows: How many are still there at this commit.
    """

    def __init__(self, folder_of: LanceTable, inner: Any, digest: Digest) -> None:
        self._table = folder_of
        self._inner = inner
        self.digest = digest
        self.number: int = inner.fragment_id
        self.rows: int = inner.count_rows()

    def __repr__(self) -> str:
        return f"Fragment({self.digest[:19]}, {self.rows} rows)"

    def ids(self) -> "np.ndarray[Any, Any]":
        """The ``_id`` of each live row, in order; uint64."""
        return self.read([ID]).numpy(ID)

    def read(self, columns: Sequence[str] | None = None) -> Table:
        """The live rows, in order."""
        with translated(self._table.folder):
            return Table(self._inner.to_table(columns=list(columns) if columns is not None else None))

    def offsets(self) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """The ``_id`` and the physical offset of each live row, in order; both uint64."""
        import numpy as np  # noqa: PLC0415

        with translated(self._table.folder):
            found = self._inner.scanner(columns=[ID], with_row_address=True).to_table()
        address = found["_rowaddr"].to_numpy()
        return found[ID].to_numpy(), address & np.uint64(0xFFFFFFFF)


class Snapshot:
    """A dataset at one commit."""

    def __init__(self, table: LanceTable, commit: Commit) -> None:
        self._table = table
        self.commit = commit
        self.dataset = commit.dataset
        self.rows = commit.rows

    def __repr__(self) -> str:
        return f"Snapshot({self.dataset}@{self.commit.id}, {self.rows} rows)"

    @cached_property
    def _opened(self) -> "lance.LanceDataset":
        return self._table.open(self.commit.version)

    @cached_property
    def schema(self) -> "pa.Schema":
        """The columns' types, system columns too."""
        return self._opened.schema

    @property
    def columns(self) -> list[str]:
        """The user's columns, in order."""
        return [n for n in self.schema.names if n not in SYSTEM_COLUMNS]

    def fragments(self) -> list[Fragment]:
        """The pieces that the rows lie in, in order."""
        shape: list[identity.Value] = [[f.name, str(f.type), _metadata(f)] for f in self.schema]
        with translated(self._table.folder):
            found = self._opened.get_fragments()
        return [
            Fragment(
                self._table,
                inner,
                identity.value(["fragment", [[d.path, list(d.fields)] for d in inner.metadata.files], shape]),
            )
            for inner in found
        ]

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
        names = list(columns) if columns is not None else self.schema.names
        for name in names:
            if name not in self.schema.names:
                close = nearest(name, self.schema.names)
                raise NotFound(
                    f"Dataset '{self.dataset}' has no column '{name}'.",
                    hint=f"Did you mean '{close}'?" if close else f"There are: {', '.join(self.columns)}.",
                    code="column-not-found",
                )
        with translated(self._table.folder):
            if ids is None:
                return Table(self._opened.to_table(columns=names))
            return Table(self._opened.take(self._positions(ids), columns=names))

    def write_csv(self, path: Path, *, ids: bool = False) -> int:
        """Write the rows as CSV; a tensor unfolds into its columns, numbered from 1.

        What was at ``path`` is replaced when all is written. Importing the file again changes nothing. With
        ``ids``, a cell that was edited in it is imported as a change of its row even where there is no key.

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

    def _part_of_schema(self, names: list[str]) -> "pa.Schema":
        import pyarrow as pa  # noqa: PLC0415

        return pa.schema([self.schema.field(n) for n in names])

    def _pieces(self, names: list[str]) -> "Iterator[pa.Table]":
        return (fragment.read(names).to_arrow() for fragment in self.fragments())

    def _positions(self, ids: "Iterable[int]") -> list[int]:
        import numpy as np  # noqa: PLC0415

        wanted = ids if isinstance(ids, np.ndarray) else np.fromiter(ids, np.uint64)
        return np.flatnonzero(np.isin(self.ids(), wanted.astype(np.uint64))).tolist()


def _metadata(field: "pa.Field") -> list[identity.Value]:
    return [[k, v] for k, v in sorted((field.metadata or {}).items())]
