"""The base of a merge: the commit that both sides come from, or what several such make together.

Branches that were merged into each other crosswise have several newest common commits. Their merge, which
nobody committed, is the base then, as in git's ``recursive``; where these contradict each other, a cell has no
base, and only two sides that are equal in it merge silently.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import Conflict
from tidemill.data.commits import Commit
from tidemill.data.history import History
from tidemill.data.snapshot import Snapshot
from tidemill.data.threeway import Rows, merge_rows, read_rows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def merge_bases(history: History, ours: Commit, theirs: Commit) -> list[Commit]:
    """The newest commits that both come from.

    Raises:
        Conflict: ``unrelated-datasets``, when there is none.
    """
    found = history.merge_bases(ours, theirs)
    if not found:
        raise Conflict(
            f"Commits {ours.id} and {theirs.id} of '{ours.dataset}' have no commit in common.",
            why="What each of them changed cannot be told without one that both come from.",
            hint="Import the rows of one into a branch of the other.",
            code=codes.UNRELATED_DATASETS,
        )
    return found


def base_rows(
    history: History,
    open_at: Callable[[Commit], Snapshot],
    bases: Sequence[Commit],
    ids: "np.ndarray[Any, Any]",
    fields: "Sequence[pa.Field]",
) -> Rows:
    """The rows of a base.

    Args:
        history: Of the dataset.
        open_at: Opens a commit.
        bases: One commit, or several to be merged.
        ids: Which rows; uint64, ascending.
        fields: Which columns, in which types.
    """
    # The oldest first, as git does it.
    tips = sorted(bases, key=lambda c: c.version)
    rows = read_rows(open_at(tips[0]), ids, fields)
    for count, tip in enumerate(tips[1:], start=1):
        base = base_rows(history, open_at, _common(history, tips[:count], tip), ids, fields)
        rows = merge_rows(base, rows, read_rows(open_at(tip), ids, fields))
    return rows


def _common(history: History, tips: Sequence[Commit], other: Commit) -> list[Commit]:
    """The newest commits that ``other`` and any of the tips come from."""
    found = {c.id: c for tip in tips for c in history.merge_bases(tip, other)}.values()
    return [c for c in found if not any(c is not d and c in history.merge_bases(c, d) for d in found)]
