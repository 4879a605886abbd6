"""Corrections become rows that the dataset could have had from the start."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidemill.core import identity
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.store.table import SHAPE, Table
from tidemill.watch.feedback import Correction, as_rows

IMAGE = pa.field("image", pa.list_(pa.uint8(), 6), metadata={SHAPE: b"[2, 3]"})
SCHEMA = pa.schema(
    [
        pa.field("_id", pa.uint64()),
        pa.field("label", pa.string()),
        IMAGE,
        pa.field("size", pa.float32()),
        pa.field("maker", pa.string()),
        pa.field("_prediction", pa.string()),
    ]
)


def correction(prediction: str, label: str | float = "coat", **inputs: Any) -> Correction:
    return Correction(prediction, 1, label, "sha256:ab", 1, inputs, "shirt")


def image(start: int) -> "np.ndarray[Any, Any]":
    return np.arange(start, start + 6, dtype=np.uint8).reshape(2, 3)


def test_rows_have_the_inputs_the_label_and_the_prediction():
    table = as_rows(
        [
            correction("p1", image=image(0), size=np.float32(1.5), maker=np.array("ada", object)),
            correction(
                "p2", "hat", image=image(250), size=np.array(2.5, np.float32), maker=np.array("", object)
            ),
        ],
        SCHEMA,
    )
    assert table.columns == SCHEMA.names
    assert table.to_arrow().schema.equals(SCHEMA)
    assert table.shape_of("image") == (2, 3)
    np.testing.assert_array_equal(table.numpy("image"), np.stack([image(0), image(250)]))
    assert table.numpy("label").tolist() == ["coat", "hat"]
    assert table.numpy("size").tolist() == [1.5, 2.5]
    assert table.numpy("maker").tolist() == ["ada", ""]
    assert table.numpy("_prediction").tolist() == ["p1", "p2"]
    assert table.numpy("_id").tolist() == [identity.key_row(["prediction", p]) for p in ("p1", "p2")]


def test_a_later_label_for_the_same_prediction_is_the_same_row():
    first, second = (as_rows([correction("p1", label)], SCHEMA) for label in ("coat", "hat"))
    assert first.numpy("_id").tolist() == second.numpy("_id").tolist()


def test_missing_cells_and_columns_stay_missing():
    masked = np.ma.MaskedArray(image(0), mask=[[False, True, False], [False, False, False]])
    table = as_rows([correction("p1", image=masked), correction("p2", size=np.float32(1))], SCHEMA)
    assert table.missing("image")[0].tolist() == masked.mask.tolist()
    assert table.missing("image")[1].all()
    assert table.missing("size").tolist() == [True, False]
    assert table.missing("maker").all()


def test_no_corrections_are_no_rows():
    table = as_rows([], SCHEMA)
    assert len(table) == 0
    assert table.to_arrow().schema.equals(SCHEMA)


def test_whole_numbers_that_were_widened_are_whole_again():
    table = as_rows([correction("p1", image=image(0).astype(np.float32))], SCHEMA)
    np.testing.assert_array_equal(table.numpy("image")[0], image(0))


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("image", np.zeros((3, 2), np.uint8)),
        ("image", np.full((2, 3), 256, np.int64)),
        ("image", np.full((2, 3), -1, np.int64)),
        ("image", np.full((2, 3), 0.5, np.float32)),
        ("size", np.array("large", object)),
        ("maker", np.array(3)),
    ],
)
def test_what_does_not_fit_is_refused_with_prediction_and_column(column: str, cell: Any):
    with pytest.raises(InvalidInput) as caught:
        as_rows([correction("p0"), correction("p1", **{column: cell})], SCHEMA)
    assert caught.value.code == "feedback-does-not-fit"
    assert caught.value.details == {"prediction": "p1", "column": column}


def test_a_label_column_that_is_not_there_is_named():
    with pytest.raises(NotFound) as caught:
        as_rows([], SCHEMA, label="lable")
    assert caught.value.hint == "Did you mean 'label'?"


def test_a_number_as_label():
    schema = pa.schema([pa.field("x", pa.float64()), pa.field("price", pa.float64())])
    made = as_rows([correction("p1", "12.5", x=np.array(1.0))], schema, label="price")
    assert made.numpy("price").tolist() == [12.5]
    assert as_rows([correction("p1", 3)], schema, label="price").numpy("price").tolist() == [3.0]
    assert as_rows([correction("p1", 3)], SCHEMA).numpy("label").tolist() == ["3"]
    with pytest.raises(InvalidInput, match="label 'cheap'"):
        as_rows([correction("p1", "cheap", x=np.array(1.0))], schema, label="price")


def test_a_fraction_is_no_whole_number():
    schema = pa.schema([pa.field("stars", pa.int64())])
    assert as_rows([correction("p1", "4")], schema, label="stars").numpy("stars").tolist() == [4]
    for label in ("4.5", 4.5):
        with pytest.raises(InvalidInput):
            as_rows([correction("p1", label)], schema, label="stars")


def test_many_images_are_many_rows():
    images = np.random.default_rng(0).integers(0, 256, (500, 2, 3), np.uint8)
    made: Table = as_rows([correction(f"p{i}", image=cell) for i, cell in enumerate(images)], SCHEMA)
    np.testing.assert_array_equal(made.numpy("image"), images)
