"""Stored files with other bytes than were written are named, and never half believed."""

import json
from pathlib import Path

import pytest

from tidemill.core.errors import StorageError
from tidemill.core.names import Digest
from tidemill.data import Datasets
from tidemill.data.refs import refs_key
from tidemill.engine import artifacts
from tidemill.engine.orders import Ref
from tidemill.store.open import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


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
    datasets = Datasets(store, "ada")
    from tidemill.data import import_rows
    from tidemill.data.sources.frames import frame

    import_rows(datasets, "d", frame({"a": [1, 2]}))
    found = store.objects.get(refs_key("d"))
    assert found
    store.objects.put(refs_key("d"), change(found[0]))
    with pytest.raises(StorageError) as caught:
        Datasets(store, "ada").open("d").log()
    assert caught.value.code == "store-damaged"
    assert "'d'" in str(caught.value)
