"""The place that serves: known by an id of its own, and another one where its folder was copied or moved."""

import dataclasses
import shutil
from pathlib import Path

from tests.release.test_history import entry
from tidemill.release import place
from tidemill.store.open import Store


def test_a_place_is_the_same_as_long_as_it_stays(store: Store):
    first = place.here(store)
    assert place.here(store) == first
    assert first.machine.endswith(f":{store.folder}")
    own = dataclasses.replace(entry(1, 1), place=first.id)
    assert first.serves(own)
    assert not first.serves(entry(1, 1))


def test_a_copied_store_is_another_place_and_carries_its_environments_along(store: Store, tmp_path: Path):
    first = place.here(store)
    own = dataclasses.replace(entry(1, 1), place=first.id)
    for number in range(2):
        shutil.copytree(store.folder, tmp_path / f"copy-{number}")
        copy = Store.open(tmp_path / f"copy-{number}")
        second = place.here(copy)
        assert second.id != first.id
        assert second.serves(own)
        assert place.here(copy) == second
        copy.close()
    assert place.here(store) == first


def test_where_nothing_can_be_written_a_place_is_looked_at(store: Store):
    store.environments_folder.write_text("in the way")
    assert not place.here(store).serves(entry(1, 1))
