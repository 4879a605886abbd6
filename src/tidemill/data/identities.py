"""The identity of rows: ``_id`` from the user's key, or from content and occurrence where there is none.

What is hashed is ``core.identity.row`` and ``key_row``; this file turns Arrow columns into their cells, a batch
at a time, and remembers what came before: a row's occurrence is counted, and a key's is refused, over all
batches of one import. Identity depends on the columns' types, so it sticks to the first that they had.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data import pre_images
from tidemill.data.cell_types import words
from tidemill.data.columns import as_before
from tidemill.data.nested import is_list, is_record
from tidemill.store.table import ID, Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

_BATCH_ROWS = 32_768


class Identities:
    """Gives the rows of one import their ``_id``, batch by batch.

    Args:
        key: The columns that identify a row; None takes the whole content, and counts equal rows.
        first: The columns that identity comes from, in the types that they had first; None: as they come.
    """

    def __init__(self, key: Sequence[str] | None, first: "pa.Schema | None" = None) -> None:
        self._key = key
        self._first = first
        self._seen = _Seen()
        self._rows = 0
        self._counts: dict[int, int] = {}

    def give(self, table: Table) -> Table:
        """``table`` with its ``_id`` column first. One that it has already is only checked.

        Raises:
            InvalidInput: ``duplicate-key``, ``missing-key``, ``duplicate-id``, or ``id-collision``: two different
                rows got one 64-bit identity (expected once in about 4 billion rows).
            NotFound: ``column-not-found``, when a key column is not there.
        """
        import pyarrow as pa  # noqa: PLC0415

        if ID in table.columns:
            self._check_given(table)
            return table
        arrow = table.to_arrow()
        field = pa.field(ID, pa.uint64(), nullable=False)
        return Table(arrow.add_column(0, field, pa.array(self.ids(table), pa.uint64())))

    def ids(self, table: Table) -> "np.ndarray[Any, Any]":
        """The ``_id`` of each row; raises what ``give`` does."""
        import numpy as np  # noqa: PLC0415

        of = self._by_content if self._key is None else self._by_key
        arrow = table.to_arrow()
        parts = (Table(arrow.slice(at, _BATCH_ROWS)) for at in range(0, len(table), _BATCH_ROWS))
        return np.concatenate([np.zeros(0, np.uint64), *map(of, parts)])

    def _by_content(self, table: Table) -> "np.ndarray[Any, Any]":
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        before, contents = self._rows, self._pre_images(table.to_arrow(), pre_images.content)
        # A content is hashed once, however often it comes.
        encoded = contents.dictionary_encode()
        which = encoded.indices.to_numpy()
        names = pre_images.hashes(pre_images.occurring(encoded.dictionary, None))
        if (pair := _first_pair(names)) is not None:
            raise _collision(*(before + int((which == content).argmax()) for content in pair))
        _, occurrence = _grouped(which)
        occurrence += self._had(names, np.bincount(which, minlength=len(names)))[which]
        ids, later = names[which], np.flatnonzero(occurrence)
        if len(later):
            some = contents.take(pa.array(later))
            ids[later] = pre_images.hashes(pre_images.occurring(some, pa.array(occurrence[later])))
            if (pair := _first_pair(ids)) is not None:
                raise _collision(*(before + row for row in pair))
        self._rows += len(ids)
        return ids

    def _had(self, names: "Array", members: "Array") -> "Array":
        """For each content of a batch, how many rows of earlier batches had it; those of this batch are counted now."""
        import numpy as np  # noqa: PLC0415

        known = self._seen.add(names)
        # What came once is not written down: of most data that is every row.
        counted = np.flatnonzero(known | (members > 1))
        ids = names[counted].tolist()
        had = np.zeros(len(names), np.int64)
        had[counted] = [self._counts.get(i, int(k)) for i, k in zip(ids, known[counted], strict=True)]
        self._counts.update(zip(ids, (had + members)[counted].tolist(), strict=True))
        return had

    def _by_key(self, table: Table) -> "np.ndarray[Any, Any]":
        assert self._key
        columns, before = table.select(self._key).to_arrow(), self._rows
        for name in self._key:
            if is_list(kind := columns.schema.field(name).type) or is_record(kind):
                raise InvalidInput(
                    f"Key column '{name}' holds lists or records ({words(kind)}).",
                    why="A key is a value that people and other tables can name.",
                    hint="Choose columns of plain values; or none, so that a row's content names it.",
                    code=codes.KEY_NOT_PLAIN,
                    details={"column": name},
                )
            row = columns.column(name).is_null(nan_is_null=True).index(True).as_py()
            if row >= 0:
                raise InvalidInput(
                    f"Row {before + row + 1} has no value in key column '{name}'.",
                    why="A row without its key has no identity.",
                    hint="Fill the cell, or choose other key columns.",
                    code=codes.MISSING_KEY,
                    details={"row": before + row + 1, "column": name},
                )
        keys = self._pre_images(columns, pre_images.keyed)
        ids = pre_images.hashes(keys)
        if (pair := _first_pair(ids)) is not None:
            first, again = pair
            if keys[first] != keys[again]:
                raise _collision(before + first, before + again)
            raise _same_key([before + first, before + again], columns.slice(first, 1))
        known = self._seen.add(ids)
        if known.any():
            row = int(known.argmax())
            raise _same_key([before + row], columns.slice(row, 1))
        self._rows += len(ids)
        return ids

    def _pre_images(self, arrow: "pa.Table", of: "Callable[[pa.Table], pa.Array]") -> "pa.Array":
        """What is hashed for each row: in the first types where its cells fit them, else in the present ones."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        if self._first is None:
            return of(arrow)
        before, fits = as_before(arrow, self._first)
        if fits.all():
            return of(before)
        return pc.if_else(pa.array(fits), of(before), of(arrow.select(self._first.names)))

    def _check_given(self, table: Table) -> None:
        before = self._rows
        missing = table.missing(ID)
        if missing.any():
            row = before + int(missing.argmax()) + 1
            raise InvalidInput(
                f"Row {row} has no _id.",
                why="Where some rows have one, all have: it says which row is which.",
                hint="Fill the cell, or leave the column out.",
                code=codes.MISSING_KEY,
                details={"row": row, "column": ID},
            )
        ids = table.numpy(ID)
        pair = _first_pair(ids)
        rows = [before + row for row in pair] if pair is not None else None
        known = self._seen.add(ids)
        if rows is None and known.any():
            rows = [before + int(known.argmax())]
        if rows is not None:
            raise InvalidInput(
                f"{_named(rows)} the same _id, {int(ids[rows[-1] - before])}.",
                why="An _id names one row.",
                hint="Remove one of the two rows.",
                code=codes.DUPLICATE_ID,
                details={"rows": [row + 1 for row in rows]},
            )
        self._rows += len(ids)


class _Seen:
    """All ids so far, as few sorted arrays: each at least twice as long as the next."""

    def __init__(self) -> None:
        self._runs: list[np.ndarray[Any, Any]] = []

    def add(self, ids: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Add these; which of them there were before."""
        import numpy as np  # noqa: PLC0415

        known = np.zeros(len(ids), bool)
        for run in self._runs:
            known |= run[np.minimum(np.searchsorted(run, ids), len(run) - 1)] == ids
        if len(ids):
            self._runs.append(np.sort(ids))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]), kind="stable")
        return known


def _grouped(ids: "Array") -> "tuple[Array, Array]":
    """For each row the first one with its id, and how many there are before it with that id."""
    import numpy as np  # noqa: PLC0415

    order = np.argsort(ids, kind="stable")
    ascending = ids[order]
    starts = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]])[: len(ids)])
    lengths = np.diff(np.append(starts, len(ids)))
    first, before = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
    first[order] = np.repeat(order[starts], lengths)
    before[order] = np.arange(len(ids)) - np.repeat(starts, lengths)
    return first, before


def _first_pair(ids: "Array") -> tuple[int, int] | None:
    """The first row whose id comes again, and where it comes again first."""
    import numpy as np  # noqa: PLC0415

    first, before = _grouped(ids)
    again = np.flatnonzero(before == 1)
    if not len(again):
        return None
    row = int(again[first[again].argmin()])
    return int(first[row]), row


def _same_key(rows: list[int], key: "pa.Table") -> InvalidInput:
    shown = ", ".join(f"{name}={cell!r}" for name, cell in key.to_pylist()[0].items())
    return InvalidInput(
        f"{_named(rows)} the same key: {shown}.",
        why="A key must name one row.",
        hint="Remove one of them, or add a column to the key.",
        code=codes.DUPLICATE_KEY,
        details={"rows": [row + 1 for row in rows], "key": list(key.column_names)},
    )


def _collision(one: int, other: int) -> InvalidInput:
    return InvalidInput(
        f"Rows {one + 1} and {other + 1} differ but have the same 64-bit identity.",
        why="That happens by chance about once in four billion rows.",
        hint="Import with key columns, or leave one of the two rows out.",
        code=codes.ID_COLLISION,
        details={"rows": [one + 1, other + 1]},
    )


def _named(rows: list[int]) -> str:
    if len(rows) == 1:
        return f"Row {rows[0] + 1} and an earlier one have"
    return f"Rows {rows[0] + 1} and {rows[1] + 1} have"
