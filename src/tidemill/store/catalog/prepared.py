"""Statements that are executed for every step: compiled once a database, then given to its driver as they are."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from tidemill.store.catalog import sqlite, tables

Read = Callable[[str], object]
"""Gives a record's value of a column."""


class Insert:
    """An insert of whole records.

    Args:
        statement: Of SQLAlchemy.
        table: What it inserts into.
        dialect: The database's.
    """

    def __init__(self, statement: sa.Insert, table: sa.Table, dialect: sa.Dialect) -> None:
        names = [c.name for c in table.columns]
        self._statement = _Statement(statement.compile(dialect=dialect, column_keys=names), names, dialect)
        self._columns = [
            (name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in self._statement.names
        ]

    def execute(self, connection: sa.Connection, records: Sequence[Read]) -> None:
        """Insert these."""
        columns = self._columns
        rows = [[read(n) if store is None else store(read(n)) for n, store in columns] for read in records]
        self._statement.execute(connection, rows)


class Entry:
    """The look for one entry of the cache."""

    def __init__(self, dialect: sa.Dialect) -> None:
        outputs = tables.cache.c.outputs
        statement = sa.select(outputs).where(tables.cache.c.key == sa.bindparam("key"))
        self._statement = _Statement(statement.compile(dialect=dialect), ["key"], dialect)
        self._load = outputs.type.dialect_impl(dialect).result_processor(dialect, None)

    def find(self, connection: sa.Connection, key: str) -> dict[str, Any] | None:
        """What is remembered under the key."""
        found = self._statement.execute(connection, [[key]]).fetchone()
        if found is None:
            return None
        return found[0] if self._load is None else self._load(found[0])


class _Statement:
    """A compiled statement. ``names`` are its parameters, in the order in which a row has them."""

    def __init__(self, compiled: sa.Compiled, names: list[str], dialect: sa.Dialect) -> None:
        self.names: list[str] = list(getattr(compiled, "positiontup", None) or names)
        self._text = str(compiled)
        self._dialect = dialect

    def execute(self, connection: sa.Connection, rows: Sequence[list[Any]]) -> Any:
        """Execute it for each row of parameters; what is read, of one row."""
        if self._dialect.name == "sqlite":
            return sqlite.execute(connection, self._text, rows)
        return connection.exec_driver_sql(
            self._text, [dict(zip(self.names, row, strict=True)) for row in rows]
        )
