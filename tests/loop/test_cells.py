"""Cells of text become what the signature says, and nothing that their look suggests."""

from typing import Any

import pytest

from tidemill.core.errors import InvalidInput
from tidemill.core.given import Text
from tidemill.loop.cells import by_signature, folded


def tensor(datatype: str, *cell: int) -> dict[str, Any]:
    return {"name": "x", "datatype": datatype, "shape": [-1, *cell]}


@pytest.mark.parametrize(
    ("datatype", "text", "value"),
    [
        ("BYTES", "02134", "02134"),
        ("BYTES", "1e5", "1e5"),
        ("BYTES", "true", "true"),
        ("BYTES", "NA", "NA"),
        ("BYTES", "2026-11-30", "2026-11-30"),
        ("BYTES", "", None),
        ("BOOL", "true", True),
        ("BOOL", "FALSE", False),
        ("BOOL", "", None),
        ("INT64", "9223372036854775807", 2**63 - 1),
        ("UINT8", " 7 ", 7),
        ("INT8", "-7", -7),
        ("INT64", "", None),
        ("FP64", "0.1", 0.1),
        ("FP32", "3", 3),
        ("FP64", "1e-3", 1e-3),
        ("FP64", "", None),
    ],
)
def test_a_cell_is_read_as_the_signature_says(datatype: str, text: str, value: Any) -> None:
    found = by_signature({"x": Text(text), "label": Text("a")}, [tensor(datatype)], 1)
    assert found == {"x": value}
    assert type(found["x"]) is type(value)


@pytest.mark.parametrize(
    ("datatype", "text"),
    [
        ("BOOL", "1"),
        ("BOOL", "yes"),
        ("INT64", "1.0"),
        ("INT64", "1e3"),
        ("INT64", "x"),
        ("FP64", "nan"),
        ("FP64", "inf"),
        ("FP64", "1_0"),
        ("FP64", "\u0661"),
        ("FP64", "1,5"),
    ],
)
def test_what_cannot_be_read_is_refused_with_row_and_column(datatype: str, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        by_signature({"x": Text(text)}, [tensor(datatype)], 3)
    assert caught.value.code == "invalid-rows"
    assert caught.value.message.startswith("Row 3, column 'x': ")


def test_a_tensor_is_folded_of_columns_and_values_stay_what_they_are() -> None:
    with pytest.raises(InvalidInput, match="not a tensor"):
        by_signature({"x": Text("1")}, [tensor("FP32", 2)], 1)
    assert by_signature({"x": "7", "y": 1}, [tensor("INT64")], 1) == {"x": "7"}
    assert by_signature({"y": 1}, [tensor("INT64")], 1) == {}


def test_numbered_columns_fold_as_their_dataset_remembers():
    row = {"p2": Text("2"), "p1": Text(""), "p3": 3, "p4": Text("4.5"), "label": Text("a")}
    found = folded(row, [tensor("FP64", 2, 2)], {"x": ("p", (2, 2))}, 1)
    assert found == {**row, "x": [[None, 2], [3, 4.5]]}
    assert folded({"x": [1]}, [tensor("FP64", 2, 2)], {"x": ("p", (2, 2))}, 1) == {"x": [1]}
    with pytest.raises(InvalidInput, match="Row 7, column 'p2': 'b' is not a number") as caught:
        folded({**row, "p2": Text("b")}, [tensor("FP64", 2, 2)], {"x": ("p", (2, 2))}, 7)
    assert caught.value.code == "invalid-rows"


def test_numbered_columns_of_which_nothing_is_known_are_named_in_the_hint():
    row = {"a": 1, "b1": 1, "pix_1": 1, "pix_2": 2, "pix_3": 3, "pix_4": 4}
    with pytest.raises(InvalidInput, match="Row 1 lacks 'x'") as caught:
        folded(row, [tensor("FP64", 2, 2)], {}, 1)
    assert caught.value.code == "missing-column"
    assert "--tensor 'x=pix_*:2x2'" in (caught.value.hint or "")
    # What no columns could make is the server's to say.
    assert folded({"a": 1}, [tensor("FP64", 2, 2)], {"x": ("p", (2, 2))}, 1) == {"a": 1}
