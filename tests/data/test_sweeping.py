"""Garbage: what is kept reads as before, whatever history came before; what is not kept frees its bytes."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.core.errors import Conflict, NotFound, StorageError
from tidemill.core.events import silent
from tidemill.data import Datasets, collect
from tidemill.data.sweeping import sweep
from tidemill.data.transfer import Copy
from tidemill.data.turns import lock_name
from tidemill.store.open import Store
from tidemill.store.table import Table


def rows(content: dict[int, str]) -> Table:
    return Table.of({"k": list(content), "text": list(content.values())})


def stored(store: Store) -> int:
    return sum(f.stat().st_size for f in Path(store.address).rglob("*") if f.is_file())


actions = st.lists(
    st.tuples(
        st.sampled_from(["commit", "replace", "branch", "delete", "merge", "tag", "collect"]),
        st.integers(0, 9),
        st.dictionaries(st.integers(0, 6), st.sampled_from(["x", "y", "z"]), min_size=1, max_size=4),
    ),
    min_size=4,
    max_size=14,
)


@given(history=actions)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_kept_commit_reads_the_same_rows(history: list[tuple[str, int, dict[int, str]]]):
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder))
        datasets = Datasets(store, "ada")
        datasets.create("d", rows({1: "x", 2: "y"}), message="First", key=["k"])
        d = datasets.open("d")
        known = {d.head().id: d.snapshot().read().to_arrow()}
        named = {d.head().id}
        for number, (what, pick, some) in enumerate(history):
            branches = sorted(d.branches())
            branch = branches[pick % len(branches)]
            try:
                if what in ("commit", "replace"):
                    d.commit(rows(some), branch=branch, message=what, replace=what == "replace")
                elif what == "branch":
                    d.branch(f"b{number}", branch)
                elif what == "delete" and branch != "main":
                    if pick % 2:
                        named.add(d.head(branch).id)
                    d.delete_branch(branch)
                elif what == "merge":
                    d.merge(branch)
                elif what == "tag":
                    d.tag(f"t{number}", branch)
                else:
                    would = collect(store, "d", named, dry_run=True, sink=silent).removed
                    done = collect(store, "d", named, dry_run=False, sink=silent)
                    assert would.keys() <= done.removed.keys()
            except Conflict:
                continue
            for name in d.branches():
                for commit in d.log(name):
                    known.setdefault(commit.id, d.snapshot(commit.id).read().to_arrow())
        collect(store, "d", named, dry_run=False, sink=silent)
        assert not collect(store, "d", named, dry_run=True, sink=silent).removed
        d = Datasets(store, "ada").open("d")
        kept = {c.id for name in (*d.branches(), *d.tags(), *named) for c in d.log(name)}
        for commit in kept:
            assert d.snapshot(commit).read().to_arrow().equals(known[commit])
        d.commit(rows({77: "after"}), message="After")
        assert d.snapshot().read().to_polars()["k"].to_list()[-1] == 77


def test_a_deleted_branch_frees_its_bytes_and_says_them_first(store: Store, datasets: Datasets):
    datasets.create("d", rows({1: "x"}), message="First", key=["k"])
    d = datasets.open("d")
    d.branch("side")
    gone = d.commit(rows({i: str(random.random()) * 20 for i in range(2000)}), branch="side", message="Big")[
        0
    ]
    collect(store, "d", (), dry_run=False, sink=silent)
    assert not collect(store, "d", (), dry_run=True, sink=silent).removed
    d.delete_branch("side")
    assert d.snapshot(gone.id).rows == 2000
    before = stored(store)
    would = collect(store, "d", (), dry_run=True, sink=silent).removed
    assert stored(store) == before
    assert not collect(store, "d", (gone.id,), dry_run=True, sink=silent).removed
    freed = collect(store, "d", (), dry_run=False, sink=silent).removed
    assert sum(freed.values()) >= sum(would.values()) > 100_000
    assert before - stored(store) > 100_000
    with pytest.raises(NotFound):
        d.snapshot(gone.id)
    assert d.snapshot().rows == 1


SWEEPER = """
import sys
from pathlib import Path
from tidemill.core.events import silent
from tidemill.data import collect
from tidemill.store.open import Store
from tidemill.data import lance_table
store = Store.open(Path(sys.argv[1]))
first = type(store.objects).delete
def slowly(self, keys):
    for key in keys:
        first(self, [key])
        print("one", flush=True)
type(store.objects).delete = slowly
collect(store, "d", (), dry_run=False, sink=silent)
"""


@pytest.mark.slow
def test_a_kill_leaves_everything_readable(store: Store, datasets: Datasets):
    datasets.create("d", rows({i: f"text {i}" for i in range(100)}), message="First", key=["k"])
    d = datasets.open("d")
    for n in range(10):
        d.branch(f"b{n}")
        d.commit(rows({n: "side", 1000 + n: "new"}), branch=f"b{n}", message="Side")
        d.commit(rows({n: "main"}), message="Main")
        d.delete_branch(f"b{n}")
    known = {c.id: d.snapshot(c.id).read().to_arrow() for c in d.log()}
    chance = random.Random(os.urandom(8))
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", SWEEPER, str(store.address)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            for _ in range(chance.randint(1, 20)):
                process.stdout.readline()
            time.sleep(chance.random() * 0.005)
            process.send_signal(signal.SIGKILL)
        again = Datasets(store, "ada").open("d")
        for commit, content in known.items():
            assert again.snapshot(commit).read().to_arrow().equals(content)
    collect(store, "d", (), dry_run=False, sink=silent)
    assert not collect(store, "d", (), dry_run=True, sink=silent).removed


def test_a_commit_that_is_gone_is_not_replaced_by_what_collecting_writes(store: Store, datasets: Datasets):
    """The newest version that is left is needed by nobody, and Lance counts on from it."""
    datasets.create("d", rows({1: "x"}), message="First", key=["k"])
    d = datasets.open("d")
    d.branch("side")
    d.commit(rows({1: "x", 2: "y"}), branch="side", message="Side")
    d.delete_branch("side")
    newest = d.commit(rows({1: "x", 3: "z"}), message="Newest")[0]
    copy = Copy.of(store, "d")
    store.objects.delete([copy.table.manifest(copy.refs().branches["main"].version)])
    before = stored(store)
    with pytest.raises(StorageError, match="is gone"):
        collect(store, "d", (), dry_run=False, sink=silent)
    assert stored(store) == before
    with pytest.raises(StorageError, match=newest.id):
        Datasets(store, "ada").open("d").snapshot().read()


BRANCHER = """
import sys
from pathlib import Path
from tidemill.core.errors import NotFound
from tidemill.data import Datasets
from tidemill.store.open import Store
d = Datasets(Store.open(Path(sys.argv[1])), "grace").open("d")
d.resolve(sys.argv[2])
print("ready", flush=True)
try:
    d.branch("again", sys.argv[2])
except NotFound as error:
    print(error.code, flush=True)
"""


def test_no_branch_is_made_of_what_is_being_collected(store: Store, datasets: Datasets):
    datasets.create("d", rows({1: "x"}), message="First", key=["k"])
    d = datasets.open("d")
    d.branch("side")
    unnamed, _ = d.commit(rows({2: "y"}), branch="side", message="On a branch that goes")
    d.delete_branch("side")
    # What `collect` does, with the other process in the middle of it.
    with store.locks.hold(lock_name("d")):
        copy = Copy.of(store, "d")
        keep = set(copy.history.kept(copy.refs(), ()))
        process = subprocess.Popen(
            [sys.executable, "-c", BRANCHER, str(store.address), unnamed.id],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout and process.stdout.readline() == "ready\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
        sweep(copy, keep, silent)
    said, _ = process.communicate()
    assert said == "commit-not-found\n"
    assert d.branches().keys() == {"main"}
