"""The catalog: a SQL database, opened, migrated, read and written in short transactions.

SQLite for one machine, PostgreSQL for a team. Every write is one transaction; a reader never waits for a writer.
"""

import contextlib
import dataclasses
import functools
import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from tidemill.core import codes, words
from tidemill.core.clock import now, stamp
from tidemill.core.errors import Conflict
from tidemill.store.catalog import older, prepared, records, tables
from tidemill.store.catalog.engine import Engine, too_new
from tidemill.store.catalog.postgres import Postgres, is_address
from tidemill.store.catalog.sqlite import Sqlite

HEAD = "0010"
"""The newest migration; equal to the last file in ``migrations/versions`` (a test says so)."""

_TABLES = tables.of_records
_HISTORY = (records.Deployment, records.DeploymentChange)
"""Records that are added and never written over."""
_CACHED = sa.select(tables.cache.c.key, tables.cache.c.outputs).where(
    tables.cache.c.key.in_(sa.bindparam("keys", expanding=True))
)
_COMPUTED = ("cache", "artifacts", "garbage", "lookouts", "pairing")
"""Tables without a text of a person. What runs computed is removed where it came of what is forgotten."""
_MACHINE = frozenset(
    {
        "answered_by", "asked_from", "commit", "framework", "host", "inputs", "kind", "machine", "merge_commit", "metrics",
        "outputs", "place", "role", "row", "run", "source_commit", "state", "status", "target_commit", "time", "trigger", "until",
        "verb",
    }
)  # fmt: skip
"""Columns, beside times and digests, whose texts a machine made and which records are found by."""
_DIGEST = re.compile(r"sha256:[0-9a-f]+")
_RAISED = re.compile(r"[A-Za-z_]\w*: ")
"""How a gate's reason begins that is no figure but an error of the model's own code, which may repeat cells."""
R = TypeVar("R")


@dataclasses.dataclass(frozen=True, slots=True)
class Mention:
    """A column of a record in which there are words; ``key`` is the record's."""

    table: str
    key: dict[str, Any]
    column: str
    value: Any
    words: tuple[str, ...]


def _is_machine(column: str) -> bool:
    return column in _MACHINE or column.endswith("_at")


def _edited(column: sa.Column[Any], value: Any, edit: Callable[[str], str]) -> Any:
    """A value of a column with its texts edited, but for those that a machine made."""
    if column is tables.verdicts.c.rules:
        return [
            rule | {"reason": edit(rule["reason"])} if _RAISED.match(rule.get("reason", "")) else rule
            for rule in value
        ]
    return _with_texts(value, edit)


def _with_texts(value: Any, edit: Callable[[str], str]) -> Any:
    match value:
        case str():
            return value if _DIGEST.fullmatch(value) else edit(value)
        case dict():
            return {edit(str(n)): _with_texts(v, edit) for n, v in value.items()}
        case list():
            return [_with_texts(v, edit) for v in value]
        case _:
            return value


def _words_in(column: sa.Column[Any], value: Any, sought: Sequence[str]) -> tuple[str, ...]:
    there: dict[str, None] = {}

    def look(text: str) -> str:
        there.update(dict.fromkeys(words.found(text, sought)))
        return text

    _edited(column, value, look)
    return tuple(there)


class Transaction:
    """Reads and writes that happen together or not at all."""

    def __init__(self, connection: sa.Connection, older: Mapping[str, sa.FromClause] | None = None) -> None:
        self._connection = connection
        self._older = older or {}
        self._dialect = connection.dialect.name

    def add(self, *rows: object) -> None:
        """Insert records. An equal key there already is an ``IntegrityError``."""
        for row in rows:
            self._connection.execute(sa.insert(_TABLES[type(row)]).values(_columns(row)))

    def put(self, *rows: object) -> None:
        """Insert records, or replace those with the same key; none of a history, which only grows."""
        _check_no_history(*map(type, rows))
        self._each(rows, _replacing)

    def add_new(self, *rows: object) -> None:
        """Insert records; leave those whose key is there already as they are."""
        self._each(rows, _keeping)

    def _each(self, rows: Sequence[object], how: "_How") -> None:
        kinds = dict.fromkeys(type(row) for row in rows)
        for kind in kinds:
            some = [functools.partial(getattr, row) for row in rows if type(row) is kind]
            _insert(how, _TABLES[kind], self._connection.dialect).execute(self._connection, some)

    def change(self, kind: type[Any], where: Mapping[str, object], **values: object) -> int:
        """Set columns of the records of ``kind`` that match, of no history; returns how many matched."""
        _check_no_history(kind)
        table = _TABLES[kind]
        return self._connection.execute(
            sa.update(table).where(*_matches(table, where)).values(**values)
        ).rowcount

    def remove(self, kind: type[Any], where: Mapping[str, object]) -> int:
        """Delete the records of ``kind`` that match, of no history; returns how many."""
        _check_no_history(kind)
        table = _TABLES[kind]
        return self._connection.execute(sa.delete(table).where(*_matches(table, where))).rowcount

    def find(
        self,
        kind: type[R],
        where: Mapping[str, object] | None = None,
        *,
        between: Mapping[str, tuple[str | None, str | None]] | None = None,
        order: Sequence[str] = (),
        limit: int | None = None,
    ) -> list[R]:
        """The records of ``kind`` whose columns equal (or are in) ``where``; ``-name`` orders downward.

        Of ``between``, each text column is at least the one and less than the other, by code points; None: any.
        """
        table = self._read_from(kind)
        columns = [table.c[name] for name in _fields(kind)]
        query = sa.select(*columns).where(*_matches(table, where or {}))
        for name, (least, under) in (between or {}).items():
            column = self._ordered(table.c[name])
            query = query if least is None else query.where(column >= least)
            query = query if under is None else query.where(column < under)
        for name in order:
            column = self._ordered(table.c[name.removeprefix("-")])
            query = query.order_by(column.desc() if name.startswith("-") else column)
        return [kind(*row) for row in self._connection.execute(query.limit(limit))]

    def _read_from(self, kind: type[Any]) -> sa.FromClause:
        table = _TABLES[kind]
        return self._older.get(table.name, table)

    def _ordered(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        # By code points, as SQLite does, not by the rules of the server's language.
        text = self._dialect == "postgresql" and isinstance(column.type, sa.String)
        return sa.collate(column, "C") if text else column

    def values(self, kind: type[Any], column: str, where: Mapping[str, object]) -> list[Any]:
        """One column of the records that match."""
        table = self._read_from(kind)
        query = sa.select(table.c[column]).where(*_matches(table, where))
        return list(self._connection.execute(query).scalars())

    def first(self, kind: type[R], where: Mapping[str, object], *, order: Sequence[str] = ()) -> R | None:
        """The first such record, or None."""
        found = self.find(kind, where, order=order, limit=1)
        return found[0] if found else None

    def greatest(self, kind: type[Any], column: str, where: Mapping[str, object]) -> int:
        """The greatest value of an integer column among the matches; 0 where there is none."""
        table = self._read_from(kind)
        query = sa.select(sa.func.max(table.c[column])).where(*_matches(table, where))
        return self._connection.execute(query).scalar() or 0

    def last(self, kind: type[Any], column: str) -> str | None:
        """The last value of a text column, in the order of texts; None where there is no record."""
        return self._connection.execute(sa.select(sa.func.max(self._read_from(kind).c[column]))).scalar()

    def counts(self, kind: type[Any], by: Sequence[str], where: Mapping[str, object]) -> dict[Any, int]:
        """How many records match, by the values of the columns ``by``, as tuples."""
        table = self._read_from(kind)
        columns = [table.c[name] for name in by]
        query = sa.select(*columns, sa.func.count()).where(*_matches(table, where)).group_by(*columns)
        return {tuple(values): count for *values, count in self._connection.execute(query)}

    def ask(self, query: sa.Executable) -> list[tuple[Any, ...]]:
        """The rows that a query of this package gives, where ``find`` cannot say it."""
        return [tuple(row) for row in self._connection.execute(query)]

    def cached(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The cache's outputs for those of ``keys`` that it holds."""
        found: dict[str, dict[str, Any]] = {}
        if len(keys) == 1:
            entry = _entry(self._connection.dialect).find(self._connection, keys[0])
            return {} if entry is None else {keys[0]: entry}
        for start in range(0, len(keys), 500):
            rows = self._connection.execute(_CACHED, {"keys": keys[start : start + 500]})
            found.update((key, outputs) for key, outputs in rows)
        return found

    def remember(self, entries: Mapping[str, Mapping[str, Any]], created_at: str) -> None:
        """Put entries into the cache by key, in place of older ones."""
        if entries:
            rows = [{"key": k, "outputs": dict(o), "created_at": created_at} for k, o in entries.items()]
            statement = _insert(_replacing, tables.cache, self._connection.dialect)
            statement.execute(self._connection, [row.__getitem__ for row in rows])

    def forget(self, keys: Sequence[str]) -> None:
        """Drop cache entries."""
        for start in range(0, len(keys), 500):
            self._connection.execute(
                sa.delete(tables.cache).where(tables.cache.c.key.in_(keys[start : start + 500]))
            )

    def cache_entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All of the cache: key and outputs."""
        rows = self._connection.execute(sa.select(tables.cache.c.key, tables.cache.c.outputs))
        yield from ((key, outputs) for key, outputs in rows)

    def mentions(self, sought: Sequence[str]) -> "list[Mention]":
        """Where what people or steps wrote has one of these words, whole; not where a machine wrote."""
        found: list[Mention] = []
        for table in tables.metadata.sorted_tables if sought else ():
            if table.name in _COMPUTED:
                continue
            keys = list(table.primary_key.columns)
            columns = [
                c
                for c in table.columns
                if c not in keys and isinstance(c.type, sa.String | sa.JSON) and not _is_machine(c.name)
            ]
            query = sa.select(*keys, *columns)
            for row in self._connection.execute(query):
                key = dict(zip([c.name for c in keys], row, strict=False))
                values = row[len(keys) :]
                found += [
                    Mention(table.name, key, column.name, value, there)
                    for column, value in zip(columns, values, strict=True)
                    if (there := _words_in(column, value, sought))
                ]
        return found

    def redact(self, sought: Sequence[str], instead: str) -> "list[Mention]":
        """Put another text in the place of these words there; where it was done."""
        found = self.mentions(sought)
        for one in found:
            table = tables.metadata.tables[one.table]
            value = _edited(
                table.c[one.column], one.value, lambda text: words.replaced(text, sought, instead)
            )
            where = [table.c[name] == part for name, part in one.key.items()]
            self._connection.execute(sa.update(table).where(*where).values({one.column: value}))
        return found


class Catalog:
    """An open catalog. Safe to share between threads; each transaction has its own connection."""

    def __init__(self, database: Engine) -> None:
        self.database = database
        self._begun = threading.local()
        self.version: str | None = None
        self._older: Mapping[str, sa.FromClause] = {}

    @classmethod
    def open(cls, where: Path | str) -> "Catalog":
        """Open the catalog in a file of SQLite or at an address of PostgreSQL; make its tables.

        Those of a file are migrated. Others may be used by a team, some of whom have an older Tidemill, which a migration
        locks out: they are read as they are until ``migrate``.

        Raises:
            StorageError: ``store-too-new``, ``catalog-damaged``, ``catalog-unreachable``.
            NotAllowed: ``catalog-access-denied``.
            NotFound: ``catalog-not-found``.
        """
        remote = isinstance(where, str) and is_address(where)
        catalog = cls(Postgres(str(where)) if remote else Sqlite(Path(where)))
        try:
            catalog._prepare(migrate=not remote)
        except exc.DatabaseError as error:
            catalog.close()
            raise catalog.database.fault(error) from error
        except BaseException:
            catalog.close()
            raise
        return catalog

    def paired(self) -> records.Pairing | None:
        """The store that it belongs to; None of one that is new, or of an older version."""
        pairing = self._older.get("pairing", tables.pairing)
        columns = [pairing.c[name] for name in _fields(records.Pairing)]
        with self.database.transaction(write=False) as connection:
            found = connection.execute(sa.select(*columns)).first()
        return None if found is None else records.Pairing(*found)

    def pair(self, store: str, address: str) -> records.Pairing:
        """Make it belong to a store, unless another process was quicker; the store that it belongs to then."""
        row = {"place": 1, "id": store, "address": address, "paired_at": stamp(now())}
        with contextlib.suppress(exc.IntegrityError), self.database.transaction(write=True) as connection:
            connection.execute(sa.insert(tables.pairing).values(row))
        paired = self.paired()
        assert paired is not None
        return paired

    def has_records(self) -> bool:
        """Whether anything was ever recorded."""
        with self.database.transaction(write=False) as connection:
            return any(
                connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
                for table in (
                    tables.runs,
                    tables.models,
                    tables.releases,
                    tables.reviews,
                    tables.label_queues,
                )
            )

    @property
    def is_older(self) -> bool:
        """Whether an older Tidemill made its tables, and they are only read."""
        return self.version != HEAD

    def migrate(self) -> None:
        """Bring its tables up to date. An older Tidemill cannot open it after that."""
        try:
            self._upgrade()
        except exc.DatabaseError as error:
            raise self.database.fault(error) from error
        self.version, self._older = HEAD, {}

    def _prepare(self, *, migrate: bool) -> None:
        with self.database.transaction(write=False) as connection:
            there = sa.inspect(connection).has_table("alembic_version")
            self.version = (
                connection.execute(sa.text("select version_num from alembic_version")).scalar()
                if there
                else None
            )
            if self.version is not None and self.version > HEAD:
                raise too_new(self.version, HEAD)
            if self.version not in (None, HEAD) and not migrate:
                self._older = older.sources(connection)
        if self.version is None or (migrate and self.is_older):
            self._upgrade()
            self.version = HEAD

    def _upgrade(self) -> None:
        from alembic import command  # noqa: PLC0415 - 0.4 s, and only a new or old store needs it
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.database.transaction(write=True) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def write(self) -> Generator[Transaction]:
        """A transaction that commits at its end, or rolls back on an error.

        Raises:
            StorageError: ``disk-full``, ``catalog-lost``, ``catalog-unreachable`` or ``storage``.
            Conflict: ``catalog-older``, when an older Tidemill made its tables.
        """
        if self.is_older:
            raise Conflict(
                f"The catalog {self.database.name} has version {self.version}; this Tidemill writes {HEAD}.",
                why="An older Tidemill made it, and whoever still has that one could not open it any more. What is there is "
                "read as it is.",
                hint="Type 'tidemill store migrate' to see what would change and who is concerned; or use the version of "
                "Tidemill that the others have.",
                code=codes.CATALOG_OLDER,
            )
        with self.database.transaction(write=True) as connection:
            self._begun.transaction = Transaction(connection)
            try:
                yield self._begun.transaction
            finally:
                self._begun.transaction = None

    @contextmanager
    def joined(self) -> Generator[Transaction]:
        """The transaction that this thread is writing in, or one of its own: another would wait for it for ever."""
        begun = getattr(self._begun, "transaction", None)
        if begun is not None:
            yield begun
            return
        with self.write() as transaction:
            yield transaction

    @contextmanager
    def read(self) -> Generator[Transaction]:
        """A transaction that only reads: one moment's state."""
        with self.database.transaction(write=False) as connection:
            yield Transaction(connection, self._older)

    def scrub(self) -> None:
        """Let nothing of what was deleted remain in the database's files."""
        self.database.scrub()

    def close(self) -> None:
        """Close all connections."""
        self.database.sql.dispose()


def _upsert(table: sa.Table, dialect: str) -> Any:
    # Each dialect loads only where it is used.
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415
    else:
        from sqlalchemy.dialects.sqlite import insert  # noqa: PLC0415
    return insert(table)


def _replacing(table: sa.Table, dialect: str) -> sa.Insert:
    keys = [c.name for c in table.primary_key]
    new = _upsert(table, dialect)
    rest = {c.name: new.excluded[c.name] for c in table.columns if c.name not in keys}
    return new.on_conflict_do_update(index_elements=keys, set_=rest)


def _keeping(table: sa.Table, dialect: str) -> sa.Insert:
    return _upsert(table, dialect).on_conflict_do_nothing()


_How = Callable[[sa.Table, str], sa.Insert]
_inserts: dict[tuple[_How, sa.Table, str], prepared.Insert] = {}
_entries: dict[str, prepared.Entry] = {}


def _insert(how: _How, table: sa.Table, dialect: sa.Dialect) -> prepared.Insert:
    key = how, table, dialect.name
    if key not in _inserts:
        _inserts[key] = prepared.Insert(how(table, dialect.name), table, dialect)
    return _inserts[key]


def _entry(dialect: sa.Dialect) -> prepared.Entry:
    if dialect.name not in _entries:
        _entries[dialect.name] = prepared.Entry(dialect)
    return _entries[dialect.name]


def _check_no_history(*kinds: type[Any]) -> None:
    assert not set(kinds).intersection(_HISTORY), "history is added to, and never written over"


def _columns(row: object) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _fields(type(row))}


@functools.cache
def _fields(kind: type[Any]) -> list[str]:
    return [f.name for f in dataclasses.fields(kind)]


def _matches(table: sa.FromClause, where: Mapping[str, object]) -> list[sa.ColumnElement[bool]]:
    return [
        table.c[n].in_(v) if isinstance(v, (list, tuple, set, frozenset)) else table.c[n] == v
        for n, v in where.items()
    ]
