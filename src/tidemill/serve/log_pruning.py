"""Predictions leave a log when they are old, or when it is large: the oldest first, but none that has feedback.

Feedback waits to be a row of a dataset, or is one already, which names its prediction. Such a record stays.
"""

import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tidemill.core.clock import now, stamp
from tidemill.core.events import Progress, Sink, silent
from tidemill.serve import log_layout
from tidemill.serve.options import Keep

_AT_ONCE = 500
"""Predictions a commit, so that answers which are to be written wait for a moment only."""
_WORTH = 10
"""One part of so many of the file must be free before it is written again."""
_OLD = "SELECT sequence, time FROM predictions p WHERE NOT EXISTS (SELECT 1 FROM feedback f WHERE f.prediction = p.id)"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What left a log on one day.

    Attributes:
        day: ``2026-11-30``, in UTC.
        predictions: How many.
        until: When the latest of them was answered (``clock.stamp``).
    """

    day: str
    predictions: int
    until: str


def prune_some(database: sqlite3.Connection, keep: Keep) -> int:
    """Let go of some predictions, in one transaction of an open log; how many. 0 when there is none to go.

    No byte of them is left in the file: a person who is forgotten later must not be found in its free room.

    Raises:
        sqlite3.Error: Whatever the database says; nothing is gone then.
    """
    most = _AT_ONCE if keep.size is not None and _used(database) > keep.size else 0
    oldest = _oldest(keep.days) if keep.days is not None else ""
    if not most and not oldest:
        return 0
    database.execute("PRAGMA secure_delete = ON")
    database.execute("BEGIN IMMEDIATE")
    try:
        found = database.execute(f"{_OLD} ORDER BY sequence LIMIT ?", (_AT_ONCE,)).fetchall()
        gone = [(sequence, time) for at, (sequence, time) in enumerate(found) if at < most or time < oldest]
        database.executemany(
            "DELETE FROM predictions WHERE sequence = ?", [(sequence,) for sequence, _ in gone]
        )
        if gone:
            database.execute(
                "INSERT INTO prunings (day, predictions, until) VALUES (?, ?, ?) ON CONFLICT (day) DO UPDATE "
                "SET predictions = predictions + excluded.predictions, until = max(until, excluded.until)",
                (stamp(now())[:10], len(gone), max(time for _, time in gone)),
            )
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
    if 0 < len(gone) < _AT_ONCE:
        # The pages as they were may lie in the write-ahead file; where a reader holds them, until it is taken over.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return len(gone)


def prune(file: Path, keep: Keep, sink: Sink = silent) -> int:
    """Let go of all that a log does not keep, whoever writes to it meanwhile; how many predictions.

    Args:
        file: The log.
        keep: What stays.
        sink: Gets ``Progress`` of how many are gone so far.

    Raises:
        StorageError: As ``log_layout.open_to_write``.
    """
    gone = 0
    try:
        with closing(log_layout.open_to_write(file)) as database:
            while some := prune_some(database, keep):
                gone += some
                sink(Progress("removing", gone, None, "predictions"))
    except sqlite3.Error as error:
        raise log_layout.storage_error(file, error) from error
    return gone


def would_go(file: Path, keep: Keep) -> tuple[int, int]:
    """How many predictions ``prune`` would let go of now, where the log is too large about; and about what ``shrink`` gave back then.

    Raises:
        StorageError: As ``log_layout.open_to_read``.
    """
    old = large = 0
    try:
        with closing(log_layout.open_to_read(file)) as database:
            rows, used = _count(database, "SELECT 1 FROM predictions"), _used(database)
            if keep.days is not None:
                old = _count(database, f"{_OLD} AND time < ?", _oldest(keep.days))
            if keep.size is not None and used > keep.size:
                large = math.ceil(rows * (1 - keep.size / used) / _AT_ONCE) * _AT_ONCE
                large = min(_count(database, _OLD), large)
            pages, free = _pragma(database, "page_count"), _pragma(database, "freelist_count")
            page_bytes = _pragma(database, "page_size")
            # An empty table or index has a page all the same, and so has the list of them.
            kept = 1 + _count(database, "SELECT 1 FROM sqlite_master WHERE rootpage > 0")
    except sqlite3.Error as error:
        raise log_layout.storage_error(file, error) from error
    gone = max(old, large)
    empty = free + max(pages - free - kept, 0) * gone // max(rows, 1)
    return gone, empty * page_bytes if _WORTH * empty > pages else 0


def shrink(file: Path) -> int:
    """Give back the room that pruning left, where that is more than a tenth of the file; how many bytes.

    It writes the whole file again, so whoever writes to the log waits for as long.

    Raises:
        StorageError: As ``log_layout.open_to_write``.
    """
    before = file.stat().st_size
    try:
        with closing(log_layout.open_to_write(file)) as database:
            pages, free = _pragma(database, "page_count"), _pragma(database, "freelist_count")
            if _WORTH * free <= pages:
                return 0
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise log_layout.storage_error(file, error) from error
    return max(before - file.stat().st_size, 0)


def _oldest(days: float) -> str:
    return stamp(now() - timedelta(days=days))


def _used(database: sqlite3.Connection) -> int:
    """Bytes of the log that hold something."""
    pages = _pragma(database, "page_count") - _pragma(database, "freelist_count")
    return pages * _pragma(database, "page_size")


def _count(database: sqlite3.Connection, rows: str, *values: str) -> int:
    return int(database.execute(f"SELECT count(*) FROM ({rows})", values).fetchone()[0])  # noqa: S608 - only queries of this file


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])
