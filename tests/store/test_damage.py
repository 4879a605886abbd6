"""Stored files with other bytes than were written are named, and never half believed."""

import json
from pathlib import Path

import pytest

from tidemill.core.errors import StorageError
from tidemill.core.names import Digest
from tidemill.data import Datasets, import_rows
from tidemill.data.refs import refs_key
from tidemill.data.sources.frames import frame
from tidemill.engine import artifacts
from tidemill.engine.orders import Ref
from tidemill.store.open import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def imported(store: Store) -> Datasets:
    import_rows(Datasets(store, "ada"), "d", frame({"a": [1, 2]}))
    return Datasets(store, "ada")


def refs_of(store: Store) -> bytes:
    found = store.objects.get(refs_key("d"))
    assert found
    return found[0]


def damage(store: Store, digest: Digest, data: bytes) -> None:
    path = store.blobs.path(digest)
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("data", [b"", b"[1, 2]", b"[1, 2, 3", b"\xff"])
def test_a_blob_that_is_read_is_what_was_stored(store: Store, data: bytes):
    digest = store.blobs.put(b"[1, 2, 3]")
    damage(store, digest, data)
    with pytest.raises(StorageError) as caught:
        store.blobs.get(digest)
    assert caught.value.code == "blob-damaged"
    assert digest in str(caught.value)


@pytest.mark.parametrize("kept", [0, 20, 140])
def test_an_array_that_was_cut_is_named_as_damaged(store: Store, kept: int):
    import numpy as np

    saved = artifacts.save(store.blobs, np.arange(100), "numbers")
    ref = Ref(saved.digest, saved.kind, saved.meta)
    assert artifacts.load(store.blobs, ref).sum() == 4950
    damage(store, Digest(saved.digest), store.blobs.path(Digest(saved.digest)).read_bytes()[:kept])
    with pytest.raises(StorageError) as caught:
        artifacts.load(store.blobs, ref)
    assert caught.value.code == "blob-damaged"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda _: b"[]",
        lambda _: b'{"layout": 2}',
        lambda data: data.replace(b'"version": ', b'"version": "x"+').replace(b"+", b""),
        lambda data: json.dumps(json.loads(data) | {"branches": [1]}).encode(),
        lambda _: b"\xff\xfe",
    ],
)
def test_refs_that_were_damaged_are_named(store: Store, change):
    datasets = imported(store)
    store.objects.put(refs_key("d"), change(refs_of(store)))
    with pytest.raises(StorageError) as caught:
        datasets.open("d").log()
    assert caught.value.code == "store-damaged"
    assert "'d'" in str(caught.value)


def test_refs_without_a_main_branch_are_damaged(store: Store):
    datasets = imported(store)
    body = json.loads(refs_of(store))
    body["branches"] = {"other": body["branches"]["main"]}
    store.objects.put(refs_key("d"), json.dumps(body).encode())
    with pytest.raises(StorageError) as caught:
        datasets.open("d").log()
    assert caught.value.code == "store-damaged"


@pytest.mark.parametrize("data", [None, b"", b"ARROW1\0\0", b"\xff" * 200])
def test_a_deletion_file_that_is_gone_or_damaged_is_named(store: Store, data: bytes | None):
    datasets = imported(store)
    import_rows(datasets, "d", frame({"a": [1, 3]}), sync=True)
    [file] = (store.objects.path("datasets/d.lance/_deletions") or Path()).iterdir()
    file.unlink()
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(StorageError):
        import_rows(Datasets(store, "ada"), "d", frame({"a": [1, 4]}), sync=True)


@pytest.mark.parametrize("kept", [0, 8, 12, 23, 24, 55])
def test_a_side_file_of_ids_that_was_cut_is_made_anew(store: Store, kept: int):
    imported(store)
    [file] = (store.objects.path("datasets/d.lance/_tidemill/rows") or Path()).iterdir()
    whole = file.read_bytes()
    assert len(whole) == 24 + 32
    file.write_bytes(whole[:kept])
    rows = import_rows(Datasets(store, "ada"), "d", frame({"a": [1, 4]}), sync=True).rows
    assert (rows.added, rows.removed) == (1, 1)
    assert file.read_bytes() == whole


def test_a_side_file_of_ids_with_other_bytes_is_made_anew(store: Store):
    """A turned bit in it would show another row, or none."""
    imported(store)
    [file] = (store.objects.path("datasets/d.lance/_tidemill/rows") or Path()).iterdir()
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        d = Datasets(store, "ada").open("d")
        assert d.snapshot().has(d.snapshot().ids()).all()
        assert file.read_bytes() == whole


def test_a_line_of_the_file_of_commits_with_other_bytes_is_not_believed(store: Store):
    imported(store)
    log = Datasets(store, "ada").open("d").log()
    file = store.objects.path("datasets/d.lance/_tidemill/commits") or Path()
    text = file.read_text()
    assert '"rows": 2' in text
    file.write_text(text.replace('"rows": 2', '"rows": 3'))
    assert Datasets(store, "ada").open("d").log() == log
