"""Columns of a file that have the names of Tidemill's own: an export comes in again, another program's are not taken for such."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.data.sources.conftest import Rows
from tidemill.core.errors import InvalidInput
from tidemill.data import Changes, Datasets, import_files

Write = Callable[..., Path]

FOREIGN: list[tuple[str, Any]] = [
    ("a.csv", "_id,a\n65f1,1\n"),
    ("a.csv", "_id,a\n-1,1\n"),
    ("a.csv", "_id,a\n1.5,1\n"),
    ("a.csv", "_prediction,a\nred,1\n"),
    ("a.jsonl", '{"_id": {"$oid": "65f1"}, "a": 1}\n'),
    ("a.jsonl", '{"_id": "65f1", "a": 1}\n'),
    ("a.jsonl", '{"_id": 1, "_prediction": 0.5, "a": 1}\n{"_id": 2, "_prediction": [1], "a": 1}\n'),
    ("a.parquet", {"_id": ["1"], "a": [1]}),
    ("a.parquet", {"_id": [1.0], "a": [1]}),
    ("a.parquet", {"_id": [1], "_prediction": [0.5], "a": [1]}),
    ("a.parquet", {"_prediction": ["red"], "a": [1]}),
]


@pytest.mark.parametrize(("name", "data"), FOREIGN)
def test_another_programs_column_with_the_name_of_one_of_tidemills_is_refused(
    datasets: Datasets, csv: Write, tmp_path: Path, name: str, data: Any
):
    path = csv(data, name) if isinstance(data, str) else tmp_path / name
    if not isinstance(data, str):
        parquet.write_table(pa.table(data), path)
    with pytest.raises(
        InvalidInput, match=f"{name}.*: column '_(id|prediction)' holds something else"
    ) as caught:
        import_files(datasets, "d", path)
    assert caught.value.code == "foreign-column"
    assert "rename it" in str(caught.value.hint)
    assert not datasets.exists("d")
    with pytest.raises(InvalidInput) as caught:
        import_files(datasets, "d", csv("_id,a\n1,1\n"), types={"_id": "string"})
    assert caught.value.code == "foreign-column"


def test_rows_that_are_new_by_an_id_of_the_file_are_told_and_an_edited_export_is_not(
    datasets: Datasets, csv: Write, rows: Rows, tmp_path: Path
):
    done = import_files(datasets, "d", csv("_id,a\n7,1\n8,2\n"))
    (note,) = done.notes
    assert (note.code, note.column) == ("own-columns", "_id")
    assert "identity of a row" in note.text
    with pytest.raises(InvalidInput, match="line 3: Row 2 has no _id"):
        import_files(datasets, "d", csv("_id,a\n7,1\n,2\n"))
    snapshot = datasets.open("d").snapshot()
    snapshot.write_csv(tmp_path / "out.csv", ids=True)
    snapshot.write_parquet(tmp_path / "out.parquet")
    snapshot.write_arrow(tmp_path / "out.arrow")
    for ending in ("csv", "parquet", "arrow"):
        done = import_files(datasets, "d", tmp_path / f"out.{ending}", sync=True)
        assert (done.rows, done.notes) == (Changes(), ())
        import_files(datasets, ending, tmp_path / f"out.{ending}")
        assert datasets.open(ending).snapshot().ids().tolist() == [7, 8]
    edited = (tmp_path / "out.csv").read_text().replace("8,2", "8,3")
    done = import_files(datasets, "d", csv(edited))
    assert (done.rows, done.notes, rows()) == (Changes(changed=1), (), [{"a": 1}, {"a": 3}])
