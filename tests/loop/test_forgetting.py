"""A person's right: after ``forget`` no byte of the store has the value, and what was trained on it is named."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa
import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput, NotAllowed, NotFound
from tidemill.loop.datasets import reviewing
from tidemill.models.signature import Signature, Tensor
from tidemill.serve import log_layout
from tidemill.serve.log_layout import log_file
from tidemill.store.catalog import records

if TYPE_CHECKING:
    from tidemill.loop.datasets.labelling.turns import Labeller

NEEDLE = "needle-77aa31"
PIPELINE = """
import tidemill as tm

@tm.row_step
def louder(rows: tm.Table) -> tm.Table:
    return rows.with_column("name", [n.upper() + n for n in rows.to_polars()["name"].to_list()])

@tm.step
def longest(rows: tm.Table) -> str:
    print("the names are", rows.to_polars()["name"].to_list())
    return max(rows.to_polars()["name"].to_list(), key=len)

@tm.step
def listed(rows: tm.Table) -> list:
    return rows.to_polars()["name"].to_list()

@tm.step
def is_long(name: str) -> bool:
    return len(name) > 5

@tm.step
def small(name: str) -> str:
    print("made small:", name)
    return name.lower()

@tm.step
def alone(name: str, rows: tm.Table) -> tm.Table:
    return rows.filter([n == name for n in rows.to_polars()["name"].to_list()])

@tm.pipeline(name="names")
def names():
    rows = tm.dataset("d")
    def one(name):
        return tm.when(is_long(name), lambda: small(name), lambda: name), alone(name, rows)
    shown, tables = tm.each(listed(rows), one)
    return {"longest": longest(louder(rows)), "shown": shown, "tables": tables}
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "tidemill.toml").write_text('author = "ada"\n')
    with tm.open(tmp_path) as opened:
        yield opened


def bring(project: tm.Project, text: str) -> None:
    file = project.folder / "d.csv"
    file.write_text("customer_id,name\n" + text)
    project.import_data("d", file, key=["customer_id"])
    file.unlink()


def bring_on(project: tm.Project, branch: str, text: str) -> None:
    file = project.folder / "d.csv"
    file.write_text("customer_id,name\n" + text)
    project.import_data("d", file, branch=branch)
    file.unlink()


def holding(folder: Path) -> list[str]:
    return [
        str(f.relative_to(folder))
        for f in folder.rglob("*")
        if f.is_file() and NEEDLE.lower().encode() in f.read_bytes().lower()
    ]


def test_no_byte_is_left_of_a_forgotten_value(project: tm.Project):
    bring(project, f"1,a\n7,{NEEDLE}\n9,c\n")
    assert project.run(project.folder / "pipeline.py").status == "succeeded"
    bring(project, f"7,{NEEDLE} with more\n8,d\n")
    assert project.run(project.folder / "pipeline.py").status == "succeeded"
    store = project.folder / ".tidemill"
    assert any("blobs" in file for file in holding(store))
    would = project.forget("d", "customer_id = 7", "asked for", dry_run=True)
    assert (would.rows, would.commits, would.dry_run) == (1, 2, True)
    assert len(project.read("d")) == 4
    done = project.forget("d", "customer_id = 7", "asked for")
    assert (done.rows, done.commits, done.trained, done.logged) == (1, 2, [], [])
    assert done.artifacts > 0
    assert holding(store) == []
    assert project.read("d").to_polars()["customer_id"].sort().to_list() == [1, 8, 9]
    again = project.run(project.folder / "pipeline.py")
    assert again.status == "succeeded"
    assert project.value(again.run, "longest") == "Aa"
    assert holding(store) == []
    with pytest.raises(InvalidInput) as caught:
        project.forget("d", "customer_id = 8", " ")
    assert caught.value.code == "no-reason"
    assert project.forget("d", "customer_id = 7", "again").rows == 0


TOLD = """
import tidemill as tm

@tm.step
def shout(rows: tm.Table) -> list:
    print("the names are", rows.to_polars()["name"].to_list())
    return [name + "!" for name in rows.to_polars()["name"].to_list()]

@tm.step
def count(names: list) -> int:
    return len(names)

@tm.pipeline
def told(data: tm.Dataset = tm.dataset("d")):
    return count(shout(data))
"""


def test_what_an_explanation_made_of_a_forgotten_row_is_gone_too(project: tm.Project):
    file = project.folder / "told.py"
    file.write_text(TOLD)
    bring(project, "1,a\n")
    first = project.run(file)
    bring(project, f"7,{NEEDLE}\n")
    file.write_text(
        TOLD.replace('name + "!"', "name[:1]")
        .replace("the names are", "are")
        .replace("\n    print", "\n    0 and print")
    )
    second = project.run(file)
    store = project.folder / ".tidemill"
    # Only blobs: who reads the catalog's files in this process takes its locks from it, and another writes there.
    before = holding(store / "blobs")
    project.explain(first.run, second.run)
    assert len(holding(store / "blobs")) > len(before), "the old code printed the name of the new row"
    project.forget("d", "customer_id = 7", "asked for")
    assert holding(store) == []
    project.gc()
    assert project.run(file).status == "succeeded"


def labelled(project: tm.Project) -> "Labeller":
    """Customers 1, 7 and 9, of whom the first two got a label in a queue that lists all, and a review."""
    bring(project, f"1,b\n7,{NEEDLE}\n9,b\n")
    # The labels that the rows have are what the queue's list says of them.
    at_queue = project.label_queue("d", column="name", where="customer_id > 0", classes=["b", "other"])
    for _ in range(2):
        assert at_queue.take() is not None
        at_queue.answer("other")
    assert at_queue.take() is not None
    return at_queue


def test_labels_of_forgotten_rows_are_gone_and_do_not_come_back(project: tm.Project):
    at_queue = labelled(project)
    rows = project.read("d").whole().to_polars()
    row = str(rows.filter(rows["customer_id"] == 7)["_id"][0])
    project.branch("d", "side")
    bring_on(project, "side", "11,c\n")
    reviewing.open_review(project._ws, "d", "side")
    reviewing.comment(project._ws, "d#1", "Is this the one?", row)
    held = [f for f in holding(project.folder / ".tidemill") if "blobs" in f]
    assert held, "the queue's list has the cell"
    would = project.forget("d", "customer_id = 7", "asked for", dry_run=True)
    assert (would.labels, would.queues, would.reviews) == (1, 1, ["d#1"])
    assert at_queue.progress().decided == 2
    done = project.forget("d", "customer_id = 7", "asked for")
    assert (done.labels, done.queues, done.reviews) == (1, 1, ["d#1"])
    assert holding(project.folder / ".tidemill") == []
    seen = at_queue.progress()
    assert (seen.decided, seen.removed, seen.left) == (1, 1, 1)
    made = project.commit_labels("d")
    assert sum(c.labels for c in made.commits) == 1
    assert at_queue.take() is not None
    at_queue.answer("b")
    assert at_queue.take() is None
    project.gc()
    assert holding(project.folder / ".tidemill") == []
    assert project.forget("d", "customer_id = 7", "again").labels == 0


def test_a_label_of_a_forgotten_row_cannot_be_taken_back_into_the_queue(project: tm.Project):
    bring(project, f"7,{NEEDLE}\n")
    at_queue = project.label_queue("d", column="name", where="customer_id > 0", classes=["b", "other"])
    assert at_queue.take() is not None
    at_queue.answer("b")
    project.forget("d", "customer_id = 7", "asked for")
    with pytest.raises(NotAllowed) as caught:
        at_queue.undo()
    assert caught.value.code == "label-settled"
    assert holding(project.folder / ".tidemill") == []
    assert at_queue.progress().people == []


@pytest.mark.parametrize("finish", ["gc", "forget"])
def test_what_a_killed_forget_left_of_the_labels_is_finished(project: tm.Project, finish: str):
    """The history is rewritten, and the catalog's part is done; then the process is killed."""
    labelled(project)
    project.close()
    with subprocess.Popen([sys.executable, "-c", KILLED, str(project.folder)]) as killed:
        assert killed.wait() == -signal.SIGKILL
    with tm.open(project.folder) as again:
        store = project.folder / ".tidemill"
        assert [f for f in holding(store) if "blobs" in f], "the list as it was is still there"
        if finish == "gc":
            again.gc()
        else:
            assert again.forget("d", "customer_id = 7", "asked for").rows == 0
        assert holding(store) == []
        assert again.read("d").to_polars()["customer_id"].sort().to_list() == [1, 9]
        assert sum(c.labels for c in again.commit_labels("d").commits) == 1


KILLED = """
import os, signal, sys
import tidemill as tm
from tidemill.core.events import silent
from tidemill import data
from tidemill.data import Tombstone, find, forget
from tidemill.loop.datasets.labelling.forgetting import forget_labels
from tidemill.loop.quiet import no_run

ws = tm.open(sys.argv[1])._ws
found = find(ws.store, "d", "customer_id = 7", ())
forget(ws.store, "d", Tombstone(found.ids, "ada", "2026-05-03T00:00:00Z", "asked for"), (), silent)
with no_run(ws) as write:
    assert data.settle(ws.store, "d", (), silent)
    forget_labels(ws, write, "d", found.ids)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_predictions_that_forgotten_rows_came_from_leave_the_log(project: tm.Project):
    """As feedback makes rows: each names the prediction that it came from."""
    bring(project, "1,a\n")
    file = log_file(project._ws.store.environments_folder, "dev")
    text = Signature("m", (Tensor("name", "BYTES", (-1,)),), ())
    secret, other = log_layout.encode_rows({"name": np.array([NEEDLE * 50, "other"], object)}, text.inputs)
    with closing(log_layout.open_to_write(file)) as log:
        log.execute("INSERT INTO releases VALUES (1, 'sha256:1', 1, ?)", (json.dumps(text.to_json()),))
        for name, inputs in (("p7", secret), ("p8", other)):
            values = (name, "t", 1, 0, inputs, msgspec.msgpack.encode([]))
            log.execute(
                "INSERT INTO predictions (id, time, release, checking, inputs, outputs) VALUES (?, ?, ?, ?, ?, ?)",
                values,
            )
        log.execute("INSERT INTO feedback (prediction, label, time) VALUES ('p7', ?, 't')", (NEEDLE,))
    rows = project.read("d").whole().to_arrow()
    named = {"_id": [7, 8], "customer_id": [7, 8], "name": [NEEDLE, "d"], "_prediction": ["p7", "p8"]}
    table = tm.Table(pa.table({n: pa.array(named[n], rows.schema.field(n).type) for n in rows.schema.names}))
    project._ws.datasets.open("d").commit(table, branch="main", message="feedback")
    assert project.forget("d", "customer_id = 7", "asked for", dry_run=True).logged == ["dev: 1"]
    assert holding(project.folder / ".tidemill" / file.parent.name)
    assert project.forget("d", "customer_id = 7", "asked for").logged == ["dev: 1"]
    assert holding(project.folder / ".tidemill") == []
    with closing(log_layout.open_to_read(file)) as log:
        assert log.execute("SELECT id FROM predictions").fetchall() == [("p8",)]
    assert project.forget("d", "customer_id = 8", "asked for").logged == ["dev: 1"]


REQUESTS = Signature(
    "m",
    (Tensor("day", "BYTES", (-1,), "timestamp[us, tz=UTC]"), Tensor("x", "FP64", (-1,))),
    (),
    identity=(Tensor("customer_id", "INT64", (-1,)),),
)


def log_requests(file: Path, digest: str, *requests: tuple[str, float | None, int | None]) -> None:
    """Requests as a server logs them, named by their place; of a key that was not sent, as missing."""
    day, x, key = zip(*requests, strict=True)
    columns = {
        "day": np.array(day, object),
        "x": np.ma.MaskedArray([v or 0.0 for v in x], mask=[v is None for v in x]),
        "customer_id": np.ma.MaskedArray([k or 0 for k in key], mask=[k is None for k in key]),
    }
    rows = log_layout.encode_rows(columns, REQUESTS.logged)
    with closing(log_layout.open_to_write(file)) as log:
        signature = json.dumps(REQUESTS.to_json())
        log.execute("INSERT INTO releases VALUES (1, ?, 1, ?)", (digest, signature))
        for number, inputs in enumerate(rows):
            log.execute(
                "INSERT INTO predictions (id, time, release, checking, inputs, outputs) VALUES (?, 't', 1, 0, ?, ?)",
                (str(number), inputs, b"\x90"),
            )


def left_in(file: Path) -> list[str]:
    with closing(log_layout.open_to_read(file)) as log:
        return [name for (name,) in log.execute("SELECT id FROM predictions ORDER BY sequence")]


def test_requests_about_a_forgotten_row_are_found_by_its_key_or_by_its_cells(project: tm.Project):
    """Also where no step reads the key, a cell is missing, and a moment is told with another offset."""
    rows = pa.table(
        {
            "customer_id": [1, 7, 9],
            "day": pa.array([0, 3_600_000_000, 0], pa.timestamp("us", "UTC")),
            "x": pa.array([1.5, None, 1.5]),
        }
    )
    project.import_data("d", rows, key=["customer_id"])
    folder = project._ws.store.environments_folder
    for place in ("known", "other"):
        log_requests(
            log_file(folder, place),
            f"sha256:{place}",
            ("2020-01-01T00:00:00Z", 0.5, 7),  # its key, whatever the cells are
            ("2020-01-01T00:00:00Z", None, 7),
            ("1970-01-01T02:00:00+01:00", None, None),  # its cells, and no key
            ("1970-01-01T01:00:00Z", float("nan"), None),
            ("1970-01-01T01:00:00Z", 1.5, None),  # another cell
            ("1970-01-01T01:00:00Z", None, 8),  # its cells, whoever else has the same
        )
    # A release that was made of another dataset has its own keys; only the cells tell there.
    with project._ws.store.catalog.write() as write:
        write.add(records.Run("r", "p", None, {}, "person", "succeeded", "t", "t", "h", 1, {"e@main": "c"}))
        write.add(records.Release("m", 1, "sha256:other", "r", "ada", "t"))
    would = project.forget("d", "customer_id = 7", "asked for", dry_run=True)
    assert would.logged == ["known: 5", "other: 3"]
    with project._ws.store.catalog.write() as write:
        write.remove(records.Release, {"digest": "sha256:other"})
    assert project.forget("d", "customer_id = 7", "asked for").logged == ["known: 5", "other: 5"]
    assert left_in(log_file(folder, "known")) == ["4"]


def test_a_dataset_is_deleted_only_on_purpose(project: tm.Project):
    from tidemill.loop.datasets import forgetting

    bring(project, "1,a\n")
    with pytest.raises(NotAllowed) as caught:
        forgetting.delete(project._ws, "d")
    assert caught.value.code == "not-confirmed"
    assert project.read("d")
    assert project.delete("d").rows == 1
    with pytest.raises(NotFound):
        project.read("d")


def test_gc_says_and_frees_the_versions_of_a_deleted_branch(project: tm.Project):
    from tidemill.loop.datasets import history

    bring(project, "1,a\n")
    project.branch("d@main", "side")
    file = project.folder / "d.csv"
    file.write_text("customer_id,name\n" + "".join(f"{i},{'x' * 99}{i}\n" for i in range(500)))
    project.import_data("d", file, branch="side")
    history.branch(project._ws, "d@main", "side", delete=True)
    would = {k.kind: k for k in project.gc(dry_run=True).kinds}["dataset versions"]
    assert would.count >= 1
    assert would.bytes > 1000
    assert {k.kind: k for k in project.gc().kinds}["dataset versions"].bytes >= would.bytes
    assert project.gc(dry_run=True).bytes == 0
    assert len(project.read("d")) == 1
