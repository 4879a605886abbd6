"""Two stores and a third between them: what is pushed and fetched is the same history, sent once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.data.at_rest import check_whole
from tests.services.s3 import S3Server
from tidemill.core.errors import Conflict, InvalidInput, NotFound, StorageError
from tidemill.core.events import Progress, silent
from tidemill.data import Dataset, Datasets, fetch, forward, push
from tidemill.store.open import Store
from tidemill.store.table import Table


@pytest.fixture
def origin(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "origin")


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "other")


@pytest.fixture
def told(datasets: Datasets) -> Dataset:
    """A dataset with a history: two branches, changed, removed and added rows, a merge, a tag."""
    datasets.create("d", rows({i: f"first {i}" for i in range(20)}), message="One", key=["k"])
    d = datasets.open("d")
    d.branch("side")
    d.commit(rows({3: "changed", 30: "new"}), message="Two")
    d.commit(rows({4: "at the side", 40: "new"}), branch="side", message="At the side")
    d.merge("side")
    d.commit(rows({i: f"first {i}" for i in range(10)}), message="Less", replace=True)
    d.tag("v1")
    d.commit(rows({50: "last"}), message="Last")
    return d


def rows(content: dict[int, str]) -> Table:
    return Table.of({"k": list(content), "text": list(content.values())})


def same(one: Dataset, other: Dataset, at: str) -> None:
    """Two datasets have the same commits, rows, order and fragments behind a name."""
    ours, theirs = one.log(at), other.log(at)
    assert [c.id for c in ours] == [c.id for c in theirs]
    for commit in ours:
        a, b = one.snapshot(commit.id), other.snapshot(commit.id)
        assert a.read().to_arrow().equals(b.read().to_arrow())
        assert [f.digest for f in a.fragments()] == [f.digest for f in b.fragments()]
        assert a.rows == b.rows
        assert a.commit.state == b.commit.state


def test_a_clone_has_the_same_commits_rows_order_and_fragments(
    store: Store, told: Dataset, origin: Store, other: Store
):
    told.delete_branch("side")
    sent = push(store, origin, "d", "origin", ["main"], silent)
    assert (sent.moved.commits, sent.branches, sent.tags) == (6, {"main": told.head().id}, ("v1",))
    assert sent.moved.size_bytes > 0
    fetch(other, origin, "d", "origin", silent)
    copy = Datasets(other, "grace").open("d")
    same(told, copy, "main")
    same(told, copy, "v1")
    assert list(copy.branches()) == ["main"]
    assert copy.fetched() == {"origin/main": copy.head()}
    assert copy.key == told.key
    # What was merged from the side has its own commits there, too.
    assert copy.snapshot(told.head().parents[0]).rows == told.snapshot(told.head().parents[0]).rows


def test_columns_that_came_went_and_changed_their_type(
    store: Store, told: Dataset, origin: Store, other: Store
):
    """What a column's number is in the files must travel with it: it is not its place any more."""
    wide = told.snapshot().read().to_polars()
    for number, columns in enumerate(
        (
            {"k": wide["k"], "text": wide["text"], "size": list(range(len(wide)))},
            {"k": wide["k"], "size": list(range(len(wide)))},
            {"k": wide["k"], "size": [i / 2 for i in range(len(wide))], "text": wide["k"]},
        )
    ):
        told.commit(Table.of(columns), message=f"Columns {number}", allow_schema_change=True)
    push(store, origin, "d", "origin", ["main"], silent)
    fetch(other, origin, "d", "origin", silent)
    copy = Datasets(other, "grace").open("d")
    same(told, copy, "main")
    assert copy.snapshot().columns == told.snapshot().columns
    copy.commit(Table.of({"k": [777], "size": [0.25], "text": [7]}), message="Goes on")
    push(other, origin, "d", "origin", ["main"], silent)
    fetch(store, origin, "d", "origin", silent)
    assert told.snapshot("origin/main").read().to_arrow().equals(copy.snapshot().read().to_arrow())


def test_only_what_is_lacking_is_sent(store: Store, told: Dataset, origin: Store, other: Store):
    push(store, origin, "d", "origin", ["main"], silent)
    again = push(store, origin, "d", "origin", ["main"], silent)
    assert (again.moved.commits, again.moved.files, again.branches) == (0, 0, {})
    told.commit(rows({60: "more"}), message="More")
    events: list[object] = []
    sent = push(store, origin, "d", "origin", ["main"], events.append)
    assert (sent.moved.commits, sent.moved.files) == (1, 1)
    assert Progress("copying", sent.moved.size_bytes, sent.moved.size_bytes, "bytes") in events
    # The side branch's commits are there by the merge; its name is new.
    sent = push(store, origin, "d", "origin", ["side"], silent)
    assert (sent.moved.commits, list(sent.branches)) == (0, ["side"])
    fetch(other, origin, "d", "origin", silent)
    told.commit(rows({70: "more"}), message="More")
    push(store, origin, "d", "origin", ["main"], silent)
    got = fetch(other, origin, "d", "origin", silent)
    assert (got.moved.commits, got.moved.files, got.branches) == (1, 1, {"main": told.head().id})


def test_two_who_both_pushed_get_a_merge_and_no_commit_is_lost(
    store: Store, told: Dataset, origin: Store, other: Store
):
    push(store, origin, "d", "origin", ["main"], silent)
    fetch(other, origin, "d", "origin", silent)
    theirs = Datasets(other, "grace").open("d")
    theirs.commit(rows({1: "by grace"}), message="By grace")
    told.commit(rows({2: "by ada"}), message="By ada")
    push(other, origin, "d", "origin", ["main"], silent)
    with pytest.raises(Conflict, match="not here") as caught:
        push(store, origin, "d", "origin", ["main"], silent)
    assert caught.value.code == "push-rejected"
    assert caught.value.hint
    assert "tidemill data pull d origin" in caught.value.hint
    fetch(store, origin, "d", "origin", silent)
    assert not forward(store, "d", "main", told.resolve("origin/main"))
    merged = told.merge("origin/main")
    assert len(merged.commit.parents) == 2
    push(store, origin, "d", "origin", ["main"], silent)
    fetch(other, origin, "d", "origin", silent)
    assert forward(other, "d", "main", theirs.resolve("origin/main"))
    same(told, theirs, "main")
    messages = {c.message for c in [*theirs.log(), theirs.resolve(merged.commit.parents[1])]}
    assert {"By ada", "By grace"} <= messages


def test_a_branch_that_has_all_does_not_move(store: Store, told: Dataset, origin: Store):
    push(store, origin, "d", "origin", ["main"], silent)
    head = told.commit(rows({90: "mine"}), message="Mine")[0]
    fetch(store, origin, "d", "origin", silent)
    assert not forward(store, "d", "main", told.resolve("origin/main"))
    assert told.head() == head
    assert told.merge("origin/main").already


def test_two_datasets_of_one_name_are_told_apart(store: Store, told: Dataset, origin: Store):
    Datasets(origin, "grace").create("d", rows({1: "quite another"}), message="Another")
    for move in (
        lambda: push(store, origin, "d", "origin", ["side"], silent),
        lambda: fetch(store, origin, "d", "origin", silent),
    ):
        with pytest.raises(InvalidInput) as caught:
            move()
        assert caught.value.code == "unrelated-datasets"
    assert told.fetched() == {}
    assert list(Datasets(origin, "grace").open("d").branches()) == ["main"]


def test_a_tag_that_names_another_commit_there(store: Store, told: Dataset, origin: Store, other: Store):
    push(store, origin, "d", "origin", ["main"], silent)
    fetch(other, origin, "d", "origin", silent)
    theirs = Datasets(other, "grace").open("d")
    theirs.tag("v2")
    told.commit(rows({91: "x"}), message="X")
    told.tag("v2")
    push(other, origin, "d", "origin", ["main"], silent)
    with pytest.raises(Conflict) as caught:
        push(store, origin, "d", "origin", ["main"], silent)
    assert caught.value.code == "tag-differs"
    assert fetch(store, origin, "d", "origin", silent).kept == ("v2",)
    assert told.tags()["v2"] == told.head()


def test_what_is_not_there(store: Store, told: Dataset, origin: Store):
    with pytest.raises(NotFound) as caught:
        fetch(store, origin, "d", "origin", silent)
    assert caught.value.code == "dataset-not-found"
    with pytest.raises(NotFound) as caught:
        push(store, origin, "d", "origin", ["nowhere"], silent)
    assert caught.value.code == "branch-not-found"
    assert told.branches().keys() == {"main", "side"}


def test_a_branch_alone_brings_main_to_a_dataset_that_is_new_there(
    store: Store, told: Dataset, origin: Store
):
    push(store, origin, "d", "origin", ["side"], silent)
    assert Datasets(origin, "x").open("d").branches().keys() == told.branches().keys()


def test_a_newer_dataset_is_refused(store: Store, told: Dataset, origin: Store):
    push(store, origin, "d", "origin", ["main"], silent)
    refs = Path(origin.address) / "datasets/d.lance/_tidemill/refs.json"
    newer = json.loads(refs.read_text()) | {"layout": 5}
    del newer["sha256"]
    refs.write_text(json.dumps(newer))
    for move in (
        lambda: push(store, origin, "d", "origin", ["main"], silent),
        lambda: fetch(store, origin, "d", "origin", silent),
    ):
        with pytest.raises(StorageError) as caught:
            move()
        assert caught.value.code == "store-too-new"
    assert told.head().message == "Last"


PUSHER = """
import sys
from pathlib import Path
from tidemill.data import push
from tidemill.store.open import Store
print("ready", flush=True)
def told(event):
    print(event.label, flush=True)
push(Store.open(Path(sys.argv[1])), Store.create(sys.argv[2]), "d", "origin", ["main"], told)
print("done", flush=True)
"""


@pytest.mark.slow
def test_a_push_that_is_killed_changes_nothing_and_the_next_sends_the_rest(
    store: Store, datasets: Datasets, tmp_path: Path
):
    chance = random.Random(os.urandom(8))
    datasets.create("d", rows({i: str(chance.random()) * 50 for i in range(2000)}), message="One", key=["k"])
    d = datasets.open("d")
    for n in range(40):
        d.commit(rows({10_000 + n: str(chance.random()) * 500}), message=f"Commit {n}")
    target = tmp_path / "origin"
    command = [sys.executable, "-c", PUSHER, str(store.folder), str(target)]
    there = target / "datasets/d.lance/data"
    every = len([*store.objects.list("datasets/d.lance/data")])
    seen = 0
    for lines in (45, 60, 75, 90):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for _ in range(lines):
                if process.stdout.readline().startswith("done"):
                    break
            time.sleep(chance.random() * 0.005)
            process.send_signal(signal.SIGKILL)
        whole = len(list(there.glob("[!.]*")))
        assert whole >= seen
        seen = whole
        names = Datasets(Store.open(target), "x").names()
        if names:
            assert Datasets(Store.open(target), "x").open("d").head().id == d.head().id
    assert seen > 10
    assert seen <= every
    sent = push(store, Store.open(target), "d", "origin", ["main"], silent)
    assert sent.moved.files == every - seen or not sent.branches
    same(d, Datasets(Store.open(target), "x").open("d"), "main")
    check_whole(Store.open(target), "d")


def test_a_push_into_a_bucket_that_is_killed_is_done_as_a_whole_or_not_at_all(
    store: Store, told: Dataset, s3: S3Server, tmp_path: Path
):
    chance = random.Random(os.urandom(8))
    target = Store.create(s3.fresh(), local=tmp_path / "beside")
    push(store, target, "d", "origin", ["main"], silent)
    before = told.head().id
    for n in range(6):
        told.commit(rows({100 + n: str(n)}), message=f"Commit {n}")
    for lines in (9, 21):
        command = [sys.executable, "-c", PUSHER, str(store.folder), target.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            said = [process.stdout.readline() for _ in range(lines)]
            time.sleep(chance.random() * 0.02)
            process.send_signal(signal.SIGKILL)
            said += process.stdout.readlines()
        there = Datasets(target, "x").open("d").head()
        assert there.id == told.head().id or (there.id == before and "done\n" not in said)
    push(store, target, "d", "origin", ["main"], silent)
    same(told, Datasets(target, "x").open("d"), "main")
    check_whole(target, "d")


def test_two_who_push_at_once(store: Store, told: Dataset, origin: Store, other: Store):
    push(store, origin, "d", "origin", ["main"], silent)
    fetch(other, origin, "d", "origin", silent)
    told.commit(rows({100: "ada"}), message="Ada")
    Datasets(other, "grace").open("d").commit(rows({101: "grace"}), message="Grace")
    command = [sys.executable, "-c", PUSHER]
    both = [
        subprocess.Popen(
            [*command, str(side.folder), str(origin.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for side in (store, other)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert sum("push-rejected" in error or "not here" in error for _, error in said) == 1
    assert Datasets(origin, "x").open("d").head().message in {"Ada", "Grace"}
