"""Statements that are executed for every step: compiled once a database, then given to its driver as they are."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from tidemill.store.catalog import tables

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
        compiled = statement.compile(dialect=dialect, column_keys=[c.name for c in table.columns])
        names = _names(compiled, [c.name for c in table.columns])
        self._text = str(compiled)
        self._positional = compiled.positional
        self._columns = [
            (name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in names
        ]

    def execute(self, connection: sa.Connection, records: Sequence[Read]) -> None:
        """Insert these."""
        rows: list[Any] = []
        for read in records:
            row = [read(n) if store is None else store(read(n)) for n, store in self._columns]
            rows.append(tuple(row) if self._positional else dict(zip(self._names, row, strict=True)))
        connection.exec_driver_sql(self._text, rows)

    @property
    def _names(self) -> list[str]:
        return [name for name, _ in self._columns]


class Entry:
    """The look for one entry of the cache."""

    def __init__(self, dialect: sa.Dialect) -> None:
        outputs = tables.cache.c.outputs
        statement = sa.select(outputs).where(tables.cache.c.key == sa.bindparam("key"))
        compiled = statement.compile(dialect=dialect)
        self._text = str(compiled)
        self._positional = compiled.positional
        self._load = outputs.type.dialect_impl(dialect).result_processor(dialect, None)

    def find(self, connection: sa.Connection, key: str) -> dict[str, Any] | None:
        """What is remembered under the key."""
        found = connection.exec_driver_sql(self._text, (key,) if self._positional else {"key": key}).first()
        if found is None:
            return None
        return found[0] if self._load is None else self._load(found[0])


def _names(compiled: sa.Compiled, columns: list[str]) -> list[str]:
    """The parameters in the order in which the driver wants them."""
    return list(getattr(compiled, "positiontup", None) or columns)
