"""Removing predictions from a log for good: a person's right. Servers may write to the log meanwhile."""

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tidemill.core.errors import StorageError
from tidemill.models.signature import Signature
from tidemill.serve import log_layout

_AT_ONCE = 500
"""Predictions a commit, so that servers which want to write wait for a moment only."""


def holding(
    file: Path,
    rows: Callable[[Signature], Sequence[bytes]],
    keys: Callable[[Signature], "tuple[Sequence[str], set[tuple[Any, ...]]]"],
    words: Collection[str],
) -> list[str]:
    """The predictions that were asked of some rows, or that have some words in request, answer or feedback.

    Args:
        file: The log.
        rows: The rows as ``log_layout.encode_rows`` writes them for a signature: whoever asked of these very cells
            is found.
        keys: Of a signature, the inputs that name a row, and the values that they have in such rows: whoever asked
            of that key is found, whatever the other cells were.
        words: Texts.

    Raises:
        StorageError: As ``log_layout.open_to_read``.
    """
    found: set[str] = set()
    try:
        with closing(log_layout.open_to_read(file)) as database:
            for release, text in database.execute("SELECT id, signature FROM releases").fetchall():
                signature = Signature.from_json(json.loads(text))
                encoded = list(dict.fromkeys(rows(signature)))
                for at in range(0, len(encoded), _AT_ONCE):
                    some = encoded[at : at + _AT_ONCE]
                    marks = ", ".join("?" * len(some))
                    asked = database.execute(
                        f"SELECT id FROM predictions WHERE release = ? AND inputs IN ({marks})",  # noqa: S608 - only marks
                        [release, *some],
                    )
                    found |= {row[0] for row in asked}
                found |= _of_keys(database, release, signature, *keys(signature))
            for word in words:
                said = word.encode()
                found |= {
                    row[0]
                    for row in database.execute(
                        "SELECT id FROM predictions WHERE instr(inputs, ?) OR instr(outputs, ?)", (said, said)
                    )
                }
                found |= {
                    row[0]
                    for row in database.execute(
                        "SELECT prediction FROM feedback WHERE instr(CAST(label AS TEXT), ?)", (word,)
                    )
                }
    except sqlite3.Error as error:
        raise log_layout.storage_error(file, error) from error
    return sorted(found)


def _of_keys(
    database: sqlite3.Connection,
    release: int,
    signature: Signature,
    names: Sequence[str],
    values: "set[tuple[Any, ...]]",
) -> set[str]:
    if not names or not values:
        return set()
    found: set[str] = set()
    asked = database.execute("SELECT id, inputs FROM predictions WHERE release = ?", (release,))
    while page := asked.fetchmany(_AT_ONCE):
        columns = log_layout.decode_rows([inputs for _, inputs in page], signature.inputs)
        told = zip(*(columns[name].tolist() for name in names), strict=True)
        found |= {row[0] for row, key in zip(page, told, strict=True) if key in values}
    return found


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
