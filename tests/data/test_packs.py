"""Manifests of old versions in packs: what a commit is stays, whoever reads meanwhile, dies or damages a byte."""

import base64
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.data.at_rest import check_whole, flip, keys_of
from tests.services.again import how_to_open
from tidemill.core.errors import StorageError
from tidemill.core.events import silent
from tidemill.data import (
    Dataset,
    Datasets,
    Snapshot,
    Swept,
    Tombstone,
    collect,
    digest_again,
    digest_of,
    fetch,
    file_log,
    find,
    forget,
    let_pack,
    may_pack,
    packing,
    packs,
    push,
    refs,
    repair,
    wrong_files,
)
from tidemill.data.packs import FOLDER, Damaged, Pack, Packed, written
from tidemill.data.transfer import Copy
from tidemill.store.open import Store
from tidemill.store.table import Table

pytestmark = pytest.mark.both_stores


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_FEW", 2)
    monkeypatch.setattr(packing, "_FULL", 6)
    monkeypatch.setattr(packs, "_BLOCK_VERSIONS", 2)


def rows(content: dict[int, str]) -> Table:
    return Table.of({"k": list(content), "text": list(content.values())})


@pytest.fixture
def long(datasets: Datasets) -> Dataset:
    """Nine commits on ``main``, some with a deletion file; a branch aside of the fourth, with a commit."""
    datasets.create("d", rows({0: "first", 1: "second"}), message="Row 0", key=["k"])
    d = datasets.open("d")
    for n in range(2, 10):
        d.commit(rows({n: f"row {n}", 0: f"first {n // 3}"}), message=f"Row {n}")
    d.branch("side", "4")
    d.commit(rows({50: "aside"}), branch="side", message="Aside")
    return d


def everything(store: Store) -> dict[str, tuple[dict[str, list[Any]], str]]:
    """Of each commit of each branch, by id: its rows, and their digest."""
    d = Datasets(store, "ada").open("d")
    return {c.id: told(d.snapshot(c.id)) for b in d.branches() for c in d.log(b)}


def told(snapshot: Snapshot) -> tuple[dict[str, list[Any]], str]:
    return snapshot.read().to_polars().to_dict(as_series=False), digest_again(snapshot)


def gc(store: Store) -> Swept:
    return collect(store, "d", (), dry_run=False, sink=silent, now=True)


def in_place(store: Store) -> int:
    """How many commits have their manifest in its place."""
    copy = Copy.of(store, "d")
    kept = copy.history.reachable(copy.refs())
    return len({copy.table.manifest(v) for v in kept} & set(keys_of(store, "d", "_versions")))


def sizes(store: Store) -> list[int]:
    """How many versions each pack has."""
    copy = Copy.of(store, "d")
    copy.refs()
    return sorted(len(pack.versions) for pack in copy.table.packs.packs)


def test_what_a_commit_is_stays_and_history_goes_on(store: Store, long: Dataset):
    before, log = everything(store), long.log()
    diff = long.diff("2", "9").counts
    would = collect(store, "d", (), dry_run=True, sink=silent, now=True)
    done = gc(store)
    assert (done.packed, done.size_bytes) == (would.packed, would.size_bytes)
    # Not what a branch names, nor what Lance counts on from.
    assert done.packed == len(before) - 2
    assert in_place(store) == 2
    assert sizes(store) == [2, 6]
    assert not gc(store).packed
    assert everything(store) == before
    assert Datasets(store, "ada").open("d").log() == log
    assert long.diff("2", "9").counts == diff
    check_whole(store, "d")
    # Of what is packed a branch is made, and a commit on it.
    long.branch("old", log[-2].id)
    long.commit(rows({70: "on an old one"}), branch="old", message="Old")
    assert long.snapshot("old").read().to_polars()["k"].to_list()[-1] == 70
    assert long.merge("old").changes.added == 1
    before = everything(store)
    for n in range(10, 14):
        long.commit(rows({n: f"row {n}"}), message=f"Row {n}")
    assert gc(store).packed
    assert before.items() <= everything(store).items()
    check_whole(store, "d")
    # A pack that is full is not written again, and there is one that is not.
    assert sizes(store)[1:] == [6, 6]


def test_who_opened_it_before_reads_on(store: Store, long: Dataset):
    before, ids = everything(store), [c.id for c in long.log()]
    opened = [Datasets(store, "eve").open("d") for _ in range(3)]
    resolved = [d.snapshot(ids[-3]) for d in opened]
    gc(store)
    assert told(resolved[0]) == before[ids[-3]]
    for n in range(10, 13):
        long.commit(rows({n: f"row {n}"}), message=f"Row {n}")
    # The last pack is another one then.
    gc(store)
    assert told(resolved[1]) == before[ids[-3]]
    assert told(opened[2].snapshot(ids[2])) == before[ids[2]]
    assert opened[2].log(ids[0]) == Datasets(store, "eve").open("d").log(ids[0])


def test_a_shared_store_waits_with_what_somebody_may_still_read(store: Store, long: Dataset):
    before, there = everything(store), in_place(store)
    shared = store.objects.path("") is None
    assert collect(store, "d", (), dry_run=False, sink=silent).packed
    assert in_place(store) == (there if shared else 2)
    assert everything(store) == before
    check_whole(store, "d")
    gc(store)
    assert in_place(store) == 2
    assert everything(store) == before


def test_a_shared_dataset_that_an_older_tidemill_may_read_is_not_packed(store: Store, long: Dataset):
    copy = Copy.of(store, "d")
    assert copy.history.change(lambda now: replace(now, packs=None)) is None
    assert may_pack(store, "d") == (store.objects.path("") is not None)
    assert bool(gc(store).packed) == may_pack(store, "d")
    let_pack(store, "d")
    assert may_pack(store, "d")
    gc(store)
    assert in_place(store) == 2


def test_an_older_tidemill_refuses_it(store: Store, long: Dataset, monkeypatch: pytest.MonkeyPatch):
    gc(store)
    monkeypatch.setattr(refs, "LAYOUT", 3)
    with pytest.raises(StorageError) as caught:
        long.log()
    assert caught.value.code == "store-too-new"
    # Also where the refs are to be made again from the log: without the packs they would lose old commits.
    monkeypatch.setattr(file_log, "LAYOUT", 1)
    store.objects.put(refs.refs_key("d"), b"{}")
    with pytest.raises(StorageError) as caught:
        repair(store, "d", None, silent)
    assert caught.value.code == "store-too-new"


def test_it_travels_and_is_packed_there(store: Store, long: Dataset, tmp_path: Path):
    before = everything(store)
    gc(store)
    other = Store.create(tmp_path / "other")
    assert push(store, other, "d", "other", ["main", "side"], silent).moved.commits == len(before)
    assert everything(other) == before
    gc(other)
    assert everything(other) == before
    again = Store.create(tmp_path / "again")
    fetch(again, other, "d", "other", silent)
    assert everything(again) == before
    long.commit(rows({60: "new"}), message="New")
    assert push(store, other, "d", "other", ["main"], silent).moved.commits == 1
    check_whole(other, "d")


DAMAGE: dict[str, Callable[[Store, str], None]] = {
    "a block": lambda store, key: turned(store, key, 100),
    "the index": lambda store, key: turned(store, key, -30),
    "gone": lambda store, key: store.objects.delete([key]),
}


def turned(store: Store, key: str, at: int) -> None:
    found = bytearray((store.objects.get(key) or (b"", ""))[0])
    found[at] ^= 1
    store.objects.put(key, bytes(found))


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_pack_is_named_and_mended(store: Store, long: Dataset, tmp_path: Path, how: str):
    origin = Store.create(tmp_path / "origin")
    push(store, origin, "d", "origin", ["main", "side"], silent)
    before, log = everything(store), [c.id for c in long.log()]
    gc(store)
    copy = Copy.of(store, "d")
    copy.refs()
    first = copy.table.packs.names[0]  # pyright: ignore[reportOptionalSubscript]
    key = f"datasets/d.lance/{FOLDER}/{first}"
    DAMAGE[how](store, key)
    for kept in store.folder.glob(f"**/packs/{first}"):
        if store.objects.path("") is None:
            kept.unlink()
    [wrong] = wrong_files(store, "d", silent)
    assert (wrong.file, wrong.lost) == (key.partition(".lance/")[2], how == "gone")
    assert wrong.commit in log
    assert wrong.commits >= 2
    d = Datasets(store, "ada").open("d")
    with pytest.raises(StorageError, match="'d'") as caught:
        d.snapshot(log[-1]).read()
    assert caught.value.code == "store-damaged"
    assert (caught.value.details["file"], caught.value.details["commit"]) == (wrong.file, log[-1])
    # What does not need these bytes can be read, whatever lies beside them.
    readable = [log[0], d.head("side").id, *([log[-4]] if how == "a block" else [])]
    assert {at: told(d.snapshot(at)) for at in readable} == {at: before[at] for at in readable}
    [left] = repair(store, "d", None, silent).left
    assert left.file == wrong.file
    done = repair(store, "d", origin, silent)
    assert done.left == ()
    assert set(done.commits) <= set(before)
    assert everything(store) == before
    check_whole(store, "d")
    assert repair(store, "d", origin, silent).commits == ()
    d.commit(rows({80: "goes on"}), message="Goes on")
    gc(store)
    assert before.items() <= everything(store).items()
    check_whole(store, "d")


def test_what_is_not_as_it_was_written_is_not_packed(store: Store, long: Dataset):
    key = Copy.of(store, "d").table.manifest(long.log()[-2].version)
    flip(store, key)
    with pytest.raises(StorageError) as caught:
        gc(store)
    assert caught.value.details["file"] == key.partition(".lance/")[2]
    assert not keys_of(store, "d", FOLDER)


def test_the_number_of_a_packed_version_is_not_given_again(store: Store, long: Dataset, tmp_path: Path):
    origin = Store.create(tmp_path / "origin")
    push(store, origin, "d", "origin", ["main", "side"], silent)
    before = everything(store)
    gc(store)
    store.objects.delete(keys_of(store, "d", "_versions"))
    repair(store, "d", origin, silent)
    assert everything(store) == before
    long.commit(rows({80: "goes on"}), message="Goes on")
    assert before.items() <= everything(store).items()
    check_whole(store, "d")


def test_forgotten_rows_versions_leave_the_packs(store: Store, long: Dataset):
    gc(store)
    condition = "k = 5"
    found = find(store, "d", condition, ())
    assert len(found.ids) == 1
    old = {c.version for c in long.log()[:4]}
    forget(store, "d", Tombstone(found.ids, "ada", "2026-01-01T00:00:00Z", "asked"), (), silent)
    copy = Copy.of(store, "d")
    copy.refs()
    left = copy.table.packs.versions()
    assert left
    assert not left & old
    data = {k.rpartition("/")[2] for k in keys_of(store, "d", "data")}
    named = {f for v in left for f in copy.table.packed(v).files}  # pyright: ignore[reportOptionalMemberAccess]
    assert {f.rpartition("/")[2] for f in named if f.startswith("data/")} <= data
    gc(store)
    assert all(5 not in rows["k"] for rows, _ in everything(store).values())
    check_whole(store, "d")


KILLED = """
import os, signal, sys
from tests.services.again import opened_again
from tidemill.core.events import silent
from tidemill.data import collect, packing, packs

packing._FEW, packing._FULL, packs._BLOCK_VERSIONS = 2, 6, 2
store, left = opened_again(sys.argv[1]), int(sys.argv[2])
kind = type(store.objects)

def counted(name):
    do = getattr(kind, name)
    def then_killed(self, *args):
        global left
        if name == "delete":
            for key in args[0]:
                once(lambda key=key: do(self, [key]))
            return None
        return once(lambda: do(self, *args))
    setattr(kind, name, then_killed)

def once(do):
    global left
    made = do()
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return made

for name in ("put", "put_if", "delete"):
    counted(name)
collect(store, "d", (), dry_run=False, sink=silent, now=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_has_lost_nothing(store: Store, long: Dataset):
    before = everything(store)
    trees = {c.id: digest_of(long.snapshot(c.id)) for c in long.log()}
    moment = 0
    for moment in itertools.count(1):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, how_to_open(store), str(moment)],
            check=False,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        if killed.returncode == 0:
            break
        assert killed.returncode == -signal.SIGKILL
        assert everything(store) == before
        check_whole(store, "d")
    # As each packs on, it took several, from the first pack to what goes last.
    assert moment > 6
    gc(store)
    d = Datasets(store, "ada").open("d")
    assert {c.id: digest_of(d.snapshot(c.id)) for c in d.log()} == trees
    assert everything(store) == before
    assert in_place(store) == 2
    check_whole(store, "d")


@pytest.mark.folder_store
def test_a_folder_s_old_commits_are_packed_as_it_grows(
    store: Store, datasets: Datasets, monkeypatch: pytest.MonkeyPatch
):
    """So that the next commit does not cost more, be there a collection or not."""
    monkeypatch.setattr(packing, "_DUE", 4)
    datasets.create("d", rows({0: "first"}), message="Row 0", key=["k"])
    d, opened = datasets.open("d"), datasets.open("d")
    d.branch("side")
    known = {d.head().id: told(d.snapshot())}
    for n in range(1, 20):
        made, _ = d.commit(rows({n: f"row {n}", 0: f"first {n}"}), message=f"Row {n}")
        known[made.id] = told(d.snapshot())
        # Each time one stays that lies among much else in the log.
        assert in_place(store) <= 6 + n // 4
    assert sizes(store)[1:] == [6, 6]
    assert everything(store) == known
    assert {c.id: told(opened.snapshot(c.id)) for c in opened.log()} == known
    check_whole(store, "d")
    # What no branch leads to is left to a collection, which knows who else names it; nothing else is.
    gc(store)
    assert in_place(store) == 2
    assert everything(store) == known
    # After much at once that is left to a collection too.
    monkeypatch.setattr(packing, "_MOST", 1)
    for n in range(20, 30):
        d.commit(rows({n: f"row {n}"}), message=f"Row {n}")
    assert in_place(store) > 10


LAYOUT_1 = (
    "3-7-976d5babff943030c20445d8d778e5d870fd824327be94adb7052f8dab91e14b.pack",
    (
        "KLUv/SCxNQMAkoUTGYApeYxWccTr/uEpRp4BbO01BHsH0ggDLARn1OeAMLyJQ1X1Z3eKVHpLkO1VjlTnpQMLIEEOK0wb9vAuunCqN572JMJT"
        "MU/GqQQDKkMMCACtorxgDEAOPiYFFyhmLQ36rAoKKLUv/SBanQIAEgUSGICpbWxqHfHuBN4iywNzU3zCICabLBZxQ1eNDojDmzhUFcv0V8j2"
        "mmPZOXUgAQpBrDhtWMS76MLL3njeswhPc56MlwkGZYcYAgAtAvoECgrMAAAAAAAAACi1L/0gzK0EAFIMIxiQJXVoLWjt1IhEmd3qDthawq0s"
        "ILexMzkFSonVfp3VbOtkhLexXgd56/IvP7x80H7+d1tqCuvhhltyemnc7cXhQIcEqU3pUInkP8/6SyohxDjTPqoH/TiHffSS42ObIUSK8bK8"
        "nBnWQw1BatAQh7t5mJmH41CVQ00p3SAABl4gtDjMG0SAQGFgEQRBAQA4loUopgAAAAAAAAB0bS1wYWNrcw=="
    ),
)


@pytest.mark.folder_store
def test_a_pack_of_layout_1_is_read():
    name, text = LAYOUT_1
    assert list(Pack(name, reader(base64.b64decode(text))).every()) == [
        Packed(
            n,
            f'{{"id": "{n}"}}',
            frozenset({f"data/{n}", f"data/{n - 1}"}),
            f"_transactions/{n - 1}-x.txn",
            b"manifest %d" % n,
        )
        for n in (3, 4, 7)
    ]


@pytest.mark.folder_store
def test_each_byte_of_a_pack_is_covered():
    versions = [
        Packed(n, f'{{"id": "{n}"}}', frozenset({f"data/{n}", f"data/{n - 1}"}), None, b"manifest %d" % n)
        for n in range(3, 20, 2)
    ]
    name, data = written(versions)
    pack = Pack(name, reader(data))
    assert list(pack.every()) == versions
    assert pack.versions == {each.version for each in versions}
    assert (pack.get(7), pack.get(8)) == (versions[2], None)
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(Damaged):
            list(Pack(name, reader(changed)).every())
    for short in (b"", data[:-1], data[:40]):
        with pytest.raises(Damaged):
            list(Pack(name, reader(short)).every())


def reader(data: bytes) -> Callable[[int, int], bytes]:
    def read(start: int, size: int) -> bytes:
        start = start if start >= 0 else max(len(data) + start, 0)
        return data[start : start + size]

    return read
