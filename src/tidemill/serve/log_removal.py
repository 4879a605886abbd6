"""Removing predictions from a log for good: a person's right. Servers may write to the log meanwhile."""

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import StorageError
from tidemill.core.words import found as found_in
from tidemill.models.signature import Signature
from tidemill.serve import log_layout

if TYPE_CHECKING:
    import numpy as np

_AT_ONCE = 500
"""Predictions a commit, so that servers which want to write wait for a moment only."""


def holding(
    file: Path,
    among: Callable[[str, Signature], "Callable[[Mapping[str, np.ndarray[Any, Any]]], np.ndarray[Any, Any]]"],
    words: Collection[str],
) -> list[str]:
    """The predictions that were asked of some rows, or that have some words in request, answer or feedback.

    Args:
        file: The log.
        among: Of a release, by its digest and signature, what tells which requests are about the rows; it is given the
            columns of ``signature.logged``.
        words: Texts.

    Raises:
        StorageError: As ``log_layout.open_to_read``.
    """
    found: set[str] = set()
    try:
        with closing(log_layout.open_to_read(file)) as database:
            releases = database.execute("SELECT id, digest, signature FROM releases").fetchall()
            for release, digest, text in releases:
                signature = Signature.from_json(json.loads(text))
                which = among(digest, signature)
                asked = database.execute("SELECT id, inputs FROM predictions WHERE release = ?", (release,))
                while page := asked.fetchmany(_AT_ONCE):
                    columns = log_layout.decode_rows([inputs for _, inputs in page], signature.logged)
                    found |= {row[0] for row, is_about in zip(page, which(columns), strict=True) if is_about}
            for word in words:
                said = word.encode()
                found |= {
                    row[0]
                    for row in database.execute(
                        "SELECT id, inputs, outputs FROM predictions WHERE instr(inputs, ?) OR instr(outputs, ?)",
                        (said, said),
                    )
                    if log_layout.says(row[1], [word]) or log_layout.says(row[2], [word])
                }
                found |= {
                    row[0]
                    for row in database.execute(
                        "SELECT prediction, CAST(label AS TEXT) FROM feedback WHERE instr(CAST(label AS TEXT), ?)",
                        (word,),
                    )
                    if found_in(row[1], [word])
                }
    except sqlite3.Error as error:
        raise log_layout.storage_error(file, error) from error
    return sorted(found)


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
            code=codes.LOG_IN_USE,
        )
    return removed
