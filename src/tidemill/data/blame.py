"""Who last changed a cell: walking back through history for as long as it was different before."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidemill.data.columns import differs
from tidemill.data.commits import Commit
from tidemill.data.conflicts import Clash
from tidemill.data.difference import Diff
from tidemill.data.history import History
from tidemill.data.snapshot import Snapshot
from tidemill.data.threeway import read_rows

if TYPE_CHECKING:
    import numpy as np

    Pending = dict[str | None, np.ndarray[Any, Any]]

WHOLE = None
"""In the place of a column: whether the row is there at all."""


def blame(
    history: History,
    open_at: Callable[[Commit], Snapshot],
    at: Commit,
    cells: "Mapping[str | None, np.ndarray[Any, Any]]",
) -> dict[str | None, dict[int, Commit]]:
    """The commit that last changed each of these cells.

    Through a merge, a cell is followed to the parent that has it as the merge does, the branch's own first; a
    cell that neither has so was decided in the merge.

    Args:
        history: Of the dataset.
        open_at: Opens a commit.
        at: Where to look back from.
        cells: Column to ``_id``s (uint64). ``WHOLE`` asks for the coming or going of the row.

    Returns:
        Column to ``_id`` to commit.
    """
    found: dict[str | None, dict[int, Commit]] = {column: {} for column in cells}
    commits, waiting = {at.version: at}, {at.version: dict(cells)}
    queue = [-at.version] if cells else []
    while queue:
        # A child has a later version than its parents: all that lead to the newest have been looked at.
        version = -heapq.heappop(queue)
        commit, left = commits.pop(version), waiting.pop(version)
        for parent in history.parents(commit):
            moved = _moved(open_at(parent), open_at(commit), left)
            same = {c: _without(ids, moved[c]) for c, ids in left.items()}
            left = moved
            if any(len(ids) for ids in same.values()):
                if parent.version not in commits:
                    commits[parent.version] = parent
                    heapq.heappush(queue, -parent.version)
                _join(waiting.setdefault(parent.version, {}), same)
        for column, ids in left.items():
            found[column] |= dict.fromkeys(ids.tolist(), commit)
    return found


def with_authors(
    clashes: Sequence[Clash],
    history: History,
    open_at: Callable[[Commit], Snapshot],
    ours: Commit,
    theirs: Commit,
) -> list[Clash]:
    """Conflicts, each with the commit that last changed it on either side."""
    if not clashes:
        return []
    sides = [_authors(clashes, history, open_at, *side) for side in ((ours, "ours"), (theirs, "theirs"))]
    return [
        replace(clash, ours_by=mine, theirs_by=other)
        for clash, mine, other in zip(clashes, *sides, strict=True)
    ]


def _authors(
    clashes: Sequence[Clash],
    history: History,
    open_at: Callable[[Commit], Snapshot],
    at: Commit,
    side: str,
) -> list[Commit]:
    import numpy as np  # noqa: PLC0415

    asked: dict[str | None, set[int]] = {}
    every = open_at(at).columns
    for clash in clashes:
        changed_row = clash.column is None and getattr(clash, side) is not None
        for column in every if changed_row else [clash.column]:
            asked.setdefault(column, set()).add(clash.id)
    wanted = {c: np.array(sorted(ids), np.uint64) for c, ids in asked.items()}
    found = blame(history, open_at, at, wanted)
    return [
        max(
            (commits[clash.id] for c, commits in found.items() if c is not WHOLE and clash.id in commits),
            key=lambda commit: commit.version,
        )
        if clash.column is None and getattr(clash, side) is not None
        else found[clash.column][clash.id]
        for clash in clashes
    ]


def _moved(before: Snapshot, after: Snapshot, cells: "Pending") -> "Pending":
    """Which of these cells differ between two commits."""
    import numpy as np  # noqa: PLC0415

    diff = Diff(before, after)
    # What lies in the same file on both sides is the same: only the rest is read.
    written = np.concatenate([diff.added, diff.removed, diff.rewritten])
    ids = np.sort(written[np.isin(written, np.concatenate([*cells.values()]))])
    fields = {f.name: f for snapshot in (before, after) for f in snapshot.schema if f.name in cells}
    old, new = (read_rows(s, ids, list(fields.values())) for s in (before, after))
    apart = old.there != new.there
    found: Pending = {}
    for column, wanted in cells.items():
        mask = apart
        if column in fields:
            mask = apart | differs(old.table.column(column), new.table.column(column))
        found[column] = wanted[np.isin(wanted, ids[mask])]
    return found


def _without(ids: Any, others: Any) -> Any:
    import numpy as np  # noqa: PLC0415

    return ids[~np.isin(ids, others)]


def _join(into: "Pending", more: "Pending") -> None:
    import numpy as np  # noqa: PLC0415

    for column, ids in more.items():
        into[column] = np.union1d(into[column], ids) if column in into else ids
