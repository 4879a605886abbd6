"""CSV and TSV as sources: packed, several together, with long lines; and what is refused with its place."""

import bz2
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tidemill.core.errors import InvalidInput, NotFound
from tidemill.data import Changes, Datasets, Tensor, import_files, import_rows
from tidemill.data.sources.dialect import delimiter_given
from tidemill.data.sources.opening import open_files
from tidemill.data.sources.paths import expanded

Write = Callable[..., Path]


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


@pytest.mark.parametrize(
    ("pack", "ending"), [(gzip.compress, ".gz"), (zstd, ".zst"), (bz2.compress, ".bz2"), (gzip.compress, "")]
)
def test_a_packed_file_is_the_same_rows(
    datasets: Datasets, csv: Write, pack: Callable[[bytes], bytes], ending: str
):
    text = "label,n\n" + "".join(f"coat,{n}\n" for n in range(1000))
    import_files(datasets, "d", csv(text))
    assert import_files(datasets, "d", csv(pack(text.encode()), "some.csv" + ending)).rows == Changes()


def test_tabs_between_the_cells(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv('label\tn\n"a\tb, c"\t1\n', "some.tsv"))
    assert datasets.open("d").snapshot().read(["label", "n"]).to_arrow().to_pylist() == [
        {"label": "a\tb, c", "n": 1}
    ]
    import_files(datasets, "e", csv(gzip.compress(b"label\tn\na\t1\n"), "some.tsv.gz"))
    assert datasets.open("e").snapshot().columns == ["label", "n"]


def test_files_by_pattern_are_one_commit_with_one_type_a_column(
    datasets: Datasets, csv: Write, tmp_path: Path
):
    csv("label,n\na,1\nb,2\n", "part-1.csv")
    csv("n,label\n2.5,c\n", "part-2.csv")
    csv("label,n\nd,\n", "part-3.csv")
    done = import_files(datasets, "d", str(tmp_path / "part-*.csv"))
    assert (done.rows, done.commit.number) == (Changes(added=4), 1)
    assert done.commit.message == "Import 3 files, part-1.csv to part-3.csv"
    assert datasets.open("d").snapshot().read(["label", "n"]).to_arrow().to_pylist() == [
        {"label": "a", "n": 1.0},
        {"label": "b", "n": 2.0},
        {"label": "c", "n": 2.5},
        {"label": "d", "n": None},
    ]
    again = import_files(datasets, "d", tmp_path / "part-3.csv", tmp_path / "part-1.csv")
    assert again.rows == Changes()


def test_a_pattern_that_matches_nothing(datasets: Datasets, tmp_path: Path):
    with pytest.raises(NotFound, match=r"No file matches '.*nothing-\*\.csv'") as caught:
        import_files(datasets, "d", tmp_path / "nothing-*.csv")
    assert caught.value.code == "no-file-matches"


def test_several_stars_inside_a_name_are_one(tmp_path: Path):
    for name in ("part-1.csv", "part-2.csv"):
        (tmp_path / name).write_text("a\n1\n")
    assert [path.name for path in expanded([tmp_path / "part**.csv"])] == ["part-1.csv", "part-2.csv"]
    assert [path.name for path in expanded([tmp_path / "**" / "*-2**"])] == ["part-2.csv"]
    with pytest.raises(NotFound):
        expanded([tmp_path / "--from=**"])


def test_a_file_whose_name_looks_like_a_pattern(datasets: Datasets, csv: Write):
    assert import_files(datasets, "d", csv("a\n1\n", "some[1].csv")).rows == Changes(added=1)


def test_files_with_different_columns_are_refused(datasets: Datasets, csv: Write, tmp_path: Path):
    csv("label,n\na,1\n", "part-1.csv")
    csv("lable,n\na,1\n", "part-2.csv")
    with pytest.raises(InvalidInput, match=r"part-2\.csv, line 1: .*part-1\.csv: it has 'lable'") as caught:
        import_files(datasets, "d", tmp_path / "part-*.csv")
    assert (caught.value.code, caught.value.details["column"]) == ("files-differ", "lable")
    csv("label\tn\na\t1\n", "part-2.csv.tsv")
    with pytest.raises(InvalidInput, match=r"part-1\.csv is csv and part-2\.csv\.tsv is tsv"):
        import_files(datasets, "d", tmp_path / "part-1.csv", tmp_path / "part-2.csv.tsv")
    assert not datasets.exists("d")


def test_a_fault_in_the_second_file_names_it(datasets: Datasets, csv: Write, tmp_path: Path):
    csv("label,n\na,1\n", "part-1.csv")
    for text, words in (
        ("label,n\nb\n", r"part-2\.csv, line 2: 1 cell "),
        (b"label,n\n\xff,1\n", r"part-2\.csv, line 2, column 'label': byte 0xff"),
        ("label,n\n", r"part-2\.csv has a header and no row"),
        ('label,n\n"b,1\n', r"part-2\.csv, line 2: this is not readable as CSV"),
    ):
        csv(text, "part-2.csv")
        with pytest.raises(InvalidInput, match=words):
            import_files(datasets, "d", tmp_path / "part-*.csv")
    csv("label,n\nb,2\na,3\n", "part-2.csv")
    with pytest.raises(InvalidInput, match=r"part-2\.csv, line 3: .*label='a'") as caught:
        import_files(datasets, "d", tmp_path / "part-*.csv", key=["label"])
    assert (caught.value.code, caught.value.details["line"]) == ("duplicate-key", 3)
    csv("label,n\nb,x\n", "part-2.csv")
    with pytest.raises(InvalidInput, match=r"part-2\.csv, line 2, column 'n': 'x' is not int64"):
        import_files(datasets, "d", tmp_path / "part-*.csv", types={"n": "int64"})
    assert not datasets.exists("d")


@pytest.mark.parametrize("pack", [gzip.compress, zstd, bz2.compress])
def test_packed_data_that_ends_too_early(datasets: Datasets, csv: Write, pack: Callable[[bytes], bytes]):
    lines = "".join(f"coat,{n * 7919 % 100_003}\n" for n in range(100_000))
    whole = pack(("label,n\n" + lines).encode())
    for data in (whole[: len(whole) // 2], whole[:-1], whole[:30]):
        with pytest.raises(
            InvalidInput, match=r"some\.csv, line \d+: the \w+ data ends or breaks here"
        ) as caught:
            import_files(datasets, "d", csv(data))
        assert caught.value.code == "truncated-file"
    assert not datasets.exists("d")


def test_a_line_longer_than_what_is_read_at_a_time(datasets: Datasets, csv: Write):
    long = "x" * 5_000_000
    import_files(datasets, "d", csv(f"a,b\n1,short\n2,{long}\n3,short\n"))
    rows = datasets.open("d").snapshot().read(["a", "b"]).to_arrow().to_pylist()
    assert [r["a"] for r in rows] == [1, 2, 3]
    assert rows[1]["b"] == long


def test_a_quote_in_the_middle_of_a_cell_is_a_character(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv('a,b\n5" pipe,1\n"x\ny",2\n'))
    assert datasets.open("d").snapshot().read(["a"]).to_arrow()["a"].to_pylist() == ['5" pipe', "x\ny"]


def test_a_character_that_two_pieces_share(datasets: Datasets, csv: Write):
    # Pieces are of two megabytes: every offset of a two-byte character meets an end.
    for shift in (0, 1):
        import_files(datasets, f"d{shift}", csv("a\n" + "x" * shift + ("é" * 999 + "\n") * 4000))
    data = ("a\n" + ("é" * 999 + "\n") * 4000).encode()
    at = 2 * 1024 * 1024
    broken = data[:at] + b"\xff" + data[at + 1 :]
    line = data[:at].count(b"\n") + 1
    with pytest.raises(InvalidInput, match=rf"line {line}, column 'a'"):
        import_files(datasets, "e", csv(broken))


def test_a_pipe_is_refused_before_anything_waits_for_it(tmp_path: Path):
    os.mkfifo(tmp_path / "rows.csv")
    with pytest.raises(InvalidInput, match="it is a pipe or a device") as caught:
        open_files([tmp_path / "rows.csv"])
    assert caught.value.code == "not-a-file"


@pytest.mark.parametrize(
    ("text", "name", "columns", "told"),
    [
        ("id;name\n1;Ada\n", "a.csv", ["id", "name"], "a semicolon"),
        ("id\tname\n1\tAda\n", "a.csv", ["id", "name"], "a tab"),
        ("id|name\n1|Ada\n", "a.csv", ["id", "name"], "a vertical bar"),
        ("id,name\n1,Ada\n", "a.tsv", ["id", "name"], "a comma"),
        ("price;note\n1,5;x\n2,25;y\n", "a.csv", ["price", "note"], "a semicolon"),
        ('"a;b",c\n1,2\n', "a.csv", ["a;b", "c"], None),
        ("id,tags\n1,a|b\n2,c\n", "a.csv", ["id", "tags"], None),
        ("remark\none; two\nthree\n", "a.csv", ["remark"], None),
    ],
)
def test_what_separates_the_cells_is_found_and_told(
    datasets: Datasets, csv: Write, text: str, name: str, columns: list[str], told: str | None
):
    done = import_files(datasets, "d", csv(text, name))
    assert datasets.open("d").snapshot().columns == columns
    assert [n.text for n in done.notes if n.code == "delimiter"] == (
        [f"The cells of {name} are separated by {told}, as its first lines show."] if told else []
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("notes; remarks\nfoo\nbar\n", "its first line has a semicolon, by which the next lines do not"),
        ("a,b;c\n1,2;3\n", "may be separated by a comma or a semicolon"),
        ("a;b|c\n1;2|3\n", "may be separated by a semicolon or a vertical bar"),
    ],
)
def test_a_table_is_never_one_column_in_silence(datasets: Datasets, csv: Write, text: str, words: str):
    path = csv(text)
    with pytest.raises(InvalidInput, match=words) as caught:
        import_files(datasets, "d", path)
    assert caught.value.code == "unclear-delimiter"
    assert "--delimiter" in (caught.value.hint or "")
    import_rows(datasets, "d", open_files([path], delimiter=delimiter_given("comma")))
    assert datasets.open("d").snapshot().columns == text.split("\n", maxsplit=1)[0].split(",")


def test_a_delimiter_is_one_character_or_its_name(datasets: Datasets, csv: Write):
    assert [delimiter_given(text) for text in ("tab", "\\t", ";", "Pipe", "^")] == ["\t", "\t", ";", "|", "^"]
    for text in ("", ";;", '"', "\n", "§"):
        with pytest.raises(InvalidInput) as caught:
            delimiter_given(text)
        assert caught.value.code == "invalid-delimiter"
    import_rows(datasets, "d", open_files([csv("a^b\n1^2\n")], delimiter="^"))
    assert datasets.open("d").snapshot().columns == ["a", "b"]


def test_a_first_column_without_a_name_is_the_index(datasets: Datasets, csv: Write, tmp_path: Path):
    path = csv(",a,b\n0,1,x\n1,2,y\n")
    done = import_files(datasets, "d", path)
    assert [n.text for n in done.notes] == [
        "The first column of some.csv has no name: it is imported as 'index'."
    ]
    assert datasets.open("d").snapshot().columns == ["index", "a", "b"]
    assert import_files(datasets, "d", path).rows == Changes()
    datasets.open("d").snapshot().write_csv(tmp_path / "out.csv")
    assert import_files(datasets, "d", tmp_path / "out.csv", sync=True).rows == Changes()
    for text in (",index\n0,1\n", "a,,b\n1,2,3\n", ",,a\n1,2,3\n"):
        with pytest.raises(InvalidInput) as caught:
            import_files(datasets, "e", csv(text))
        assert caught.value.code == "invalid-column-name"


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"a,b\n1,x\ry\xff,z\n", "not-utf8", "column 'a': byte 0xff"),
        (b"a,b\r1,2\r3,\xff\r", "not-utf8", "column 'b': byte 0xff"),
        (b"a\0,b\n1,2\n", "invalid-column-name", 'cannot be named "a\\\\u0000"'),
        (
            b"k,p1,p2\na,1,2\nb,3,007\n",
            "wrong-type",
            "line 3, column 'p2': '007' would lose its leading zero",
        ),
        (b"k,p1,p2\na,1,x\n", "wrong-type", "line 2, column 'p2': 'x' is not double"),
    ],
)
def test_odd_bytes_and_cells_have_an_error_of_their_own(
    datasets: Datasets, csv: Write, data: bytes, code: str, words: str
):
    tensors = {"p": Tensor("p", (2,))} if b"p1" in data else {}
    with pytest.raises(InvalidInput, match=words) as caught:
        import_files(datasets, "d", csv(data), tensors=tensors)
    assert caught.value.code == code
