"""CSV in: types, tensors, identity across imports, and what is refused with its line and column."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tidemill.core.errors import Conflict, InvalidInput, NotFound, TidemillError
from tidemill.core.events import Event, Progress
from tidemill.data import Changes, Datasets, Tensor, import_files
from tidemill.data.sources import delimited, delimited_reader, json_lines

Write = Callable[..., Path]


def test_a_file_becomes_commit_1_and_the_same_file_again_changes_nothing(datasets: Datasets, csv: Write):
    path = csv("label,size\ncoat,3\nbag,5\ncoat,3\n")
    first = import_files(datasets, "shop", path)
    assert (first.commit.number, first.rows) == (1, Changes(added=3))
    assert (first.commit.author, first.commit.message, first.commit.rows) == ("ada", "Import some.csv", 3)
    again = import_files(datasets, "shop", path)
    assert (again.commit, again.rows) == (first.commit, Changes())
    assert datasets.open("shop").log() == [first.commit]


def test_new_rows_are_added_and_the_old_ones_keep_their_ids(datasets: Datasets, csv: Write):
    import_files(datasets, "shop", csv("label,size\ncoat,3\nbag,5\n"))
    before = datasets.open("shop").snapshot().read()
    result = import_files(datasets, "shop", csv("size,label\n5,bag\n7,hat\n3,coat\n5,bag\n"))
    assert result.rows == Changes(added=2)
    after = datasets.open("shop").snapshot().read()
    assert after.take([0, 1]).to_arrow().equals(before.to_arrow())
    assert after.select(["label", "size"]).to_arrow().to_pylist()[2:] == [
        {"label": "hat", "size": 7},
        {"label": "bag", "size": 5},
    ]


def test_whole_numbers_too_large_for_int64_keep_every_digit(datasets: Datasets, csv: Write):
    text = "id,code,size\n12345678901234567890,1234567890123456789012345,1e+300\n12345678901234567891,7,2.5\n"
    import_files(datasets, "shop", csv(text))
    rows = datasets.open("shop").snapshot().read(["id", "code", "size"]).to_arrow().to_pylist()
    assert sorted(rows, key=lambda r: r["id"]) == [
        {"id": 12345678901234567890, "code": "1234567890123456789012345", "size": 1e300},
        {"id": 12345678901234567891, "code": "7", "size": 2.5},
    ]


def test_with_a_key_a_changed_cell_is_a_changed_row(datasets: Datasets, csv: Write):
    import_files(datasets, "shop", csv("id,label\n1,coat\n2,bag\n3,hat\n"), key=["id"])
    result = import_files(datasets, "shop", csv("id,label\n2,BAG\n4,scarf\n1,coat\n"))
    assert result.rows == Changes(added=1, changed=1)
    result = import_files(datasets, "shop", csv("id,label\n2,BAG\n"), sync=True)
    assert result.rows == Changes(removed=3)
    assert datasets.open("shop").snapshot().read(["id", "label"]).to_arrow().to_pylist() == [
        {"id": 2, "label": "BAG"}
    ]


def test_without_a_key_a_row_that_was_corrected_since_stays_corrected(datasets: Datasets, csv: Write):
    path = csv("label,size\ncoat,3\nbag,5\n")
    import_files(datasets, "shop", path)
    shop = datasets.open("shop")
    rows = shop.snapshot().read()
    shop.commit(rows.with_column("label", ["shirt", "bag"]), message="Correct a label")
    assert import_files(datasets, "shop", path).rows == Changes()
    assert shop.snapshot().read(["label"]).to_arrow()["label"].to_pylist() == ["bag", "shirt"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2"], "int64"),
        (["1", "2.5"], "double"),
        (["1", ""], "int64"),
        (["", ""], "string"),
        (["1", "x"], "string"),
        (["true", "false"], "bool"),
        (["2026-01-02", "2026-01-03"], "date32[day]"),
        (["1.0e3", "nan"], "double"),
        (["1e3", "2.5"], "string"),
    ],
)
def test_a_type_is_the_narrowest_that_every_cell_fits(
    datasets: Datasets, csv: Write, cells: list[str], expected: str
):
    import_files(datasets, "d", csv("n,x\n" + "".join(f"{i},{c}\n" for i, c in enumerate(cells))))
    assert str(datasets.open("d").schema.field("x").type) == expected


def test_a_type_that_only_the_end_of_a_large_file_contradicts(datasets: Datasets, csv: Write):
    path = csv("a,b,c\n" + f"1,true,{'x' * 1000}\n" * 10_000 + "1.5,maybe,x\n")
    assert path.stat().st_size > 8 * 1024 * 1024  # what the fast reader infers its types from
    import_files(datasets, "d", path)
    types = {f.name: str(f.type) for f in datasets.open("d").schema}
    assert (types["a"], types["b"]) == ("double", "string")


def test_given_types_hold_and_later_files_follow_them(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv("zip,n\n01234,1\n"), types={"zip": "string", "n": "uint8"})
    import_files(datasets, "d", csv("zip,n\n99999,2\n"))
    assert datasets.open("d").snapshot().read(["zip"]).to_arrow()["zip"].to_pylist() == ["01234", "99999"]
    with pytest.raises(InvalidInput, match=r"line 3, column 'n': '256' does not fit into uint8") as caught:
        import_files(datasets, "d", csv("zip,n\n1,2\n2,256\n"))
    assert caught.value.code == "wrong-type"
    with pytest.raises(InvalidInput) as caught:
        import_files(datasets, "d", csv("zip,n\n1,2\n"), types={"n": "int64"})
    assert caught.value.code == "schema-change"


def test_an_empty_cell_is_missing_and_an_empty_text_in_quotes_is_not(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv('a,b\n"",1\n,2\n"x, ""y""\nz",\n'))
    assert datasets.open("d").snapshot().read(["a", "b"]).to_arrow().to_pylist() == [
        {"a": "", "b": 1},
        {"a": None, "b": 2},
        {"a": 'x, "y"\nz', "b": None},
    ]


def test_columns_fold_into_a_tensor_and_missing_cells_stay_missing(datasets: Datasets, csv: Write):
    text = "label,pixel2,pixel10,pixel1,pixel3,pixel4,pixel5,pixel6,pixel7,pixel8,pixel9,note\n"
    text += "coat,2,10,1,3,4,5,6,,8,9,x\n" + "bag,20,100,10,30,40,50,60,70,80,255,y\n"
    import_files(datasets, "d", csv(text), tensors={"image": Tensor("pixel", (2, 5))})
    table = datasets.open("d").snapshot().read()
    assert table.columns == ["_id", "label", "image", "note", "_prediction"]
    assert table.shape_of("image") == (2, 5)
    assert np.argwhere(table.missing("image")).tolist() == [[0, 1, 1]]
    whole = table.take([1]).numpy("image")
    assert whole.dtype == np.uint8
    assert whole.tolist() == [[[10, 20, 30, 40, 50], [60, 70, 80, 255, 100]]]


def test_the_dataset_remembers_its_tensors(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv("label,p1,p2\na,1,2\n"), tensors={"x": Tensor("p", (2,))})
    assert import_files(datasets, "d", csv("label,p1,p2\na,1,2\nb,3,4\n")).rows == Changes(added=1)


@pytest.mark.parametrize(
    ("cells", "expected"), [("1,300", "uint16"), ("-1,3", "int8"), ("1,2.5", "double"), ("255,", "uint8")]
)
def test_a_tensor_has_one_type_for_all_its_cells(datasets: Datasets, csv: Write, cells: str, expected: str):
    import_files(datasets, "d", csv(f"label,p1,p2\na,{cells}\n"), tensors={"x": Tensor("p", (2,))})
    assert str(datasets.open("d").schema.field("x").type.value_type) == expected


@pytest.mark.parametrize(
    ("text", "code", "words", "where"),
    [
        ("", "empty-file", "is empty", (1, 1)),
        ("\n\n", "empty-file", "is empty", (1, 1)),
        ("a,b\n", "empty-file", "no row after it", (1, 1)),
        ("a,b\n1,2\n3\n", "ragged-row", "line 3: 1 cell where the header names 2", (3, "b")),
        ("a,b\n1,2\n\n3,4,5\n", "ragged-row", "line 4: 3 cells", (4, "3")),
        ('a,b\n"x\ny",2\n3\n', "ragged-row", "line 4: 1 cell ", (4, "b")),
        ("a,b\n1,2,3\n4,5,6\n", "ragged-row", "line 2: 3 cells", (2, "3")),
        ("a,b,a\n1,2,3\n", "duplicated-column", "columns 1 and 3 are both named 'a'", (1, "a")),
        ("a,,c\n1,2,3\n", "invalid-column-name", "column 2", (1, 2)),
        ("a,_x\n1,2\n", "invalid-column-name", "column 2", (1, 2)),
        (b"a,b\n1,ok\n2,caf\xe9\n", "not-utf8", r"line 3, column 'b': byte 0xe9 \(byte 6", (3, "b")),
        (b"a,b\n\xff1,2\n", "not-utf8", "line 2, column 'a'", (2, "a")),
        (b"a,b\xff\n1,2\n", "not-utf8", "line 1, column '2'", (1, "2")),
        ("a\n" + "é" * 700_000 + "\n" + "é" * 700_000 + "\n", None, "", None),
        ('a,b\n1,"x\n', "unreadable-csv", "line 2", None),
    ],
)
def test_a_bad_file_is_refused_with_its_line_and_column(
    datasets: Datasets,
    csv: Write,
    text: str | bytes,
    code: str | None,
    words: str,
    where: tuple[int, object] | None,
):
    import_files(datasets, "there", csv("a,b\n1,2\n"))
    path = csv(text)
    if code is None:
        import_files(datasets, "new", path)
        return
    for name in ("new", "there"):
        with pytest.raises(TidemillError, match=words) as caught:
            import_files(datasets, name, path)
        assert caught.value.code == code
        assert "some.csv" in caught.value.message
        assert caught.value.hint
        if where:
            assert (caught.value.details["line"], caught.value.details["column"]) == where
    assert not datasets.exists("new")
    assert len(datasets.open("there").log()) == 1


def test_a_file_that_is_written_to_meanwhile_is_refused(datasets: Datasets, csv: Write):
    path = csv("a,b\n" + "1,2\n" * 1000)

    def write_more(event: Event) -> None:
        if isinstance(event, Progress):
            with path.open("a") as file:
                file.write("3,4\n")

    with pytest.raises(Conflict, match=r"some\.csv changed while it was read") as caught:
        import_files(datasets, "d", path, sink=write_more)
    assert caught.value.code == "file-changed"
    assert caught.value.details["line"]
    assert not datasets.exists("d")


def test_a_file_that_is_cut_short_meanwhile_is_refused(datasets: Datasets, csv: Write):
    path = csv("a,b\n" + "1,2\n" * 10_000_000)

    def cut(event: Event) -> None:
        if isinstance(event, Progress):
            with path.open("a") as file:
                file.truncate(20_000_000)

    with pytest.raises(Conflict, match="changed while it was read"):
        import_files(datasets, "d", path, sink=cut)
    assert not datasets.exists("d")


def test_other_columns_than_the_datasets_are_named(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv("label,size\na,1\n"))
    with pytest.raises(InvalidInput, match=r"some\.csv, line 1: .*'lable'.*is it 'label'") as caught:
        import_files(datasets, "d", csv("lable,size\na,1\n"))
    assert caught.value.code == "schema-change"
    assert caught.value.details["column"] == "lable"
    assert len(datasets.open("d").log()) == 1


def test_a_label_column_that_is_not_there(datasets: Datasets, csv: Write):
    with pytest.raises(InvalidInput, match="no column 'lable'") as caught:
        import_files(datasets, "d", csv("label,size\na,1\n"), label="lable")
    assert (caught.value.code, caught.value.hint) == ("label-not-found", "Did you mean 'label'?")
    assert not datasets.exists("d")


def test_tensor_columns_with_a_gap(datasets: Datasets, csv: Write):
    with pytest.raises(InvalidInput, match=r"wants 4 columns 'p\*'.*has 3 and lacks 'p3'") as caught:
        import_files(datasets, "d", csv("p1,p2,p4\n1,2,4\n"), tensors={"x": Tensor("p", (2, 2))})
    assert caught.value.code == "tensor-columns"


def test_equal_keys_and_missing_keys_are_refused(datasets: Datasets, csv: Write):
    with pytest.raises(InvalidInput, match=r"Rows 1 and 3 have the same key: id=1"):
        import_files(datasets, "d", csv("id,x\n1,a\n2,b\n1,c\n"), key=["id"])
    with pytest.raises(InvalidInput, match=r"Row 2 has no value in key column 'id'"):
        import_files(datasets, "d", csv("id,x\n1,a\n,b\n"), key=["id"])
    with pytest.raises(NotFound, match="no column 'ID'"):
        import_files(datasets, "d", csv("id,x\n1,a\n"), key=["ID"])
    assert not datasets.exists("d")
    import_files(datasets, "d", csv("id,x\n1,a\n"), key=["id"])
    with pytest.raises(InvalidInput) as caught:
        import_files(datasets, "d", csv("id,x\n1,a\n"), key=["x"])
    assert caught.value.code == "key-differs"


def test_files_and_branches_that_are_not_there(datasets: Datasets, csv: Write, tmp_path: Path):
    with pytest.raises(NotFound, match="no file"):
        import_files(datasets, "d", tmp_path / "nothing.csv")
    with pytest.raises(InvalidInput, match="is a folder"):
        import_files(datasets, "d", tmp_path)
    path = csv("a\n1\n")
    with pytest.raises(InvalidInput, match="cannot go to branch 'side'"):
        import_files(datasets, "d", path, branch="side")
    import_files(datasets, "d", path)
    with pytest.raises(NotFound, match="no branch 'side'"):
        import_files(datasets, "d", path, branch="side")


def test_a_byte_order_mark_and_windows_line_ends_are_read(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv(b"\xef\xbb\xbflabel,n\r\ncoat,1\r\nbag,2\r\n"))
    assert datasets.open("d").snapshot().columns == ["label", "n"]
    assert datasets.open("d").snapshot().read(["n"]).numpy("n").tolist() == [1, 2]


@pytest.mark.parametrize("kept", [0, 2**30])
@pytest.mark.parametrize("odd", ["", "99999999\n", "word\n", '""\n', "007\n"])
def test_progress_of_a_name_never_goes_back(
    datasets: Datasets, csv: Write, monkeypatch: pytest.MonkeyPatch, odd: str, kept: int
):
    """A file is read several times, each of which is told by its own name."""
    monkeypatch.setattr(delimited_reader, "_BLOCK_BYTES", 4096)
    monkeypatch.setattr(json_lines, "_BLOCK_BYTES", 4096)
    monkeypatch.setattr(delimited, "_KEPT_BYTES", kept)
    text = "a\n" + "".join(f"{n}\n" for n in range(5000)) + odd
    lines = csv(
        "".join(f'{{"a": {n}}}\n' for n in range(5000)) + ('{"a": 1.5}\n' if odd else ""), "some.jsonl"
    )
    for name, path in (("c", csv(text)), ("j", lines)):
        told: dict[str, list[Progress]] = {}

        def tell(event: Event, told: dict[str, list[Progress]] = told) -> None:
            if isinstance(event, Progress):
                told.setdefault(event.label, []).append(event)

        import_files(datasets, name, path, sink=tell)
        assert f"Looking for the types in {path.name}" in told
        for label, steps in told.items():
            done = [step.done for step in steps]
            assert done == sorted(done), label
        # Nothing is told twice: each pass has a name of its own.
        if name == "j" or not kept:
            assert f"Reading {path.name}" in told
