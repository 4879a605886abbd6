"""The identity of rows: ``_id`` from the user's key, or from content and occurrence where there is none.

What is hashed is ``core.identity.row`` and ``key_row``; this file turns Arrow columns into their cells, a batch
at a time, and remembers what came before: a row's occurrence is counted, and a key's is refused, over all
batches of one import. Identity depends on the columns' types, so it sticks to the first that they had.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
from tidemill.data import pre_images
from tidemill.data.cell_types import words
from tidemill.data.columns import as_before
from tidemill.data.nested import is_list, is_record
from tidemill.store.table import ID, Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

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

        contents = self._pre_images(table.to_arrow(), pre_images.content)
        before = self._seen.count
        ids = pre_images.hashes(pre_images.occurring(contents, None))
        groups = dict(_repeated(ids))
        for first, again in groups.items():
            for row in again:
                if contents[row] != contents[first]:
                    raise _collision(before + first, before + row)
        known = self._seen.add(ids)
        members = {row for again in groups.values() for row in again}
        groups.update((row, []) for row in np.flatnonzero(known).tolist() if row not in {*groups, *members})
        later: dict[int, int] = {}
        for first, again in groups.items():
            start = self._counts.get(int(ids[first]), 1) if known[first] else 0
            later.update((row, n) for n, row in enumerate([first, *again], start) if n)
            self._counts[int(ids[first])] = start + 1 + len(again)
        if later:
            some = contents.take(pa.array(later.keys()))
            ids[list(later)] = pre_images.hashes(pre_images.occurring(some, list(later.values())))
            for first, again in _repeated(ids):
                raise _collision(before + first, before + again[0])
        return ids

    def _by_key(self, table: Table) -> "np.ndarray[Any, Any]":
        assert self._key
        columns, before = table.select(self._key).to_arrow(), self._seen.count
        for name in self._key:
            if is_list(kind := columns.schema.field(name).type) or is_record(kind):
                raise InvalidInput(
                    f"Key column '{name}' holds lists or records ({words(kind)}).",
                    why="A key is a value that people and other tables can name.",
                    hint="Choose columns of plain values; or none, so that a row's content names it.",
                    code="key-not-plain",
                    details={"column": name},
                )
            row = columns.column(name).is_null(nan_is_null=True).index(True).as_py()
            if row >= 0:
                raise InvalidInput(
                    f"Row {before + row + 1} has no value in key column '{name}'.",
                    why="A row without its key has no identity.",
                    hint="Fill the cell, or choose other key columns.",
                    code="missing-key",
                    details={"row": before + row + 1, "column": name},
                )
        keys = self._pre_images(columns, pre_images.keyed)
        ids = pre_images.hashes(keys)
        for first, again in _repeated(ids):
            if keys[first] != keys[again[0]]:
                raise _collision(before + first, before + again[0])
            raise _same_key([before + first, before + again[0]], columns.slice(first, 1))
        known = self._seen.add(ids)
        if known.any():
            row = int(known.argmax())
            raise _same_key([before + row], columns.slice(row, 1))
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
        before = self._seen.count
        missing = table.missing(ID)
        if missing.any():
            row = before + int(missing.argmax()) + 1
            raise InvalidInput(
                f"Row {row} has no _id.",
                why="Where some rows have one, all have: it says which row is which.",
                hint="Fill the cell, or leave the column out.",
                code="missing-key",
                details={"row": row, "column": ID},
            )
        ids = table.numpy(ID)
        rows = next(([before + first, before + again[0]] for first, again in _repeated(ids)), None)
        known = self._seen.add(ids)
        if rows is None and known.any():
            rows = [before + int(known.argmax())]
        if rows is not None:
            raise InvalidInput(
                f"{_named(rows)} the same _id, {int(ids[rows[-1] - before])}.",
                why="An _id names one row.",
                hint="Remove one of the two rows.",
                code="duplicate-id",
                details={"rows": [row + 1 for row in rows]},
            )


class _Seen:
    """All ids so far, as few sorted arrays: each at least twice as long as the next."""

    def __init__(self) -> None:
        self.count = 0
        self._runs: list[np.ndarray[Any, Any]] = []

    def add(self, ids: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Add these; which of them there were before."""
        import numpy as np  # noqa: PLC0415

        known = np.zeros(len(ids), bool)
        for run in self._runs:
            known |= run[np.minimum(np.searchsorted(run, ids), len(run) - 1)] == ids
        self.count += len(ids)
        if len(ids):
            self._runs.append(np.sort(ids))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]), kind="stable")
        return known


def _repeated(ids: "np.ndarray[Any, Any]") -> list[tuple[int, list[int]]]:
    """For each id that occurs more than once: its first row, and the later ones in order."""
    import numpy as np  # noqa: PLC0415

    order = np.argsort(ids, kind="stable")
    same = ids[order][1:] == ids[order][:-1]
    if not same.any():
        return []
    groups: dict[int, list[int]] = {}
    for at in np.flatnonzero(same):
        groups.setdefault(int(ids[order[at]]), [int(order[at])]).append(int(order[at + 1]))
    return sorted((rows[0], rows[1:]) for rows in groups.values())


def _same_key(rows: list[int], key: "pa.Table") -> InvalidInput:
    shown = ", ".join(f"{name}={cell!r}" for name, cell in key.to_pylist()[0].items())
    return InvalidInput(
        f"{_named(rows)} the same key: {shown}.",
        why="A key must name one row.",
        hint="Remove one of them, or add a column to the key.",
        code="duplicate-key",
        details={"rows": [row + 1 for row in rows], "key": list(key.column_names)},
    )


def _collision(one: int, other: int) -> InvalidInput:
    return InvalidInput(
        f"Rows {one + 1} and {other + 1} differ but have the same 64-bit identity.",
        why="That happens by chance about once in four billion rows.",
        hint="Import with key columns, or leave one of the two rows out.",
        code="id-collision",
        details={"rows": [one + 1, other + 1]},
    )


def _named(rows: list[int]) -> str:
    if len(rows) == 1:
        return f"Row {rows[0] + 1} and an earlier one have"
    return f"Rows {rows[0] + 1} and {rows[1] + 1} have"
