"""A store laid over another reads there what it lacks, and writes nothing there."""

from pathlib import Path

import pytest

from tidemill.core.errors import NotFound, StorageError
from tidemill.core.identity import blob as digest_of
from tidemill.store import overlay
from tidemill.store.blobs import Blobs
from tidemill.store.open import Store


def over(below: Store, folder: Path) -> Store:
    made = Store.create(folder)
    overlay.lay(made.objects, below.blobs.place.address, below.blobs.place.local)
    return made


def test_what_is_below_is_read_and_what_is_new_stays_above(tmp_path: Path):
    below = Store.create(tmp_path / "below")
    there = below.blobs.put(b"there already")
    blobs = over(below, tmp_path / "above").blobs
    assert (blobs.get(there), blobs.size_bytes(there)) == (b"there already", 13)
    assert blobs.exists(there)
    assert blobs.verify(there)
    assert blobs.put(b"there already") == there
    new = blobs.put(b"new")
    assert blobs.all() == {new: 3}
    assert below.blobs.all() == {there: 13}
    blobs.delete(there)
    assert below.blobs.exists(there)
    with pytest.raises(NotFound) as caught:
        blobs.get(digest_of(b"nowhere"))
    assert caught.value.code == "blob-not-found"
    with pytest.raises(NotFound):
        blobs.size_bytes(digest_of(b"nowhere"))


def test_another_process_is_told_by_the_store_alone(tmp_path: Path):
    below = Store.create(tmp_path / "below")
    there = below.blobs.put(b"there already")
    place = over(below, tmp_path / "above").blobs.place
    assert Blobs.at(place).get(there) == b"there already"


def test_one_that_a_newer_tidemill_laid_is_refused(tmp_path: Path):
    store = Store.create(tmp_path / "above")
    store.objects.put(overlay.FILE, b'{"layout": 99, "address": "x", "local": "y"}')
    with pytest.raises(StorageError) as caught:
        _ = store.blobs
    assert caught.value.code == "store-too-new"
