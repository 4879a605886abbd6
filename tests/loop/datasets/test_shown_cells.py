"""Lists, records, bytes and numbers that JSON has not, wherever a person or a program is shown the cells of a dataset."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tidemill.cli.streams import to_json
from tidemill.core.config import load_project
from tidemill.data import import_rows
from tidemill.data.sources.frames import frame
from tidemill.loop.datasets import diffing, history
from tidemill.loop.datasets.labelling.progress import progress
from tidemill.loop.datasets.labelling.queues import Wish, open_queue
from tidemill.loop.datasets.labelling.turns import Labeller
from tidemill.loop.datasets.pages import label, task
from tidemill.loop.datasets.reading import show_data
from tidemill.loop.workspace import Workspace

NAN = float("nan")
BOXES = pa.list_(pa.struct([("label", pa.string()), ("at", pa.list_(pa.float64()))]))
CELLS: dict[str, tuple[Any, Any, Any]] = {
    "number": (pa.float64(), [NAN], [1.5]),
    "large": (pa.uint64(), [2**64 - 1], [2**53 + 1]),
    "boxes": (BOXES, [[{"label": "cat", "at": [0.5, NAN]}, None]], [[]]),
    "price": (pa.decimal128(9, 8), ["0.00000001"], ["0.5"]),
    "data": (pa.binary(), [b"\xff\x00"], [b""]),
    "counts": (pa.map_(pa.string(), pa.float32()), [[("a", float("-inf"))]], [[]]),
}


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    """A project whose dataset ``d`` has one row of such cells, changed by the second commit."""
    (tmp_path / "tidemill.toml").write_text("", "utf-8")
    opened = Workspace(load_project(tmp_path))
    for at in (2, 1):
        columns = {
            n: pa.array(of[at], pa.string()).cast(of[0]) if n == "price" else pa.array(of[at], of[0])
            for n, of in CELLS.items()
        }
        import_rows(
            opened.datasets,
            "d",
            frame(pa.table({"id": [1], "label": pa.array([None], pa.string()), **columns})),
            key=["id"],
        )
    yield opened
    opened.close()


def strictly(text: str | bytes) -> Any:
    """What any reader of JSON makes of a text: it has no ``NaN``."""

    def refuse(word: str) -> None:
        raise AssertionError(f"a bare {word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_what_is_told_to_programs_is_json_and_exact(ws: Workspace):
    (row,) = strictly(to_json(show_data(ws, "d")))["sample"]
    assert row["number"] is None
    assert row["boxes"] == [{"label": "cat", "at": [0.5, None]}, None]
    assert (row["large"], row["price"], row["data"]) == (2**64 - 1, "1E-8", "ff00")
    changed = strictly(to_json(diffing.diff(ws, "d@1", "d")))
    assert {cell["column"] for cell in changed["cells"]} == {*CELLS}
    strictly(to_json(history.blame(ws, "d")))
    lines = {line["column"]: line for line in csv.DictReader(io.StringIO(diffing.as_csv(ws, "d@1", "d")))}
    assert strictly(lines["boxes"]["new"]) == [{"label": "cat", "at": [0.5, "NaN"]}, None]
    assert strictly(lines["counts"]["new"]) == [["a", "-Infinity"]]
    assert (lines["price"]["new"], lines["data"]["new"], lines["data"]["old"]) == ("0.00000001", "/wA=", "")
    assert "0.00000001" in diffing.as_page(ws, "d@1", "d")


def test_a_row_to_label_is_shown_on_a_page_and_in_a_notebook(ws: Workspace):
    queue = open_queue(ws, "d", Wish(column="label", classes=("a", "b")))
    shown = Labeller(ws, queue).take()
    assert shown is not None
    state = strictly(label.state(shown, progress(ws, queue)))
    assert state["task"]["cells"] == {
        "id": "1",
        "number": "nan",
        "large": "18446744073709551615",
        "boxes": '[{"label": "cat", "at": [0.5, "NaN"]}, null]',
        "price": "0.00000001",
        "data": "/wA=",
        "counts": '[["a", "-Infinity"]]',
    }
    assert "18446744073709551615" in task.render(shown)
    assert "/wA=" in task.render(shown)
