"""Every type of Parquet and Arrow through a dataset: in, out, in again, changed, merged. Each cell is what it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.data import cells
from tidemill.core.errors import Conflict, InvalidInput
from tidemill.data import Changes, Choices, Datasets, import_files

Write = Callable[[Any, Path], Path]


def write_parquet(table: Any, path: Path) -> Path:
    parquet.write_table(table, path)
    return path


def write_arrow(table: Any, path: Path) -> Path:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return path


def same(one: Any, other: Any, names: list[str]) -> None:
    """Each cell of two tables is equal."""
    for name in names:
        assert cells.plain(one.column(name)) == cells.plain(other.column(name)), name


def in_every_form(datasets: Datasets, folder: Path) -> list[Path]:
    """A dataset's rows as files of all formats."""
    snapshot = datasets.open("d").snapshot()
    snapshot.write_parquet(folder / "out.parquet", ids=False)
    snapshot.write_arrow(folder / "out.arrow", ids=False)
    snapshot.write_csv(folder / "out.csv")
    snapshot.write_json_lines(folder / "out.jsonl")
    return [folder / f"out.{ending}" for ending in ("parquet", "arrow", "csv", "jsonl")]


@pytest.mark.both_stores
@pytest.mark.parametrize("key", [["id"], None])
def test_what_comes_in_is_what_goes_out_and_importing_it_again_changes_nothing(
    datasets: Datasets, tmp_path: Path, key: list[str] | None
):
    table, names = cells.table(), list(cells.TYPES)
    import_files(datasets, "d", write_arrow(table, tmp_path / "in.arrow"), key=key)
    same(datasets.open("d").snapshot().read(names).to_arrow(), cells.as_kept(table), names)
    files = in_every_form(datasets, tmp_path)
    same(parquet.read_table(files[0]), cells.as_kept(table, parquet=True, nested=True), names)
    with pa.ipc.open_file(files[1]) as file:
        same(file.read_all(), cells.as_kept(table, nested=True), names)
    for file in files:
        done = import_files(datasets, "d", file, sync=True)
        assert (done.rows, done.commit.number if done.commit else 0) == (Changes(), 1), file


def test_parquet_files_of_every_type(datasets: Datasets, tmp_path: Path):
    names = cells.in_parquet()
    path = write_parquet(cells.table(only=names), tmp_path / "in.parquet")
    import_files(datasets, "d", path)
    got = datasets.open("d").snapshot().read(names).to_arrow()
    same(got, cells.as_kept(parquet.read_table(path)), names)
    assert import_files(datasets, "d", path).rows == Changes()


def test_the_types_that_come_out_are_the_types_that_went_in(datasets: Datasets, tmp_path: Path):
    import_files(datasets, "d", write_arrow(cells.table(), tmp_path / "in.arrow"))
    datasets.open("d").snapshot().write_arrow(tmp_path / "out.arrow", ids=False)
    with pa.ipc.open_file(tmp_path / "out.arrow") as file:
        came_out = file.schema
    for name, (array, _) in cells.TYPES.items():
        assert came_out.field(name).type == cells.ONE_FORM.get(name, array.type), name


@pytest.mark.parametrize("name", sorted(set(cells.TYPES) - {"nothing"}))
def test_a_changed_cell_is_found_and_merged(datasets: Datasets, tmp_path: Path, name: str):
    def file(*, changed: bool) -> Path:
        table = cells.table(changed=name if changed else None, only=[name])
        return write_arrow(table, tmp_path / f"{changed}.arrow")

    import_files(datasets, "d", file(changed=False), key=["id"])
    dataset = datasets.open("d")
    dataset.branch("side")
    assert import_files(datasets, "d", file(changed=True), branch="side").rows == Changes(changed=1)
    diff = dataset.diff("main", "side")
    assert {column: len(ids) for column, ids in diff.changed_in.items()} == {name: 1}
    (cell,) = diff.cells()
    assert cell.old != cell.new
    assert dataset.merge("side").changes == Changes(changed=1)
    got = dataset.snapshot().read(["id", name]).to_arrow().sort_by("id")
    same(got, cells.as_kept(cells.table(changed=name, only=[name])), [name])


@pytest.mark.parametrize(
    "name", ["decimal", "half", "uuid", "json", "binary", "boxes", "record", "map", "matrix", "span"]
)
def test_a_cell_that_both_sides_changed_is_a_conflict_and_is_chosen(
    datasets: Datasets, tmp_path: Path, name: str
):
    first, changed = cells.TYPES[name]
    import_files(datasets, "d", write_arrow(cells.table(only=[name]), tmp_path / "0.arrow"), key=["id"])
    dataset = datasets.open("d")
    dataset.branch("side")
    other = changed.take([0]), first.take([1])
    for branch, cell in zip(("main", "side"), other, strict=True):
        table = pa.table({"id": pa.array([0]), name: cell})
        import_files(datasets, "d", write_arrow(table, tmp_path / f"{branch}.arrow"), branch=branch)
    with pytest.raises(Conflict):
        dataset.merge("side")
    (clash,) = dataset.conflicts("side")
    assert (clash.column, clash.kind, clash.ours != clash.theirs) == (name, "cell", True)
    dataset.merge("side", choices=Choices(side="theirs"))
    got = dataset.snapshot().read(["id", name]).to_arrow().sort_by("id").column(name)
    assert cells.plain(got)[0] == cells.plain(cells.as_kept(pa.table({name: other[1]})).column(name))[0]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (pa.struct([]), "holds nothing"),
        (pa.struct([("a", pa.int8()), ("a", pa.int8())]), "named 'a'"),
        (pa.list_(pa.struct([("a\0b", pa.int8())])), "holds NUL"),
        (pa.month_day_nano_interval(), "months, days"),
        (pa.dense_union([pa.field("a", pa.int8())]), "one of several types"),
        (pa.timestamp("s", "Nowhere/Land"), "time zone 'Nowhere/Land'"),
        (pa.decimal256(76, -5), "81 digits"),
        (pa.fixed_shape_tensor(pa.int8(), [2, 3], permutation=[1, 0]), "another order"),
    ],
)
def test_a_type_that_no_dataset_keeps_is_refused_in_words(
    datasets: Datasets, tmp_path: Path, kind: Any, why: str
):
    array = cells.empty(kind)
    with pytest.raises(InvalidInput, match="column 'c': a dataset cannot keep") as caught:
        import_files(datasets, "d", write_arrow(pa.table({"c": array}), tmp_path / "in.arrow"))
    assert caught.value.code == "unknown-cells"
    assert why in str(caught.value.why)
    assert caught.value.hint
