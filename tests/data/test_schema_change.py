"""Columns that come, go and change their type: only when it is allowed, and rows stay the same rows."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidemill.core.errors import Conflict, InvalidInput
from tidemill.data import Changes, Dataset, Datasets
from tidemill.data.schema_change import schema_change
from tidemill.store.table import Table


def table(**columns: Any) -> Table:
    return Table(pa.table(columns))


def rows(dataset: Dataset, at: str | None = None) -> list[dict[str, Any]]:
    snapshot = dataset.snapshot(at)
    found = snapshot.read(snapshot.columns).to_arrow().to_pylist()
    return sorted(found, key=lambda row: str(row[snapshot.columns[0]]))


@pytest.fixture
def keyed(datasets: Datasets) -> Dataset:
    datasets.create("keyed", table(k=["a", "b"], n=[1, 2]), message="First", key=["k"])
    return datasets.open("keyed")


@pytest.fixture
def plain(datasets: Datasets) -> Dataset:
    datasets.create("plain", table(k=["a", "b"], n=[1, 2]), message="First")
    return datasets.open("plain")


def put(dataset: Dataset, new: Table | Iterable[Table], **options: Any) -> Changes:
    return dataset.commit(new, message="Put", allow_schema_change=True, **options)[1]


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({"k": ["a"], "n": [1], "m": [1]}, "it adds column 'm'"),
        ({"k": ["a"]}, "it drops column 'n'"),
        ({"k": ["a"], "num": [1]}, r"it drops column 'n'; it adds column 'num'"),
    ],
)
def test_a_change_that_nobody_allowed_is_refused_in_words(keyed: Dataset, new: dict[str, Any], words: str):
    with pytest.raises(InvalidInput, match=words) as caught:
        keyed.commit(table(**new), message="Put")
    assert caught.value.code == "schema-change"
    assert "--allow-schema-change" in (caught.value.hint or "")
    assert len(keyed.log()) == 1


def test_a_type_that_does_not_fit_is_refused(keyed: Dataset):
    with pytest.raises(InvalidInput, match="the new values are double and do not all fit") as caught:
        keyed.commit(table(k=["a"], n=[1.5]), message="Put")
    assert caught.value.code == "value-does-not-fit"
    assert "--allow-schema-change" in (caught.value.hint or "")


def test_an_added_column_is_missing_where_no_row_brought_it(keyed: Dataset):
    assert put(keyed, table(k=["b", "c"], n=[2, 3], m=["x", "y"])) == Changes(added=1, changed=1)
    assert rows(keyed) == [
        {"k": "a", "n": 1, "m": None},
        {"k": "b", "n": 2, "m": "x"},
        {"k": "c", "n": 3, "m": "y"},
    ]
    assert rows(keyed, "1") == [{"k": "a", "n": 1}, {"k": "b", "n": 2}]
    assert keyed.schema.names == ["_id", "k", "n", "m", "_prediction"]
    diff = keyed.diff("1", "2")
    assert [f.name for f in diff.columns.added] == ["m"]
    assert [(c.column, c.old, c.new) for c in diff.cells()] == [("m", None, "x")]
    assert put(keyed, table(k=["b"], n=[2], m=["z"])) == Changes(changed=1)


def test_a_column_that_comes_without_a_value_is_a_commit_too(keyed: Dataset):
    assert put(keyed, table(k=["a"], n=[1], m=pa.array([None], pa.string()))) == Changes()
    assert keyed.head().number == 2
    assert put(keyed, table(k=["a"], n=[1], m=pa.array([None], pa.string()))) == Changes()
    assert keyed.head().number == 2


def test_a_dropped_column_stays_in_the_past(keyed: Dataset):
    assert put(keyed, table(k=["c"])) == Changes(added=1)
    assert rows(keyed) == [{"k": "a"}, {"k": "b"}, {"k": "c"}]
    assert rows(keyed, "1") == [{"k": "a", "n": 1}, {"k": "b", "n": 2}]
    diff = keyed.diff("1", "2")
    assert [f.name for f in diff.columns.dropped] == ["n"]
    assert diff.counts == Changes(added=1)
    back = keyed.diff("2", "1")
    assert (back.counts.removed, [f.name for f in back.columns.added]) == (1, ["n"])


def test_another_type_keeps_what_was_there_and_where_it_stands(keyed: Dataset):
    assert put(keyed, table(k=["b", "c"], n=[2.5, 3.0])) == Changes(added=1, changed=1)
    assert rows(keyed) == [{"k": "a", "n": 1.0}, {"k": "b", "n": 2.5}, {"k": "c", "n": 3.0}]
    assert keyed.schema.names == ["_id", "k", "n", "_prediction"]
    diff = keyed.diff("1", "2")
    assert [(old.type, new.type) for old, new in diff.columns.retyped] == [(pa.int64(), pa.float64())]
    assert [(c.old, c.new) for c in diff.cells()] == [(2, 2.5)]
    assert [(c.old, c.new) for c in keyed.diff("2", "1").cells()] == [(2.5, 2)]


def test_a_type_that_cells_which_are_there_would_not_survive_is_refused(datasets: Datasets):
    datasets.create("d", table(k=["a"], n=[2**53 + 1]), message="First", key=["k"])
    with pytest.raises(InvalidInput, match="cannot change from int64 to double") as caught:
        put(datasets.open("d"), table(k=["b"], n=[1.5]))
    assert caught.value.code == "value-does-not-fit"


def test_tensors_change_their_type_and_keep_their_shape(datasets: Datasets):
    images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    datasets.create("d", Table.of({"k": ["a", "b"]}).with_column("t", images), message="First", key=["k"])
    d = datasets.open("d")
    deep = Table.of({"k": ["b"]}).with_column("t", np.full((1, 2, 2), 999, np.uint16))
    assert put(d, deep) == Changes(changed=1)
    assert d.snapshot().read().shape_of("t") == (2, 2)
    assert sorted(d.snapshot().read().numpy("t").sum(axis=(1, 2)).tolist()) == [6, 3996]


def test_what_names_the_rows_stays(keyed: Dataset, plain: Dataset):
    for dataset in (keyed, plain):
        with pytest.raises(InvalidInput, match="Column 'k' of dataset .* cannot be dropped") as caught:
            put(dataset, table(n=[1]))
        assert caught.value.code == "identity-column"


def test_without_a_key_rows_stay_the_same_rows(plain: Dataset):
    """An added column is an attribute of a row that is known by its first columns; so is a cell in another type."""
    assert put(plain, table(k=["a", "b"], n=[1, 2], m=["x", None])) == Changes(changed=1)
    assert put(plain, table(k=["a", "b"], n=[1, 2], m=["x", "y"])) == Changes(changed=1)
    assert put(plain, table(k=["a", "c"], n=[1.0, 1.5], m=["x", "z"])) == Changes(added=1)
    assert put(plain, table(k=["a", "c"], n=[1.0, 1.5], m=["x", "z"])) == Changes()
    assert put(plain, table(k=["b"], n=[2], m=["y"])) == Changes()
    assert rows(plain) == [
        {"k": "a", "n": 1.0, "m": "x"},
        {"k": "b", "n": 2.0, "m": "y"},
        {"k": "c", "n": 1.5, "m": "z"},
    ]


def test_branches_have_columns_of_their_own(keyed: Dataset):
    keyed.branch("wide")
    put(keyed, table(k=["b"], n=[2], m=["x"]), branch="wide")
    assert put(keyed, table(k=["c"], n=[3])) == Changes(added=1)
    assert keyed.schema.names == ["_id", "k", "n", "_prediction"]
    assert rows(keyed, "wide") == [{"k": "a", "n": 1, "m": None}, {"k": "b", "n": 2, "m": "x"}]
    assert put(keyed, table(k=["d"], n=[4], m=["y"]), branch="wide") == Changes(added=1)
    assert [c.number for c in keyed.log("wide")] == [3, 2, 1]


@pytest.mark.both_stores
def test_a_merge_brings_columns_and_keeps_its_own(keyed: Dataset):
    keyed.branch("wide")
    put(keyed, table(k=["b", "z"], n=[2.5, 9.0], m=["x", "q"]), branch="wide")
    put(keyed, table(k=["a", "c"], n=[7, 3], own=["o", "p"]))
    assert keyed.merge("wide").changes == Changes(added=1, changed=1)
    assert rows(keyed) == [
        {"k": "a", "n": 7.0, "own": "o", "m": None},
        {"k": "b", "n": 2.5, "own": None, "m": "x"},
        {"k": "c", "n": 3.0, "own": "p", "m": None},
        {"k": "z", "n": 9.0, "own": None, "m": "q"},
    ]
    assert keyed.merge("wide").already
    keyed.merge("main", into="wide")
    assert keyed.diff("main", "wide").counts == Changes()


def test_a_merge_drops_what_the_other_side_dropped_unless_its_cells_were_changed(keyed: Dataset):
    keyed.branch("narrow")
    put(keyed, table(k=["z"]), branch="narrow")
    keyed.branch("edited")
    put(keyed, table(k=["c"], n=[3]))
    keyed.merge("narrow")
    assert rows(keyed) == [{"k": "a"}, {"k": "b"}, {"k": "c"}, {"k": "z"}]
    put(keyed, table(k=["a"], n=[100]), branch="edited")
    with pytest.raises(Conflict, match="Column 'n' .* changed on both sides") as caught:
        keyed.merge("narrow", into="edited")
    assert caught.value.code == "schema-conflict"


def test_one_column_in_two_types_is_a_conflict(keyed: Dataset):
    keyed.branch("side")
    put(keyed, table(k=["b"], n=[2], m=["x"]), branch="side")
    put(keyed, table(k=["b"], n=[2], m=[1]))
    with pytest.raises(Conflict, match="Column 'm'"):
        keyed.merge("side")


def test_a_change_of_columns_can_be_reverted(keyed: Dataset):
    put(keyed, table(k=["b"], n=[2], m=["x"]))
    keyed.revert("2")
    assert rows(keyed) == [{"k": "a", "n": 1}, {"k": "b", "n": 2}]


def test_a_change_of_columns_in_batches(keyed: Dataset):
    batches = (table(k=[f"{n}"], n=[n / 2], m=[n]) for n in range(5))
    assert put(keyed, batches) == Changes(added=5)
    assert len(rows(keyed)) == 7
    assert str(keyed.schema.field("n").type) == "double"


def test_the_difference_of_two_schemas():
    old, new = (
        pa.schema([("a", pa.int64()), ("b", pa.string())]),
        pa.schema([("c", pa.int8()), ("a", pa.int8())]),
    )
    change = schema_change(old, new)
    assert change.words() == [
        "drops column 'b'",
        "adds column 'c'",
        "changes column 'a' from int64 to int8",
    ]
    assert not schema_change(old, old)


@pytest.fixture
def came_and_went(keyed: Dataset) -> Dataset:
    """A column that came with its cells, went, and came again for one of the rows; its first cells are in a file still."""
    put(keyed, table(k=["a", "b"], n=[1, 2], m=[0.5, 1.0]))
    put(keyed, table(k=["a", "b"], n=[1, 2]))
    put(keyed, table(k=["a"], n=[1], m=[9.0]))
    return keyed


@pytest.mark.both_stores
def test_a_column_that_went_comes_back_with_its_cells(keyed: Dataset):
    put(keyed, table(k=["a", "b"], n=[1, 2], m=[0.5, 1.0]))
    put(keyed, table(k=["a", "b"], n=[1, 2]))
    keyed.revert(keyed.head().id)
    assert [row["m"] for row in rows(keyed)] == [0.5, 1.0]


@pytest.mark.both_stores
def test_a_column_that_one_branch_dropped_and_one_kept_is_told_by_its_cells(came_and_went: Dataset):
    latest, dropped, came, _ = came_and_went.log()
    assert {cell[1:] for cell in came_and_went.diff(dropped.id, came.id).cells()} == {
        ("m", None, 0.5),
        ("m", None, 1.0),
    }
    # Its second row has no cell in the new column of the same name, whatever the file has for the old one.
    assert {cell[1:] for cell in came_and_went.diff(came.id, latest.id).cells()} == {
        ("m", 0.5, 9.0),
        ("m", 1.0, None),
    }


@pytest.mark.both_stores
def test_pieces_of_other_cells_have_other_names(came_and_went: Dataset):
    latest, _, came, _ = came_and_went.log()
    (now, _), (then,) = (came_and_went.snapshot(commit.id).fragments() for commit in (latest, came))
    assert now.files == then.files
    assert (now.lacking, then.lacking) == (("m",), ())
    assert now.digest != then.digest
