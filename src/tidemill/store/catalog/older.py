"""A catalog of an older version, read as it is: what its tables lack is NULL, and tables that it lacks are empty."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

import sqlalchemy as sa

from tidemill.store.catalog import tables


def sources(connection: sa.Connection) -> Mapping[str, sa.FromClause]:
    """What is to be read in place of those tables that are not as today, by name."""
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    found: dict[str, sa.FromClause] = {}
    for table in tables.metadata.sorted_tables:
        columns = {c["name"] for c in inspector.get_columns(table.name)} if table.name in there else set()
        if columns.issuperset(c.name for c in table.columns):
            continue
        read = [
            table.c[c.name] if c.name in columns else sa.cast(sa.null(), c.type).label(c.name)
            for c in table.columns
        ]
        query = sa.select(*read)
        found[table.name] = (query if columns else query.where(sa.false())).subquery(table.name)
    return found


def changes(after: str) -> list[str]:
    """What each migration after a version does, in a line."""
    from tidemill.store.catalog.migrations import versions  # noqa: PLC0415

    names = sorted(
        m.name for m in iter_modules(versions.__path__) if m.name[:4].isdecimal() and m.name[:4] > after
    )
    return [(import_module(f"{versions.__name__}.{name}").__doc__ or name).splitlines()[0] for name in names]
