"""Queries as sources, on a real SQLite file and a real PostgreSQL server."""

import sqlite3
from pathlib import Path

import pytest

from tests.data.sources.conftest import Rows
from tests.services.postgres import Postgres
from tidemill.core.errors import InvalidInput, NotFound, StorageError
from tidemill.data import Changes, Datasets, import_rows
from tidemill.data.sources.sql import Query


@pytest.fixture
def sales(tmp_path: Path) -> str:
    """The address of a database with a table of 3 rows."""
    path = tmp_path / "sales.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table sales (id integer, item text, price real, photo blob)")
        connection.executemany(
            "insert into sales values (?, ?, ?, ?)",
            [(1, "coat", 19.5, b"\x00\xff"), (2, "50% off: bag", 5.0, None), (3, None, None, None)],
        )
    connection.close()
    return f"sqlite:///{path}"


def test_rows_of_a_query_and_only_the_difference_again(datasets: Datasets, sales: str, rows: Rows):
    done = import_rows(datasets, "d", Query("select * from sales order by id", sales), key=["id"])
    assert [(c.name, str(c.type), c.how) for c in done.columns] == [
        ("id", "int64", "found in the values"),
        ("item", "string", "found in the values"),
        ("price", "double", "found in the values"),
        ("photo", "binary", "found in the values"),
    ]
    assert rows()[0] == {"id": 1, "item": "coat", "price": 19.5, "photo": b"\x00\xff"}
    assert done.commit
    assert done.commit.message.startswith("Import 'select * from sales order by id' from sqlite:///")
    again = import_rows(
        datasets, "d", Query("select id, item, 20 as price, photo from sales where item like '5%:%'", sales)
    )
    assert again.rows == Changes(changed=1)
    assert import_rows(
        datasets, "d", Query("select * from sales where id = 1", sales), sync=True
    ).rows == Changes(removed=2)


def test_more_rows_than_one_piece_and_a_type_that_only_the_last_gives(datasets: Datasets, sales: str):
    counted = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 45000)"
    query = f"{counted} select i, case when i = 45000 then 0.5 else i end as x from n"
    import_rows(datasets, "d", Query(query, sales))
    assert datasets.open("d").head().rows == 45000
    assert str(datasets.open("d").schema.field("x").type) == "double"


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("select * from nowhere", "sql-error", "no such table: nowhere"),
        ("selekt 1", "sql-error", "syntax error"),
        ("delete from sales", "sql-error", "gives no rows"),
        ("select * from sales where id > 9", "empty-file", "gives no row"),
        ("select id, id from sales", "duplicated-column", "both named 'id'"),
        (
            "select case id when 2 then 'x' else id end as a from sales",
            "mixed-types",
            "the query, row 2, column 'a'",
        ),
        ("select 1 as id union all select 1", "duplicate-key", "the query, row 2: .*id=1"),
        ("select count(*) from sales", None, ""),
    ],
)
def test_queries_that_cannot_be_taken(
    datasets: Datasets, sales: str, query: str, code: str | None, words: str
):
    if code is None:
        import_rows(datasets, "d", Query(query, sales))
        return
    key = ["id"] if code == "duplicate-key" else None
    with pytest.raises(InvalidInput, match=words) as caught:
        import_rows(datasets, "d", Query(query, sales), key=key)
    assert caught.value.code == code
    assert caught.value.hint
    assert not datasets.exists("d")
    with sqlite3.connect(sales.removeprefix("sqlite:///")) as connection:
        assert connection.execute("select count(*) from sales").fetchone() == (3,)
    connection.close()


def test_addresses_that_lead_nowhere(tmp_path: Path):
    with pytest.raises(NotFound, match="There is no file"):
        Query("select 1", f"sqlite:///{tmp_path / 'nothing.db'}")
    assert not (tmp_path / "nothing.db").exists()
    for address in ("sales.db", "nosuch://host/db"):
        with pytest.raises(InvalidInput, match="is no address of a database") as caught:
            Query("select 1", address).fields()
        assert caught.value.code == "invalid-database"
    with pytest.raises(StorageError, match=r"Cannot reach the database at 127\.0\.0\.1") as unreachable:
        Query("select 1", "postgresql://ada@127.0.0.1:1/sales").fields()
    assert unreachable.value.code == "database-unreachable"


def test_postgresql(datasets: Datasets, postgres: Postgres, rows: Rows):
    address = postgres.fresh()
    database = address.rpartition("/")[2]
    postgres.sql(
        "create table sales (id int primary key, price numeric, day date, at timestamptz, tags text[], ok bool);"
        "insert into sales values (1, 19.50, '2026-01-02', '2026-01-02 03:04:05+02', null, true),"
        " (2, null, null, null, '{a,b}', null)",
        database,
    )
    columns = "id, price, day, at, ok, gen_random_uuid()::text <> '' as x"
    done = import_rows(datasets, "d", Query(f"select {columns} from sales", address), key=["id"])
    assert [str(c.type) for c in done.columns] == [
        "int64",
        "double",
        "date32[day]",
        "timestamp[us, tz=UTC]",
        "bool",
        "bool",
    ]
    first = rows()[0]
    assert (first["price"], str(first["day"]), first["at"].isoformat(), first["ok"]) == (
        19.5,
        "2026-01-02",
        "2026-01-02T01:04:05+00:00",
        True,
    )
    assert import_rows(datasets, "d", Query(f"select {columns} from sales", address)).rows == Changes()
    assert done.commit
    assert "ada" not in done.commit.message
    with pytest.raises(InvalidInput, match="the query, row 2, column 'tags': the value is a list") as caught:
        import_rows(datasets, "e", Query("select * from sales order by id", address))
    assert caught.value.code == "nested-value"
    with pytest.raises(InvalidInput, match='relation "nothing" does not exist') as caught:
        import_rows(datasets, "e", Query("select * from nothing", address))
    assert caught.value.code == "sql-error"
