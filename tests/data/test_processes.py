"""More than one process at a dataset, and processes that are killed: nothing half, nothing lost."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import pytest

from tests.data.at_rest import check_whole
from tidemill.data import Datasets
from tidemill.store.open import Store

IMPORTER = """
import sys
from pathlib import Path
import lance
from tidemill.data import Datasets, import_files
from tidemill.store.open import Store
from tidemill.store.table import Table
store, *files = map(Path, sys.argv[1:])
datasets = Datasets(Store.create(store), "importer")
print("ready", flush=True)
sys.stdin.readline()
for file in files:
    print(import_files(datasets, "d", file).commit.id, flush=True)
for n in range(30):
    rows = Table.of({"label": [str(files[0])], "n": [n]})
    print(datasets.open("d").commit(rows, message="One row")[0].id, flush=True)
"""

WORKER = """
import json, sys
from pathlib import Path
from tidemill.data import Datasets, Tensor, import_files
from tidemill.store.open import Store
store, folder, turn = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
datasets = Datasets(Store.create(store), "worker")
file = folder / f"{turn}.csv"
for n in range(10_000):
    where = f"{turn}-{n}"
    lines = "".join(f"{where},{i},{i % 251},{n % 251}\\n" for i in range(2000))
    file.write_text("run,i,p1,p2\\n" + lines)
    done = import_files(datasets, "d", file, key=["i"], tensors={"t": Tensor("p", (2,))})
    print(json.dumps(["commit", done.commit.id]), flush=True)
    d = datasets.open("d")
    d.branch(f"b{where}")
    print(json.dumps(["branch", f"b{where}"]), flush=True)
    d.commit(d.snapshot().read(ids=d.snapshot().ids()[:100]).with_column("run", ["x"] * 100),
        branch=f"b{where}", message="On the branch")
    d.tag(f"t{where}", f"b{where}")
    print(json.dumps(["tag", f"t{where}"]), flush=True)
    print(json.dumps(["commit", d.merge(f"b{where}").commit.id]), flush=True)
"""


def test_imports_at_once_all_land(tmp_path: Path):
    files: list[list[str]] = [[], []]
    for process in (0, 1):
        for n in range(5):
            path = tmp_path / f"{process}-{n}.csv"
            path.write_text("label,n\n" + "".join(f"p{process},{1000 * n + i}\n" for i in range(50)))
            files[process].append(str(path))
    store = tmp_path / "store"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", IMPORTER, str(store), *own],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for own in files
    ]
    for process in running:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [p.communicate(timeout=120)[0].split() for p in running]
    assert [p.returncode for p in running] == [0, 0]
    log = Datasets(Store.open(store), "ada").open("d").log()
    assert {c.id for c in log} == {*printed[0], *printed[1]}
    assert [c.number for c in log] == list(range(70, 0, -1))
    rows = Datasets(Store.open(store), "ada").open("d").snapshot().read(["label", "n"]).to_polars()
    assert rows.unique().height == rows.height == 560


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_whole_commits_and_all_that_was_acknowledged(tmp_path: Path):
    store = tmp_path / "store"
    chance = random.Random(os.urandom(8))
    said: list[tuple[str, str]] = []
    for turn in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, str(store), str(tmp_path), str(turn)],
            stdout=subprocess.PIPE,
            text=True,
        ) as worker:
            assert worker.stdout
            said += _read_some(worker.stdout, chance.randint(1, 6))
            time.sleep(chance.random() * 0.15)
            worker.send_signal(signal.SIGKILL)
            said += [parsed for line in worker.stdout if (parsed := _parsed(line))]
        _check(store, said)


def _read_some(stream: IO[str], count: int) -> list[tuple[str, str]]:
    return [parsed for _ in range(count) if (parsed := _parsed(stream.readline()))]


def _parsed(line: str) -> tuple[str, str] | None:
    with contextlib.suppress(ValueError):
        kind, name = json.loads(line)
        return kind, name
    return None


def _check(store: Path, said: list[tuple[str, str]]) -> None:
    assert said
    d = Datasets(Store.open(store), "ada").open("d")
    branches, tags = d.branches(), d.tags()
    commits: dict[str, Any] = {}
    for head in branches.values():
        log = d.log(head.id)
        assert [c.number for c in log] == list(range(len(log), 0, -1))
        commits |= {c.id: c for c in log}
    for kind, name in said:
        assert name in {"commit": commits, "branch": branches, "tag": tags}[kind]
    for commit in commits.values():
        assert len(d.snapshot(commit.id).read()) == commit.rows == 2000
    check_whole(Store.open(store), "d")
    # A name that a killed process was about to take can be taken.
    d.branch(f"after-{len(said)}")
    d.commit(d.snapshot().read(ids=d.snapshot().ids()[:1]), branch=f"after-{len(said)}", message="None")
