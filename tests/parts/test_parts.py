"""The built-in components, tried as a user tries them: on a table, outside a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill import parts
from tidemill.core.errors import InvalidInput
from tidemill.parts.splits import unit_hash
from tidemill.store.table import Table


def table(rows: int = 6) -> Table:
    return Table.of(
        {
            "_id": np.arange(rows, dtype=np.uint64),
            "image": np.arange(rows * 4, dtype=np.uint8).reshape(rows, 2, 2),
            "label": np.array(list("abcabc")[:rows]),
        }
    )


def test_cast_changes_the_type_of_a_column_and_of_a_tensors_cells() -> None:
    made = parts.cast(table(), types={"image": "float32", "label": "string"})
    assert made.numpy("image").dtype == np.float32
    assert made.shape_of("image") == (2, 2)


def test_cast_keeps_missing_cells_missing() -> None:
    import pyarrow as pa

    some = Table(pa.table({"_id": pa.array([0, 1], pa.uint64()), "x": pa.array([1, None], pa.int64())}))
    assert parts.cast(some, types={"x": "float32"}).missing("x").tolist() == [False, True]


def test_cast_refuses_a_value_that_does_not_fit() -> None:
    some = Table.of({"_id": np.arange(1, dtype=np.uint64), "x": np.array([300])})
    with pytest.raises(InvalidInput) as refused:
        parts.cast(some, types={"x": "uint8"})
    assert refused.value.code == "does-not-fit"
    assert "'x'" in refused.value.message


def test_drop_missing_drops_a_row_that_lacks_one_cell_of_a_tensor() -> None:
    import pyarrow as pa

    flat = pa.array([1, 2, None, 4, 5, 6], pa.uint8())
    cells = pa.FixedSizeListArray.from_arrays(flat, 2)
    some = Table(pa.table({"_id": pa.array([7, 8, 9], pa.uint64()), "image": cells}))
    assert parts.drop_missing(some).numpy("_id").tolist() == [7, 9]


def test_drop_missing_served_drops_the_same_rows() -> None:
    columns = {
        "x": np.ma.MaskedArray(np.zeros((3, 2), np.uint8), [[False, False], [True, False], [False, False]]),
        "y": np.array([0.0, 1.0, np.nan]),
        "_row": np.arange(3),
    }
    assert parts.drop_missing.serve(columns, {"columns": None}, None)["_row"].tolist() == [0]


def test_keep_labels_drops_labels_that_do_not_exist() -> None:
    made = parts.keep_labels(table(), label="label", allowed=["a", "c"])
    assert made.numpy("label").tolist() == ["a", "c", "a", "c"]


def test_one_hot_can_be_decoded() -> None:
    classes = ["c", "a", "b"]
    made = parts.one_hot(table(), label="label", classes=classes)
    decoded = [classes[i] for i in made.numpy("target").argmax(1)]
    assert decoded == made.numpy("label").tolist()
    assert made.numpy("target").sum(1).tolist() == [1.0] * 6


def test_one_hot_names_an_unknown_label() -> None:
    with pytest.raises(InvalidInput, match="'b'"):
        parts.one_hot(table(), label="label", classes=["a", "c"])


@given(
    st.lists(st.integers(0, 2**64 - 1), unique=True, min_size=1, max_size=200),
    st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=200),
    st.integers(0, 1000),
)
def test_a_row_never_crosses_when_the_data_grow(before: list[int], more: list[int], seed: int) -> None:
    grown = list(dict.fromkeys([*before, *more]))

    def deal(ids: list[int]) -> list[set[int]]:
        rows = Table.of({"_id": np.array(ids, dtype=np.uint64)})
        dealt = parts.split(rows, test=0.3, validation=0.2, random_state=seed)
        return [set(part.numpy("_id").tolist()) for part in dealt]

    old, new = deal(before), deal(grown)
    assert set().union(*new) == set(grown)
    assert sum(map(len, new)) == len(grown)
    assert all(was <= now for was, now in zip(old, new, strict=True))


def test_split_gives_the_shares_it_was_asked_for() -> None:
    place = unit_hash(np.arange(100_000), 42)
    # Three standard deviations of a share of 0.3 of 100,000 rows are 0.0043.
    assert abs(float((place < 0.3).mean()) - 0.3) < 0.0044
    assert abs(float(np.corrcoef(place[1:], place[:-1])[0, 1])) < 0.0095


def test_rows_of_one_group_stay_together() -> None:
    rows = Table.of(
        {"_id": np.arange(300, dtype=np.uint64), "patient": np.repeat([f"p{i}" for i in range(30)], 10)}
    )
    dealt = parts.split(rows, test=0.4, validation=0.2, group="patient")
    patients = [set(part.numpy("patient").tolist()) for part in dealt]
    assert sum(map(len, patients)) == 30


def test_split_refuses_shares_that_leave_nothing_to_train_on() -> None:
    with pytest.raises(InvalidInput) as refused:
        parts.split(table(), test=0.7, validation=0.3)
    assert refused.value.code == "invalid-split"
