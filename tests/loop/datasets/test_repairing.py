"""What is damaged is named by ``doctor`` and by whoever reads it, and put back by ``repair``."""

from pathlib import Path

import pytest

from tests.data.at_rest import check_whole, flip, keys_of, older
from tests.loop.conftest import People
from tidemill.cli.render.data.sharing import repaired
from tidemill.core.errors import AlreadyExists, InvalidInput, NotAllowed, NotFound, StorageError
from tidemill.data import digest_of
from tidemill.loop import doctor as loop
from tidemill.loop import migrating
from tidemill.loop.datasets import sharing
from tidemill.loop.datasets.forgetting import delete
from tidemill.loop.datasets.importing import import_data
from tidemill.loop.datasets.reading import datasets, show_data
from tidemill.loop.unreadable import Unreadable
from tidemill.loop.workspace import Workspace
from tidemill.store.open import Store

pytestmark = pytest.mark.both_stores


@pytest.fixture
def ws(people: People, tmp_path: Path) -> Workspace:
    """A dataset of two commits, which a remote has too."""
    (tmp_path / "tidemill.toml").write_text('[remotes.origin]\nstore = "remote"\n')
    ws = people("ada")
    for text in ("k,v\n1,a\n2,b\n", "k,v\n3,c\n"):
        (tmp_path / "a.csv").write_text(text)
        import_data(ws, "d", tmp_path / "a.csv", key=["k"])
    sharing.push(ws, "d")
    return ws


def found(ws: Workspace, *, deep: bool = False) -> list[tuple[bool, str]]:
    return [(f.ok, f.message) for f in loop.doctor(ws.folder, deep=deep) if f.check == "dataset d"]


def test_doctor_names_dataset_commit_and_file_and_repair_puts_it_back(ws: Workspace):
    assert found(ws) == [(True, "commit 2, 3 rows")]
    key = keys_of(ws.store, "d", "data")[0]
    flip(ws.store, key)
    file = key.partition(".lance/")[2]
    [(fine, text)] = found(ws)
    assert not fine
    assert text.startswith(
        f"file {file} is not as it was written; commit {ws.datasets.open('d').head().id} needs it"
    )
    view = sharing.repair(ws, "d")
    assert [each.file for each in view.left] == [file]
    assert repaired(view).startswith("d: nothing was mended; 1 file is wrong still.\n  Still wrong: file")
    done = sharing.repair(ws, "d", "origin")
    assert repaired(done).startswith("d: mended; all of it is as it was written now.\n  Put back 1 file ")
    assert (done.files, done.left) == ([file], [])
    assert found(ws, deep=True) == [(True, "commit 2, 3 rows")]


def test_what_the_other_store_has_damaged_too_is_named_with_it_and_the_rest_is_mended(
    ws: Workspace, tmp_path: Path, people: People
):
    there = Store.open(tmp_path / "remote")
    one, other = (key.partition(".lance/")[2] for key in keys_of(ws.store, "d", "data"))
    flip(there, f"datasets/d.lance/{one}")
    # To see it, a push would have to read all that is there.
    assert sharing.push(ws, "d").mended == []
    ws.store.objects.delete([f"datasets/d.lance/{one}"])
    flip(ws.store, f"datasets/d.lance/{other}")
    view = sharing.repair(ws, "d", "origin")
    assert (view.files, [each.file for each in view.left]) == ([other], [one])
    assert (view.source, view.damaged_there, view.commits) == (str(tmp_path / "remote"), [one], [])
    assert f"Damaged in {tmp_path / 'remote'} too" in repaired(view)
    # Who has nothing of it is told where it is to be mended, and not to mend what is not here.
    delete(ws, "d", yes=True)
    for typed in (lambda: sharing.clone(ws, "origin", "d"), lambda: sharing.fetch(ws, "d")):
        with pytest.raises(StorageError) as caught:
            typed()
        assert f"The damage is in {tmp_path / 'remote'}." in (caught.value.why or "")
        assert f"'TIDEMILL_STORE={tmp_path / 'remote'} tidemill data repair d " in (caught.value.hint or "")
    assert not ws.datasets.exists("d")


def test_a_push_that_verifies_always_mends_what_is_damaged_there(
    ws: Workspace, tmp_path: Path, people: People
):
    there = Store.open(tmp_path / "remote")
    key = keys_of(there, "d", "data")[0]
    flip(there, key)
    assert sharing.push(ws, "d").mended == []
    file = tmp_path / "tidemill.toml"
    file.write_text(f'verify = "always"\n{file.read_text()}')
    assert sharing.push(people("ada"), "d").mended == [key.partition(".lance/")[2]]
    check_whole(there, "d")


def test_refs_that_are_damaged_hide_no_dataset(ws: Workspace):
    ws.store.objects.put("datasets/d.lance/_tidemill/refs.json", b"{")
    [(fine, text)] = found(ws)
    assert (fine, text) == (False, "The file of refs of dataset 'd' is damaged.")
    assert sharing.repair(ws, "d").refs
    assert found(ws) == [(True, "commit 2, 3 rows")]


def test_doctor_reads_the_log_what_is_derived_and_tokens_through(ws: Workspace):
    snapshot = ws.datasets.open("d").snapshot()
    digest = digest_of(snapshot)
    for sealed in snapshot.table.derived:
        for path in sealed.folder.glob("[!.]*"):
            data = path.read_bytes()
            path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    tokens = ws.store.environments_folder / "prod.tokens.json"
    tokens.parent.mkdir(parents=True, exist_ok=True)
    tokens.write_text("{")
    [(fine, text)] = found(ws, deep=True)
    assert fine
    assert "derived files were damaged, and are made anew" in text
    assert found(ws, deep=True) == [(True, "commit 2, 3 rows")]
    assert digest_of(ws.datasets.open("d").snapshot()) == digest
    assert [f.ok for f in loop.doctor(ws.folder) if f.check == "tokens of prod"] == [False]
    # The oldest entry: the newest took over its lines.
    key = keys_of(ws.store, "d", "_tidemill/log")[0]
    flip(ws.store, key)
    [(fine, text)] = found(ws, deep=True)
    assert (fine, key.rpartition("/")[2] in text) == (False, True)
    assert sharing.repair(ws, "d").left == []
    assert found(ws, deep=True) == [(True, "commit 2, 3 rows")]
    check_whole(ws.store, "d")


@pytest.mark.parametrize("is_lost", [False, True])
def test_repair_takes_an_address_as_clone_does(ws: Workspace, tmp_path: Path, people: People, is_lost: bool):
    (tmp_path / "tidemill.toml").write_text("")
    key = keys_of(ws.store, "d", "data")[0]
    flip(ws.store, key)
    if is_lost:
        ws.store.objects.delete(
            ["datasets/d.lance/_tidemill/refs.json", *keys_of(ws.store, "d", "_tidemill/log")]
        )
    ws = people("ada")
    assert sharing.repair(ws, "d", str(tmp_path / "remote")).left == []
    assert found(ws, deep=True) == [(True, "commit 2, 3 rows")]
    # Branches of the other store get its name: so it needs one.
    assert [*people("ada").settings.remotes] == ["origin"] * is_lost
    with pytest.raises(InvalidInput, match="own store"):
        sharing.repair(ws, "d", ws.store.address)
    with pytest.raises(NotFound, match="no store in"):
        sharing.repair(ws, "d", str(tmp_path))


@pytest.mark.parametrize("log", [True, False])
def test_a_dataset_that_lost_its_refs_is_damaged_and_not_begun_anew(ws: Workspace, tmp_path: Path, log: bool):
    before = [c.id for c in ws.datasets.open("d").log()]
    ws.store.objects.delete(["datasets/d.lance/_tidemill/refs.json"])
    if not log:
        ws.store.objects.delete(keys_of(ws.store, "d", "_tidemill/log"))
        flip(ws.store, keys_of(ws.store, "d", "data")[0])
    assert found(ws) == [(False, "The file of refs of dataset 'd' is damaged.")]
    import_data(ws, "e", tmp_path / "a.csv")
    [damaged, whole] = datasets(ws)
    assert isinstance(damaged, Unreadable)
    assert (damaged.name, whole.name, damaged.error["code"]) == ("d", "e", "store-damaged")
    assert "tidemill data repair d" in damaged.error["hint"]
    for use in (
        lambda: show_data(ws, "d"),
        lambda: import_data(ws, "d", tmp_path / "a.csv", key=["k"]),
        lambda: sharing.clone(ws, "origin", "d"),
        lambda: sharing.fetch(ws, "d"),
    ):
        with pytest.raises((StorageError, AlreadyExists)) as caught:
            use()
        if isinstance(caught.value, StorageError):
            assert "tidemill data repair d" in (caught.value.hint or "")
    if log:
        assert sharing.repair(ws, "d").refs
    else:
        with pytest.raises(StorageError, match="refs of dataset 'd'"):
            sharing.repair(ws, "d")
        with pytest.raises(NotAllowed, match="is damaged"):
            delete(ws, "d")
        assert sharing.repair(ws, "d", "origin").anew
    assert found(ws, deep=True) == [(True, "commit 2, 3 rows")]
    assert [c.id for c in ws.datasets.open("d").log()] == before
    check_whole(ws.store, "d")


def test_an_older_dataset_gets_digests_and_a_teams_when_its_store_is_migrated(ws: Workspace):
    older(ws.store, "d")
    if ws.store.objects.path("") is not None:
        assert found(ws) == [(True, "commit 2, 3 rows; its files have digests from now on")]
    else:
        assert found(ws) == [
            (True, "commit 2, 3 rows; its files have no digests yet: 'tidemill store migrate'")
        ]
        assert migrating.migrate(ws, really=False).datasets == ["d"]
        assert migrating.migrate(ws, really=True).done
        assert migrating.migrate(ws, really=False).datasets == []
    assert found(ws) == [(True, "commit 2, 3 rows")]
    check_whole(ws.store, "d")


def test_what_is_not_there(ws: Workspace):
    for repair in (lambda: sharing.repair(ws, "none"), lambda: sharing.repair(ws, "d", "nowhere")):
        with pytest.raises(NotFound):
            repair()
    with pytest.raises(NotFound, match="no remote 'orign'") as caught:
        sharing.repair(ws, "d", "orign")
    assert caught.value.hint == "Did you mean 'origin'?"
    (ws.folder / "remote").rename(ws.folder / "elsewhere")
    with pytest.raises(NotFound, match="no store in") as caught:
        sharing.repair(ws, "d", "origin")
    assert "'origin'" in (caught.value.hint or "")


@pytest.mark.folder_store
def test_a_blob_with_other_bytes_is_not_mapped(ws: Workspace):
    """As an array or a table is read: into memory, and not through."""
    blobs = ws.store.blobs
    digest = blobs.put(b"as it was written")
    path = blobs.path(digest)
    path.write_bytes(b"AS it was written")
    with pytest.raises(StorageError) as caught:
        blobs.path(digest)
    assert caught.value.code == "blob-damaged"
    assert blobs.damaged() == [digest]


def test_a_copy_of_a_blob_that_has_turned_is_fetched_again(ws: Workspace):
    blobs = ws.store.blobs
    digest = blobs.put(b"as it was written")
    blobs.path(digest).write_bytes(b"AS it was written")
    if ws.store.objects.path("") is None:
        assert blobs.path(digest).read_bytes() == b"as it was written"
        assert blobs.damaged() == []
