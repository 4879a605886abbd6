"""What a query gives: a database's answer, taken once and kept aside while its types are found."""

import re
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NeedsExtra, NotFound, StorageError
from tidemill.core.events import Progress, Sink, silent
from tidemill.data.sources import postgres
from tidemill.data.sources.kept import Kept
from tidemill.data.sources.source import Group, Note, Place
from tidemill.data.sources.values import column, plain, types_of

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE_ROWS = 20_000
_PSYCOPG = "postgresql+psycopg"
_UNDECODED = re.compile(r"Could not decode to UTF-8 column '(?P<column>.*?)' with text")
"""What Python's sqlite3 says of it."""


class Query:
    """A query on a database that SQLAlchemy reaches, as a source.

    Args:
        text: The query.
        address: Where: ``sqlite:///file.db``, ``postgresql://user:password@host/database``.
        sink: Is told how far it is.
    """

    how = "found in the values"
    head = Place("the query")
    sparse = False
    notes: Sequence[Note] = ()
    spellings: Mapping[str, str] = MappingProxyType({})

    def __init__(self, text: str, address: str, sink: Sink = silent) -> None:
        self._text = text
        self._sink = sink
        self._url = _url(address)
        self.name = f"'{' '.join(text.split())}' from {_without_user(self._url)}"
        self._names: list[str] = []
        self._fields: list[pa.Field] = []

    @cached_property
    def _kept(self) -> Kept:
        """The whole answer."""
        kept = Kept()
        with self._result() as result:
            self._names = list(result.keys())
            self._fields = self._of(result)
            for rows in result.partitions(_PIECE_ROWS):
                kept.add([[plain(value) for value in values] for values in zip(*rows, strict=True)])
                self._sink(Progress("Reading the query", kept.rows, None, "rows"))
        if not kept.rows:
            raise InvalidInput(
                "The query gives no row.",
                hint="Correct its condition, or run it in the database's own shell first.",
                code=codes.EMPTY_FILE,
            )
        return kept

    def fields(self) -> "Sequence[pa.Field]":
        """The columns: in the types that PostgreSQL's tables declare, else to be found."""
        import pyarrow as pa  # noqa: PLC0415

        assert self._kept.rows
        return self._fields or [pa.field(name, pa.null()) for name in self._names]

    def types(self, groups: Sequence[Group], fixed: "Mapping[str, pa.DataType]") -> "dict[str, pa.DataType]":
        """The type of each source column of the groups: the narrowest that every value fits."""
        del fixed
        return types_of(groups, lambda: self._kept.named(self._names), self.place)

    def pieces(self, types: "Mapping[str, pa.DataType]", given: Collection[str] = ()) -> "Iterator[pa.Table]":
        """All rows, in order, in these types."""
        import pyarrow as pa  # noqa: PLC0415

        for start, columns in self._kept.pieces():
            arrays = [
                column(values, types[name], name, lambda n, s=start: self.place(s + n), given=name in given)
                for name, values in zip(self._names, columns, strict=True)
            ]
            yield pa.Table.from_arrays(arrays, names=self._names)

    def place(self, row: int) -> Place:
        """Where a row is."""
        return Place("the query", "row", row + 1)

    @contextmanager
    def _result(self) -> Generator[Any]:
        import sqlalchemy as sa  # noqa: PLC0415
        from sqlalchemy import exc  # noqa: PLC0415

        try:
            # An extension's records come as their text, which is exact.
            own = {"use_native_hstore": False} if self._url.drivername == _PSYCOPG else {}
            engine = sa.create_engine(self._url, poolclass=sa.NullPool, **own)
        except ModuleNotFoundError as error:
            raise NeedsExtra(
                f"Reading from {self._url.drivername} needs {error.name}, which is not installed.",
                hint="Type: pip install 'tidemill[team]'"
                if error.name == "psycopg"
                else f"Type: pip install {error.name}",
            ) from error
        except exc.NoSuchModuleError as error:
            raise _unknown(self._url.drivername) from error
        try:
            with engine.connect() as connection:
                if self._url.drivername == _PSYCOPG:
                    postgres.prepare(connection.connection.driver_connection)
                result = connection.execution_options(
                    stream_results=True, no_parameters=True
                ).exec_driver_sql(self._text)
                if not result.returns_rows:
                    raise InvalidInput(
                        "The query gives no rows, as a select does.",
                        why="What it did was undone.",
                        hint="Give a select.",
                        code=codes.SQL_ERROR,
                    )
                yield result
        except exc.SQLAlchemyError as error:
            raise self._failed(error) from error
        finally:
            engine.dispose()

    def _of(self, result: Any) -> "list[pa.Field]":
        if self._url.drivername != _PSYCOPG:
            return []
        return postgres.fields(result.cursor.connection, result.cursor.description)

    def _failed(self, error: Any) -> Exception:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        if undecoded := _UNDECODED.match(said):
            column = undecoded["column"]
            return InvalidInput(
                f"Column '{column}' of the query has a text that is not UTF-8.",
                why=said,
                hint=f"""Select its bytes, cast("{column}" as blob), or mend the text in the database.""",
                code=codes.SQL_ERROR,
                details={"column": column},
            )
        if getattr(error, "statement", None) is None:
            host = self._url.host or self._url.database
            return StorageError(
                f"Cannot reach the database at {host}.",
                why=said,
                hint="Check the address, and that the database runs.",
                code=codes.DATABASE_UNREACHABLE,
            )
        return InvalidInput(
            f"The database refuses the query: {said}.",
            hint="Run it in the database's own shell first.",
            code=codes.SQL_ERROR,
        )


def _url(address: str) -> Any:
    import sqlalchemy as sa  # noqa: PLC0415
    from sqlalchemy import exc  # noqa: PLC0415

    try:
        url = sa.make_url(address)
    except exc.ArgumentError as error:
        raise _unknown(address.partition(":")[0]) from error
    if url.drivername == "postgresql":
        url = url.set(drivername=_PSYCOPG)
    file = url.database if url.get_backend_name() == "sqlite" else None
    if file and file != ":memory:" and not Path(file).exists():
        # SQLite would make an empty one.
        raise NotFound(f"There is no file {file}.", hint="Check the path.", code=codes.FILE_NOT_FOUND)
    return url


def _without_user(url: Any) -> str:
    import sqlalchemy as sa  # noqa: PLC0415

    shown = sa.URL.create(url.get_backend_name(), host=url.host, port=url.port, database=url.database)
    return shown.render_as_string()


def _unknown(address: str) -> InvalidInput:
    return InvalidInput(
        f"'{address}' is no address of a database.",
        why="It begins with the kind of database, and goes on with where it is.",
        hint="Write it as sqlite:///file.db or 'postgresql://user:${PASSWORD}@host/database'.",
        code=codes.INVALID_DATABASE,
    )
