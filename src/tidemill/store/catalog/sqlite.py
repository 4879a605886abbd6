"""The catalog in an SQLite file, in WAL mode: for one machine. A reader never waits for a writer."""

import functools
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from tidemill.core import codes
from tidemill.core.errors import StorageError
from tidemill.store import damage
from tidemill.store.catalog.engine import Engine
from tidemill.store.faults import translated

BUSY_SECONDS = 60.0
"""How long another process's write is waited for."""
_RESTORE = "Put that file back from a backup; 'tidemill doctor' says what else is damaged."
_NO_ROOM = ("SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_SHMOPEN", "SQLITE_IOERR_SHMMAP", "SQLITE_IOERR_WRITE")
_SETTINGS = ("journal_mode=wal", "synchronous=full", "foreign_keys=on")


class Sqlite(Engine):
    """A database file, made if it is not there."""

    def __init__(self, file: Path) -> None:
        with translated(str(file.parent)):
            file.parent.mkdir(parents=True, exist_ok=True)
        self.name = str(file)
        self._alone = False
        self.sql = self._engine(_SETTINGS)

    def _engine(self, settings: Sequence[str], **more: Any) -> sa.Engine:
        engine = sa.create_engine(
            f"sqlite:///{self.name}",
            connect_args={"timeout": BUSY_SECONDS},
            json_deserializer=functools.partial(_stored_json, self.name),
            **more,
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, record: object) -> None:  # pyright: ignore[reportUnusedFunction]
            del record
            # The driver must not open transactions by itself: a writer takes the lock at once.
            connection.isolation_level = None
            for setting in settings:
                connection.execute(f"pragma {setting}")

        return engine

    def begun(self, *, write: bool) -> sa.Connection:
        """A connection in a fresh transaction."""
        try:
            return self._begun(write=write)
        except exc.DBAPIError as error:
            if self._alone or not _is_without_room(error):
                raise
        # No room for the file of 32 kB in which processes share what is in the log. Whoever is alone needs none, and a
        # full disk can be looked at and collected.
        self._alone = True
        self.sql.dispose()
        self.sql = self._engine(("locking_mode=exclusive", *_SETTINGS), poolclass=sa.NullPool)
        return self._begun(write=write)

    def _begun(self, *, write: bool) -> sa.Connection:
        connection = self.sql.connect()
        try:
            # A write lock from the start: two writers wait for each other instead of one failing midway.
            connection.begin()
            execute(connection, "begin immediate" if write else "begin", [[]])
        except BaseException:
            connection.close()
            raise
        return connection

    def scrub(self) -> None:
        """Write the file anew, without what was deleted.

        Raises:
            StorageError: ``catalog-locked``, where a process that reads keeps the pages as they were in the log.
        """
        with self.sql.connect() as connection:
            connection.exec_driver_sql("vacuum")
            busy = connection.exec_driver_sql("pragma wal_checkpoint(truncate)").scalar()
        if busy:
            raise StorageError(
                f"Another process reads the catalog {self.name}, which keeps what was deleted in its files.",
                hint="Let it end ('tidemill gc', a backup, a database browser), then run the same command again.",
                code=codes.CATALOG_LOCKED,
            )

    def fault(self, error: exc.DBAPIError) -> StorageError:
        """The error of ours for what SQLite said."""
        text = str(error.orig)
        if "full" in text or _is_without_room(error):
            return StorageError(
                f"The catalog could not be written: {text}.",
                hint="Free space, then run the same command again.",
                code=codes.DISK_FULL,
            )
        if "locked" in text:
            return StorageError(
                f"Another process has held the catalog {self.name} for {BUSY_SECONDS:g} seconds.",
                why="Only one can write at a time.",
                hint="Let it end ('tidemill gc', a backup, a database browser), then run the same command again: "
                "what is finished is kept.",
                code=codes.CATALOG_LOCKED,
            )
        if "readonly" in text or "unable to open" in text:
            return StorageError(
                f"{self.name} cannot be written.",
                why=text,
                hint="Give yourself the right to write there, or name another folder as 'store'.",
                code=codes.STORE_READ_ONLY,
            )
        if "not a database" in text or "malformed" in text:
            return StorageError(
                f"The catalog {self.name} is damaged: {text}.", hint=_RESTORE, code=codes.CATALOG_DAMAGED
            )
        return StorageError(
            f"The catalog could not be read or written: {text}.",
            hint="Check the disk, then run the same command again.",
            code=codes.STORAGE,
        )


def _is_without_room(error: exc.DBAPIError) -> bool:
    """Whether it was the disk that is full, where SQLite says no more than that it could not be read or written."""
    return getattr(error.orig, "sqlite_errorname", "") in _NO_ROOM


def _stored_json(file: str, text: str) -> Any:
    # SQLite checks the pages of a file, not what is in them.
    with damage.reading(f"A record of the catalog {file}"):
        return json.loads(text)


def execute(connection: sa.Connection, text: str, rows: Sequence[list[Any]]) -> sqlite3.Cursor:
    """Give a statement, for each row of parameters, to SQLite itself: SQLAlchemy does more around it than SQLite for it.

    Raises:
        DBAPIError: As SQLAlchemy would.
    """
    cursor: sqlite3.Cursor = connection.connection.cursor()  # pyright: ignore[reportAssignmentType]
    try:
        if len(rows) == 1:
            cursor.execute(text, rows[0])
        else:
            cursor.executemany(text, rows)
    except sqlite3.Error as error:
        raise exc.DBAPIError.instance(text, None, error, sqlite3.Error) from error
    return cursor
