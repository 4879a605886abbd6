"""Lists and records in JSON lines: stored as such, each value what it was, compared, merged, out and in again."""

import json
import math
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.sources.conftest import Rows
from tidemill.core.errors import Conflict, InvalidInput
from tidemill.data import Changes, Choices, Datasets, import_files
from tidemill.store.open import Store

Write = Callable[..., Path]

ANNOTATIONS = """\
{"id": 1, "boxes": [{"label": "cat", "at": [1, 2.5], "tags": []}, {"label": null, "score": 0.5}], "vector": [0.1, 3], "size": {"w": 640, "h": 480}}
{"id": 2, "boxes": [], "vector": [1e-7, -0.0], "size": {"w": 1}}
{"id": 3, "boxes": null, "vector": null}
{"id": 4, "boxes": [null, {"at": [null, 9007199254740992], "tags": ["x", null]}], "vector": [], "size": {}}
"""
BOX = "list<{label: string, at: list<double>, tags: list<string>, score: double}>"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_annotations_boxes_and_embeddings(datasets: Datasets, csv: Write, rows: Rows, tmp_path: Path):
    from tidemill.data.cell_types import words

    done = import_files(datasets, "d", csv(ANNOTATIONS, "a.jsonl"), key=["id"])
    assert [(c.name, words(c.type)) for c in done.columns] == [
        ("id", "int64"),
        ("boxes", BOX),
        ("vector", "list<double>"),
        ("size", "{w: int64, h: int64}"),
    ]
    first, second, third, fourth = rows()
    assert first["boxes"] == [
        {"label": "cat", "at": [1.0, 2.5], "tags": [], "score": None},
        {"label": None, "at": None, "tags": None, "score": 0.5},
    ]
    assert (second["boxes"], second["size"]) == ([], {"w": 1, "h": None})
    assert math.copysign(1, second["vector"][1]) == -1
    assert (third["boxes"], third["vector"], third["size"]) == (None, None, None)
    assert fourth["boxes"][1]["at"] == [None, 2.0**53]
    assert fourth["size"] == {"w": None, "h": None}

    snapshot = datasets.open("d").snapshot()
    for ending, write in (("jsonl", snapshot.write_json_lines), ("csv", snapshot.write_csv)):
        write(out := tmp_path / f"out.{ending}")
        assert import_files(datasets, "d", out, sync=True).rows == Changes(), ending
    import_files(datasets, "new", tmp_path / "out.jsonl", key=["id"])
    assert datasets.open("new").schema == datasets.open("d").schema
    assert rows("new") == rows()


def test_a_changed_cell_is_told_and_merged(datasets: Datasets, csv: Write, rows: Rows):
    import_files(datasets, "d", csv(ANNOTATIONS, "a.jsonl"), key=["id"])
    dataset = datasets.open("d")
    dataset.branch("side")
    import_files(
        datasets,
        "d",
        csv('{"id": 2, "vector": [1e-7, 0.5], "boxes": [], "size": {"w": 1}}', "b.jsonl"),
        branch="side",
    )
    (cell,) = dataset.diff("main", "side").cells()
    assert (cell.column, cell.old, cell.new) == ("vector", [1e-7, -0.0], [1e-7, 0.5])
    import_files(
        datasets,
        "d",
        csv('{"id": 2, "vector": [1e-7], "boxes": [{"score": 1}], "size": {"w": 1}}', "c.jsonl"),
    )
    with pytest.raises(Conflict):
        dataset.merge("side")
    dataset.merge("side", choices=Choices(side="theirs"))
    (row,) = [row for row in rows() if row["id"] == 2]
    assert (row["vector"], row["boxes"][0]["score"]) == ([1e-7, 0.5], 1.0)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('{"a": [1]}\n\n{"a": 2}', "mixed-types", "line 3, column 'a': it is a number here and a list in line 1"),
        ('{"a": [1]}\n{"a": {"b": 2}}', "mixed-types", "line 2, column 'a': it is a record here and a list in line 1"),
        ('{"a": [1, "x"]}', "mixed-types", r"line 1, column 'a': in 'a\[\]', it is a text here and a number before it"),
        ('{"a": [{"b": "x"}]}\n{"a": [null, {"b": [true]}]}', "mixed-types", r"line 2, column 'a': in 'a\[\].b', it is a list here and a text in line 1"),
        ('{"a": [0.5]}\n{"a": [1]}\n{"a": [9007199254740993]}', "mixed-types", r"line 3, column 'a': in 'a\[\]', there are numbers of more digits"),
        ('{"a": [0.5]}\n{"a": [0.12345678901234567890123]}', "mixed-types", "line 2, column 'a'"),
        ('{"a": {"b": 18446744073709551616}}', "mixed-types", "line 1, column 'a': in 'a.b'"),
        ('{"a": null}\n{"a": {}}', "unknown-cells", "line 2, column 'a': A record without a field holds nothing"),
        ('{"a": {"b\\u0000": 1}}', "unknown-cells", "line 1, column 'a': .* NUL"),
        ('{"a": ' + "[" * 34 + "]" * 34 + "}", "unknown-cells", "line 1, column 'a': .*32 levels"),
        ("\n".join(f'{{"a": {{"k{n}": 1}}}}' for n in range(1002)), "unknown-cells", "line 1001, column 'a': .*1,000 different fields"),
    ],
)  # fmt: skip
def test_what_has_no_single_type_is_refused_with_its_row_and_can_be_kept_as_text(
    datasets: Datasets, csv: Write, rows: Rows, text: str, code: str, words: str
):
    path = csv(text, "some.jsonl")
    with pytest.raises(InvalidInput, match=words) as caught:
        import_files(datasets, "d", path)
    assert caught.value.code == code
    assert caught.value.details["line"]
    assert caught.value.hint == "Correct it, or keep each cell as JSON text: --type a=string."
    assert not datasets.exists("d")
    import_files(datasets, "d", path, types={"a": "string"})
    said = [json.loads(line, parse_float=str)["a"] for line in text.splitlines() if line]
    kept = [row["a"] and json.loads(row["a"], parse_float=str) for row in rows()]
    assert sorted(map(repr, kept)) == sorted(map(repr, said))


def test_a_record_has_the_fields_of_its_column_and_a_list_the_type(
    datasets: Datasets, csv: Write, rows: Rows
):
    import_files(datasets, "d", csv('{"id": 1, "a": [{"x": 1}], "v": [1]}', "a.jsonl"), key=["id"])
    for cell in (
        '"a": [{"x": 2, "y": 3}]',
        '"a": [{"x": "2"}]',
        '"a": [{"x": 2.5}]',
        '"v": [2.5]',
        '"v": {"x": 1}',
    ):
        for allowed in (False, True) if "y" in cell else (False,):
            with pytest.raises(InvalidInput, match=f"line 2, column '{cell[1]}': .* is not ") as caught:
                path = csv(f'{{"id": 2}}\n{{"id": 3, {cell}}}', "b.jsonl")
                import_files(datasets, "d", path, allow_schema_change=allowed)
            assert caught.value.code == "wrong-type"
            assert "new dataset" in str(caught.value.hint)
    done = import_files(
        datasets, "d", csv('{"id": 3, "a": [{}], "v": [2.5]}', "c.jsonl"), allow_schema_change=True
    )
    assert [(new.name, str(new.type)) for _, new in done.change.retyped] == [("v", "list<item: double>")]
    assert [(row["a"], row["v"]) for row in rows()] == [([{"x": 1}], [1.0]), ([{"x": None}], [2.5])]


def test_numbers_that_json_has_not_come_back_in_lists(
    datasets: Datasets, csv: Write, rows: Rows, tmp_path: Path
):
    text = (
        '{"id": 1, "a": ["NaN", 1, "-Infinity"], "words": ["NaN"]}\n{"id": 2, "a": [0.5], "words": ["x"]}\n'
    )
    import_files(datasets, "d", csv(text, "a.jsonl"), key=["id"])
    assert str(rows()) == str(
        [{"id": 1, "a": [math.nan, 1.0, -math.inf], "words": ["NaN"]}, {"id": 2, "a": [0.5], "words": ["x"]}]
    )
    datasets.open("d").snapshot().write_json_lines(tmp_path / "out.jsonl")
    assert import_files(datasets, "d", tmp_path / "out.jsonl", sync=True).rows == Changes()
    import_files(datasets, "new", tmp_path / "out.jsonl", key=["id"])
    assert str(rows("new")) == str(rows())


LEAVES = [
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(lambda t: t not in ("NaN", "Infinity", "-Infinity")),
]  # fmt: skip
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)


def _cells(depth: int) -> st.SearchStrategy[st.SearchStrategy[Any]]:
    """Strategies for the cells of a column: all of one type, with nulls, empty lists and missing fields."""
    leaves = st.sampled_from(LEAVES)
    if not depth:
        return leaves
    inner = _cells(depth - 1)
    lists = inner.map(lambda cell: st.lists(st.none() | cell, max_size=4))
    records = st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(
        lambda fields: st.fixed_dictionaries({}, optional={n: st.none() | cell for n, cell in fields.items()})
    )
    return leaves | lists | records


def _like(said: Any, kept: Any) -> bool:
    """Whether a stored value is what JSON said: a whole number may be a float, a missing field is null."""
    if isinstance(said, dict):
        return (
            isinstance(kept, dict)
            and said.keys() <= kept.keys()
            and all(_like(said.get(n), kept[n]) for n in kept)
        )
    if isinstance(said, list):
        return isinstance(kept, list) and len(said) == len(kept) and all(map(_like, said, kept))
    if isinstance(said, float) and isinstance(kept, float):
        return (said, math.copysign(1, said)) == (kept, math.copysign(1, kept))
    return said == kept and isinstance(said, bool) == isinstance(kept, bool)


def _lacks_fields(values: list[Any]) -> bool:
    """Whether there are records in one place, and none of them has a field."""
    records = [v for v in values if isinstance(v, dict)]
    if records and not any(records):
        return True
    names = {name for record in records for name in record}
    members = [m for v in values if isinstance(v, list) for m in v]
    inside = [[r.get(name) for r in records] for name in names] + ([members] if members else [])
    return any(map(_lacks_fields, inside))


@settings(max_examples=40)
@given(st.data())
def test_any_json_comes_in_goes_out_and_comes_in_again(data: st.DataObject):
    cell = st.none() | data.draw(_cells(3))
    values = data.draw(st.lists(cell, min_size=1, max_size=6))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.jsonl"
        path.write_text("".join(json.dumps({"id": n, "a": v}) + "\n" for n, v in enumerate(values)), "utf-8")
        with closing(Store.create(Path(folder) / "store")) as store:
            datasets = Datasets(store, "ada")
            if _lacks_fields(values):
                with pytest.raises(InvalidInput, match="A record without a field holds nothing"):
                    import_files(datasets, "d", path, key=["id"])
                return
            import_files(datasets, "d", path, key=["id"])
            snapshot = datasets.open("d").snapshot()
            kept = snapshot.read(["a"]).to_arrow().column("a").to_pylist()
            assert all(map(_like, values, kept)), (values, kept)
            snapshot.write_json_lines(Path(folder) / "out.jsonl")
            snapshot.write_csv(Path(folder) / "out.csv")
            for ending in ("jsonl", "csv"):
                assert (
                    import_files(datasets, "d", Path(folder) / f"out.{ending}", sync=True).rows == Changes()
                ), ending
            import_files(datasets, "new", Path(folder) / "out.jsonl", key=["id"])
            again = datasets.open("new").snapshot()
            assert again.schema == snapshot.schema
            assert again.read(["a"]).to_arrow().column("a").to_pylist() == kept
