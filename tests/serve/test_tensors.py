"""JSON values and bytes as arrays: what NumPy says they are, or an error with words."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tidemill.core.errors import InvalidInput
from tidemill.models.signature import DATATYPES, Tensor
from tidemill.serve import tensors

NUMBERS = sorted(set(DATATYPES) - {"BYTES"})
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, max_side=4)


def finite(datatype: str) -> Any:
    dtype = np.dtype(DATATYPES[datatype])
    if dtype.kind == "f":
        bits: Any = dtype.itemsize * 8
        return arrays.arrays(
            dtype, SHAPES, elements=st.floats(width=bits, allow_nan=False, allow_infinity=False)
        )
    return arrays.arrays(dtype, SHAPES)


numbers = st.sampled_from(NUMBERS).flatmap(lambda d: st.tuples(st.just(d), finite(d)))
texts = arrays.arrays(object, SHAPES, elements=st.text(max_size=5)).map(lambda a: ("BYTES", a))


@settings(max_examples=300, deadline=None)
@given(numbers | texts, st.booleans())
def test_json_values(given: tuple[str, Any], flat: bool) -> None:
    datatype, values = given
    sent = values.ravel().tolist() if flat else values.tolist()
    found = tensors.from_json("x", sent, datatype, values.shape)
    assert found.dtype == values.dtype and found.shape == values.shape
    np.testing.assert_array_equal(found, values)
    assert found.flags.writeable


@settings(max_examples=300, deadline=None)
@given(numbers | texts)
def test_bytes_there_and_back(given: tuple[str, Any]) -> None:
    datatype, values = given
    sent = tensors.to_bytes(values, datatype)
    found = tensors.from_bytes("x", memoryview(sent), datatype, values.shape)
    assert found.dtype == values.dtype and found.flags.writeable
    np.testing.assert_array_equal(found, values)
    with pytest.raises(InvalidInput):
        tensors.from_bytes("x", memoryview(sent + b"\0"), datatype, values.shape)
    with pytest.raises(InvalidInput):
        tensors.from_bytes("x", memoryview(sent)[:-1], datatype, values.shape)


@settings(max_examples=200, deadline=None)
@given(numbers | texts, st.data())
def test_null_is_a_missing_cell(given: tuple[str, Any], data: st.DataObject) -> None:
    datatype, values = given
    flat = values.ravel().tolist()
    gone = data.draw(st.sets(st.integers(0, len(flat) - 1), min_size=1))
    sent = [None if at in gone else value for at, value in enumerate(flat)]
    found = tensors.from_json("x", sent, datatype, values.shape)
    assert isinstance(found, np.ma.MaskedArray)
    assert {int(at) for at in np.flatnonzero(np.ma.getmaskarray(found))} == gone
    kept = [at for at in range(len(flat)) if at not in gone]
    np.testing.assert_array_equal(np.ma.getdata(found).ravel()[kept], values.ravel()[kept])


def test_columns_of_rows() -> None:
    found = tensors.from_rows("x", [1, 2.0, None], Tensor("x", "FP32", (-1,)))
    assert found.tolist() == [1.0, 2.0, None] and found.dtype == np.float32
    words = tensors.from_rows("x", ["a", "b"], Tensor("x", "BYTES", (-1,)))
    assert words.tolist() == ["a", "b"] and words.dtype == object
    free = tensors.from_rows("x", [[1, 2], [3, 4]], Tensor("x", "INT8", (-1, -1)))
    assert free.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("value", "datatype", "code"),
    [
        (True, "INT8", "wrong-dtype"),
        ("1", "INT8", "wrong-dtype"),
        (1, "BYTES", "wrong-dtype"),
        (1, "BOOL", "wrong-dtype"),
        (128, "INT8", "out-of-range"),
        (0.5, "INT64", "wrong-dtype"),
        (10**400, "FP64", "out-of-range"),
        (1e300, "FP32", "out-of-range"),
        (1e5, "FP16", "out-of-range"),
        (2**64, "UINT64", "out-of-range"),
        ([1], "FP32", "wrong-dtype"),
        ({}, "FP32", "wrong-dtype"),
    ],
    ids=lambda value: str(value)[:8],
)
def test_values_that_a_type_cannot_hold(value: Any, datatype: str, code: str | None) -> None:
    if code is None:
        assert tensors.from_json("x", [0, value], datatype, (2,)).tolist() == [0, 1]
        return
    good: Any = {"BYTES": "a", "BOOL": True}.get(datatype, 0)
    with pytest.raises(InvalidInput) as caught:
        tensors.from_json("x", [good, value], datatype, (2,))
    assert caught.value.code == code
    assert caught.value.details["field"] == "x" and caught.value.details["row"] == 1


@pytest.mark.parametrize("cells", [[2, True], [2, True, None], [2, False, 2.0]])
def test_a_truth_value_is_no_number_whatever_stands_beside_it(cells: list[Any]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        tensors.from_json("x", cells, "INT8", (len(cells),))
    assert (refusal.value.code, refusal.value.details["row"]) == ("wrong-dtype", 1)


@pytest.mark.parametrize("piece", [3, 1 << 16])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers, st.data())
def test_odd_cells_among_others(
    monkeypatch: pytest.MonkeyPatch, piece: int, given: tuple[str, Any], data: st.DataObject
) -> None:
    """Whole numbers with a point, whole numbers beyond what a float has, and missing cells, in pieces or at once."""
    monkeypatch.setattr(tensors, "_PIECE", piece)
    datatype, values = given
    sent: list[Any] = values.ravel().tolist()
    for at, value in enumerate(sent):
        form = data.draw(st.sampled_from("=.n"))
        if form == "n":
            sent[at] = None
        elif form == "." and type(value) is int and int(float(value)) == value:
            sent[at] = float(value)
    found = tensors.from_json("x", sent, datatype, values.shape)
    missing = np.array([value is None for value in sent]).reshape(values.shape)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(np.ma.getmaskarray(found), missing)
    np.testing.assert_array_equal(np.ma.getdata(found)[~missing], values[~missing])


def test_a_wrong_cell_in_a_later_piece_is_named_by_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "_PIECE", 3)
    cells: list[Any] = [[0, 1.0], [2, None], [3, 4], [5, 6.5], [7, 8]]
    with pytest.raises(InvalidInput) as refusal:
        tensors.from_json("x", cells, "UINT8", (5, 2))
    assert refusal.value.details["row"] == 3
