"""What is stored is held against its digest before it is believed, and put back from where it still is."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.at_rest import check_whole, flip, keys_of, older
from tests.services.again import how_to_open
from tidemill.core.errors import StorageError
from tidemill.core.events import silent
from tidemill.core.names import Digest
from tidemill.data import Dataset, Datasets, begin_log, fetch, push, repair, wrong_files
from tidemill.data.file_log import FOLDER, FileLog, Known
from tidemill.data.refs import refs_key
from tidemill.data.replay import Replay
from tidemill.data.transfer import Copy
from tidemill.data.whole_files import WHOLE_BYTES
from tidemill.store.open import Store
from tidemill.store.seen import Seen, Verify, mark_of
from tidemill.store.table import Table

pytestmark = pytest.mark.both_stores

KINDS = ["data", "_deletions", "_versions", "_transactions"]


@pytest.fixture
def told(datasets: Datasets) -> Dataset:
    """Three commits on ``main``, the second with a deletion file, and one at the side."""
    datasets.create("d", rows({i: f"first {i}" for i in range(9)}), message="One", key=["k"])
    d = datasets.open("d")
    d.commit(rows({3: "changed"}), message="Two")
    d.branch("side")
    d.commit(rows({20: "new"}), branch="side", message="Aside")
    d.commit(rows({10: "new"}), message="Three")
    return d


@pytest.fixture
def origin(told: Dataset, store: Store, tmp_path: Path) -> Store:
    """Another store that has all of it."""
    other = Store.create(tmp_path / "origin")
    push(store, other, "d", "origin", ["main", "side"], silent)
    return other


def rows(content: dict[int, str]) -> Table:
    return Table.of({"k": list(content), "text": list(content.values())})


def everything(store: Store) -> dict[str, dict[str, list[Any]]]:
    """Of each commit of each branch, by id: its rows."""
    d = Datasets(store, "ada").open("d")
    return {
        c.id: d.snapshot(c.id).read().to_polars().to_dict(as_series=False)
        for b in d.branches()
        for c in d.log(b)
    }


def chosen(store: Store, kind: str, *, oldest: bool = False) -> str:
    """A file that the newest commit of ``main`` needs, or the oldest."""
    table = Copy.of(store, "d").table
    head = Datasets(store, "ada").open("d").log()[-1 if oldest else 0]
    needed = table.holds(head.version)
    return next(key for key in keys_of(store, "d", kind) if key in needed)


DAMAGE: dict[str, Callable[[Store, str], None]] = {
    "flipped": flip,
    "cut": lambda store, key: store.objects.put(key, (store.objects.get(key) or (b"", ""))[0][:-1]),
    "gone": lambda store, key: store.objects.delete([key]),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrong_is_named_and_put_back_from_another_store(
    store: Store, told: Dataset, origin: Store, kind: str, how: str
):
    before, log = everything(store), [c.id for c in told.log()]
    head, key = told.head(), chosen(store, kind)
    DAMAGE[how](store, key)
    [wrong] = wrong_files(store, "d", silent)
    assert (wrong.file, wrong.lost, wrong.commit) == (key.partition(".lance/")[2], how == "gone", head.id)
    if kind != "_transactions":
        with pytest.raises(StorageError, match="'d'") as caught:
            Datasets(store, "ada").open("d").snapshot(head.id).read()
        assert caught.value.code == "store-damaged"
        if how == "flipped":
            assert caught.value.details["file"] == wrong.file
            assert caught.value.details["commit"] == head.id
    done = repair(store, "d", origin, silent)
    assert (done.left, done.refs) == ((), False)
    assert bool(done.commits) == (kind == "_versions")
    assert everything(store) == before
    assert [c.id for c in Datasets(store, "ada").open("d").log()] == log
    check_whole(store, "d")
    again = repair(store, "d", origin, silent)
    assert (again.files, again.commits) == ((), ())
    Datasets(store, "ada").open("d").commit(rows({30: "goes on"}), message="Goes on")
    check_whole(store, "d")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_remote_lost_is_sent_again(store: Store, told: Dataset, origin: Store, kind: str):
    before = everything(origin)
    origin.objects.delete([chosen(origin, kind)])
    sent = push(store, origin, "d", "origin", ["main"], silent)
    assert sent.mended
    assert not sent.lost
    check_whole(origin, "d")
    assert everything(origin) == before
    assert not push(store, origin, "d", "origin", ["main"], silent).mended


def test_what_no_one_has_is_said(store: Store, told: Dataset, origin: Store):
    """Of a commit that was never pushed."""
    told.commit(rows({40: "mine"}), message="Mine")
    [key] = set(keys_of(store, "d", "data")) - set(keys_of(origin, "d", "data"))
    flip(store, key)
    [left] = repair(store, "d", origin, silent).left
    assert (left.file, left.commit) == (key.partition(".lance/")[2], told.head().id)
    # What does not need it can be read.
    assert told.snapshot("side").read().to_polars().height == 10


def test_a_damaged_version_that_no_ref_leads_to_is_let_go(store: Store, told: Dataset):
    """As a repair leaves one that is killed after its swap; gc could not look at it."""
    [key] = set(keys_of(store, "d", "_versions")) & {told._table.manifest(told.head("side").version)}
    told.delete_branch("side")
    flip(store, key)
    assert [w.commit for w in wrong_files(store, "d", silent)] == [None]
    assert repair(store, "d", None, silent).left == ()
    assert store.objects.look(key) is None
    check_whole(store, "d")


def test_what_a_killed_repair_made_and_no_ref_names_is_not_taken_for_the_commit(
    store: Store, told: Dataset, origin: Store
):
    before, first = everything(store), told.log()[-1]
    source, copy = Copy.of(origin, "d"), Copy.of(store, "d")
    [there] = [c for c in source.known().values() if c.id == first.id]
    Replay(source.table, copy.table, ()).make(there, [])
    flip(store, chosen(store, "_versions", oldest=True))
    assert first.id in repair(store, "d", origin, silent).commits
    for path in [store.folder / "datasets/d/commits", store.folder / "datasets/d.lance/_tidemill/commits"]:
        path.unlink(missing_ok=True)
    assert everything(store) == before
    check_whole(store, "d")


def test_a_damaged_file_does_not_travel(store: Store, told: Dataset, origin: Store, tmp_path: Path):
    key = chosen(origin, "data")
    flip(origin, key)
    other = Store.create(tmp_path / "other")
    with pytest.raises(StorageError) as caught:
        fetch(other, origin, "d", "origin", silent)
    assert caught.value.details["file"] == key.partition(".lance/")[2]
    assert not Datasets(other, "grace").exists("d")


def test_a_byte_of_a_large_file_is_seen_and_put_back(store: Store, datasets: Datasets, tmp_path: Path):
    """In a bucket it is sent in parts and read in ranges, and looked through only where somebody asks for that."""
    cells = np.random.default_rng(1).integers(0, 256, (1_200, 8_192), np.uint8)
    datasets.create("d", Table.of({"k": list(range(len(cells))), "x": cells}), message="One", key=["k"])
    origin = Store.create(tmp_path / "origin")
    push(store, origin, "d", "origin", ["main"], silent)
    [key] = keys_of(store, "d", "data")
    known = Copy.of(store, "d")
    known.refs()
    [digest] = [k.digest for f, k in known.table.files.log.files().items() if f.startswith("data/")]

    def read(verify: Verify) -> Table:
        again = Store.open(store.address, local=store.folder, verify=verify)
        try:
            return Datasets(again, "ada").open("d").snapshot().read()
        finally:
            again.close()

    flip(store, key)
    entry = store.objects.look(key)
    assert entry
    assert entry.size_bytes > WHOLE_BYTES
    file = key.partition(".lance/")[2]
    with pytest.raises(StorageError, match=file):
        read("first")
    # As if it had turned under a mark that this machine has seen.
    path = store.objects.path(key)
    store.seen.remember(key, digest, mark_of(path) if path else entry.etag or "")
    store.seen.keep()
    assert wrong_files(store, "d", silent) == []
    assert read("first").numpy("x").shape == cells.shape
    assert [w.file for w in wrong_files(store, "d", silent, deep=True)] == [file]
    for look in (
        lambda: read("always"),
        lambda: fetch(Store.create(tmp_path / "clone"), store, "d", "origin", silent),
    ):
        with pytest.raises(StorageError) as caught:
            look()
        assert caught.value.details["file"] == file
    assert repair(store, "d", origin, silent).left == ()
    assert (read("always").numpy("x") == cells).all()
    check_whole(store, "d")


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", None])
def test_refs_that_were_damaged_come_back_from_the_log(store: Store, told: Dataset, data: bytes | None):
    before = everything(store)
    key = refs_key("d")
    if data is None:
        flip(store, key)
    else:
        store.objects.put(key, data)
    with pytest.raises(StorageError, match="refs of dataset 'd'") as caught:
        told.log()
    assert "data repair d" in (caught.value.hint or "")
    assert repair(store, "d", None, silent).refs
    assert everything(store) == before
    told.commit(rows({50: "goes on"}), message="Goes on")
    check_whole(store, "d")


def test_each_bit_of_the_refs_is_covered(store: Store, told: Dataset):
    found = store.objects.get(refs_key("d"))
    assert found
    for at in range(0, len(found[0]), 1 if store.objects.path("") else 97):
        changed = found[0][:at] + bytes([found[0][at] ^ 1]) + found[0][at + 1 :]
        store.objects.put(refs_key("d"), changed)
        with pytest.raises(StorageError) as caught:
            told._history.refs()
        assert caught.value.code == "store-damaged", at


def test_a_damaged_log_is_named(store: Store, told: Dataset):
    for key in keys_of(store, "d", FOLDER):
        flip(store, key)
    for path in store.folder.glob("datasets/d/log/*"):
        path.unlink()
    with pytest.raises(StorageError, match="log entry") as caught:
        Datasets(store, "ada").open("d").snapshot().read()
    assert "tidemill data repair d'" in (caught.value.hint or "")
    assert repair(store, "d", None, silent).log
    check_whole(store, "d")
    told.commit(rows({50: "goes on"}), message="Goes on")
    # Only its newest entry: what it had is taken from the files, the rest is known still.
    key = f"datasets/d.lance/{FOLDER}/{told._history.refs().log}"
    flip(store, key)
    (store.folder / "datasets/d/log" / key.rpartition("/")[2]).unlink(missing_ok=True)
    flip(store, chosen(store, "data", oldest=True))
    done = repair(store, "d", None, silent)
    assert done.log
    assert len(done.left) == 1


def test_what_is_looked_at_once_is_looked_at_again_only_when_it_changed(
    store: Store, told: Dataset, tmp_path: Path
):
    path = tmp_path / "file"
    path.write_bytes(b"as written")
    digest, seen = Digest("sha256:" + "0" * 64), Seen(tmp_path / "memory")
    assert not seen.is_whole("k", path, digest)
    seen.remember("k", digest, mark_of(path))
    seen.close()
    # Bits that turned under a file that nobody wrote to: found by `always`, and by who asks for it.
    assert Seen(tmp_path / "memory").is_whole("k", path, digest)
    assert not Seen(tmp_path / "memory").is_whole("k", path, digest, again=True)
    assert not Seen(tmp_path / "memory", "always").is_whole("k", path, digest)
    about = path.stat()
    path.write_bytes(b"AS written")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert not Seen(tmp_path / "memory").is_whole("k", path, digest)
    assert Seen(tmp_path / "memory", "never").is_whole("k", path, digest)


@pytest.mark.folder_store
def test_a_memory_that_was_damaged_is_begun_anew(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    digest = Digest("sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881")
    (tmp_path / "seen.db").write_bytes(b"no database, and long enough to be taken for one" * 40)
    seen = Seen(tmp_path)
    assert seen.is_whole("k", path, digest)
    seen.close()
    assert Seen(tmp_path).is_whole("k", path, digest)


@pytest.mark.folder_store
def test_the_log_is_short_and_has_all():
    log, written = FileLog([]), dict[str, Known]()
    for number in range(1, 301):
        own = {f"data/{number}.lance": Known(Digest("sha256:" + f"{number:064x}"), number, None)}
        written |= own
        log = log.with_entry({"n": number}, own)
        assert len(log.entries) <= number.bit_length()
        assert log.find(["data/1.lance", f"data/{number}.lance", "data/none"]) == {
            key: written[key] for key in ("data/1.lance", f"data/{number}.lance")
        }
    assert log.files() == written
    less = log.only({}, ["data/7.lance"]).with_entry({}, {})
    assert less.files() == {"data/7.lance": written["data/7.lance"]}
    assert less.entries[0].number == 302


def test_what_is_swept_has_no_digest_any_more(store: Store, told: Dataset):
    from tidemill.data import collect

    told.delete_branch("side")
    gone = collect(store, "d", (), dry_run=False, sink=silent).removed
    known = Copy.of(store, "d")
    known.refs()
    assert not {k.removeprefix("datasets/d.lance/") for k in gone} & known.table.files.log.files().keys()
    check_whole(store, "d")


def test_an_older_dataset_gets_digests(store: Store, told: Dataset):
    older(store, "d")
    old = Datasets(store, "ada").open("d")
    assert wrong_files(store, "d", silent, deep=True) == []
    old.commit(rows({60: "goes on"}), message="Goes on")
    # Of a team's store somebody has to say so: an older Tidemill could not read it any more.
    shared = store.objects.path("") is None
    assert (old._history.refs().log is None) == shared
    assert begin_log(store, "d") == shared
    check_whole(store, "d")
    assert not begin_log(store, "d")


WORKER = """
import sys
from pathlib import Path
from typing import Any
from tests.services.again import opened_again
from tidemill.data import begin_log, repair
from tidemill.store.open import Store
store = opened_again(sys.argv[1])
print("ready", flush=True)
if sys.argv[2] == "begin":
    begin_log(store, "d")
else:
    repair(store, "d", Store.open(Path(sys.argv[2])), lambda event: print(event, flush=True))
print("done", flush=True)
"""


def killed(store: Store, what: str, lines: int, pause: float) -> None:
    """Begin something in another process, and kill it after so many lines and seconds."""
    command = [sys.executable, "-c", WORKER, how_to_open(store), what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(("kind", "is_older"), [*((kind, True) for kind in KINDS), ("_versions", False)])
def test_what_an_older_dataset_lost_comes_from_another_store(
    store: Store, told: Dataset, origin: Store, kind: str, is_older: bool
):
    """Its files have no digests: what they were, the other store knows."""
    before = everything(store)
    if is_older:
        older(store, "d")
    DAMAGE["gone" if kind == "_transactions" else "cut"](store, chosen(store, kind))
    DAMAGE["gone"](store, chosen(store, "_versions", oldest=True))
    flip(store, keys_of(store, "d", "data")[0])
    if kind == "_transactions":
        with pytest.raises(StorageError):
            repair(store, "d", None, silent)
    done = repair(store, "d", origin, silent)
    assert (done.left, bool(done.commits)) == ((), True)
    assert everything(store) == before
    check_whole(store, "d")
    assert repair(store, "d", origin, silent).files == ()


@pytest.mark.slow
@pytest.mark.parametrize("has_log", [True, False])
def test_a_repair_that_is_killed_at_any_moment_is_ended_by_the_next(
    store: Store, told: Dataset, origin: Store, has_log: bool
):
    before, chance = everything(store), random.Random(os.urandom(8))
    if not has_log:
        older(store, "d")
    for key in keys_of(store, "d", "data")[:2]:
        store.objects.delete([key])
    for key in (chosen(store, "_versions", oldest=True), chosen(store, "_deletions")):
        flip(store, key)
    for lines in (1, 2, 8, 12):
        killed(store, str(origin.folder), lines, chance.random() * 0.05)
    assert repair(store, "d", origin, silent).left == ()
    assert everything(store) == before
    check_whole(store, "d")


@pytest.mark.slow
def test_a_migration_that_is_killed_at_any_moment_is_ended_by_the_next(store: Store, told: Dataset):
    before, chance = everything(store), random.Random(os.urandom(8))
    older(store, "d")
    for _ in range(3):
        killed(store, "begin", 1, chance.random() * 0.1)
        assert everything(store) == before
    begin_log(store, "d")
    assert everything(store) == before
    check_whole(store, "d")
