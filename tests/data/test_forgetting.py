"""Rows that are removed from all of history: no commit has them, no byte of them is left, and they do not come back."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.services.again import how_to_open
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.events import silent
from tidemill.data import Dataset, Datasets, Matches, Tombstone, collect, fetch, find, forget, forward, push
from tidemill.store.open import Store
from tidemill.store.table import ID, Table

pytestmark = pytest.mark.both_stores

NEEDLE = "needle-1f3a9c"


def rows(content: dict[int, str]) -> Table:
    return Table.of({"k": list(content), "text": list(content.values())})


@pytest.fixture
def told(datasets: Datasets) -> Dataset:
    """A history in which row 7 was written, changed, moved by a merge, removed, and left on a branch."""
    datasets.create("d", rows({i: f"text {i}" for i in range(30)} | {7: NEEDLE}), message="One", key=["k"])
    d = datasets.open("d")
    d.commit(rows({3: "changed", 40: "new"}), message="Two")
    d.branch("side")
    d.commit(rows({7: f"{NEEDLE} again", 8: "eight"}), branch="side", message="At the side")
    d.commit(rows({50: "more"}), message="Three")
    d.merge("side")
    d.tag("v1")
    d.commit(rows({i: f"text {i}" for i in range(6)}), message="Less", replace=True)
    return d


def holding(store: Store) -> list[str]:
    """The keys of what has the text among its bytes."""
    there = [(entry.key, store.objects.get(entry.key)) for entry in store.objects.list()]
    return [key for key, found in there if found and NEEDLE.encode() in found[0]]


def removed(store: Store, where: str = "k = 7", named: tuple[str, ...] = ()) -> Matches:
    found = find(store, "d", where, named)
    forget(store, "d", Tombstone(found.ids, "ada", "2026-05-03T00:00:00Z", "asked for"), named, silent)
    return found


def content(d: Dataset, at: str) -> dict[int, str]:
    table = d.snapshot(at).read().to_arrow()
    return dict(zip(table["k"].to_pylist(), table["text"].to_pylist(), strict=True))


def test_no_commit_has_the_rows_and_all_else_is_as_it_was(store: Store, datasets: Datasets, told: Dataset):
    commits = [c for name in ("main", "side", "v1") for c in told.log(name)]
    before = {c.id: content(told, c.id) for c in commits}
    order = {c.id: told.snapshot(c.id).ids().tolist() for c in commits}
    assert holding(store)
    found = removed(store)
    assert len(found.ids) == 1
    assert found.commits.keys() == {i for i, had in before.items() if 7 in had}
    d = datasets.open("d")
    for commit in commits:
        assert content(d, commit.id) == {k: text for k, text in before[commit.id].items() if k != 7}
        assert d.snapshot(commit.id).ids().tolist() == [i for i in order[commit.id] if i not in found.ids]
        now = d.resolve(commit.id)
        assert (now.id, now.parents, now.message) == (commit.id, commit.parents, commit.message)
        assert now.rows == len(before[commit.id]) - (7 in before[commit.id])
        assert [(f.rows, f.author, f.reason) for f in now.forgotten] == (
            [(1, "ada", "asked for")] if 7 in before[commit.id] else []
        )
        assert (now.state == commit.state) == (7 not in before[commit.id])
    assert holding(store) == []
    assert d.diff("v1", "main").counts.removed > 0
    d.commit(rows({60: "goes on"}), message="Goes on")
    d.merge("side")


@pytest.mark.folder_store
def test_importing_an_old_file_again_does_not_bring_them_back(
    store: Store, datasets: Datasets, told: Dataset
):
    removed(store)
    d = datasets.open("d")
    _, changes = d.commit(rows({7: NEEDLE, 70: "new"}), message="The old file")
    assert changes.added == 1
    assert 7 not in content(d, "main")
    assert told.name == "d"


def test_a_store_that_has_them_still_cannot_bring_them_back(
    store: Store, datasets: Datasets, told: Dataset, tmp_path: Path
):
    origin, other = Store.create(tmp_path / "origin"), Store.create(tmp_path / "other")
    push(store, origin, "d", "origin", ["main", "side"], silent)
    fetch(other, origin, "d", "origin", silent)
    theirs = Datasets(other, "grace").open("d")
    theirs.commit(rows({7: f"{NEEDLE} by grace", 80: "by grace"}), message="By grace")
    push(other, origin, "d", "origin", ["main"], silent)
    removed(store)
    # From a store that has them: their commits come, the rows do not.
    got = fetch(store, origin, "d", "origin", silent)
    assert got.moved.commits == 1
    d = datasets.open("d")
    assert forward(store, "d", "main", d.resolve("origin/main"))
    assert content(d, "main") == {**{k: v for k, v in content(theirs, "main").items() if k != 7}}
    assert d.head().rows == theirs.head().rows - 1
    assert holding(store) == []
    assert told.key == ("k",)
    # To a store that has them: it forgets them too, and so does who fetches from there.
    assert holding(origin)
    assert push(store, origin, "d", "origin", ["main"], silent).forgotten == 1
    assert holding(origin) == []
    assert holding(other)
    assert fetch(other, origin, "d", "origin", silent).forgotten == 1
    assert holding(other) == []
    theirs = Datasets(other, "grace").open("d")
    assert [c.state for c in theirs.log()] == [c.state for c in d.log()]
    assert content(theirs, "main") == content(d, "main")
    push(other, origin, "d", "origin", ["main"], silent)
    assert fetch(store, origin, "d", "origin", silent).moved.commits == 0


def test_a_commit_that_only_a_record_names_is_rewritten_too(store: Store, datasets: Datasets, told: Dataset):
    alone = told.commit(rows({90: f"{NEEDLE} alone"}), branch="side", message="Alone")[0]
    told.delete_branch("side")
    removed(store, f"text like '%{NEEDLE}%'", (alone.id,))
    d = datasets.open("d")
    assert content(d, alone.id).keys().isdisjoint({7, 90})
    assert holding(store) == []


def test_a_commit_that_nothing_names_does_not_have_them_either(
    store: Store, datasets: Datasets, told: Dataset
):
    alone = told.commit(rows({90: "alone"}), branch="side", message="Alone")[0]
    after = told.commit(rows({5: "five"}), branch="side", message="After it", replace=True)[0]
    told.delete_branch("side")
    removed(store)
    d = datasets.open("d")
    for commit in (alone, after):
        with pytest.raises(NotFound):
            d.branch("again", commit.id)
    assert holding(store) == []


@pytest.mark.folder_store
def test_all_rows_of_a_dataset_can_be_forgotten(store: Store, datasets: Datasets, told: Dataset):
    removed(store, "k >= 0")
    d = datasets.open("d")
    assert [c.rows for c in d.log()] == [0] * len(told.log())
    assert len(d.snapshot().read()) == 0
    d.commit(rows({999: "a new beginning"}), message="New")
    assert content(d, "main") == {999: "a new beginning"}


@pytest.mark.folder_store
def test_forgetting_twice(store: Store, datasets: Datasets, told: Dataset):
    removed(store)
    removed(store, "k = 8")
    d = datasets.open("d")
    assert len(d.resolve("v1").forgotten) == 2
    assert content(d, "v1").keys().isdisjoint({7, 8})
    assert find(store, "d", "k = 7", ()).ids == ()
    assert told.name == "d"


@pytest.mark.folder_store
def test_a_condition_that_cannot_be_read(store: Store, told: Dataset):
    with pytest.raises(InvalidInput) as caught:
        find(store, "d", "customer = 7", ())
    assert caught.value.code == "invalid-where"
    assert caught.value.why == "There is no column 'customer'."
    assert told.head().rows == 6


@pytest.mark.folder_store
def test_a_column_that_came_later(store: Store, datasets: Datasets, told: Dataset):
    table = told.snapshot().read().to_polars()
    told.commit(
        Table.of({"k": table["k"], "text": table["text"], "who": ["ada"] + ["grace"] * 5}),
        message="Who",
        allow_schema_change=True,
    )
    mine = table["k"][0]
    removed(store, "who = 'ada'")
    d = datasets.open("d")
    for commit in d.log():
        assert mine not in content(d, commit.id)


FORGETTER = """
import sys
from tests.services.again import opened_again
from tidemill.data import Tombstone, find, forget
store = opened_again(sys.argv[1])
found = find(store, "d", "k = 7", ())
print("ready", flush=True)
forget(store, "d", Tombstone(found.ids, "ada", "t", "asked"), (), lambda event: print(event.label, flush=True))
"""


@pytest.mark.slow
@pytest.mark.folder_store
def test_a_kill_leaves_the_old_history_or_the_new_one(store: Store, datasets: Datasets, told: Dataset):
    chance = random.Random(os.urandom(8))
    for n in range(15):
        told.commit(rows({1000 + n: f"{NEEDLE if n % 3 else 'x'} {n}"}), message=f"Commit {n}")
    before = {c.id: content(told, c.id) for c in told.log()}
    for lines in (1, 4, 9, 14, 18, 30):
        with subprocess.Popen(
            [sys.executable, "-c", FORGETTER, how_to_open(store)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            for _ in range(lines):
                process.stdout.readline()
            time.sleep(chance.random() * 0.01)
            process.send_signal(signal.SIGKILL)
        d = datasets.open("d")
        after = {c.id: content(d, c.id) for c in d.log()}
        assert after in (before, {i: {k: v for k, v in c.items() if k != 7} for i, c in before.items()})
    removed(store)
    collect(store, "d", (), dry_run=False, sink=silent)
    assert all(7 not in content(datasets.open("d"), i) for i in before)
    found = find(store, "d", f"text like '%{NEEDLE}%'", ())
    assert len(found.ids) == 10
    removed(store, f"text like '%{NEEDLE}%'")
    assert holding(store) == []


@pytest.mark.folder_store
def test_ids_are_what_is_forgotten(store: Store, told: Dataset):
    found = find(store, "d", "k = 7", ())
    assert list(found.ids) == told.snapshot("v1").read([ID, "k"]).to_polars().filter(k=7)[ID].to_list()
