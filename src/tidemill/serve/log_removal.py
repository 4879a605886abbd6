"""Removing predictions from a log for good: a person's right. Servers may write to the log meanwhile."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tidemill.core.errors import StorageError
from tidemill.serve import log_layout

_AT_ONCE = 500
"""Predictions a commit, so that servers which want to write wait for a moment only."""


def remove(file: Path, ids: Sequence[str]) -> int:
    """Remove these predictions and what was said of them; how many the log had.

    No byte of them is left in the log's files. Killed, it has removed some; doing it again removes the rest.

    Raises:
        StorageError: ``log-too-new``, ``log-damaged``, ``disk-full``, ``log-in-use`` or ``storage``.
    """
    removed = 0
    try:
        with closing(log_layout.open_to_write(file)) as database:
            # What is deleted is overwritten with zeros, not only marked as free.
            database.execute("PRAGMA secure_delete = ON")
            for at in range(0, len(ids), _AT_ONCE):
                some = ids[at : at + _AT_ONCE]
                marks = ", ".join("?" * len(some))
                database.execute("BEGIN IMMEDIATE")
                database.execute(f"DELETE FROM feedback WHERE prediction IN ({marks})", some)  # noqa: S608 - only marks
                gone = database.execute(f"DELETE FROM predictions WHERE id IN ({marks})", some)  # noqa: S608 - only marks
                removed += gone.rowcount
                database.execute("COMMIT")
            # The pages as they were lie in the write-ahead file until it is taken over and emptied.
            busy = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error as error:
        raise log_layout.storage_error(file, error) from error
    if busy:
        raise StorageError(
            f"Another process reads the prediction log {file}, which keeps removed predictions in its files.",
            hint="Wait for it to end, then type the same command again.",
            code="log-in-use",
        )
    return removed
