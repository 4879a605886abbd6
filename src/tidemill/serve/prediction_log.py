"""The writing side of a prediction log: group commit. Every answer waits for the commit that holds it.

Belongs to one event loop, which gathers entries and decides when to commit; a thread of its own does
the commits, one after the other, while the loop answers and gathers the next group.
"""

import asyncio
import json
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.clock import now, stamp
from tidemill.core.errors import StorageError
from tidemill.models.signature import Signature
from tidemill.serve import log_layout
from tidemill.serve.log_pruning import prune_some
from tidemill.serve.log_reader import LogReader
from tidemill.serve.options import Keep

if TYPE_CHECKING:
    from tidemill.core.errors import TidemillError

WAIT_SECONDS = 0.002
"""How long a group waits for requests that are in flight and have not reached the log."""
PRUNE_SECONDS = 60.0
"""How long a log rests once nothing in it is too old and it is not too large."""
_ROWS_A_STATEMENT = 64
_INTO_PREDICTIONS = "INSERT INTO predictions (id, time, release, checking, inputs, outputs) VALUES "
_ONE = "(?, ?, ?, ?, ?, ?)"
_INTO_FEEDBACK = (
    "INSERT INTO feedback (prediction, label, time) SELECT ?1, ?2, ?3 "
    "WHERE EXISTS (SELECT 1 FROM predictions WHERE id = ?1)"
)
"""Asked in the transaction itself: a prediction may have left the log since the request came."""

Row = tuple[str, bytes, bytes]
"""A prediction to be written: id, inputs, outputs."""


@dataclass(slots=True)
class Entry:
    """What one request writes, all of it in one commit.

    Attributes:
        done: Resolves when the commit is on the disk: to True where some of the group's ids were in the
            log already, and what is there counts.
        feedback: Labels, each with its prediction.
        gone: The predictions of labels that were not written: they had left the log. Known once it is done.
    """

    done: "asyncio.Future[bool]"
    rows: Sequence[Row] = ()
    feedback: Sequence[tuple[str, str | float | int]] = ()
    checking: bool = False
    gone: Collection[str] = ()


@dataclass(slots=True)
class LogFigures:
    """What the log has done so far, for the metrics."""

    commits: int = 0
    rows: int = 0
    failures: int = 0
    commit_seconds: float = 0.0
    pruned: int = 0
    prune_failures: int = 0


@dataclass(frozen=True, slots=True)
class Logged:
    """A row as the log has it."""

    inputs: bytes
    outputs: bytes
    release: str
    number: int
    signature: Signature


class Expected:
    """A request in flight that may write. The log's next commit waits a moment until it has ``arrived``."""

    __slots__ = ("_log",)

    def __init__(self, log: "PredictionLog") -> None:
        self._log: PredictionLog | None = log

    def arrived(self) -> None:
        """It has written, or will not. Telling it twice does no harm."""
        if self._log is not None:
            self._log.one_arrived()
            self._log = None


@dataclass(slots=True)
class _Group:
    entries: list[Entry]
    short: bool = False
    error: Exception | None = None
    seconds: float = 0.0
    rows: int = 0


_LOOK = _Group([])
"""Wakes the thread to look whether something is to be pruned."""


class PredictionLog:
    """The log of one environment, as one server writes it.

    Attributes:
        keep: What stays in it.
    """

    def __init__(self, file: Path, *, release: str, number: int, signature: Signature) -> None:
        """Open the log, making it if there is none.

        Raises:
            StorageError: ``log-too-new``, ``log-damaged``, ``disk-full`` or ``storage``.
        """
        self.file = file
        self.figures = LogFigures()
        self.failing: TidemillError | None = None
        self.keep = Keep()
        self._signature = signature
        self._loop = asyncio.get_running_loop()
        self._writing = log_layout.open_to_write(file)
        self._opened = log_layout.which(file)
        self._reading = log_layout.open_to_read(file)
        try:
            self._release = self._register(release, number, signature)
        except sqlite3.Error as error:
            raise log_layout.storage_error(file, error) from error
        self._signatures = {self._release: signature}
        self._coming = 0
        self._pending: list[Entry] = []
        self._committing = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle: Callable[[], None] | None = None
        self._groups: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._prune_at = time.monotonic() + PRUNE_SECONDS
        self._thread = threading.Thread(target=self._commit_groups, name="prediction-log", daemon=True)
        self._thread.start()

    @staticmethod
    def open_reading(file: Path) -> LogReader:
        """The log for reading, beside whatever server writes to it.

        Raises:
            NotFound: ``log-not-found``.
            StorageError: ``log-too-new``, ``log-damaged`` or ``storage``.
        """
        return LogReader(file)

    def expect(self) -> Expected:
        """A request is in flight that may write."""
        self._coming += 1
        return Expected(self)

    def one_arrived(self) -> None:
        """What ``Expected.arrived`` calls."""
        self._coming -= 1
        if not self._coming:
            self._kick()

    def write(self, entry: Entry) -> None:
        """Have an entry committed. ``entry.done`` resolves when it is durable, or raises ``StorageError``."""
        self._pending.append(entry)
        self._kick()

    def keep_only(self, keep: Keep) -> None:
        """Let go of all else from now on: at once, then each minute."""
        self.keep = keep
        self._groups.put(_LOOK)

    async def probe(self) -> None:
        """Commit nothing, to see whether the log can be written.

        Raises:
            StorageError: When it cannot.
        """
        if self.failing is not None and log_layout.disk_is_full(self.file):
            # The commit of a probe is small and may find room that an answer would not.
            raise self.failing
        entry = Entry(self._loop.create_future())
        self.write(entry)
        await entry.done

    @property
    def seems_fine(self) -> bool:
        """Whether the last commit went well and its file is in its place; from any thread."""
        return self.failing is None and log_layout.which(self.file) == self._opened

    async def failure(self) -> StorageError | None:
        """Why no prediction can be logged; None where it can."""
        if self.seems_fine:
            return None
        try:
            await self.probe()
        except StorageError as error:
            return error
        return None

    def logged(self, ids: Sequence[str]) -> dict[str, Logged]:
        """Those of the ids that are in the log."""
        found: dict[str, Logged] = {}
        for at in range(0, len(ids), 1000):
            some = ids[at : at + 1000]
            rows = self._read(
                "SELECT p.id, p.inputs, p.outputs, r.digest, r.number, r.signature FROM predictions p "  # noqa: S608 - only marks are put in
                f"JOIN releases r ON r.id = p.release WHERE p.id IN ({','.join('?' * len(some))})",
                some,
            )
            for name, inputs, outputs, digest, number, text in rows:
                signature = Signature.from_json(json.loads(text))
                found[name] = Logged(inputs, outputs, digest, number, signature)
        return found

    def missing(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are not in the log."""
        found: set[str] = set()
        for at in range(0, len(ids), 1000):
            some = ids[at : at + 1000]
            marks = ",".join("?" * len(some))
            found.update(r[0] for r in self._read(f"SELECT id FROM predictions WHERE id IN ({marks})", some))  # noqa: S608
        return set(ids) - found

    async def close(self) -> None:
        """Commit what is pending and let the file go."""
        if self._pending or self._committing:
            flushed = self._loop.create_future()
            self._idle = lambda: None if flushed.done() else flushed.set_result(None)
            self._coming = 0
            self._kick()
            await flushed
        self._groups.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reading.close()
        self._writing.close()

    def _kick(self) -> None:
        if self._committing or not self._pending:
            return
        if not self._coming:
            self._start()
        elif self._timer is None:
            self._timer = self._loop.call_later(WAIT_SECONDS, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._committing or not self._pending:
            return
        group, self._pending = _Group(self._pending), []
        self._committing = True
        self._groups.put(group)

    def _committed(self, group: _Group) -> None:
        self._committing = False
        self.figures.commit_seconds += group.seconds
        if group.error is None:
            self.failing = None
            self.figures.commits += 1
            self.figures.rows += group.rows
        else:
            self.failing = self._told(group.error)
            self.figures.failures += 1
        for entry in group.entries:
            if entry.done.done():
                continue
            if group.error is None:
                entry.done.set_result(group.short)
            else:
                entry.done.set_exception(self._told(group.error))
        if self._pending:
            self._kick()
        elif self._idle is not None:
            self._idle()

    def _told(self, error: Exception) -> "TidemillError":
        return error if isinstance(error, StorageError) else log_layout.storage_error(self.file, error)

    def _commit_groups(self) -> None:
        # Between two commits, so that the two never wait for each other's lock.
        while (group := self._next_group()) is not None:
            began = time.perf_counter()
            try:
                self._commit(group)
            except Exception as error:  # noqa: BLE001 - whatever it was, those who wait must hear of it
                group.error = error
                self._roll_back()
            group.seconds = time.perf_counter() - began
            self._loop.call_soon_threadsafe(self._committed, group)

    def _next_group(self) -> _Group | None:
        while True:
            rest = self._prune_at - time.monotonic()
            try:
                group = self._groups.get(timeout=max(rest, 0))
            except queue.Empty:
                group = _LOOK
            if group is not _LOOK:
                return group
            self._prune_at = time.monotonic() + self._prune()

    def _prune(self) -> float:
        """Let some predictions go; how many seconds from now it is to be done again."""
        try:
            gone = prune_some(self._writing, self.keep)
        except sqlite3.Error:
            # A full disk, or another who writes for long: answers are what matters.
            self.figures.prune_failures += 1
            return PRUNE_SECONDS
        self.figures.pruned += gone
        return 0.0 if gone else PRUNE_SECONDS

    def _commit(self, group: _Group) -> None:
        # What has another name, or none any more, is written to as well as before. Looked at before, so that nothing is in
        # it that nobody is answered; and after, for it may have gone meanwhile.
        self._check_place()
        self._write(group)
        self._check_place()

    def _check_place(self) -> None:
        if log_layout.which(self.file) != self._opened:
            raise log_layout.replaced(self.file)

    def _write(self, group: _Group) -> None:
        moment, release = stamp(now()), self._release
        rows: list[Any] = [
            (name, moment, release, int(entry.checking), inputs, outputs)
            for entry in group.entries
            for name, inputs, outputs in entry.rows
        ]
        labels = any(entry.feedback for entry in group.entries)
        group.rows = len(rows)
        execute = self._writing.execute
        if rows and not labels and len(rows) <= _ROWS_A_STATEMENT:
            # One statement is its own transaction: the interpreter's lock is let go and taken once, not per row.
            group.short = self._insert(rows) < len(rows)
            return
        execute("BEGIN IMMEDIATE")
        written = 0
        for at in range(0, len(rows), _ROWS_A_STATEMENT):
            written += self._insert(rows[at : at + _ROWS_A_STATEMENT])
        group.short = written < len(rows)
        for entry in group.entries:
            entry.gone = {
                p for p, label in entry.feedback if not execute(_INTO_FEEDBACK, (p, label, moment)).rowcount
            }
        if not rows and not labels:
            execute("UPDATE releases SET number = number WHERE id = ?", (release,))
        execute("COMMIT")

    def _insert(self, rows: list[Any]) -> int:
        """Write the rows that are not there; how many that was."""
        values = ", ".join([_ONE] * len(rows))
        flat = [value for row in rows for value in row]
        return self._writing.execute(
            f"{_INTO_PREDICTIONS}{values} ON CONFLICT (id) DO NOTHING", flat
        ).rowcount

    def _roll_back(self) -> None:
        try:
            if self._writing.in_transaction:
                self._writing.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite has rolled back by itself; the next group begins anew.
            return

    def _register(self, digest: str, number: int, signature: Signature) -> int:
        text = json.dumps(signature.to_json(), sort_keys=True)
        key = (digest, number, text)
        self._writing.execute(
            "INSERT OR IGNORE INTO releases (digest, number, signature) VALUES (?, ?, ?)", key
        )
        query = "SELECT id FROM releases WHERE digest = ? AND number = ? AND signature = ?"
        return int(self._writing.execute(query, key).fetchone()[0])

    def _read(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._reading.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise log_layout.storage_error(self.file, error) from error
