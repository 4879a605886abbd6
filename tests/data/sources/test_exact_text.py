"""Import and export of text are inverse: each cell comes back, whatever it looks like."""

# ruff: noqa: RUF001 - digits that only look like ours are the point
import csv as stdlib_csv
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.core.errors import InvalidInput
from tidemill.data import Changes, Datasets, import_files
from tidemill.data.importing import import_rows
from tidemill.data.sources.missing import missing
from tidemill.data.sources.opening import open_files

Write = Callable[..., Path]
_NUMBER = re.compile(r"-?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?")


def same(before: str, after: str) -> bool:
    """Whether a cell came back by the rule: the text, or a number's digits and magnitude."""
    if before == after:
        return True
    if not (_NUMBER.fullmatch(before) and _NUMBER.fullmatch(after)):
        return False
    if re.fullmatch(r"-?0\d.*|-?\d+[eE]\d+", before):
        return False
    digits = max(len(re.split("[eE]", before.lstrip("-"))[0].replace(".", "").lstrip("0")), 1)
    try:
        return Decimal(format(float(after), f".{digits - 1}e")) == Decimal(before)
    except InvalidOperation:
        return False


def kinds(datasets: Datasets, name: str = "d") -> dict[str, str]:
    return {f.name: str(f.type) for f in datasets.open(name).schema if not f.name.startswith("_")}


def column(datasets: Datasets, name: str, path: Path) -> list[str]:
    """The cells of column x in the file that is exported to ``path``."""
    datasets.open(name).snapshot().write_csv(path)
    with path.open(newline="") as file:
        return [row["x"] for row in stdlib_csv.DictReader(file)]


LOSSY = [
    "007", "+5", "0x10", "1E05", "1e3", "-0", "-01", "5.", "1_000", "1,000", " 5", "5 ", "１２", "٣", "NaN", "Infinity",
    "12345678901234567890123", "3.14159265358979323846", "1e400", "1e-400", "0b1", "1.5.2", "--1", "1e", "e5",
    "03:04", "2026-1-2", "2026-01-02T03:04:05Z", "20:60:00", "1.2345e-320", "00", "0.1e", "yes", "0123.5", "1d", "1f",
    "0000-01-01", "0000-12-31T23:59:59",
]  # fmt: skip
KEPT = {
    "5": "int64", "-5": "int64", "0": "int64", "12345678901234567890": "uint64", "-9223372036854775808": "int64",
    "2.5": "double", "12.50": "double", "1.0E10": "double", "1e-05": "double", "1.5e300": "double", ".5": "double",
    "0.1": "double", "-0.0": "double", "0.30000000000000004": "double", "5e-324": "double", "nan": "double",
    "true": "bool", "2026-01-02": "date32[day]", "03:04:05": "time32[s]", "2026-01-02 03:04:05": "timestamp[s]",
    "2026-01-02T03:04:05.25": "timestamp[ms]",
}  # fmt: skip


@pytest.mark.parametrize("cell", LOSSY)
def test_a_cell_that_a_type_would_change_is_text_and_comes_back(
    datasets: Datasets, csv: Write, tmp_path: Path, cell: str
):
    """Among plain numbers, too."""
    others = ["1", "2", "3"]
    for name, texts in (("alone", [cell]), ("last", [*others, cell]), ("first", [cell, *others])):
        path = csv("n,x\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(texts)))
        import_files(datasets, name, path)
        assert kinds(datasets, name)["x"] == "string", name
        assert column(datasets, name, tmp_path / "out.csv") == texts
    # Among decimals, what is a number but loses something.
    import_files(datasets, "decimals", csv(f'n,x\n1,2.5\n2,"{cell}"\n'))
    assert kinds(datasets, "decimals")["x"] == ("double" if cell in ("-0", "5e-324") else "string")


@pytest.mark.parametrize(("cell", "kind"), KEPT.items())
def test_a_cell_that_a_type_keeps_has_that_type_and_comes_back(
    datasets: Datasets, csv: Write, tmp_path: Path, cell: str, kind: str
):
    import_files(datasets, "d", csv(f"n,x\n1,{cell}\n2,\n"))
    assert kinds(datasets)["x"] == kind
    assert same_value(cell, column(datasets, "d", tmp_path / "out.csv")[0])
    assert import_files(datasets, "d", tmp_path / "out.csv", sync=True).rows == Changes()


@pytest.mark.both_stores
@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["12.50", "3.00", "-0.10"], "double"),
        (["2026-01-02T03:04:05", "2026-01-03T00:00:00"], "timestamp[s]"),
        (["True", "False"], "bool"),
        (["TRUE", "FALSE", "TRUE"], "bool"),
        (["True", "TRUE"], "string"),
        (["true", "False"], "string"),
        (["0", "1", "true"], "string"),
        (["2026-01-02T03:04:05", "2026-01-02 03:04:05"], "string"),
        (["2026-01-02", "2026-01-02 00:00:00"], "string"),
        (["9999-12-31", "0001-01-01"], "date32[day]"),
        (["9999-12-31", "0000-01-01"], "string"),
        (["9999-12-31 00:00:00", "0000-01-01 00:00:00"], "string"),
        (["9007199254740993", "0.5"], "string"),
        (["-1", "18446744073709551615"], "string"),
        (["0.10000000000000001", "0.30000000000000004"], "double"),
    ],
)
def test_what_the_cells_of_a_column_have_in_common_comes_back(
    datasets: Datasets, csv: Write, tmp_path: Path, texts: list[str], kind: str
):
    path = csv("n,x\n" + "".join(f"{n},{text}\n" for n, text in enumerate(texts)))
    import_files(datasets, "d", path)
    assert kinds(datasets)["x"] == kind
    assert column(datasets, "d", tmp_path / "out.csv") == texts


@pytest.mark.both_stores
def test_a_later_file_does_not_lose_what_the_dataset_cannot_keep(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv("k,n,f,b\na,7,1.5,true\n"), key=["k"])
    for cells_, column, words in (
        ("a,007,1.5,true", "n", "'007' would lose its leading zero"),
        ("a,0x7,1.5,true", "n", "'0x7' is a hexadecimal number"),
        ("a, 7,1.5,true", "n", "' 7' would lose the space around it"),
        ("a,99999999999999999999,1.5,true", "n", "does not fit into int64"),
        ("a,7.0,1.5,true", "n", "'7.0' is not int64"),
        ("a,7,01.5,true", "f", "'01.5' would lose its leading zero"),
        ("a,7,0.1234567890123456789,true", "f", "has more digits than double holds"),
        ("a,7,1.5,1", "b", "'1' would be written in another way"),
    ):
        with pytest.raises(InvalidInput, match=re.escape(words)) as caught:
            import_files(datasets, "d", csv(f"k,n,f,b\n{cells_}\n"))
        assert (caught.value.code, caught.value.details["column"], caught.value.details["line"]) == (
            "wrong-type", column, 2,
        )  # fmt: skip
    assert len(datasets.open("d").log()) == 1
    # A person may say that the value counts.
    done = import_files(datasets, "d", csv("k,n,f,b\nb,007,1.5,1\n"), types={"n": "int64", "b": "bool"})
    assert done.rows == Changes(added=1)
    # Or that the column's type may change.
    done = import_files(datasets, "d", csv("k,n,f,b\nc,007,1.5,true\n"), allow_schema_change=True)
    assert kinds(datasets)["n"] == "string"
    rows = datasets.open("d").snapshot().read(["k", "n"]).to_arrow().to_pylist()
    assert sorted(r["n"] for r in rows) == ["007", "7", "7"]


FAR = [
    ("date", pa.date32(), -719_528),
    ("date", pa.date32(), 2_932_897),
    ("timestamp", pa.timestamp("us"), -62_167_219_200_000_000),
    ("timestamp", pa.timestamp("us"), 253_402_300_800_000_000),
]


@pytest.mark.parametrize(("given", "kind", "number"), FAR)
def test_a_year_that_python_has_not_is_in_no_dataset(
    datasets: Datasets, csv: Write, tmp_path: Path, given: str, kind: Any, number: int
):
    """Whether a file has it as a time, or as a text or a number beside a dataset's times."""
    import_files(datasets, "d", csv('{"x":"2026-01-02"}\n', "a.jsonl"), types={"x": given})
    numbers = pa.array([number], pa.int32() if kind.bit_width == 32 else pa.int64())
    for name, cells, code in (("new", numbers.view(kind), "unknown-cells"), ("d", numbers, "wrong-type")):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"x": cells}), path)
        with pytest.raises(InvalidInput) as caught:
            import_files(datasets, name, path)
        assert (name, caught.value.code) == (name, code)
    for text, words in (("0000-01-01", "line 2, column 'x': .* years 1 to 9999"), ("10000-01-01", "is not")):
        with pytest.raises(InvalidInput, match=words) as caught:
            import_files(datasets, "d", csv(f"x\n{text}\n"))
        assert caught.value.code == "wrong-type"
        with pytest.raises(InvalidInput, match="line 1, column 'x'") as caught:
            import_files(datasets, "d", csv(f'{{"x":"{text}"}}\n', "b.jsonl"), types={"x": given})
        assert caught.value.code == "wrong-type"


def test_whole_numbers_past_int64_never_become_floats(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv("k,n\na,9007199254740993\n"), key=["k"])
    import_files(datasets, "d", csv("k,n\nb,18446744073709551615\n"), allow_schema_change=True)
    rows = datasets.open("d").snapshot().read(["k", "n"]).to_arrow().to_pylist()
    assert {r["k"]: r["n"] for r in rows} == {"a": "9007199254740993", "b": "18446744073709551615"}


def test_what_decided_a_type_is_told_with_its_row(datasets: Datasets, csv: Write):
    text = "zip,price,flag,name,free\n08123,1.5,0,Ada,x\n10115,2.5,1,5,y\n10117,n/a,true,6,z\n"
    notes = {n.column: n.text for n in import_files(datasets, "d", csv(text)).notes}
    assert notes["zip"] == "'zip' is text, not int64: '08123' in row 1 would lose its leading zero."
    assert notes["flag"] == "'flag' is text, not int64: 'true' in row 3 is not int64."
    assert (
        notes["price"]
        == "'price' holds 'n/a' (1), first in row 3: kept as text. --missing 'n/a' takes it as missing."
    )
    assert "name" not in notes
    assert "free" not in notes


def test_the_cell_that_decides_late_is_told_too(datasets: Datasets, csv: Write):
    rows = 300_000
    path = csv("n,code\n" + "".join(f"{n},{n}\n" for n in range(rows)) + f"{rows},007\n{rows + 1},x\n")
    done = import_files(datasets, "d", path)
    assert kinds(datasets) == {"n": "int64", "code": "string"}
    assert [n.text for n in done.notes] == [
        "'code' is text, not int64: '007' in row 300,001 would lose its leading zero."
    ]


def test_words_that_mean_missing_are_what_a_person_says(datasets: Datasets, csv: Write):
    path = csv("k,n,country\na,NA,NA\nb,2,DE\nc,-,FR\n")
    import_files(datasets, "text", path)
    assert kinds(datasets, "text")["n"] == "string"

    def imported(name: str, *words: str) -> list[dict[str, Any]]:
        import_rows(datasets, name, open_files([path], missing=missing(words)))
        return datasets.open(name).snapshot().read(["n", "country"]).to_arrow().to_pylist()

    assert imported("every", "NA", "-")[0] == {"n": None, "country": None}
    assert imported("one", "n=NA", "n=-") == [
        {"n": None, "country": "NA"}, {"n": 2, "country": "DE"}, {"n": None, "country": "FR"},
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="'m', which is not there") as caught:
        imported("other", "m=NA")
    assert caught.value.code == "unknown-column"


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ('n,x\n1,""\n2,5\n', "int64", [None, 5]),  # every cell in quotes, as many programs write
        ('n,x\n1,""\n2,\n3,5\n', "string", ["", None, "5"]),  # two things, which only text tells apart
        ('n,x\n1,""\n2,\n', "string", ["", None]),
    ],
)
def test_an_empty_text_is_missing_only_where_that_loses_nothing(
    datasets: Datasets, csv: Write, text: str, kind: str, expected: list[Any]
):
    import_files(datasets, "d", csv(text))
    assert kinds(datasets)["x"] == kind
    assert datasets.open("d").snapshot().read(["n", "x"]).to_arrow()["x"].to_pylist() == expected


@pytest.mark.parametrize("text", ["a\n1\n\n3\n", 'a\n\nx\n""\n\n', "\n\na\n\n1\n", "a\r\n\r\n1\r\n\r\n"])
def test_in_an_only_column_an_empty_line_is_a_missing_cell(
    datasets: Datasets, csv: Write, tmp_path: Path, text: str
):
    import_files(datasets, "d", csv(text))
    expected = text.replace("\r", "").lstrip("\n").split("\n")[1:-1]
    found = [r["a"] for r in datasets.open("d").snapshot().read(["a"]).to_arrow().to_pylist()]
    assert ["" if v is None else '""' if v == "" else str(v) for v in found] == expected
    datasets.open("d").snapshot().write_csv(tmp_path / "out.csv")
    assert import_files(datasets, "d", tmp_path / "out.csv", sync=True).rows == Changes()


_LOOKS = st.one_of(
    st.sampled_from(
        [*LOSSY, *KEPT, "", "NA", "x", "1", "0", "true", "false", '"', ",", "\n", "\r\n", "a\rb", "\ufeff"]
    ),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**6), max_value=10**6).map(
        str
    ),
    st.dates().map(str),
    st.datetimes().map(str),
    st.datetimes().map(lambda t: t.isoformat()),
    st.times().map(str),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)
_COLUMN = st.one_of(
    st.lists(_LOOKS, min_size=6, max_size=6),
    *(
        st.lists(st.one_of(kind, st.none()), min_size=6, max_size=6)
        for kind in (
            st.integers(-(10**20), 10**20).map(str),
            st.floats().map(repr),
            st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-99, max_value=99).map(
                str
            ),
            st.datetimes().map(str),
            st.sampled_from(["True", "False", "TRUE", "0"]),
        )
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=st.lists(_COLUMN, min_size=1, max_size=4), quote_all=st.booleans())
def test_any_table_of_text_comes_back(
    store: Any, csv: Write, tmp_path: Path, columns: list[list[str | None]], *, quote_all: bool
):
    """Missing is an empty cell; an empty text is two double quotes."""
    name = (
        f"d{len(list((tmp_path / 'store' / 'datasets').glob('*')))}"
        if (tmp_path / "store").exists()
        else "d0"
    )
    datasets = Datasets(store, "ada")
    names = [f"c{n}" for n in range(len(columns))]

    def spelled(cell: str | None) -> str:
        if cell is None:
            return ""
        plain = not quote_all and cell and not set(cell) & set('",\r\n') and cell[0] != "\ufeff"
        return cell if plain else '"' + cell.replace('"', '""') + '"'

    lines = [",".join(names), *(",".join(map(spelled, row)) for row in zip(*columns, strict=True))]
    import_files(datasets, name, csv("\n".join(lines) + "\n"))
    datasets.open(name).snapshot().write_csv(tmp_path / "out.csv")
    found = rows_of(tmp_path / "out.csv", len(columns))
    kind = kinds(datasets, name)
    for at, column in enumerate(columns):
        back = [row[at] for row in found]
        text = kind[names[at]] == "string"
        assert len(back) == len(column)
        for before, after in zip(column, back, strict=True):
            if text:
                assert before == after
            else:
                assert (before or None) == after or (before and after and same_value(before, after)), (
                    column,
                    back,
                )
    # Whatever the types were found to be, the file that was written says the same.
    assert import_files(datasets, name, tmp_path / "out.csv", sync=True).rows == Changes()


def same_value(before: str, after: str) -> bool:
    """As ``same``, for times too: zeros at the end of a fraction are no loss."""
    stripped = [
        re.sub(r"\.?0+$", "", text) if "." in text and ":" in text else text for text in (before, after)
    ]
    return stripped[0] == stripped[1] or same(before, after)


def rows_of(path: Path, columns: int) -> list[list[str | None]]:
    """The rows of a file that Tidemill wrote, in which every text is in quotes; read by a grammar, not by a library."""
    text = path.read_bytes().decode()
    found: list[list[str | None]] = []
    row: list[str | None] = []
    at = 0
    while at < len(text):
        if text[at] == '"':
            end = at + 1
            while text[end : end + 1] != '"' or text[end : end + 2] == '""':
                end += 2 if text[end : end + 2] == '""' else 1
            row.append(text[at + 1 : end].replace('""', '"'))
            at = end + 1
        else:
            end = re.compile("[,\n]").search(text, at).start()
            row.append(text[at:end] or None)
            at = end
        if text[at] == "\n":
            found.append(row)
            assert len(row) == columns
            row = []
        at += 1
    return found[1:]
