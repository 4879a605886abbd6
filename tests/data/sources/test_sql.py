"""Queries as sources, on a real SQLite file and a real PostgreSQL server."""

import sqlite3
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pyarrow import parquet

from tests.data.sources.conftest import Rows
from tests.services.postgres import Postgres
from tidemill.core.errors import InvalidInput, NotFound, StorageError
from tidemill.data import Changes, Datasets, import_files, import_rows
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
        (
            "select 1 as a, cast(x'ff41' as text) as b",
            "sql-error",
            "Column 'b' of the query has a text that is not UTF-8",
        ),
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
        "create table sales (id int primary key, price numeric(10, 2), day date, at timestamptz, tags text[], ok bool);"
        "insert into sales values (1, 19.50, '2026-01-02', '2026-01-02 03:04:05+02', null, true),"
        " (2, null, null, null, '{a,null,b}', null)",
        database,
    )
    done = import_rows(datasets, "d", Query("select * from sales", address), key=["id"])
    assert [str(c.type) for c in done.columns] == [
        "int64",
        "decimal128(10, 2)",
        "date32[day]",
        "timestamp[us, tz=UTC]",
        "list<item: string>",
        "bool",
    ]
    first, second = rows()
    assert (first["price"], str(first["day"]), first["at"].isoformat(), first["ok"]) == (
        Decimal("19.50"),
        "2026-01-02",
        "2026-01-02T01:04:05+00:00",
        True,
    )
    assert second == {"id": 2, "price": None, "day": None, "at": None, "tags": ["a", None, "b"], "ok": None}
    assert import_rows(datasets, "d", Query("select * from sales", address)).rows == Changes()
    assert done.commit
    assert "ada" not in done.commit.message
    with pytest.raises(InvalidInput, match='relation "nothing" does not exist') as caught:
        import_rows(datasets, "e", Query("select * from nothing", address))
    assert caught.value.code == "sql-error"


KEPT: list[tuple[str, str, Any]] = [
    ("numeric '12345678901234567890.000000001'", "decimal128(38, 9)", Decimal("12345678901234567890.000000001")),
    (f"'{'9' * 50}.5'::numeric", "decimal256(76, 1)", Decimal("9" * 50 + ".5")),
    ("0.10::numeric(4, 2)", "decimal128(4, 2)", Decimal("0.10")),
    ("0.0012::numeric(2, 4)", "decimal128(4, 4)", Decimal("0.0012")),
    ("1200::numeric(2, -2)", "decimal128(4, 0)", Decimal(1200)),
    ("null::numeric(4, 2)", "decimal128(4, 2)", None),
    ("null::uuid", "extension<arrow.uuid>", None),
    ("'6c8f9d5e-0f2b-4f5e-9a53-1a2b3c4d5e6f'::uuid", "extension<arrow.uuid>", UUID("6c8f9d5e-0f2b-4f5e-9a53-1a2b3c4d5e6f")),
    ("""'{"b": 1.0,  "a": 2, "b": 1e400}'::json""", "string", '{"b": 1.0,  "a": 2, "b": 1e400}'),
    ("""'{"b": 1.00, "a": [12345678901234567890123]}'::jsonb""", "string", '{"a": [12345678901234567890123], "b": 1.00}'),
    ("'\\x00ff'::bytea", "binary", b"\x00\xff"),
    ("'-1 days +02:03:04.000005'::interval", "duration[us]", timedelta(days=-1, hours=2, minutes=3, seconds=4, microseconds=5)),
    ("'-00:00:01.5'::interval", "duration[us]", timedelta(seconds=-1.5)),
    ("'0001-01-02 00:00:00.000001'::timestamp", "timestamp[us]", datetime(1, 1, 2, 0, 0, 0, 1)),  # noqa: DTZ001
    ("'2026-07-01 12:00+05:30'::timestamptz", "timestamp[us, tz=UTC]", datetime(2026, 7, 1, 6, 30, tzinfo=UTC)),
    ("'9999-12-31'::date", "date32[day]", date(9999, 12, 31)),
    ("'23:59:59.999999'::time", "time64[us]", time(23, 59, 59, 999999)),
    ("true", "bool", True),
    ("'NaN'::float8", "double", "nan"),
    ("0.1::float4", "double", 0.1),
    ("array[1, null, 3]", "list<item: int64>", [1, None, 3]),
    ("array[[1, 2], [3, 4]]", "list<item: list<item: int64>>", [[1, 2], [3, 4]]),
    ("array[1.10, 22.2]", "list<item: decimal128(38, 2)>", [Decimal("1.10"), Decimal("22.20")]),
    ("array['6c8f9d5e-0f2b-4f5e-9a53-1a2b3c4d5e6f'::uuid]", "list<item: string>", ["6c8f9d5e-0f2b-4f5e-9a53-1a2b3c4d5e6f"]),
    ("array['\\xff'::bytea]", "list<item: binary>", [b"\xff"]),
    ("array['2026-07-01'::timestamptz at time zone 'UTC']", "list<item: timestamp[us]>", [datetime(2026, 7, 1)]),  # noqa: DTZ001
    ("array['1 day'::interval]", "list<item: duration[us]>", [timedelta(days=1)]),
    ("int4range(1, 5)", "string", "[1,5)"),
    ("'192.168.0.1/32'::cidr", "string", "192.168.0.1/32"),
    ("row(1, 'a b')", "string", '(1,"a b")'),
    ("'12.50'::money", "string", "$12.50"),
]  # fmt: skip


def test_a_value_of_postgresql_is_kept_as_it_is(
    datasets: Datasets, postgres: Postgres, rows: Rows, tmp_path: Path
):
    address = postgres.fresh()
    text = ", ".join(f"{value} as c{n}" for n, (value, _, _) in enumerate(KEPT))
    query = Query(f"select 1 as id, {text} where current_setting('lc_monetary') is not null", address)
    done = import_rows(datasets, "d", query, key=["id"])
    assert [str(datasets.open("d").schema.field(c.name).type) for c in done.columns[1:]] == [
        k for _, k, _ in KEPT
    ]
    (row,) = rows()
    for n, (value, _, kept) in enumerate(KEPT):
        cell = row[f"c{n}"]
        assert (str(cell) if kept == "nan" else cell) == kept, value
    assert import_rows(datasets, "d", query).rows == Changes()
    datasets.open("d").snapshot().write_parquet(tmp_path / "out.parquet", ids=False)
    assert import_files(datasets, "d", tmp_path / "out.parquet").rows == Changes()
    out = parquet.read_schema(tmp_path / "out.parquet")
    assert [str(out.field(f"c{n}").type) for n in (8, 9)] == ["extension<arrow.json>"] * 2


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("'1 mon'::interval", "no fixed length"),
        ("'-2 years 1 day'::interval", "no fixed length"),
        ("array['1 mon'::interval]", "no fixed length"),
        ("'infinity'::timestamptz", "years 1 to 9999"),
        ("'10000-01-01'::timestamp", "years 1 to 9999"),
        ("'0044-03-15 BC'::date", "years 1 to 9999"),
        ("'24:00:00'::time", "time of day"),
        ("'12:00+02'::timetz", "no zone"),
        ("'NaN'::numeric", "finite"),
        ("array['Infinity'::numeric]", "finite"),
        ("case when n = 1 then array[1] else array[[1]] end", "one type"),
    ],
)
def test_a_value_of_postgresql_that_no_dataset_keeps_is_refused(
    datasets: Datasets, postgres: Postgres, rows: Rows, value: str, why: str
):
    address = postgres.url("postgres")
    query = f"select n, case when n > 1 or {value} is null then {value} end as c from generate_series(1, 3) n"
    if "case" in value:
        query = f"select n, {value} as c from generate_series(1, 3) n"
    with pytest.raises(InvalidInput, match="the query, row 2, column 'c': ") as caught:
        import_rows(datasets, "d", Query(query, address))
    assert why in str(caught.value.why)
    assert "--type c=string" in str(caught.value.hint)
    assert not datasets.exists("d")
    import_rows(datasets, "d", Query(query, address), types={"c": "string"})
    assert rows()[0]["c"] is None or "case" in value
    assert all(isinstance(row["c"], str) for row in rows()[1:])


def test_a_column_of_floats_takes_decimals_that_floats_hold(
    datasets: Datasets, postgres: Postgres, rows: Rows
):
    address = postgres.fresh()
    import_rows(datasets, "d", Query("select 1 as id, 19.5::float8 as price", address), key=["id"])
    import_rows(datasets, "d", Query("select 2 as id, 0.1::numeric as price", address))
    assert [row["price"] for row in rows()] == [19.5, 0.1]
    with pytest.raises(
        InvalidInput, match="column 'price': .*0.12345678901234567890.* is not double"
    ) as caught:
        import_rows(datasets, "d", Query("select 3 as id, 0.12345678901234567890 as price", address))
    assert caught.value.code == "wrong-type"
