"""Parquet and Arrow: the types are the file's; and what is refused with its row and column."""

import gzip
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.data.sources.conftest import Rows
from tidemill.core.errors import InvalidInput, StorageError
from tidemill.core.events import Event, Progress
from tidemill.data import Changes, Datasets, Tensor, import_files
from tidemill.data.sources import columnar
from tidemill.data.sources.opening import open_files
from tidemill.data.sources.source import Group

TABLE = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int16()),
        "name": pa.array(["a", None, "c"], pa.large_string()),
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        "price": pa.array([1.5, None, 2.5], pa.float32()),
        "day": pa.array([0, 1, None], pa.date32()),
        "image": pa.FixedSizeListArray.from_arrays(pa.array(range(6), pa.uint8()), 2),
    }
)


def write_parquet(table: Any, path: Path) -> Path:
    # Several row groups, so that pieces end within the file.
    parquet.write_table(table, path, row_group_size=2)
    return path


def write_file(table: Any, path: Path) -> Path:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path


def write_stream(table: Any, path: Path) -> Path:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path


WAYS = pytest.mark.parametrize("write", [write_parquet, write_file, write_stream])
Write = Callable[[Any, Path], Path]


@WAYS
def test_rows_and_types_are_the_files(datasets: Datasets, tmp_path: Path, rows: Rows, write: Write):
    path = write(TABLE, tmp_path / "some")
    done = import_files(datasets, "d", path)
    assert [(str(c.type), c.how) for c in done.columns] == [
        ("int16", "of the file"),
        ("string", "of the file"),
        ("string", "of the file"),
        ("float", "of the file"),
        ("date32[day]", "of the file"),
        ("fixed_size_list<item: uint8>[2]", "of the file"),
    ]
    assert rows() == TABLE.to_pylist()
    assert import_files(datasets, "d", path).rows == Changes()
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert import_files(datasets, "d", packed).rows == Changes()


def test_what_was_exported_is_known_by_its_ids(datasets: Datasets, tmp_path: Path):
    import_files(datasets, "d", write_parquet(TABLE, tmp_path / "a.parquet"))
    out = tmp_path / "out.parquet"
    datasets.open("d").snapshot().write_parquet(out)
    edited = parquet.read_table(out)
    at = edited.schema.get_field_index("name")
    parquet.write_table(edited.set_column(at, edited.schema.field(at), pa.array(["A", None, "c"])), out)
    assert import_files(datasets, "d", out).rows == Changes(changed=1)


def test_columns_fold_and_types_are_given(datasets: Datasets, tmp_path: Path):
    table = pa.table({"p1": pa.array([1, 300]), "p2": pa.array([2, 4]), "zip": pa.array([1, 2])})
    path = write_parquet(table, tmp_path / "a.parquet")
    import_files(datasets, "d", path, tensors={"x": Tensor("p", (2,))}, types={"zip": "string"})
    schema = datasets.open("d").schema
    assert (str(schema.field("x").type.value_type), str(schema.field("zip").type)) == ("uint16", "string")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("way", ["parquet", "file", "stream"])
def test_a_piece_is_read_when_it_is_asked_for(
    datasets: Datasets, tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch, way: str, *, packed: bool
):
    monkeypatch.setattr(columnar, "_PIECE_BYTES", 4096)
    table = pa.table({f"p{n}": pa.array(range(n, n + 1000), pa.int64()) for n in (1, 2, 3, 4)})
    path = tmp_path / "some"
    # As one row group or one record batch: how a file is cut inside is not how it is read.
    if way == "parquet":
        parquet.write_table(table, path)
    else:
        new = pa.ipc.new_file if way == "file" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as file, new(file, table.schema) as writer:
            writer.write_table(table)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    said: list[Event] = []
    source = open_files([path], sink=said.append)
    kinds = source.types([Group(tuple(table.column_names), tensor=True)], {})
    done = 0
    for piece in source.pieces(kinds):
        done += len(piece)
        assert 0 < len(piece) <= 128
        assert said[-1] == Progress("Reading some", done, 1000, "rows")
    assert done == 1000
    import_files(datasets, "d", path, tensors={"x": Tensor("p", (2, 2))})
    assert [row["x"] for row in rows()] == [[n, n + 1, n + 2, n + 3] for n in range(1, 1001)]


def test_what_is_packed_is_unpacked_on_disk(
    datasets: Datasets, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "some.parquet.gz"
    parquet.write_table(pa.table({"x": [os.urandom(1000).hex() for _ in range(2000)]}), tmp_path / "some")
    path.write_bytes(gzip.compress((tmp_path / "some").read_bytes()))
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(small_disk))
        with pytest.raises(StorageError, match=f"disk that holds {small_disk} is full") as caught:
            import_files(datasets, "d", path)
    assert caught.value.code == "disk-full"
    assert (datasets.names(), list(small_disk.iterdir())) == ([], [])
    assert os.statvfs(small_disk).f_bfree == os.statvfs(small_disk).f_blocks
    assert import_files(datasets, "d", path).rows == Changes(added=2000)


@WAYS
def test_packed_bytes_that_end_too_soon(datasets: Datasets, tmp_path: Path, write: Write):
    path = write(TABLE, tmp_path / "some.parquet")
    data = gzip.compress(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InvalidInput, match="the gzip data ends or breaks here") as caught:
        import_files(datasets, "d", path)
    assert caught.value.code == "truncated-file"
    assert not datasets.exists("d")


def test_values_follow_the_datasets_type_where_they_fit(datasets: Datasets, tmp_path: Path):
    path = tmp_path / "a.parquet"
    import_files(datasets, "d", write_parquet(pa.table({"n": pa.array([1], pa.int32())}), path))
    done = import_files(datasets, "d", write_parquet(pa.table({"n": [1.0, 2.0]}), path))
    assert (done.rows, str(datasets.open("d").schema.field("n").type)) == (Changes(added=1), "int32")
    with pytest.raises(InvalidInput, match=r"a\.parquet, row 4, column 'n': 2\.5 is not int32") as caught:
        import_files(datasets, "d", write_parquet(pa.table({"n": [1.0, 2.0, 3.0, 2.5, 3.5]}), path))
    assert (caught.value.code, caught.value.details["row"]) == ("wrong-type", 4)


def test_files_together_have_one_type_a_column(datasets: Datasets, tmp_path: Path, rows: Rows):
    write_parquet(pa.table({"n": pa.array([1], pa.int8()), "s": ["a"]}), tmp_path / "1.parquet")
    write_parquet(pa.table({"s": ["b"], "n": pa.array([1000], pa.int64())}), tmp_path / "2.parquet")
    import_files(datasets, "d", tmp_path / "*.parquet")
    assert rows() == [{"n": 1, "s": "a"}, {"n": 1000, "s": "b"}]
    write_parquet(pa.table({"n": ["x"], "s": ["b"]}), tmp_path / "3.parquet")
    with pytest.raises(InvalidInput, match=r"3\.parquet, column 'n': it is string here and int64 before"):
        import_files(datasets, "e", tmp_path / "*.parquet")
    write_parquet(pa.table({"m": [1], "s": ["b"]}), tmp_path / "3.parquet")
    with pytest.raises(InvalidInput, match=r"3\.parquet: it does not have the columns of 1\.parquet"):
        import_files(datasets, "e", tmp_path / "*.parquet")


@WAYS
def test_a_file_that_is_cut_short(datasets: Datasets, tmp_path: Path, write: Write):
    path = write(TABLE, tmp_path / "some.parquet")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InvalidInput, match=r"some\.parquet: this is not readable as") as caught:
        import_files(datasets, "d", path)
    assert (caught.value.code, caught.value.details["file"]) == ("unreadable-file", "some.parquet")
    assert not datasets.exists("d")


@WAYS
def test_a_file_without_rows(datasets: Datasets, tmp_path: Path, write: Write):
    with pytest.raises(InvalidInput, match="has no row") as caught:
        import_files(datasets, "d", write(TABLE.slice(0, 0), tmp_path / "a"))
    assert caught.value.code == "empty-file"


def test_a_key_that_repeats_is_named_with_its_row(datasets: Datasets, tmp_path: Path):
    table = pa.table({"id": [7, 8, 7]})
    with pytest.raises(InvalidInput, match=r"a\.parquet, row 3: .*id=7") as caught:
        import_files(datasets, "d", write_parquet(table, tmp_path / "a.parquet"), key=["id"])
    assert caught.value.code == "duplicate-key"


def test_a_text_becomes_a_number_only_as_it_would_in_csv(datasets: Datasets, tmp_path: Path, rows: Rows):
    kinds = {"n": pa.int64(), "x": pa.float64(), "b": pa.bool_(), "t": pa.timestamp("us")}
    first = pa.table(
        {
            name: pa.array([None, 1]).cast(kind) if name != "t" else pa.array([None, 1], kind)
            for name, kind in kinds.items()
        }
    )
    import_files(datasets, "d", write_parquet(first, tmp_path / "a.parquet"))
    told = {"n": ["7", None], "x": ["1.50", "-2"], "b": ["true", None], "t": ["2026-01-02T03:04:05", None]}
    import_files(datasets, "d", write_parquet(pa.table(told), tmp_path / "b.parquet"))
    assert (rows()[2]["n"], rows()[2]["x"], rows()[3]["x"], rows()[2]["b"]) == (7, 1.5, -2.0, True)
    for name, cell in (
        ("n", "007"),
        ("x", "007"),
        ("x", "+1.5"),
        ("x", "0.12345678901234567890"),
        ("b", "1"),
        ("t", "x"),
    ):
        table = pa.table({**told, name: [told[name][0], cell]})
        with pytest.raises(InvalidInput, match=f"row 2, column '{name}': '.*' is not ") as caught:
            import_files(datasets, "d", write_parquet(table, tmp_path / "c.parquet"))
        assert caught.value.code == "wrong-type"
    import_files(
        datasets,
        "e",
        write_parquet(pa.table({"n": ["007", " 8"]}), tmp_path / "e.parquet"),
        types={"n": "int64"},
    )
    assert rows("e") == [{"n": 7}, {"n": 8}]


@pytest.mark.parametrize("inner", [False, True])
def test_a_column_s_name_that_is_not_utf8_is_told(datasets: Datasets, tmp_path: Path, inner: bool):
    made = pa.table({"one": [{"two": 1}]})
    path = tmp_path / "a.arrow"
    with pa.ipc.new_stream(path, made.schema) as writer:
        writer.write_table(made)
    name = b"two" if inner else b"one"
    path.write_bytes(path.read_bytes().replace(name, b"\xff" + name[1:]))
    with pytest.raises(
        InvalidInput, match=r"a\.arrow: the name of a column, or of a part of one, is not UTF-8"
    ):
        import_files(datasets, "d", path)
