"""Three-way merge of whole tables by ``_id`` and cell: what must change in one branch to have another's work.

Pure reading; ``Dataset.merge`` commits what comes of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import Conflict
from tidemill.data.columns import differs
from tidemill.data.commits import Changes, Commit
from tidemill.data.difference import Diff, sorted_rows
from tidemill.data.snapshot import Snapshot
from tidemill.data.upsert import Plan
from tidemill.store.table import ID, PREDICTION

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did.

    Attributes:
        commit: The merge commit, or the present head when there was nothing to merge.
        changes: To the branch that was merged into.
        already: Whether the branch had all of it before.
        fast_forward: Whether the branch had nothing of its own since the two parted.
    """

    commit: Commit
    changes: Changes
    already: bool
    fast_forward: bool


@dataclass(frozen=True, slots=True)
class _Clash:
    id: int
    column: str | None
    base: object
    ours: object
    theirs: object


def plan_merge(base: Snapshot, ours: Snapshot, theirs: Snapshot, *, names: tuple[str, str]) -> Plan | None:
    """What ``ours`` must change to have what ``theirs`` changed since ``base``.

    Args:
        base: What both come from.
        ours: The branch that is merged into.
        theirs: What is merged.
        names: Of theirs and ours, for the complaint.

    Returns:
        None, when theirs changed nothing since base.

    Raises:
        Conflict: ``merge-conflict``: both changed the same cell, to different values; or one changed a row
            that the other removed. The details list the first 20.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    there = Diff(base, theirs)
    if not there.counts:
        return None
    here = Diff(base, ours)
    clashes = [
        *_removals(base, theirs, np.intersect1d(there.changed, here.removed), "theirs"),
        *_removals(base, ours, np.intersect1d(there.removed, here.changed), "ours"),
    ]
    both_changed = np.intersect1d(there.changed, here.changed)
    both_added = np.intersect1d(there.added, here.added)
    merged: list[pa.Table] = []
    for ids, before in ((both_changed, base), (both_added, None)):
        if len(ids):
            rows, found = _merge_cells(ids, before, ours, theirs)
            merged.append(rows)
            clashes += found
    if clashes:
        raise _conflict(clashes, names)
    fresh = np.setdiff1d(there.added, both_added)
    taken = np.setdiff1d(there.changed, both_changed)
    gone = np.setdiff1d(there.removed, here.removed)
    touched = np.concatenate([taken, *(t[ID].to_numpy() for t in merged)])
    rows = pa.concat_tables([*merged, theirs.read(ids=np.concatenate([taken, fresh])).to_arrow()])
    return Plan(
        Changes(len(fresh), len(touched), len(gone)),
        ours.locate(np.concatenate([touched, gone])),
        rows.combine_chunks(),
    )


def _merge_cells(
    ids: "np.ndarray[Any, Any]", base: Snapshot | None, ours: Snapshot, theirs: Snapshot
) -> "tuple[pa.Table, list[_Clash]]":
    """The rows that both changed (or, without a base, added), where they differ from ours; and the clashes."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    mine, other = sorted_rows(ours, ids), sorted_rows(theirs, ids)
    before = sorted_rows(base, ids) if base else None
    clashes: list[_Clash] = []
    columns: list[Any] = []
    moved = np.zeros(len(ids), bool)
    for field in mine.schema:
        a, b = mine.column(field.name), other.column(field.name)
        old = before.column(field.name) if before else pa.chunked_array([pa.nulls(len(ids), field.type)])
        apart, take = differs(a, b), differs(old, b)
        clash = apart & take & differs(old, a)
        if before is None and field.name != PREDICTION:
            # Both say what the new row is: a cell that one of them left empty is a contradiction too.
            clash = apart
        clashes += [
            _Clash(int(ids[row]), field.name, *(c[row].as_py() for c in (old, a, b)))
            for row in np.flatnonzero(clash).tolist()
        ]
        take &= apart
        moved |= take
        index = np.arange(len(ids)) + np.where(take, len(ids), 0)
        columns.append(pa.chunked_array([*a.chunks, *b.chunks]).take(pa.array(index)))
    return pa.Table.from_arrays(columns, schema=mine.schema).filter(pa.array(moved)), clashes


def _removals(base: Snapshot, side: Snapshot, ids: "np.ndarray[Any, Any]", changer: str) -> Iterator[_Clash]:
    """A clash for each row that one side changed and the other removed; ``changer`` names the first."""
    if not len(ids):
        return
    cells = [c for c in Diff(base, side).cells() if c.id in set(ids.tolist())]
    for row in ids.tolist():
        cell = next(c for c in cells if c.id == row)
        ours, theirs = (cell.new, None) if changer == "ours" else (None, cell.new)
        yield _Clash(row, None, cell.old, ours, theirs)


def _conflict(clashes: list[_Clash], names: tuple[str, str]) -> Conflict:
    theirs, ours = names
    first = clashes[0]
    what = f"column '{first.column}'" if first.column else "the row (one changed it, the other removed it)"
    return Conflict(
        f"'{theirs}' and '{ours}' both changed {len(clashes)} cell{'s' * (len(clashes) > 1)} in different "
        f"ways; first {what} of row {first.id}.",
        why="Which of the two is right is for a person to say. Nothing was merged.",
        hint=f"Correct these rows on '{theirs}' to what '{ours}' has, or the other way round, and merge again.",
        code="merge-conflict",
        details={
            "count": len(clashes),
            "conflicts": [
                {
                    "id": str(c.id),
                    "column": c.column,
                    "kind": "cell" if c.column else "removed-and-changed",
                    "base": shown(c.base),
                    "ours": shown(c.ours),
                    "theirs": shown(c.theirs),
                }
                for c in clashes[:_SHOWN]
            ],
        },
    )


def shown(value: object) -> object:
    """A cell's value as JSON; a tensor by its size only."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return f"tensor of {len(value)}"
    return value.hex() if isinstance(value, bytes) else str(value)
