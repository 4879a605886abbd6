"""Rows that come in batches: one commit, or none; what they are is what they would be as one table."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.core import codes
from tidemill.core.errors import Conflict, InvalidInput
from tidemill.data import Changes, Dataset, Datasets
from tidemill.store.open import Store
from tidemill.store.table import Table


def batches(values: list[int], size: int) -> Iterator[Table]:
    """At least one batch, be it empty."""
    for at in range(0, max(len(values), 1), size):
        yield Table(pa.table({"n": pa.array(values[at : at + size], pa.int64())}))


def content(dataset: Dataset) -> dict[int, int]:
    arrow = dataset.snapshot().read().to_arrow()
    return dict(zip(arrow["_id"].to_pylist(), arrow["n"].to_pylist(), strict=True))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.lists(st.integers(0, 20), max_size=30),
    second=st.lists(st.integers(0, 20), max_size=30),
    size=st.integers(1, 9),
    replace=st.booleans(),
)
def test_batches_are_what_one_table_is(
    tmp_path_factory: pytest.TempPathFactory, first: list[int], second: list[int], size: int, replace: bool
):
    datasets = Datasets(Store.create(tmp_path_factory.mktemp("store")), "ada")
    made: list[tuple[Changes, Changes, dict[int, int]]] = []
    for name, width in (("whole", 1000), ("batches", size)):
        _, one = datasets.create(name, batches(first, width), message="First")
        d = datasets.open(name)
        _, two = d.commit(batches(second, width), message="Second", replace=replace)
        made.append((one, two, content(d)))
    assert made[0] == made[1]


def test_what_stops_the_batches_is_told_as_it_is_and_nothing_is_there(datasets: Datasets):
    def broken() -> Iterator[Table]:
        yield from batches([1, 2, 3], 1)
        raise InvalidInput("Line 4 is bad.", code=codes.WRONG_TYPE)

    with pytest.raises(InvalidInput, match="Line 4 is bad"):
        datasets.create("d", broken(), message="First")
    assert datasets.names() == []
    datasets.create("d", batches([7], 1), message="First")
    with pytest.raises(InvalidInput, match="Line 4 is bad"):
        datasets.open("d").commit(broken(), message="Second")
    assert len(datasets.open("d").log()) == 1
    assert list(content(datasets.open("d")).values()) == [7]


def test_a_key_that_comes_again_is_named(datasets: Datasets):
    with pytest.raises(InvalidInput, match="Row 3 and an earlier one have the same key: n=1"):
        datasets.create("d", batches([1, 2, 1], 1), message="First", key=["n"])
    assert datasets.names() == []


def test_batches_that_change_nothing_are_no_commit(datasets: Datasets):
    datasets.create("d", batches([*range(20)], 3), message="First")
    commit, changes = datasets.open("d").commit(batches([*range(19, -1, -1)], 4), message="Again")
    assert (commit.number, changes) == (1, Changes())


def test_batches_cannot_be_taken_twice(store: Store, datasets: Datasets, monkeypatch: pytest.MonkeyPatch):
    import contextlib

    datasets.create("d", batches([1], 1), message="First")
    monkeypatch.setattr(store.locks, "hold", lambda *_, **__: contextlib.nullcontext())

    def meanwhile() -> Iterator[Table]:
        yield from batches([2], 1)
        datasets.open("d").commit(next(batches([3], 1)), message="Earlier")

    with pytest.raises(Conflict, match="changed dataset 'd' meanwhile") as caught:
        datasets.open("d").commit(meanwhile(), message="Late")
    assert caught.value.code == "object-changed"
    assert sorted(content(datasets.open("d")).values()) == [1, 3]


WORKER = """
import sys
from pathlib import Path
import pyarrow as pa
from tidemill.data import Datasets
from tidemill.store.open import Store
from tidemill.store.table import Table
datasets = Datasets(Store.create(Path(sys.argv[1])), "worker")
def batches(first, **more):
    for at in range(first, first + 1000, 100):
        ids = range(at, at + 100)
        yield Table(pa.table({"id": ids, "text": [str(i) for i in ids], **{n: [v] * 100 for n, v in more.items()}}))
print("ready", flush=True)
for turn in range(1000):
    name = f"d{sys.argv[2]}-{turn}"
    datasets.create(name, batches(0), message="First", key=["id"])
    print(name, 1, flush=True)
    d = datasets.open(name)
    d.commit(batches(500), message="Second")
    print(name, 2, flush=True)
    d.commit(batches(0, more=7), message="Third", allow_schema_change=True)
    print(name, 3, flush=True)
"""
ROWS = {1: 1000, 2: 1500, 3: 1500}


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_whole_commits_of_batches(tmp_path: Path):
    chance = random.Random(os.urandom(8))
    said: dict[str, int] = {}
    for process in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path / "store"), str(process)],
            stdout=subprocess.PIPE,
            text=True,
        ) as worker:
            assert worker.stdout
            assert worker.stdout.readline() == "ready\n"
            for _ in range(chance.randint(0, 4)):
                said |= told(worker.stdout.readline())
            time.sleep(chance.random() * 0.2)
            worker.kill()
            for line in worker.stdout:
                said |= told(line)
    datasets = Datasets(Store.open(tmp_path / "store"), "ada")
    assert {*said} <= {*datasets.names()}
    for name in datasets.names():
        d = datasets.open(name)
        assert d.head().number >= said.get(name, 1)
        for commit in d.log():
            assert len(d.snapshot(commit.id).read()) == commit.rows == ROWS[commit.number]
        assert ("more" in d.schema.names) == (d.head().number == 3)
        rows = d.snapshot().read().take([0])
        assert d.commit(rows, message="Only one", replace=True)[1].removed == d.log()[1].rows - 1


def told(line: str) -> dict[str, int]:
    """The dataset and the commit's number that a line names, if it was written whole."""
    name, _, number = line.partition(" ")
    return {name: int(number)} if line.endswith("\n") else {}


MUCH = """
import resource, sys
from pathlib import Path
import numpy as np, pyarrow as pa
from tidemill.data import Datasets
from tidemill.store.open import Store
from tidemill.store.table import Table
datasets = Datasets(Store.create(Path(sys.argv[1])), "ada")
def batches(rows, width):
    for at in range(0, rows, 20_000):
        n = np.arange(at, at + 20_000)
        wide = pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(n, width)), width)
        yield Table(pa.table({"n": n, "wide": wide}))
datasets.create("few", batches(20_000, 100), message="First")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
datasets.create("many", batches(500_000, 100), message="First")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, datasets.open("many").head().rows)
"""


@pytest.mark.slow
def test_batches_are_not_all_in_memory(tmp_path: Path):
    """400 MB of rows, in batches of 16 MB."""
    done = subprocess.run(
        [sys.executable, "-c", MUCH, str(tmp_path / "store")], capture_output=True, text=True, check=True
    )
    more_kilobytes, rows = map(int, done.stdout.split())
    assert rows == 500_000
    assert more_kilobytes < 300_000
