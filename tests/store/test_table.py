"""A table keeps its values, shapes and missing cells through every frame and through a file."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import InvalidInput, NotFound
from tidemill.pipeline.frames import to_table, with_types_of
from tidemill.store import table
from tidemill.store.table import Table

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def images() -> Table:
    return Table.of({"_id": np.array([7, 2**64 - 1], np.uint64), "label": ["a", "b"], "image": IMAGES})


def test_a_tensor_column_keeps_its_shape():
    made = images()
    assert len(made) == 2
    assert made.columns == ["_id", "label", "image"]
    assert made.shape_of("label") == ()
    assert made.shape_of("image") == (3, 4)
    assert np.array_equal(made.numpy("image"), IMAGES)
    assert made.numpy("image").dtype == np.uint8
    assert made.numpy("_id")[1] == 2**64 - 1


def test_through_polars_and_back():
    frame = images().to_polars()
    assert frame["image"].to_numpy().shape == (2, 3, 4)
    back = Table.of(frame)
    assert back.shape_of("image") == (3, 4)
    assert np.array_equal(back.numpy("image"), IMAGES)


def test_through_pandas_and_arrow():
    flat = images().select(["_id", "label"])
    assert Table.of(flat.to_pandas()).to_arrow().to_pylist() == flat.to_arrow().to_pylist()
    assert isinstance(flat.to_pandas(), pd.DataFrame)
    assert Table.of(images().to_arrow()).to_arrow().equals(images().to_arrow())


def test_through_a_file(tmp_path: Path):
    table.write(images(), tmp_path / "t.arrow")
    back = table.read(tmp_path / "t.arrow")
    assert back.to_arrow().equals(images().to_arrow(), check_metadata=True)
    assert back.shape_of("image") == (3, 4)


@given(st.integers(0, 6), st.data())
def test_slices_filters_and_takes_agree_with_numpy(rows: int, data: st.DataObject):
    pixels = np.arange(rows * 4, dtype=np.float32).reshape(rows, 2, 2)
    made = Table.of({"_id": np.arange(rows, dtype=np.uint64), "image": pixels})
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), bool)
    assert np.array_equal(made.filter(keep).numpy("image"), pixels[keep])
    order = np.flatnonzero(keep)[::-1]
    assert np.array_equal(made.take(order).numpy("image"), pixels[order])
    start = data.draw(st.integers(0, rows))
    assert np.array_equal(Table(made.to_arrow().slice(start)).numpy("image"), pixels[start:])


def test_missing_cells_are_known_and_never_zero():
    flat = pa.array([1, None, 3, 4], pa.uint8())
    image = pa.FixedSizeListArray.from_arrays(flat, 2)
    made = Table.of({"n": pa.array([1.0, None, float("nan")])})
    assert made.missing("n").tolist() == [False, True, True]
    tensors = Table.of({"n": pa.array([1, 2])}).with_column("image", image, shape=(2,))
    assert tensors.missing("image").tolist() == [[False, True], [False, False]]
    assert Table(tensors.to_arrow().slice(1)).missing("image").tolist() == [[False, False]]
    whole = pa.array([[1, 2], None, [None, 4]], pa.list_(pa.uint8(), 2))
    gone = Table.of({"n": pa.array([1, 2, 3])}).with_column("image", whole, shape=(2,))
    assert gone.missing("image").tolist() == [[False, False], [True, True], [True, False]]
    for column, of in (("n", made), ("image", tensors), ("image", gone)):
        with pytest.raises(InvalidInput, match=f"Column '{column}' has") as caught:
            of.numpy(column)
        assert caught.value.code == "missing-cells"
    floats = Table.of({"n": pa.array([1.0, None])}).with_column(
        "pair", pa.array([[1, None], None], pa.list_(pa.float32(), 2)), shape=(2,)
    )
    np.testing.assert_array_equal(floats.numpy_with_nan("n"), [1, np.nan])
    pairs = floats.numpy_with_nan("pair")
    assert pairs.dtype == np.float32
    np.testing.assert_array_equal(pairs, [[1, np.nan], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": [1, 2, 3], "b": [1, 2]}, "'a' has 3, 'b' has 2"),
        ({"a": 5}, "Column 'a' is one int"),
        ({"a": "abc"}, "Column 'a' is one str"),
        ([{"a": 1}], "type list is not a table"),
    ],
)
def test_columns_that_make_no_table_are_refused_in_words(columns: Any, words: str):
    with pytest.raises(InvalidInput) as caught:
        Table.of(columns)
    assert words in caught.value.message
    assert caught.value.code == "not-a-table"
    assert "Return" not in str(caught.value.hint)


def test_a_column_is_replaced_in_place_or_added_at_the_end():
    made = images().with_column("label", ["c", "d"]).with_column("score", np.array([0.5, 1.5]))
    assert made.columns == ["_id", "label", "image", "score"]
    assert made.to_polars()["label"].to_list() == ["c", "d"]
    assert images().columns == ["_id", "label", "image"]


def test_a_file_has_one_spelling_whatever_order_its_metadata_came_in(tmp_path: Path):
    written: list[bytes] = []
    for order in (("shape", "prefix"), ("prefix", "shape")):
        metadata = {name: f"of {name}" for name in order}
        fields = [pa.field("x", pa.int64(), metadata=metadata)]
        arrow = pa.table({"x": [1, 2]}, schema=pa.schema(fields, metadata=metadata))
        table.write(Table(arrow), tmp_path / "file.arrow")
        written.append((tmp_path / "file.arrow").read_bytes())
        assert table.read(tmp_path / "file.arrow").to_arrow().field("x").metadata == fields[0].metadata
    assert written[0] == written[1]


def test_an_unknown_column_is_named_with_the_nearest():
    with pytest.raises(NotFound, match="no column 'imagge'") as caught:
        images().numpy("imagge")
    assert caught.value.code == "column-not-found"
    assert "'image'" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "thing", [1, [1, 2], np.zeros(3), None, pl.Series([1]), pl.LazyFrame(), pd.Series([1])]
)
def test_what_is_no_table_is_refused(thing: object):
    with pytest.raises(InvalidInput, match="is not a table") as caught:
        Table.of(thing)
    assert caught.value.code == "not-a-table"


def test_a_pandas_frame_without_pandas_names_the_extra():
    code = """
import sys

class WithoutPandas:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, WithoutPandas())
from tidemill.core.errors import NeedsExtra
from tidemill.store.table import Table

try:
    Table.of({"a": [1]}).to_pandas()
except NeedsExtra as error:
    print(error.code, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("needs-extra Type: pip install 'tidemill[pandas]'")


def test_no_integer_is_rounded_in_pandas():
    large = 2**53 + 1
    cells = {
        "v": pa.array([large, None, -large]),
        "u": pa.array([2**64 - 1, None, 0], pa.uint64()),
        "cells": pa.array([[large, None], None, [large]]),
        "small": pa.array([2**53, None, -(2**53)]),
        "whole": pa.array([large, 0, -large]),
        "flag": pa.array([True, None, False]),
    }
    given = Table(pa.table(cells))
    frame = given.to_pandas()
    assert [str(frame[c].dtype) for c in cells] == ["Int64", "UInt64", "object", "float64", "int64", "object"]
    kept = {
        c: [None if v is None or v is pd.NA else v for v in frame[c]] for c in ("v", "u", "whole", "flag")
    }
    assert kept == {c: cells[c].to_pylist() for c in kept}
    assert [None if c is None else list(c) for c in frame["cells"]] == cells["cells"].to_pylist()

    # Beside the identity of rows, and as a step returns it.
    rows = given.with_column("_id", np.arange(3, dtype=np.uint64)).apart()
    assert rows.to_pandas()["v"].dtype == "Int64"
    returned = to_table(frame, step="s")
    assert returned.to_arrow().column("cells").to_pylist() == cells["cells"].to_pylist()
    assert (
        with_types_of(returned, given, np.arange(3)).to_arrow().equals(given.to_arrow(), check_metadata=True)
    )
    frame["v"] += 1
    added = with_types_of(to_table(frame, step="s"), given, np.arange(3)).to_arrow()
    assert added.column("v").to_pylist() == [large + 1, None, 1 - large]
