"""Small files become one as commits go by: rows, their order, differences and digests stay."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tests.data.at_rest import check_whole
from tidemill.core.events import silent
from tidemill.data import Dataset, Datasets, Proposal, collect, compaction, digest_again, digest_of
from tidemill.store.open import Store
from tidemill.store.table import Table

TOGETHER = 3


def rows(content: dict[int, str | None]) -> Table:
    return Table.of(
        {"k": pa.array(list(content), pa.int64()), "text": pa.array(list(content.values()), pa.string())}
    )


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_TOGETHER", TOGETHER)


def read(dataset: Dataset, at: str) -> list[tuple[int, str | None]]:
    table = dataset.snapshot(at).read(["k", "text"]).to_arrow()
    return list(zip(table["k"].to_pylist(), table["text"].to_pylist(), strict=True))


@pytest.mark.both_stores
def test_rows_order_and_differences_stay_and_files_stay_few(datasets: Datasets, store: Store):
    told: list[Proposal] = []
    datasets = datasets.guarded(told.append)
    datasets.create("d", rows({0: "first"}), message="First", key=["k"])
    d = datasets.open("d")
    wanted: list[tuple[int, str | None]] = [(0, "first")]
    expected = {d.head().id: wanted}
    for n in range(1, 13):
        some: dict[int, str | None] = {n: f"row {n}"}
        if n % 4 == 0:
            some[n - 1] = "changed"
        made, changes = d.commit(rows(some), message=f"Row {n}")
        assert (changes.added, changes.changed) == (1, len(some) - 1)
        # A row that was changed moves to the end, as it does without.
        wanted = [pair for pair in wanted if pair[0] not in some]
        wanted += [pair for pair in sorted(some.items()) if pair[0] != n] + [(n, some[n])]
        expected[made.id] = list(wanted)
        incoming = told[-1].incoming.to_arrow()["k"].to_pylist()
        assert sorted(incoming) == sorted(some)
        assert d.diff(str(n), str(n + 1)).counts == changes
        assert len(d.snapshot().fragments()) <= 4 * TOGETHER
    assert {at: read(d, at) for at in expected} == expected
    assert {c.id for c in d.log()} == expected.keys()
    digests = {at: digest_of(d.snapshot(at)) for at in expected}
    collect(store, "d", [], dry_run=False, sink=silent)
    assert {at: read(d, at) for at in expected} == expected
    assert {at: digest_again(d.snapshot(at)) for at in expected} == digests


def test_what_is_large_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, datasets: Datasets):
    datasets.create("d", rows(dict.fromkeys(range(1000), "some text")), message="First", key=["k"])
    d = datasets.open("d")
    [first] = d.snapshot().fragments()
    monkeypatch.setattr(compaction, "_MOST_BYTES", TOGETHER * (first.size_bytes - 1))
    for n in range(1000, 1012):
        d.commit(rows({n: "x"}), message="Row")
    fragments = d.snapshot().fragments()
    assert fragments[0].files == first.files
    assert len(fragments) <= 1 + 3 * TOGETHER


def test_branches_merge_and_rows_leave_across_it(datasets: Datasets):
    datasets.create("d", rows({0: "first"}), message="First", key=["k"])
    d = datasets.open("d")
    for n in range(1, 4):
        d.commit(rows({n: f"row {n}"}), message="Row")
    d.branch("side")
    for n in range(4, 12):
        d.commit(rows({n: f"row {n}"}), message="Row")
        d.commit(rows({100 + n: "side", 2: f"side {n}"}), branch="side", message="Row")
    assert d.merge("side").changes.changed == 1
    assert dict(read(d, "main")) == {
        **{n: f"row {n}" for n in range(1, 12)},
        **dict.fromkeys(range(104, 112), "side"),
        0: "first",
        2: "side 11",
    }
    d.commit(rows({n: f"row {n}" for n in range(4)}), message="Fewer", replace=True)
    assert sorted(read(d, "main")) == [(n, f"row {n}") for n in range(4)]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.data.test_compaction import rows
from tidemill.data import Datasets, compaction, digest_of
from tidemill.data.lance_table import LanceTable
from tidemill.store.folder import Folder
from tidemill.store.open import Store
from tidemill.store.sealed import Sealed

compaction._TOGETHER = 3
kinds = {"LanceTable.commit": LanceTable, "Folder.put": Folder, "Folder.put_if": Folder, "Sealed.put": Sealed}
which, left = sys.argv[2], int(sys.argv[3])
name = which.partition(".")[2]
do = getattr(kinds[which], name)

def then_killed(self, *args, **named):
    global left
    made = do(self, *args, **named)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return made

setattr(kinds[which], name, then_killed)
d = Datasets(Store.open(Path(sys.argv[1])), "bob").open("d")
d.commit(rows({50: "x"}), message="Killed")
digest_of(d.snapshot())
"""

MOMENTS = (
    "Sealed.put 1",  # the side file of the row that comes
    "LanceTable.commit 1",  # the version with what was put together
    "LanceTable.commit 2",
    "Folder.put 1",  # the log's entry
    "Folder.put_if 1",  # the refs: from here on it is made
    "Sealed.put 1",  # the digests of the rows that were put together
    "Sealed.put 3",  # the tree of what there is now
)


def test_killed_in_the_middle_it_has_lost_nothing_and_digests_hold(datasets: Datasets, store: Store):
    datasets.create("d", rows({0: "first"}), message="First", key=["k"])
    d = datasets.open("d")
    for n in range(1, TOGETHER):
        d.commit(rows({n: f"row {n}"}), message="Row")
    before = read(d, "main")
    digests = {c.id: digest_of(d.snapshot(c.id)) for c in d.log()}
    landed = 0
    for moment in MOMENTS:
        if landed:
            shutil.rmtree(d.snapshot().table.row_digests.folder)
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, store.address, *moment.split()],
            check=False,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert killed.returncode == -signal.SIGKILL, moment
        landed = landed or moment == "Folder.put_if 1"
        d = datasets.open("d")
        assert read(d, "main") == before + [(50, "x")] * landed
        assert len(d.snapshot().fragments()) == (2 if landed else TOGETHER)
        for commit in d.log():
            snapshot = d.snapshot(commit.id)
            assert (
                digest_of(snapshot)
                == digest_again(snapshot)
                == digests.setdefault(commit.id, digest_again(snapshot))
            )
        check_whole(store, "d")
    collect(store, "d", [], dry_run=False, sink=silent)
    d = datasets.open("d")
    assert {c.id: digest_of(d.snapshot(c.id)) for c in d.log()} == digests
    d.commit(rows({51: "y"}), message="Again")
    assert read(d, "main") == [*before, (50, "x"), (51, "y")]
