"""The catalog in PostgreSQL: for a team. Writers take turns by an advisory lock, readers never wait.

A server that restarts is waited for: what had not begun begins a little later, and only what was amid its
transaction is told so. Passwords come from the address, ``PGPASSWORD`` or ``~/.pgpass``; no message has one.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import sqlalchemy as sa
from sqlalchemy import exc

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NeedsExtra, NotAllowed, NotFound, StorageError, TidemillError
from tidemill.core.identity import advisory_lock
from tidemill.store.catalog.engine import Engine
from tidemill.store.catalog.tables import metadata

_SCHEMES = ("postgresql://", "postgres://")
_WRITERS = advisory_lock("catalog", "writers")
_FIRST_SECONDS = 3.0
_AGAIN_SECONDS = 30.0
_HASTY_SECONDS = 1.0
"""How long a server that does not answer is waited for: one not seen before, one that restarts, and by whoever cannot wait."""
_CONNECTING = {
    "connect_timeout": 5,
    # A holder whose machine has vanished is noticed within a minute, on either side.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    # And one that is asked and says nothing, not even that it got the question.
    "tcp_user_timeout": 15_000,
    "application_name": "tidemill",
}
_LOST = ("57P01", "57P02", "57P03", "08000", "08001", "08003", "08004", "08006")
_REFUSED = ("28000", "28P01", "42501")
_FULL = ("53100", "53200")


def is_address(text: str) -> bool:
    """Whether a text is an address of PostgreSQL."""
    return text.startswith(_SCHEMES)


def masked(address: str) -> str:
    """An address without its password, to be shown: neither before the host nor among the parameters."""
    url = _parsed(address)
    hidden = {name: "***" for name in url.query if "password" in name.lower()}
    shown = url.update_query_dict(hidden).render_as_string(hide_password=True)
    return shown.replace("+psycopg", "", 1).replace("%2A%2A%2A", "***")


class Postgres(Engine):
    """A database of a PostgreSQL server, which must be there.

    Args:
        address: ``postgresql://user@host:port/database``; ``?options=-csearch_path%3Dteam`` names a schema.

    Raises:
        InvalidInput: ``invalid-catalog-address``.
        NeedsExtra: ``needs-extra``.
    """

    def __init__(self, address: str) -> None:
        url = _parsed(address)
        self.name = masked(address)
        try:
            self.sql = sa.create_engine(url, connect_args=_CONNECTING, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise NeedsExtra(
                "A catalog in PostgreSQL needs psycopg.", hint="pip install 'tidemill[team]'"
            ) from error
        self._seen = False
        self._is_hasty = False

    @contextmanager
    def hasty(self) -> Generator[None]:
        """Within it no thread waits for a server that does not answer, but for a moment."""
        before, self._is_hasty = self._is_hasty, True
        try:
            yield
        finally:
            self._is_hasty = before

    def begun(self, *, write: bool) -> sa.Connection:
        """A connection in a fresh transaction; a server that restarts is waited for."""

        def begin(connection: sa.Connection) -> None:
            if write:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS)))
            else:
                connection.exec_driver_sql("set transaction isolation level repeatable read read only")

        return self.connected(begin)

    def connected(self, prepare: Callable[[sa.Connection], object]) -> sa.Connection:
        """A connection that ``prepare`` has been run on, which is done anew where the server goes away."""
        patience = _HASTY_SECONDS if self._is_hasty else _AGAIN_SECONDS if self._seen else _FIRST_SECONDS
        deadline = time.monotonic() + patience
        pause = 0.05
        while True:
            connection = None
            try:
                connection = self.sql.connect()
                prepare(connection)
            except exc.DBAPIError as error:
                if connection is not None:
                    connection.close()
                if not lost(error) or time.monotonic() > deadline:
                    raise
                time.sleep(pause)
                pause = min(1.0, pause * 2)
            except BaseException:
                if connection is not None:
                    connection.close()
                raise
            else:
                self._seen = True
                return connection

    def scrub(self) -> None:
        """Write the tables anew, without what was deleted; the server's log of changes keeps it for its time."""
        with self.sql.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            names = ", ".join(table.name for table in metadata.sorted_tables)
            connection.exec_driver_sql(f"vacuum full {names}")

    def fault(self, error: exc.DBAPIError) -> TidemillError:
        """The error of ours for what PostgreSQL said."""
        text = next(iter(str(error.orig).strip().splitlines()), "no reason given")
        state = getattr(error.orig, "sqlstate", None)
        if state in _FULL:
            return StorageError(
                f"The catalog {self.name} could not be written: {text}.",
                hint="Free space on the server, then run the same command again.",
                code=codes.DISK_FULL,
            )
        if state in _REFUSED or "authentication failed" in text or "no password supplied" in text:
            return NotAllowed(
                f"The catalog {self.name} refuses this user.",
                why=text,
                hint="Check the user's name, and the password in PGPASSWORD or ~/.pgpass.",
                code=codes.CATALOG_ACCESS_DENIED,
            )
        if state == "3D000" or ("database" in text and "does not exist" in text):
            return NotFound(
                f"There is no database {self.name}.",
                hint="Make it with 'createdb', or correct the address in 'catalog'.",
                code=codes.CATALOG_NOT_FOUND,
            )
        if error.connection_invalidated:
            return StorageError(
                f"The connection to the catalog {self.name} was lost amid a transaction.",
                why=text,
                hint="Run the same command again: what was not written is not there, and what is finished is kept.",
                code=codes.CATALOG_LOST,
            )
        if lost(error):
            return StorageError(
                f"The catalog {self.name} does not answer.",
                why=text,
                hint="Check that the server runs and that the address in 'catalog' is right.",
                code=codes.CATALOG_UNREACHABLE,
            )
        return StorageError(
            f"The catalog could not be read or written: {text}.",
            hint="Look into the database server's log, then run the same command again.",
            code=codes.STORAGE,
        )


def lost(error: exc.DBAPIError) -> bool:
    """Whether the server went away, or is not there yet: not what it says of the user or the request."""
    if error.connection_invalidated:
        return True
    state, text = getattr(error.orig, "sqlstate", None), str(error.orig)
    if state is not None:
        return state in _LOST
    refusals = ("authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry")
    return isinstance(error, exc.OperationalError) and not any(r in text for r in refusals)


def check_address(text: str) -> None:
    """Refuse what is no address of a PostgreSQL database.

    Raises:
        InvalidInput: ``invalid-catalog-address``.
    """
    _parsed(text)


def _parsed(address: str) -> sa.URL:
    if is_address(address):
        with suppress(exc.ArgumentError, ValueError):
            return sa.make_url(address).set(drivername="postgresql+psycopg")
    # Neither the address nor a cause is said: there may be a password in it.
    raise InvalidInput(
        "The catalog's address is none of a PostgreSQL database.",
        hint="Write it as postgresql://USER@HOST:PORT/DATABASE.",
        code=codes.INVALID_CATALOG_ADDRESS,
    )
