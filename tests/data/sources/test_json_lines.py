"""JSON lines: types from the values, keys that come and go, and what is refused with its line and column."""

import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tests.data.sources.conftest import Rows
from tidemill.core.errors import InvalidInput
from tidemill.data import Changes, Datasets, Tensor, import_files

Write = Callable[..., Path]


def test_types_come_from_the_values_and_a_key_that_is_not_there_is_missing(
    datasets: Datasets, csv: Write, rows: Rows
):
    text = '{"n":1,"name":"1"}\n\n{"n":2.5,"ok":true}\n{"name":null,"n":3,"when":"2026-01-02"}'
    done = import_files(datasets, "d", csv(text, "some.jsonl"))
    assert [(c.name, str(c.type), c.how) for c in done.columns] == [
        ("n", "double", "found in the values"),
        ("name", "string", "found in the values"),
        ("ok", "bool", "found in the values"),
        ("when", "string", "found in the values"),
    ]
    assert rows() == [
        {"n": 1.0, "name": "1", "ok": None, "when": None},
        {"n": 2.5, "name": None, "ok": True, "when": None},
        {"n": 3.0, "name": None, "ok": None, "when": "2026-01-02"},
    ]
    assert import_files(datasets, "d", csv(gzip.compress(text.encode()), "b.ndjson.gz")).rows == Changes()


def test_a_later_file_may_leave_out_what_it_does_not_have(datasets: Datasets, csv: Write, rows: Rows):
    import_files(datasets, "d", csv('{"id":1,"x":"a"}\n', "a.jsonl"), key=["id"])
    done = import_files(datasets, "d", csv('{"id":2}\n', "b.jsonl"))
    assert (done.rows, done.change) == (Changes(added=1), type(done.change)())
    assert rows()[-1] == {"id": 2, "x": None}
    with pytest.raises(InvalidInput, match="adds column 'y'") as caught:
        import_files(datasets, "d", csv('{"id":3,"y":1}\n', "c.jsonl"))
    assert caught.value.code == "schema-change"


def test_given_types_hold(datasets: Datasets, csv: Write, rows: Rows):
    text = '{"zip":1234,"when":"2026-01-02T03:04:05","n":1}\n{"zip":"01234","when":null,"n":2}\n'
    path = csv(text, "some.jsonl")
    import_files(datasets, "d", path, types={"zip": "string", "when": "timestamp", "n": "uint8"})
    assert [(r["zip"], str(r["when"]), r["n"]) for r in rows()] == [
        ("1234", "2026-01-02 03:04:05", 1),
        ("01234", "None", 2),
    ]


def test_whole_numbers_keep_every_digit(datasets: Datasets, csv: Write, rows: Rows):
    text = '{"a":12345678901234567890,"b":9007199254740993,"c":123456789012345678901234}\n{"a":1,"b":0.5,"c":1}\n'
    import_files(datasets, "d", csv(text, "some.jsonl"))
    assert rows() == [
        {"a": 12345678901234567890, "b": "9007199254740993", "c": "123456789012345678901234"},
        {"a": 1, "b": "0.5", "c": "1"},
    ]


def test_keys_fold_into_a_tensor(datasets: Datasets, csv: Write):
    text = '{"p1":1,"p2":300}\n{"p1":3}\n'
    import_files(datasets, "d", csv(text, "some.jsonl"), tensors={"x": Tensor("p", (2,))})
    table = datasets.open("d").snapshot().read()
    assert (table.shape_of("x"), str(datasets.open("d").schema.field("x").type.value_type)) == (
        (2,),
        "uint16",
    )
    assert table.missing("x").tolist() == [[False, False], [False, True]]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", "empty-file", "is empty"),
        ("{}\n{}\n", "empty-file", r"some\.jsonl has no column"),
        ('{"a":1}\n{"a":\n', "broken-line", r"line 2: this is no JSON object"),
        ('{"a":1}\n\n[1]\n', "broken-line", "line 3"),
        ('{"a":"NaN"}\n{"a":-Infinity}\n', "broken-line", "line 2: this is no JSON: it has -Infinity"),
        ('[{"a":1},\n{"a":"]"}]\n', "broken-line", "line 1: this is a JSON array, and no object"),
        (
            '{"a": ' + "1" * 5_000 + "}",
            "broken-line",
            "line 1: this is an object with a number of 5000 digits",
        ),
        (
            '{"a":1}\n{"a":"x"}\n',
            "mixed-types",
            "line 2, column 'a': it is a text here and a number in line 1",
        ),
        ('{"a":true}\n{"a":0}\n', "mixed-types", "line 2, column 'a': it is a number here and true or false"),
        (b'{"a":1}\n{"a":"caf\xe9"}\n', "not-utf8", "line 2, column '10': byte 0xe9"),
        (gzip.compress(b'{"a":1}\n' * 999, mtime=0)[:-9], "truncated-file", r"line \d+: the gzip data ends"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(
    datasets: Datasets, csv: Write, text: str | bytes, code: str, words: str
):
    with pytest.raises(InvalidInput, match=words) as caught:
        import_files(datasets, "d", csv(text, "some.jsonl"))
    assert (caught.value.code, caught.value.details["file"]) == (code, "some.jsonl")
    assert caught.value.details["line"]
    assert caught.value.hint
    assert not datasets.exists("d")


def test_a_value_that_does_not_fit_the_datasets_type(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv('{"a":1}\n', "a.jsonl"))
    for text in ('{"a":2}\n{"a":2.5}\n', '{"a":2}\n{"a":"x"}\n'):
        with pytest.raises(InvalidInput, match="line 2, column 'a': .* is not int64") as caught:
            import_files(datasets, "d", csv(text, "b.jsonl"))
        assert (caught.value.code, caught.value.details["line"]) == ("wrong-type", 2)


def test_a_key_that_is_there_twice_is_refused(datasets: Datasets, csv: Write):
    for text, line in (('{"a": 1}\n{"a": 1, "a": 2}\n', 2), ('{"a":1,"b":"x\\":","a":1}\n', 1)):
        with pytest.raises(InvalidInput, match=f"line {line}: the key 'a' is there twice") as caught:
            import_files(datasets, "d", csv(text, "some.jsonl"))
        assert caught.value.code == "repeated-key"
    import_files(datasets, "d", csv('{"a" : "x\\":y", "b":1}\n', "some.jsonl"))
    assert datasets.open("d").snapshot().columns == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}\n',
        '{"a": -Infinity}\n',
        "[" * 100_000 + "\n",
        '{"a":' + "[" * 100_000,
        '{"a":' + "[" * 600 + "]" * 600 + "}",
    ],
)
def test_what_json_does_not_have_is_a_broken_line(datasets: Datasets, csv: Write, text: str):
    with pytest.raises(InvalidInput, match=r"some\.jsonl, line 1: this is (no JSON|a JSON array)") as caught:
        import_files(datasets, "d", csv(text, "some.jsonl"))
    assert caught.value.code == "broken-line"


@pytest.mark.parametrize(
    "cell", ["0.12345678901234567890123", "1e400", "1e-400", "123456789012345678901234567890"]
)
def test_a_number_that_no_type_holds_keeps_its_digits_as_text(
    datasets: Datasets, csv: Write, rows: Rows, cell: str
):
    import_files(datasets, "d", csv(f'{{"a": {cell}}}\n{{"a": 2.5}}\n', "some.jsonl"))
    found = [row["a"] for row in rows()]
    assert (Decimal(found[0]), found[1]) == (Decimal(cell), "2.5")
    # Into a column of float64 it is refused: nothing of it may go.
    import_files(datasets, "e", csv('{"a": 2.5}\n', "some.jsonl"))
    with pytest.raises(InvalidInput) as caught:
        import_files(datasets, "e", csv(f'{{"a": {cell}}}\n', "some.jsonl"))
    assert caught.value.code == "wrong-type"


def test_numbers_that_json_has_not_come_back_from_an_export(datasets: Datasets, csv: Write, tmp_path: Path):
    path = csv("n,mixed,only,text\n1,1.5,nan,NaN\n2,inf,inf,Infinity\n3,-inf,,x\n4,nan,-inf,NaN\n5,,,NaN\n")
    import_files(datasets, "d", path, key=["n"])
    out = tmp_path / "out.jsonl"
    datasets.open("d").snapshot().write_json_lines(out)
    assert import_files(datasets, "d", out, sync=True).rows == Changes()
    done = import_files(datasets, "new", out, key=["n"])
    # A column of nothing but such words may hold names: it keeps them.
    assert [str(c.type) for c in done.columns] == ["int64", "double", "string", "string"]
    again = tmp_path / "again.jsonl"
    datasets.open("new").snapshot().write_json_lines(again)
    assert again.read_text() == out.read_text()
    import_files(datasets, "given", out, key=["n"], types={"only": "float64"})
    datasets.open("given").snapshot().write_json_lines(again)
    assert again.read_text() == out.read_text()
    # Of a file of its own, such a column has the dataset's type.
    last = csv('{"n":6,"mixed":"Infinity","only":"NaN","text":"NaN"}\n', "last.jsonl")
    assert import_files(datasets, "d", last).rows == Changes(added=1)


@pytest.mark.parametrize(("first", "second"), [('"NaN"', "true"), ("0.5", '"nan"'), ("1", '"-NaN"')])
def test_no_other_text_stands_beside_numbers(datasets: Datasets, csv: Write, first: str, second: str):
    with pytest.raises(InvalidInput, match="line 3, column 'a'") as caught:
        import_files(datasets, "d", csv(f'{{"a":{first}}}\n{{"a":null}}\n{{"a":{second}}}\n', "some.jsonl"))
    assert caught.value.code == "mixed-types"


def test_columns_come_back_from_an_export_whatever_is_in_them(
    datasets: Datasets, csv: Write, tmp_path: Path, rows: Rows
):
    import_files(datasets, "d", csv("none,some,all\n,,1\n,x,2\n"))
    out = tmp_path / "out.jsonl"
    datasets.open("d").snapshot().write_json_lines(out)
    assert import_files(datasets, "d", out, sync=True).rows == Changes()
    import_files(datasets, "new", out)
    assert datasets.open("new").snapshot().columns == ["none", "some", "all"]
    assert rows("new") == rows() == [{"none": None, "some": c, "all": n} for c, n in ((None, 1), ("x", 2))]


def test_a_line_of_a_form_feed_is_empty(datasets: Datasets, csv: Write, rows: Rows):
    import_files(datasets, "d", csv('{"n":1}\n\x0c\n{"n":2}\n', "a.jsonl"))
    assert rows() == [{"n": 1}, {"n": 2}]
