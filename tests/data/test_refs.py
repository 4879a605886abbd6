"""Refs: what moves a branch, and what keeps two writers from losing a commit of each other."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.compat.write import HERE as KEPT
from tests.data.at_rest import check_whole
from tests.services.again import how_to_open
from tidemill.core.errors import AlreadyExists, Failed, NotFound, StorageError
from tidemill.core.events import silent
from tidemill.data import Changes, Dataset, Datasets, Proposal, collect
from tidemill.data.history import History
from tidemill.store.open import Store
from tidemill.store.table import Table

pytestmark = pytest.mark.both_stores

WRITER = """
import contextlib, sys
from tidemill.data import Datasets
from tidemill.store.catalog.advisory import AdvisoryLocks
from tidemill.store.locks import Locks
from tidemill.store.table import Table
from tests.services.again import opened_again
for kind in (Locks, AdvisoryLocks):
    kind.hold = lambda *_, **__: contextlib.nullcontext()
name = sys.argv[2]
d = Datasets(opened_again(sys.argv[1]), name).open("d")
d.branch(name)
print("ready", flush=True)
sys.stdin.readline()
for n in range(8):
    for branch in (name, "main"):
        print(d.commit(Table.of({"who": [name], "n": [n]}), branch=branch, message="One row")[0].id, flush=True)
"""


def rows(*values: str) -> Table:
    return Table.of({"a": list(values)})


def values(dataset: Dataset, at: str | None = None) -> list[Any]:
    return sorted(dataset.snapshot(at).read(["a"]).to_arrow()["a"].to_pylist())


@pytest.fixture
def d(datasets: Datasets) -> Dataset:
    datasets.create("d", rows("x"), message="First")
    return datasets.open("d")


@pytest.mark.slow
def test_two_processes_without_a_lock_lose_nothing(store: Store, datasets: Datasets):
    datasets.create("d", Table.of({"who": ["ada"], "n": [0]}), message="First")
    names = ["one", "two", "three"]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, how_to_open(store), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [p.communicate(timeout=240)[0].split() for p in running]
    assert [p.returncode for p in running] == [0, 0, 0]
    d = datasets.open("d")
    check_whole(store, "d")
    assert [c.number for c in d.log()] == list(range(25, 0, -1))
    assert {c.id for c in d.log()} >= {c for own in said for c in own[1::2]}
    everything = d.snapshot().read().to_polars()
    assert everything.select("who", "n").unique().height == everything.height == 25
    for name, own in zip(names, said, strict=True):
        assert [c.id for c in d.log(name)][:-1] == own[::2][::-1]
        assert set(d.snapshot(name).read().to_polars()["who"]) == {"ada", name}


@pytest.fixture
def unlocked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.locks, "hold", lambda *_, **__: contextlib.nullcontext())


def meanwhile(store: Store, act: Callable[[], object]) -> Datasets:
    """Datasets whose next commit somebody else comes before: after it was written, before its branch moves."""
    acts = [act]

    def guard(_: Proposal) -> None:
        if acts:
            acts.pop()()

    return Datasets(store, "bob", guard)


@pytest.mark.usefixtures("unlocked")
def test_a_commit_that_was_beaten_is_made_again_on_top(store: Store, d: Dataset):
    late = meanwhile(store, lambda: d.commit(rows("y", "both"), message="Earlier"))
    commit, changes = late.open("d").commit(rows("z", "both"), message="Later")
    assert changes == Changes(added=1)
    assert [(c.author, c.message) for c in d.log()] == [
        ("bob", "Later"),
        ("ada", "Earlier"),
        ("ada", "First"),
    ]
    assert d.resolve() == commit
    assert values(d) == ["both", "x", "y", "z"]


@pytest.mark.usefixtures("unlocked")
def test_a_merge_that_was_beaten_is_made_again_on_top(store: Store, d: Dataset):
    d.branch("side")
    d.commit(rows("y"), branch="side", message="On the side")
    merged = meanwhile(store, lambda: d.commit(rows("z"), message="Earlier")).open("d").merge("side")
    assert not merged.fast_forward
    assert values(d) == ["x", "y", "z"]


@pytest.mark.usefixtures("unlocked")
def test_another_branch_that_moves_meanwhile_is_no_trouble(store: Store, d: Dataset):
    d.branch("side")
    late = meanwhile(store, lambda: d.commit(rows("y"), branch="side", message="Beside"))
    late.open("d").commit(rows("z"), message="Here")
    assert (values(d), values(d, "side")) == (["x", "z"], ["x", "y"])
    assert [c.number for c in d.log()] == [2, 1]


@pytest.mark.usefixtures("unlocked")
def test_a_branch_that_is_deleted_meanwhile_takes_no_commit(store: Store, d: Dataset):
    d.branch("side")
    late = meanwhile(store, lambda: d.delete_branch("side"))
    with pytest.raises(NotFound, match="no branch 'side'"):
        late.open("d").commit(rows("y"), branch="side", message="Too late")


@pytest.mark.usefixtures("unlocked")
def test_of_two_creations_one_stands(store: Store, datasets: Datasets):
    late = meanwhile(store, lambda: datasets.create("e", rows("first"), message="First"))
    with pytest.raises(AlreadyExists):
        late.create("e", rows("second"), message="Second")
    assert values(datasets.open("e")) == ["first"]


def test_a_guard_sees_what_a_commit_would_make_and_may_refuse_it(store: Store, d: Dataset):
    seen: list[tuple[Any, ...]] = []

    def guard(proposal: Proposal) -> None:
        before = len(proposal.parent.read()) if proposal.parent else None
        came = sorted(proposal.incoming.to_arrow()["a"].to_pylist())
        seen.append((proposal.dataset, proposal.branch, before, len(proposal.result.read()), came))
        if "bad" in came:
            raise Failed("A bad row.")

    guarded = Datasets(store, "ada", guard)
    with pytest.raises(Failed):
        guarded.create("e", rows("bad"), message="First")
    assert guarded.names() == ["d"]
    guarded.create("e", rows("good"), message="First")
    d.branch("side")
    d.commit(rows("bad"), branch="side", message="Unseen")
    with pytest.raises(Failed):
        guarded.open("d").commit(rows("y", "bad"), message="Put")
    with pytest.raises(Failed):
        guarded.open("d").merge("side")
    assert values(d) == ["x"]
    assert len(d.log()) == 1
    assert seen == [
        ("e", "main", None, 1, ["bad"]),
        ("e", "main", None, 1, ["good"]),
        ("d", "main", 1, 3, ["bad", "y"]),
        ("d", "main", 1, 2, ["bad"]),
    ]


def test_crosswise_merges_have_several_bases(d: Dataset):
    d.branch("side")
    one, _ = d.commit(rows("y"), message="One")
    other, _ = d.commit(rows("z"), branch="side", message="Other")
    d.merge("side")
    d.merge(one.id, into="side")
    bases = d._history.merge_bases(d.resolve("main"), d.resolve("side"))
    assert [c.id for c in bases] == [other.id, one.id]
    assert d._history.merge_bases(d.resolve("main"), one) == [one]


def test_an_old_commit_is_found_by_its_id_at_once(store: Store, d: Dataset, monkeypatch: pytest.MonkeyPatch):
    d.branch("side")
    gone, _ = d.commit(rows("gone"), branch="side", message="Of a branch that goes")
    for n in range(5):
        d.commit(rows(f"{n}"), message=f"Commit {n}")
    log = Datasets(store, "ada").open("d").log()
    assert Datasets(store, "ada").open("d").resolve(gone.id) == gone
    with monkeypatch.context() as patch:
        patch.setattr(History, "parents", None)
        assert [Datasets(store, "ada").open("d").resolve(c.id) for c in log] == log
    # A line is no more than a hint: of another commit, and of a version that is gone.
    kept = d._table.commit_file._path
    lines = kept.read_text()
    kept.write_text(lines.replace(log[3].id, "x").replace(f'"id": "{log[2].id}"', f'"id": "{log[3].id}"'))
    assert Datasets(store, "ada").open("d").resolve(log[3].id) == log[3]
    kept.write_text(lines)
    d.delete_branch("side")
    collect(store, "d", [], dry_run=False, sink=silent)
    if store.objects.path("") is not None:
        # In a bucket what is young is spared.
        with pytest.raises(NotFound):
            Datasets(store, "ada").open("d").resolve(gone.id)


def test_a_long_history_is_read_once(store: Store, d: Dataset, monkeypatch: pytest.MonkeyPatch):
    # Of a long file the end is read first.
    monkeypatch.setattr("tidemill.data.commit_file._LAST_BYTES", 700)
    for n in range(5):
        d.commit(rows(f"{n}\u2028\n"), message=f"Commit\n{n}\u2028")
    kept = d._table.commit_file._path
    log = Datasets(store, "ada").open("d").log()
    with kept.open("a") as file:
        file.write('3 {"half of a li')
    assert Datasets(store, "ada").open("d").log() == log
    # From another life of the dataset: versions that were other commits.
    kept.write_text(kept.read_text().replace(f'"id": "{log[2].id}"', '"id": "0123456789ab"'))
    assert Datasets(store, "ada").open("d").log() == log
    monkeypatch.setattr("tidemill.data.lance_table.LanceTable.properties", None)
    assert Datasets(store, "ada").open("d").log() == log


def test_a_dataset_of_layout_1_is_taken_over_when_it_is_first_seen(tmp_path: Path):
    shutil.copytree(KEPT / "layout-1", tmp_path / "store")
    refs = tmp_path / "store/datasets/fashion.lance/_tidemill/refs.json"
    fashion = Datasets(Store.open(tmp_path / "store"), "ada").open("fashion")
    assert refs.exists()
    assert fashion.head().number == 3
    fashion.branch("side", "2")
    assert {n: c.number for n, c in fashion.branches().items()} == {"main": 3, "side": 2}


def test_refs_of_a_newer_layout_are_refused(store: Store, d: Dataset):
    key = "datasets/d.lance/_tidemill/refs.json"
    data, _ = store.objects.get(key) or (b"", "")
    body = json.loads(data) | {"layout": 5}
    del body["sha256"]
    store.objects.put(key, json.dumps(body).encode())
    with pytest.raises(StorageError, match="layout 5") as caught:
        d.head()
    assert caught.value.code == "store-too-new"


def test_a_removal_that_was_killed_left_no_dataset(store: Store, datasets: Datasets, d: Dataset):
    from tidemill.data.refs import REMOVED, refs_key

    store.objects.put(refs_key("d"), REMOVED)
    assert datasets.names() == []
    datasets.create("d", rows("new"), message="Again")
    assert values(datasets.open("d")) == ["new"]
    assert len(datasets.open("d").log()) == 1
