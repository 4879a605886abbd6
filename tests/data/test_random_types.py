"""Random tables of every type: in, read, out, in again, sent away, fetched, blamed, forgotten. Each cell is what it was."""

import math
import uuid
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.data import random_types
from tests.data.test_cell_types import write_arrow, write_parquet
from tidemill.core.events import silent
from tidemill.data import Changes, Dataset, Datasets, Tombstone, fetch, find, forget, import_files, push
from tidemill.store.open import Store

ROWS, COLUMNS = 9, 8


class Time(NamedTuple):
    """A time, time of day or duration, in whatever unit it is kept."""

    nanoseconds: int
    zone: str | None


def value(cell: Any, kind: Any) -> Any:
    """A cell as what it says, whatever type it is in: a time by its nanoseconds, a decimal by its digits."""
    types = pa.types
    if not cell.is_valid:
        return None
    if isinstance(kind, pa.UuidType):
        return str(uuid.UUID(bytes=cell.value.as_py()))
    if types.is_dictionary(kind):
        return cell.as_py()
    if types.is_timestamp(kind) or types.is_time(kind) or types.is_duration(kind):
        return Time(cell.value * 10**9 // random_types.PER_SECOND[kind.unit], getattr(kind, "tz", None))
    if types.is_date(kind):
        return cell.value // (86_400_000 if types.is_date64(kind) else 1)
    if types.is_map(kind):
        return [
            (value(entry[0], kind.key_type), value(entry[1], kind.item_type))
            for entry in map(_entry, cell.values)
        ]
    if types.is_nested(kind) and not types.is_struct(kind):
        return [value(member, kind.value_type) for member in cell.values]
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return {f.name: value(cell[f.name], f.type) for f in fields}
    if types.is_floating(kind):
        number = float(cell.as_py())
        return "NaN" if math.isnan(number) else (number, math.copysign(1, number))
    return cell.as_py() if not types.is_decimal(kind) else cell.as_py().normalize()


def _entry(entry: Any) -> tuple[Any, Any]:
    return entry["key"], entry["value"]


def values(table: Any) -> dict[str, list[Any]]:
    """All cells of a table but ``_id``s and predictions, in the order of ``id``."""
    order = np.argsort(table["id"].to_numpy())
    found: dict[str, list[Any]] = {}
    for name in table.column_names:
        if not name.startswith("_"):
            column = table.column(name)
            cells = [value(cell, column.type) for cell in column]
            found[name] = [cells[at] for at in order]
    return found


def read(dataset: Dataset) -> Any:
    return dataset.snapshot().read().to_arrow()


def as_equal(cell: Any, kind: Any) -> Any:
    """A cell, the same for all that a dataset takes for equal: of both zeros, and of tensors that lack each cell."""
    types = pa.types
    if cell is None:
        return None
    if types.is_floating(kind):
        return cell if cell == "NaN" else cell[0]
    if types.is_struct(kind):
        return {
            kind.field(at).name: as_equal(cell[kind.field(at).name], kind.field(at).type)
            for at in range(kind.num_fields)
        }
    if types.is_map(kind):
        return [(key, as_equal(item, kind.item_type)) for key, item in cell]
    if not types.is_nested(kind):
        return cell
    is_tensor = types.is_fixed_size_list(kind) and not (
        types.is_string(kind.value_type) or types.is_binary(kind.value_type)
    )
    if is_tensor and all(member is None for member in cell):
        return None
    return [as_equal(member, kind.value_type) for member in cell]


@pytest.mark.parametrize("seed", range(12))
def test_a_random_table_through_everything(store: Store, datasets: Datasets, tmp_path: Path, seed: int):
    random, in_parquet = Random(seed), seed % 3 > 0
    table = random_types.table(random, ROWS, COLUMNS, parquet=in_parquet)
    path = (write_parquet if in_parquet else write_arrow)(table, tmp_path / "in")
    import_files(datasets, "d", path, key=["id"])
    expected = values(table)
    dataset = datasets.open("d")
    assert values(read(dataset)) == expected

    snapshot = dataset.snapshot()
    outputs = {
        "parquet": lambda out: snapshot.write_parquet(out, ids=False),
        "arrow": lambda out: snapshot.write_arrow(out, ids=False),
        "csv": snapshot.write_csv,
        "jsonl": snapshot.write_json_lines,
    }
    for ending, write in outputs.items():
        write(tmp_path / f"out.{ending}")
        assert import_files(datasets, "d", tmp_path / f"out.{ending}", sync=True).rows == Changes(), ending
    import_files(datasets, "new", tmp_path / "out.arrow", key=["id"])
    assert datasets.open("new").schema == snapshot.schema
    assert values(read(datasets.open("new"))) == expected

    changed = random_types.cells(random, table.schema.field("c0").type, ROWS)
    second = pa.table({**{n: table[n] for n in table.column_names}, "c0": changed})
    done = import_files(datasets, "d", (write_arrow)(second, tmp_path / "changed.arrow"))
    before, after = ([as_equal(cell, changed.type) for cell in of["c0"]] for of in (expected, values(second)))
    differ = [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert done.rows == Changes(changed=len(differ))
    now = read(dataset)
    assert [as_equal(cell, changed.type) for cell in values(now)["c0"]] == after
    assert values(now) == {**expected, "c0": values(now)["c0"]}
    ids = {int(k): int(i) for k, i in zip(now["id"].to_pylist(), now["_id"].to_pylist(), strict=True)}
    blame = dataset.blame(None, {c: np.array(sorted(ids.values()), np.uint64) for c in ("c0", "c1")})
    head = dataset.head().number
    assert sorted(k for k, i in ids.items() if blame["c0"][i].number == head) == (
        differ if head > 1 else list(range(ROWS))
    )
    assert {commit.number for commit in blame["c1"].values()} == {1}

    remote, other = Store.create(tmp_path / "remote"), Store.create(tmp_path / "other")
    push(store, remote, "d", "origin", ["main"], silent)
    fetch(other, remote, "d", "origin", silent)
    copy = read(Datasets(other, "grace").open("d"))
    assert (copy.schema, values(copy)) == (now.schema, values(now))
    forget(
        store,
        "d",
        Tombstone(find(store, "d", "id = 4", ()).ids, "ada", "2026-05-03T00:00:00Z", "asked for"),
        (),
        silent,
    )
    kept = {name: column[:4] + column[5:] for name, column in values(now).items()}
    assert values(read(datasets.open("d"))) == kept


@pytest.mark.both_stores
@pytest.mark.parametrize("seed", [100, 101])
def test_a_random_table_through_everything_on_both_stores(
    store: Store, datasets: Datasets, tmp_path: Path, seed: int
):
    test_a_random_table_through_everything(store, datasets, tmp_path, seed)


@pytest.mark.parametrize("seed", range(6))
def test_parquet_is_read_as_duckdb_and_pandas_read_it(datasets: Datasets, tmp_path: Path, seed: int):
    table = random_types.table(Random(seed), 20, COLUMNS, parquet=True)
    path = write_parquet(table, tmp_path / "in.parquet")
    import_files(datasets, "d", path, key=["id"])
    ours = values(read(datasets.open("d")))
    pandas = pd.read_parquet(path, dtype_backend="pyarrow")
    assert values(pa.Table.from_pandas(pandas, preserve_index=False)) == ours
    with duckdb.connect() as connection:
        theirs = connection.sql("select * from read_parquet(?)", params=[str(path)]).to_arrow_table()
    for name, column in values(theirs).items():
        if in_duckdb(table.schema.field(name)):
            assert instants(column) == instants(ours[name]), (name, table.schema.field(name).type)


def in_duckdb(field: Any) -> bool:
    """Whether DuckDB reads a column as it is: a decimal of more than 38 digits is a float there, and no name is empty."""
    kind = field.type
    inner = [kind.field(at) for at in range(kind.num_fields)] if pa.types.is_nested(kind) else []
    return bool(field.name) and not pa.types.is_decimal256(kind) and all(map(in_duckdb, inner))


def instants(cell: Any) -> Any:
    """Times without the name of their zone, which DuckDB has one of for all."""
    if isinstance(cell, dict):
        return {name: instants(member) for name, member in cell.items()}
    if isinstance(cell, list):
        return [instants(member) for member in cell]
    if isinstance(cell, Time):
        return cell._replace(zone=cell.zone and "any")
    return tuple(map(instants, cell)) if isinstance(cell, tuple) else cell
