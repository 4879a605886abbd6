"""Excel workbooks: what a person sees in the cells is what comes in, or it is refused with its cell."""

# ruff: noqa: DTZ001 - a sheet knows no time zones
import datetime as dt
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.data.sources.conftest import Rows
from tidemill.core.errors import InvalidInput, TidemillError
from tidemill.data import Changes, Datasets, import_files, import_rows
from tidemill.data.sources.opening import open_files


def book(
    path: Path, rows: Sequence[Sequence[Any]], formats: dict[str, str] | None = None, **more: Any
) -> Path:
    """A workbook with one sheet; ``formats`` by cell, ``more`` are other sheets with one cell each."""
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    for cell, kind in (formats or {}).items():
        sheet[cell].number_format = kind
    for title, value in more.items():
        made.create_sheet(title)["A1"] = value
    made.save(path)
    return path


def test_values_come_in_as_they_are_seen(datasets: Datasets, tmp_path: Path, rows: Rows):
    path = book(
        tmp_path / "a.xlsx",
        [
            ["id", "zip", "code", "price", "day", "at", "moment", "ok", "long", 2020],
            [1, "01234", 7, 1.5, dt.date(2026, 1, 2), dt.time(3, 4, 5), dt.datetime(2026, 1, 2, 3, 4), True, dt.timedelta(hours=36), 5],
            [2, "10115", 42, 2, None, None, dt.datetime(2026, 1, 3), False, dt.timedelta(0), 6],
        ],
        {"C2": "00000", "C3": "00000", "I2": "[h]:mm:ss", "I3": "[h]:mm:ss"},
    )  # fmt: skip
    done = import_files(datasets, "d", path)
    assert rows() == [
        {
            "id": 1, "zip": "01234", "code": "00007", "price": 1.5, "day": dt.date(2026, 1, 2), "at": dt.time(3, 4, 5),
            "moment": dt.datetime(2026, 1, 2, 3, 4), "ok": True, "long": "36:00:00", "2020": 5,
        },
        {
            "id": 2, "zip": "10115", "code": "00042", "price": 2.0, "day": None, "at": None,
            "moment": dt.datetime(2026, 1, 3), "ok": False, "long": "0:00:00", "2020": 6,
        },
    ]  # fmt: skip
    assert [(n.code, n.column) for n in done.notes] == [("leading-zeros", "code")]
    assert import_files(datasets, "d", path).rows == Changes()


def test_empty_rows_around_the_table_are_no_rows_and_one_inside_it_is(
    datasets: Datasets, tmp_path: Path, rows: Rows
):
    path = book(tmp_path / "a.xlsx", [[None], ["a", "b"], [1, 2], [None, None], [3, 4], [None, None]])
    import_files(datasets, "d", path)
    assert rows() == [{"a": 1, "b": 2}, {"a": None, "b": None}, {"a": 3, "b": 4}]


def test_one_sheet_is_meant_or_said(datasets: Datasets, tmp_path: Path, rows: Rows):
    path = book(tmp_path / "a.xlsx", [["a"], [1]], Empty=None)
    import_files(datasets, "d", path)
    path = book(tmp_path / "b.xlsx", [["a"], [1]], Notes="by Ada")
    with pytest.raises(InvalidInput, match="has 2 sheets: Sheet, Notes") as caught:
        import_files(datasets, "e", path)
    assert caught.value.code == "sheet-not-said"
    import_rows(datasets, "e", open_files([path], sheet="Sheet"))
    assert rows("e") == [{"a": 1}]
    with pytest.raises(TidemillError, match="no sheet 'sheet'") as error:
        import_rows(datasets, "f", open_files([path], sheet="sheet"))
    assert (error.value.code, error.value.hint) == ("sheet-not-found", "Did you mean 'Sheet'?")


def test_a_formula_of_another_sheet_is_nobody_s_business(datasets: Datasets, tmp_path: Path, rows: Rows):
    path = book(tmp_path / "a.xlsx", [["a"], [1]], Notes="by Ada")
    both = openpyxl.load_workbook(path)
    both["Notes"]["B1"] = "=1+1"
    both.save(path)
    import_rows(datasets, "d", open_files([path], sheet="Sheet"))
    assert rows() == [{"a": 1}]
    with pytest.raises(InvalidInput, match="sheet 'Notes', cell B1"):
        import_rows(datasets, "e", open_files([path], sheet="Notes"))


@pytest.mark.parametrize(
    ("rows", "formats", "code", "words"),
    [
        ([["a", "b"], [1, "=1/0"]], {}, "formula-not-computed", "cell B2: the value of its formula is not in the file"),
        ([["a", "b"], [1, "#DIV/0!"]], {}, "unreadable-cell", "cell B2, column 'b': it is the error #DIV/0!"),
        ([["a", None, "c"], [1, 2, 3]], {}, "invalid-column-name", "column B has no name"),
        ([["a", "b"], [1, 2, 3]], {}, "unreadable-cell", "cell C2: it is in a column that has no name"),
        ([["a", "b"]], {}, "empty-file", "a row of names and no row after it"),
        ([], {}, "empty-file", "is empty"),
        ([["a", "a"], [1, 2]], {}, "duplicated-column", "both named 'a'"),
        ([["a"], [1], ["x"]], {}, "mixed-types", "row 3, column 'a'"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_named(
    datasets: Datasets, tmp_path: Path, rows: list[list[Any]], formats: dict[str, str], code: str, words: str
):
    path = book(tmp_path / "a.xlsx", rows, formats)
    with pytest.raises(InvalidInput, match=words) as caught:
        import_files(datasets, "d", path)
    assert caught.value.code == code
    assert "a.xlsx" in caught.value.message
    assert not datasets.exists("d")


def test_an_unnamed_first_column_and_several_workbooks(datasets: Datasets, tmp_path: Path, rows: Rows):
    book(tmp_path / "a.xlsx", [[None, "b"], [0, "x"]])
    book(tmp_path / "b.xlsx", [["b", None], ["y"]])
    done = import_files(datasets, "d", tmp_path / "a.xlsx")
    assert [n.code for n in done.notes] == ["unnamed-column"]
    book(tmp_path / "c.xlsx", [["b", "index"], ["y", 1]])
    import_files(datasets, "d", tmp_path / "a.xlsx", tmp_path / "c.xlsx")
    assert rows() == [{"index": 0, "b": "x"}, {"index": 1, "b": "y"}]


def test_a_damaged_workbook_is_named(datasets: Datasets, tmp_path: Path):
    path = book(tmp_path / "a.xlsx", [["a"], [1]])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InvalidInput, match=r"a\.xlsx: this archive .* is cut short or damaged"):
        import_files(datasets, "d", path)


@pytest.mark.parametrize("changed", [1, 1 << 5, 1 << 6, 9 << 16, 97 << 16], ids=str)
def test_a_workbook_packed_in_a_way_that_is_not_read_is_named(
    datasets: Datasets, tmp_path: Path, changed: int
):
    """The marks of encryption and of patches, and the number of the packing: of each file in it, in its list."""
    path = book(tmp_path / "a.xlsx", [["a"], [1]])
    start, *entries = path.read_bytes().split(b"PK\x01\x02")
    for entry in entries:
        marks = int.from_bytes(entry[4:8], "little") ^ changed
        start += b"PK\x01\x02" + entry[:4] + marks.to_bytes(4, "little") + entry[8:]
    path.write_bytes(start)
    with pytest.raises(InvalidInput, match=r"a\.xlsx: this is not readable as an Excel workbook") as caught:
        import_files(datasets, "d", path)
    assert caught.value.code == "unreadable-file"


def test_an_archive_of_a_version_to_come_is_named(datasets: Datasets, tmp_path: Path):
    path = book(tmp_path / "a.xlsx", [["a"], [1]])
    data = path.read_bytes()
    at = data.rindex(b"PK\x01\x02") + 6
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    with pytest.raises(InvalidInput, match=r"a\.xlsx: this archive .* is cut short or damaged") as caught:
        import_files(datasets, "d", path)
    assert caught.value.code == "unreadable-file"


def test_without_the_extra_it_says_what_to_install(tmp_path: Path):
    path = book(tmp_path / "a.xlsx", [["a"], [1]])
    code = (
        "import sys; sys.modules['openpyxl'] = None\n"
        "from tidemill.data.sources.opening import open_files\n"
        f"try: open_files([{str(path)!r}]).fields()\n"
        "except Exception as error: print(type(error).__name__, error, error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "NeedsExtra a.xlsx is an Excel workbook; reading it needs openpyxl, which is not installed. "
        "Type: pip install 'tidemill[excel]', or save the sheet as CSV.\n"
    )
