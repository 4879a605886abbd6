"""What is typed, as what the loop takes."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.conftest import Tidemill
from tidemill.cli import parameters, rows_csv
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.given import Json, Text
from tidemill.loop.datasets.choices import Decisions, as_choices


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=20)))
def test_assignments_read_back(values: dict[str, str]):
    assert parameters.assignments("-p", [f"{n}={v}" for n, v in values.items()]) == values


@pytest.mark.parametrize("texts", [["n"], ["=3"], [" =3"], ["n=1", "n=1"]])
def test_assignments_that_are_none(texts: list[str]):
    with pytest.raises(click.UsageError):
        parameters.assignments("-p", texts)


def test_typed_values_are_text_or_json():
    found = parameters.given(["a=3", "b:=3", "c:=null", " d := [1] ", "e=:=", "f="])
    assert found == {
        "a": Text("3"),
        "b": Json(3),
        "c": Json(None),
        "d": Json([1]),
        "e": Text(":="),
        "f": Text(""),
    }


@pytest.mark.parametrize(
    "texts",
    [
        ["n:=three"],
        ["n:="],
        [":=3"],
        ["n=1", "n:=1"],
        ['n:=[{"a":1,"a":2}]'],
        ["n:=-1e400"],
        ["n:=" + "[" * 100_000],
    ],
)
def test_typed_values_that_are_none(texts: list[str]):
    with pytest.raises(click.UsageError):
        parameters.given(texts)


@pytest.mark.parametrize(
    ("text", "file", "name"),
    [
        ("pipeline.py", "pipeline.py", None),
        ("pipeline.py:fashion", "pipeline.py", "fashion"),
        ("a:b/pipeline.py", "a:b/pipeline.py", None),
        ("a:b/pipeline.py:fashion", "a:b/pipeline.py", "fashion"),
        (":fashion", ":fashion", None),
    ],
)
def test_file_and_name(text: str, file: str, name: str | None):
    assert parameters.file_and_name(text) == (file, name)


def test_a_file_whose_name_has_a_colon_is_that_file(tmp_path: Path):
    odd = tmp_path / "a:b"
    odd.touch()
    assert parameters.file_and_name(str(odd)) == (str(odd), None)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("prediction,label\np1,coat\np2,bag\n", [("p1", "coat"), ("p2", "bag")]),
        ('\ufefflabel,extra,prediction\r\n"a, b",x,p1\r\n\r\n', [("p1", "a, b")]),
        ("prediction,label\n", []),
    ],
)
def test_labels(tmp_path: Path, text: str, pairs: list[tuple[str, str]]):
    file = tmp_path / "labels.csv"
    file.write_bytes(text.encode())
    assert parameters.labels_from(str(file), None, None) == pairs


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "line 1: there must be one column 'prediction'"),
        (b"prediction,lable\np,x\n", "line 1: there must be one column 'label'"),
        (b"prediction,label,label\np,x,y\n", "line 1: there must be one column 'label'"),
        (b"prediction,label\np1,coat\np2\n", "line 3: 1 cell where the header has 2"),
        (b"prediction,label\np1,\n", "line 2, column 'label': the cell is empty"),
        (b"prediction,label\np1,\xff\n", "line 2: a byte that is not UTF-8"),
        (b'prediction,label\np1,"coat\n', "line 2: unexpected end of data"),
    ],
)
def test_labels_that_are_wrong_are_refused_where_they_are(tmp_path: Path, text: bytes, says: str):
    file = tmp_path / "labels.csv"
    file.write_bytes(text)
    with pytest.raises(InvalidInput) as caught:
        parameters.labels_from(str(file), None, None)
    assert caught.value.code == "invalid-feedback"
    assert says in caught.value.message
    assert str(file) in caught.value.message


def test_labels_from_nowhere(tmp_path: Path):
    with pytest.raises(NotFound) as caught:
        parameters.labels_from(str(tmp_path / "none.csv"), None, None)
    assert caught.value.code == "file-not-found"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full"])
def test_a_device_without_an_end_is_no_file(device: str):
    readers = [
        lambda: parameters.labels_from(device, None, None),
        lambda: parameters.rows_from(device, {}),
        lambda: as_choices(Decisions(file=Path(device))),
    ]
    for reader in readers:
        with pytest.raises(InvalidInput, match=f"{device} is a device") as caught:
            reader()
        assert caught.value.code == "not-a-file"


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_of_labels_fail_otherwise(data: bytes):
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        with contextlib.suppress(InvalidInput):
            assert parameters.labels_from(file.name, None, None) is not None


def test_one_label():
    assert parameters.labels_from(None, "p1", "coat") == [("p1", "coat")]
    assert parameters.labels_from(None, None, None) is None
    with pytest.raises(click.UsageError):
        parameters.labels_from("x.csv", "p1", "coat")


@pytest.mark.parametrize("text", ["", "{", "3", "[1]", '{"rows": {}}', '{"a": 1}\n{"a"\n'])
def test_rows_on_standard_input_that_are_none(tidemill: Tidemill, text: str):
    done = tidemill("predict", "prod", "-", stdin=text)
    assert done.returncode == 2
    assert done.stderr.startswith("error[invalid-rows]: standard input does not hold rows: ")


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1}, {"a": 2}]',
        '{"rows": [{"a": 1}, {"a": 2}]}',
        '{"a": 1}\n{"a": 2}\n',
        '\ufeff[{"a": 1}, {"a": 2}]',
    ],
)
def test_json_rows(tmp_path: Path, text: str):
    file = tmp_path / "rows.json"
    file.write_text(text, "utf-8")
    assert parameters.rows_from(str(file), {}) == [{"a": 1}, {"a": 2}]


def test_csv_rows_with_a_tensor(tmp_path: Path):
    file = tmp_path / "rows.csv"
    file.write_text("p10,label,p2,p1,p3,size\n4,coat,2,1,3.5,\n8,nan,6,5,7,1e3\n", "utf-8")
    assert parameters.rows_from(str(file), {"image": "p*:2x2"}) == [
        {"label": Text("coat"), "size": Text(""), "image": [[1, 2], [3.5, 4]]},
        {"label": Text("nan"), "size": Text("1e3"), "image": [[5, 6], [7, 8]]},
    ]


def test_an_empty_cell_of_a_tensor_is_a_missing_one(tmp_path: Path):
    file = tmp_path / "rows.csv"
    file.write_text("p1,p2,p3,p4\n1,,3,4\n", "utf-8")
    assert parameters.rows_from(str(file), {"image": "p*:2x2"}) == [{"image": [[1, None], [3, 4]]}]


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.csv", b'p1,p2\n1,2\n\n3,4\n5,x\n6\n\xff,"\n', [{"p": [1, 2]}, {"p": [3, 4]}]),
        ("a.json", b'{"p": 1}\n{"p": 2}\nno JSON\n', [{"p": 1}, {"p": 2}]),
        ("b.json", b'[{"p": 1}, {"p": 2}, 3]', [{"p": 1}, {"p": 2}]),
    ],
)
def test_with_a_limit_what_follows_is_not_looked_at(tmp_path: Path, name: str, data: bytes, expected: Any):
    (tmp_path / name).write_bytes(data)
    tensors = {"p": "p*:2"} if name.endswith(".csv") else {}
    assert parameters.rows_from(str(tmp_path / name), tensors, 2) == expected
    with pytest.raises(InvalidInput):
        parameters.rows_from(str(tmp_path / name), tensors)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" + "1" * 5_000 + "]",
        "[1\n[2",
        '[{"a": 1, "a": 2}]',
        '{"a": 1}\n{"a": 1, "a": 2}',
        '[{"a": 1e400}]',
    ],
)
def test_json_that_no_reader_takes_is_said_to_be_none(tmp_path: Path, text: str):
    file = tmp_path / "rows.json"
    file.write_text(text, "utf-8")
    with pytest.raises(InvalidInput) as caught:
        parameters.rows_from(str(file), {})
    assert caught.value.code == "invalid-rows"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: there is no header"),
        ("a,a\n1,2\n", "line 1: the column 'a' is there twice"),
        ("p1,p2,p3\n1,2,3\n", "line 1: 3 columns are called 'p' and a number, where 2x2 takes 4"),
        ("p1,p2,p3,p4\n1,2,3\n", "line 2: 3 cells where the header has 4"),
        ("p1,p2,p3,p4\n1,2,3,4\n1,x,3,4\n", "line 3: column 'p2' holds 'x', which is no number"),
        ('p1,p2,p3,p4\n1,2,3,"4\n', "line 2: unexpected end of data"),
    ],
)
def test_csv_rows_that_are_wrong_are_refused_where_they_are(tmp_path: Path, text: str, says: str):
    file = tmp_path / "rows.csv"
    file.write_text(text, "utf-8")
    with pytest.raises(InvalidInput) as caught:
        parameters.rows_from(str(file), {"image": "p*:2x2"})
    assert (caught.value.code, says in caught.value.message) == ("invalid-rows", True), caught.value.message


def test_a_tensor_that_cannot_be_read(tmp_path: Path):
    for name, text, tensors in (("a.csv", "p1\n1\n", {"x": "p"}), ("a.json", "[]", {"x": "p*:1"})):
        (tmp_path / name).write_text(text, "utf-8")
        with pytest.raises(click.UsageError, match="--tensor"):
            parameters.rows_from(str(tmp_path / name), tensors)


@given(st.text(max_size=100))
def test_no_csv_text_makes_the_reader_fail_otherwise(text: str):
    with contextlib.suppress(InvalidInput):
        for row in rows_csv.rows("x", text.encode("utf-8", "surrogatepass"), {}):
            assert all(isinstance(cell, Text) for cell in row.values())


def test_an_environment_nearly_right():
    from tidemill.loop.views import EnvironmentView

    every = [EnvironmentView(name, None, None, None, False, 0) for name in ("dev", "prod")]
    assert parameters.only("prod", every) == [every[1]]
    with pytest.raises(NotFound) as caught:
        parameters.only("prd", every)
    assert caught.value.hint == "Did you mean 'prod'?"
