"""Real processes at one queue: no row twice, and what a killed one had comes to others."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.loop.labelling.conftest import write_csv
from tidemill.core.config import load_project
from tidemill.loop.datasets.importing import import_data
from tidemill.loop.datasets.labelling.committing import commit_labels
from tidemill.loop.datasets.labelling.progress import progress
from tidemill.loop.datasets.labelling.queues import Wish, find_queue, open_queue
from tidemill.loop.workspace import Workspace

pytestmark = pytest.mark.both_stores

LABELLER = """
import json, sys
from pathlib import Path
from tidemill.core.config import load_project
from tidemill.loop.datasets.labelling.queues import Wish, open_queue
from tidemill.loop.datasets.labelling.turns import Labeller
from tidemill.loop.workspace import Workspace
folder, wish, stop_after = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
ws = Workspace(load_project(folder))
ws.store.catalog
print("ready", flush=True)
sys.stdin.readline()
session = Labeller(ws, open_queue(ws, "pets", Wish(**wish)))
done = 0
while (task := session.take()) is not None:
    print(json.dumps(task.row), flush=True)
    if done == stop_after:
        sys.stdin.readline()
    session.answer("cat" if task.cells["id"] % 2 else "dog")
    done += 1
"""
ROWS = 60


@contextmanager
def project(folder: Path, lease_seconds: float) -> Generator[Workspace]:
    (folder / "tidemill.toml").write_text(f"[labelling]\nlease_seconds = {lease_seconds}\n", "utf-8")
    ws = Workspace(load_project(folder))
    csv = write_csv(folder / "pets.csv", ROWS, labelled=0)
    import_data(ws, "pets", csv, tensors={"image": "p*:2x2"}, types={"label": "string"}, key=["id"])
    try:
        yield ws
    finally:
        ws.close()


def start(folder: Path, author: str, wish: dict[str, Any], stop_after: int = -1) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", LABELLER, str(folder), json.dumps(wish), str(stop_after)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TIDEMILL_AUTHOR": author},
    )
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: "subprocess.Popen[str]") -> None:
    process.stdin.write("go\n")
    process.stdin.flush()


def rows_of(process: "subprocess.Popen[str]") -> list[str]:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


def test_processes_at_once_make_one_queue_and_share_its_rows(tmp_path: Path, project_store: None):
    with project(tmp_path, lease_seconds=600) as ws:
        wish = {"column": "label", "classes": ["cat", "dog"]}
        # Two of them are the same person, at two windows.
        at_work = [start(tmp_path, author, wish) for author in ("ada", "grace", "ada")]
        for process in at_work:
            go(process)
        shares = [rows_of(process) for process in at_work]
        assert Counter(row for share in shares for row in share).most_common(1)[0][1] == 1
        assert sum(map(len, shares)) == ROWS
        view = progress(ws, find_queue(ws, "pets"))
        assert view.decided == ROWS
        assert sum(p.labels for p in view.people) == ROWS
        made = commit_labels(ws, "pets")
        assert sum(c.labels for c in made.commits) == ROWS


def test_two_labels_a_row_come_from_two_people_though_all_hurry(tmp_path: Path, project_store: None):
    with project(tmp_path, lease_seconds=600) as ws:
        wish = {"column": "label", "classes": ["cat", "dog"], "labels": 2}
        at_work = [start(tmp_path, author, wish) for author in ("ada", "grace", "lin")]
        for process in at_work:
            go(process)
        shares = [rows_of(process) for process in at_work]
        assert all(len(set(share)) == len(share) for share in shares)
        view = progress(ws, find_queue(ws, "pets"))
        # Who was given nothing any more while others had a lease went home; a row may lack its second label then.
        assert sum(map(len, shares)) == sum(p.labels for p in view.people) == 2 * view.decided + view.left
        assert view.decided >= ROWS - 3


def test_the_lease_of_a_killed_labeller_ends_and_nothing_is_lost(tmp_path: Path, project_store: None):
    with project(tmp_path, lease_seconds=2) as ws:
        wish = {"column": "label", "classes": ["cat", "dog"]}
        open_queue(ws, "pets", Wish(column="label", classes=["cat", "dog"]))
        killed = start(tmp_path, "ada", wish, stop_after=5)
        go(killed)
        had = [json.loads(killed.stdout.readline()) for _ in range(6)]
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert [lease.row for lease in progress(ws, find_queue(ws, "pets")).leases] == [had[-1]]
        grace = start(tmp_path, "grace", wish)
        go(grace)
        rows = rows_of(grace)
        until = time.monotonic() + 60
        while progress(ws, find_queue(ws, "pets")).left:
            assert time.monotonic() < until
            again = start(tmp_path, "grace", wish)
            go(again)
            rows += rows_of(again)
        assert sorted([*rows, *had[:-1]]) == sorted(set(rows) | set(had))
        assert had[-1] in rows
        people = {p.author: p.labels for p in progress(ws, find_queue(ws, "pets")).people}
        assert people == {"ada": 5, "grace": ROWS - 5}
