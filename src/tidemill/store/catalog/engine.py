"""What the catalog needs of a database, beside the SQL that all of them speak."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import exc

from tidemill.core.errors import StorageError, TidemillError
from tidemill.store import damage


class Engine(ABC):
    """One database, and how a transaction begins in it.

    Attributes:
        sql: SQLAlchemy's own engine.
        name: What a person calls the database: a file, or an address without its password.
    """

    sql: sa.Engine
    name: str

    @abstractmethod
    def begun(self, *, write: bool) -> sa.Connection:
        """A connection in a fresh transaction.

        Args:
            write: Wait until every other writer has ended, and hold off those that come; else one moment's
                state is read, and nobody waits.
        """

    @abstractmethod
    def scrub(self) -> None:
        """Write the database's files anew, without what was deleted."""

    @abstractmethod
    def fault(self, error: exc.DBAPIError) -> TidemillError:
        """The error of ours for what the database said."""

    @contextmanager
    def hasty(self) -> Generator[None]:
        """Within it no thread waits for a server that is away. A file is there or is not."""
        yield

    @contextmanager
    def transaction(self, *, write: bool) -> Generator[sa.Connection]:
        """A transaction that is committed at its end, or rolled back on an error."""
        try:
            with self.begun(write=write) as connection:
                yield connection
                connection.commit()
        except exc.IntegrityError:
            raise
        except exc.DBAPIError as error:
            raise self.fault(error) from error


def too_new(version: str, newest: str) -> StorageError:
    """A newer Tidemill has written the catalog."""
    return damage.too_new(f"The catalog has version {version}", newest)
