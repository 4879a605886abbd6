"""Locks between processes on many machines: PostgreSQL's advisory locks, freed when a holder's connection ends.

All locks of one store and process are held by one connection of their own. Where the server restarts, the
connection is made anew and what was held is taken again within seconds; whoever must not be wrong in that gap
swaps (``Objects.put_if``) or writes in a transaction of the catalog as well.
"""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import exc

from tidemill.core.errors import TidemillError
from tidemill.core.identity import advisory_lock
from tidemill.store.catalog.postgres import Postgres, lost
from tidemill.store.locks import timed_out

_POLL_SECONDS = 0.02
_KEEP_SECONDS = 2.0


class AdvisoryLocks:
    """Named locks in a database.

    Args:
        database: Where.
        store: The store's address: another store in the same database has other locks.
    """

    everywhere: ClassVar[bool] = True

    def __init__(self, database: Postgres, store: str) -> None:
        self._database = database
        self._store = store
        self._connection: sa.Connection | None = None
        self._held: set[int] = set()
        self._mutex = threading.RLock()
        self._keeper: threading.Thread | None = None
        self._closed = threading.Event()

    @contextmanager
    def hold(self, name: str, *, part: int | None = None, timeout_seconds: float = 600.0) -> Generator[None]:
        """Hold lock ``name``, or one part of it that is as good as a lock of its own; wait for whoever has it.

        Raises:
            Conflict: ``lock-timeout``, when it is still held after ``timeout_seconds``.
            StorageError: ``catalog-unreachable``.
        """
        key = advisory_lock(self._store, name if part is None else f"{name}-{part}")
        deadline = time.monotonic() + timeout_seconds
        while not self._taken(key):
            if time.monotonic() >= deadline:
                raise timed_out(name, timeout_seconds)
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            self._let_go(key)

    def discard(self, name: str) -> None:
        """Nothing is left of a lock that nobody holds."""

    def is_held(self, name: str) -> bool:
        """Whether another process, or another part of this one, holds the lock now."""
        key = advisory_lock(self._store, name)
        if not self._taken(key):
            return True
        self._let_go(key)
        return False

    def close(self) -> None:
        """Let go of everything."""
        self._closed.set()
        with self._mutex:
            self._held.clear()
            self._drop()

    def _taken(self, key: int) -> bool:
        with self._mutex:
            # A session may take its own lock again: that another thread has it is for us to know.
            if key in self._held or not self._ask(sa.func.pg_try_advisory_lock(key)):
                return False
            self._held.add(key)
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="tidemill-locks", daemon=True)
                self._keeper.start()
            return True

    def _let_go(self, key: int) -> None:
        with self._mutex:
            self._held.discard(key)
            if self._connection is not None:
                try:
                    self._connection.scalar(sa.select(sa.func.pg_advisory_unlock(key)))
                except exc.DBAPIError:
                    # The server went away, and with it the lock; what else is held is taken again when next asked.
                    self._drop()

    def _ask(self, what: "sa.ColumnElement[Any]") -> object:
        for attempt in range(2):
            try:
                if self._connection is None:
                    self._connection = self._database.connected(self._take_again)
                return self._connection.scalar(sa.select(what))
            except exc.DBAPIError as error:
                self._drop()
                if attempt or not lost(error):
                    raise self._database.fault(error) from error
        raise AssertionError("the second attempt returns or raises")

    def _take_again(self, connection: sa.Connection) -> None:
        # Each statement for itself: a lock belongs to the session, not to a transaction.
        connection.execution_options(isolation_level="AUTOCOMMIT")
        for key in self._held:
            connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key)))

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _keep(self) -> None:
        """While something is held, notice that the server went away, and take it again."""
        while not self._closed.wait(_KEEP_SECONDS):
            with self._mutex:
                if not self._held:
                    self._keeper = None
                    return
                with suppress(TidemillError):
                    self._ask(sa.func.now())
