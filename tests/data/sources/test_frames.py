"""Frames in memory as sources."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.data.sources.conftest import Rows
from tidemill.core.errors import InvalidInput
from tidemill.data import Changes, Datasets, import_rows
from tidemill.data.sources.frames import frame
from tidemill.store.table import Table

COLUMNS: dict[str, list[Any]] = {"id": [1, 2], "name": ["a", "b"]}


@pytest.mark.parametrize(
    "values",
    [
        COLUMNS,
        pd.DataFrame(COLUMNS),
        pl.DataFrame(COLUMNS),
        pa.table(COLUMNS),
        Table.of(COLUMNS),
        pd.DataFrame(COLUMNS).astype({"name": "category"}),
        pl.DataFrame(COLUMNS).with_columns(pl.col("name").cast(pl.Categorical)),
    ],
)
def test_every_kind_of_frame_is_the_same_rows(datasets: Datasets, rows: Rows, values: object):
    done = import_rows(datasets, "d", frame(values))
    assert (done.rows, rows()) == (Changes(added=2), [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
    assert [(c.name, str(c.type), c.how) for c in done.columns] == [
        ("id", "int64", "of the frame"),
        ("name", "string", "of the frame"),
    ]
    assert import_rows(datasets, "d", frame(COLUMNS)).rows == Changes()


def test_an_array_of_more_dimensions_is_a_tensor(datasets: Datasets):
    import_rows(datasets, "d", frame({"x": np.arange(12, dtype=np.uint8).reshape(2, 2, 3)}))
    table = datasets.open("d").snapshot().read()
    assert (table.shape_of("x"), table.numpy("x").tolist()[1]) == ((2, 3), [[6, 7, 8], [9, 10, 11]])


def test_more_rows_than_one_piece(datasets: Datasets):
    import_rows(datasets, "d", frame({"n": np.arange(150_000)}))
    assert datasets.open("d").head().rows == 150_000


def test_frames_that_cannot_be_a_table(datasets: Datasets):
    mixed = pd.DataFrame({"a": [1, "x"]}, dtype=object)
    for values, code in ((mixed, "mixed-types"), (7, "not-a-table")):
        with pytest.raises(InvalidInput) as caught:
            import_rows(datasets, "d", frame(values))
        assert caught.value.code == code
    with pytest.raises(InvalidInput, match=r"the frame, row 2: .*id=1"):
        import_rows(datasets, "d", frame({"id": [1, 1]}), key=["id"])
    assert not datasets.exists("d")


@pytest.mark.parametrize(
    ("values", "columns", "first"),
    [
        (pd.DataFrame({"v": [1]}, index=pd.Index(["a"], name="k")), ["k", "v"], {"k": "a", "v": 1}),
        (
            pd.DataFrame({"v": [1]}, index=pd.MultiIndex.from_tuples([(1, "a")], names=["x", "y"])),
            ["x", "y", "v"],
            {"x": 1, "y": "a", "v": 1},
        ),
        (pd.DataFrame({"v": pd.arrays.SparseArray([0, 1])}), ["v"], {"v": 0}),
        (pd.DataFrame({"v": pd.array([None, 1], "Int8")}), ["v"], {"v": None}),
        (pd.DataFrame({"v": [Decimal("1.10"), None]}), ["v"], {"v": Decimal("1.10")}),
        (pd.DataFrame({"v": [np.array([1.5, 2.0]), None]}), ["v"], {"v": [1.5, 2.0]}),
        (pd.DataFrame(np.eye(1)), ["0"], {"0": 1.0}),
        (pl.DataFrame({"v": [{"x": 1, "y": ["a"]}]}), ["v"], {"v": {"x": 1, "y": ["a"]}}),
        (pl.DataFrame({"v": [[[1, 2], [3, 4]]]}, schema={"v": pl.Array(pl.Int8, (2, 2))}), ["v"], {"v": [1, 2, 3, 4]}),
        (pa.record_batch({"v": [[1], None]}), ["v"], {"v": [1]}),
    ],
)  # fmt: skip
def test_what_a_frame_has_becomes_columns(
    datasets: Datasets, rows: Rows, values: Any, columns: list[str], first: dict[str, Any]
):
    done = import_rows(datasets, "d", frame(values))
    assert ([c.name for c in done.columns], rows()[0]) == (columns, first)
    assert not import_rows(datasets, "d", frame(values)).rows


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        (
            pd.DataFrame({"v": [1, 2]}, index=["a", "b"]),
            "unnamed-index",
            "'a' stands where the usual one has 0",
        ),
        (pd.DataFrame({"v": [1, 2]}).iloc[[1]], "unnamed-index", "1 stands where the usual one has 0"),
        (
            pd.DataFrame({"v": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, 2), (1, 3)])),
            "unnamed-index",
            "level",
        ),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "duplicated-column", "named 'a'"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "duplicated-column", "named '1'"),
        (pd.DataFrame({"k": [1]}, index=pd.Index([1], name="k")), "duplicated-column", "and the index"),
        (pd.DataFrame({"v": pd.period_range("2020-01", periods=2, freq="M")}), "unknown-cells", "period[M]"),
        (pd.DataFrame({"v": pd.interval_range(0, 2)}), "unknown-cells", "interval"),
        (pd.DataFrame({"v": [1, "a"]}, dtype=object), "mixed-types", "row 2, column 'v': it is a text here"),
        (
            pd.DataFrame({"v": [1, True]}, dtype=object),
            "mixed-types",
            "row 2, column 'v': it is a truth value",
        ),
        (pd.DataFrame({"v": [{1}, {2}]}), "unknown-cells", "row 1, column 'v'"),
        (pd.DataFrame({"v": [1j]}), "not-a-table", "column 'v'"),
        (pl.DataFrame({"v": pl.Series([object()], dtype=pl.Object)}), "unknown-cells", "column 'v'"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), "duplicated-column", "named 'a'"),
    ],
)
def test_what_a_dataset_cannot_have_is_refused_by_name(
    datasets: Datasets, values: Any, code: str, words: str
):
    with pytest.raises(InvalidInput) as caught:
        import_rows(datasets, "d", frame(values))
    assert (caught.value.code, words in caught.value.message, bool(caught.value.hint)) == (code, True, True)
    assert not datasets.exists("d")


def test_what_is_left_out_of_a_frame_is_said():
    kinds = pd.Categorical(["S", "L"], ["S", "M", "L"], ordered=True)
    values = pd.DataFrame({"size": kinds}, index=pd.Index([1, 2], name="id"))
    values.attrs["source"] = "shop"
    assert {note.code: note.text for note in frame(values).notes} == {
        "index": "The frame's index is imported as 'id'.",
        "attrs": "The frame's attrs are not kept: 'source'.",
        "category-order": "Column 'size': the order of its categories is not kept: S < M < L.",
    }


def test_a_frame_whose_index_is_the_identity_changes_these_rows(datasets: Datasets, rows: Rows):
    import_rows(datasets, "d", frame({"v": [1, 2]}))
    changed = datasets.open("d").snapshot().read().to_pandas().set_index("_id").assign(v=[5, 2])
    assert import_rows(datasets, "d", frame(changed)).rows == Changes(changed=1)
    assert sorted(row["v"] for row in rows()) == [2, 5]
