"""What differs between two commits, by ``_id``.

Reads the rows' contents only where the commits share no file, or read other columns from it.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.data.cell_values import value
from tidemill.data.columns import alike, differs
from tidemill.data.commits import Changes
from tidemill.data.schema_change import schema_change
from tidemill.data.snapshot import Fragment, Snapshot
from tidemill.store.table import ID

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Cell(NamedTuple):
    """One cell that differs. A tensor is one cell; its value is a flat list."""

    id: int
    column: str
    old: Any
    new: Any


class Diff:
    """From one commit to another: rows that came, went, or have another cell.

    Cells are those of the newer commit's columns: a row that had no such column lacks the cell. What became of
    the columns themselves is ``columns``.

    Attributes:
        old: The snapshot before.
        new: The snapshot after.
        columns: Which came, went, or changed their type.
        added: The ``_id``s only in ``new``; uint64, sorted. ``removed`` and ``changed`` likewise.
    """

    def __init__(self, old: Snapshot, new: Snapshot) -> None:
        import numpy as np  # noqa: PLC0415

        self.old = old
        self.new = new
        self.columns = schema_change(old.schema, new.schema)
        self._apart = _apart(old, new)
        before, after = (_ids(parts) for parts in self._apart)
        self.added: np.ndarray[Any, Any] = np.setdiff1d(after, before)
        self.removed: np.ndarray[Any, Any] = np.setdiff1d(before, after)
        self._moved: np.ndarray[Any, Any] = np.intersect1d(before, after)

    @property
    def rewritten(self) -> "np.ndarray[Any, Any]":
        """The ``_id``s in both whose rows lie in another file: all that differ, and perhaps some that do not."""
        return self._moved

    @cached_property
    def changed_in(self) -> "dict[str, np.ndarray[Any, Any]]":
        """Column to the ``_id``s of the changed rows whose cell differs there; columns without such are left out."""
        return {name: self._moved[mask] for name, mask in self._masks.items() if mask.any()}

    @property
    def counts(self) -> Changes:
        """How many rows of each kind."""
        return Changes(len(self.added), len(self.changed), len(self.removed))

    @cached_property
    def changed(self) -> "np.ndarray[Any, Any]":
        """The ``_id``s in both with a cell that differs; uint64, sorted."""
        import numpy as np  # noqa: PLC0415

        apart = np.zeros(len(self._moved), bool)
        for mask in self._masks.values():
            apart |= mask
        return self._moved[apart]

    def cells(self, limit: int | None = None) -> list[Cell]:
        """The cells that differ in changed rows, by ``_id`` and column; at most ``limit``."""
        import numpy as np  # noqa: PLC0415

        found: list[Cell] = []
        before, after = self._pair
        wanted = np.flatnonzero(np.isin(self._moved, self.changed))
        for row in wanted.tolist():
            for name, mask in self._masks.items():
                if not mask[row]:
                    continue
                if limit is not None and len(found) >= limit:
                    return found
                old, new = value(before.column(name), row), value(after.column(name), row)
                found.append(Cell(int(self._moved[row]), name, old, new))
        return found

    @cached_property
    def _pair(self) -> "tuple[pa.Table, pa.Table]":
        import numpy as np  # noqa: PLC0415

        before, after = (
            snapshot.rows_at([(f, offsets[np.isin(ids, self._moved)]) for f, offsets, ids in parts])
            .to_arrow()
            .sort_by(ID)
            for snapshot, parts in zip((self.old, self.new), self._apart, strict=True)
        )
        return alike(before, after.schema), after

    @cached_property
    def _masks(self) -> "dict[str, np.ndarray[Any, Any]]":
        before, after = self._pair
        return {n: differs(before.column(n), after.column(n)) for n in after.column_names if n != ID}


_Part = tuple[Fragment, "np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]
"""Some rows of a fragment: their offsets, ascending, and their ``_id``s."""


def _apart(old: Snapshot, new: Snapshot) -> tuple[list[_Part], list[_Part]]:
    """The rows on each side that do not lie in the same file on the other: all others are equal.

    A file that both have tells nothing where they read other columns from it: a column that was dropped is in it still.
    """
    import numpy as np  # noqa: PLC0415

    ours, theirs = ({f.files: f for f in s.fragments()} for s in (old, new))
    before: list[_Part] = []
    after: list[_Part] = []
    for files in ours.keys() | theirs.keys():
        a, b = ours.get(files), theirs.get(files)
        if a and b and a.stored & frozenset(new.schema.names) == b.stored:
            # Of the same file each side has all rows but those that left it: nothing else needs a look.
            if a.deletion_file != b.deletion_file:
                before.append(_part(a, np.setdiff1d(b.deleted, a.deleted)))
                after.append(_part(b, np.setdiff1d(a.deleted, b.deleted)))
            continue
        if a:
            before.append(_part(a, a.live))
        if b:
            after.append(_part(b, b.live))
    return before, after


def _part(fragment: Fragment, offsets: "np.ndarray[Any, Any]") -> _Part:
    return fragment, offsets, fragment.ids_at(offsets)


def _ids(parts: list[_Part]) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    return np.concatenate([np.zeros(0, np.uint64), *(ids for _, _, ids in parts)])
