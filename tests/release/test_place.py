"""The place that serves: known by an id of its own, and another one where its folder was copied or moved."""

import dataclasses
import shutil
from pathlib import Path

import tidemill as tm
from tests.release.test_history import entry
from tidemill.loop import deploy, environments
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


def test_a_folder_that_was_copied_takes_over_what_it_carries_and_says_so_once(tmp_path: Path):
    project = tmp_path / "one"
    project.mkdir()
    (project / "tidemill.toml").write_text('author = "ada"')
    gone = dataclasses.replace(entry(1, 1), id="gone", environment="gone", status="live")
    with tm.open(project) as first:
        own, store = place.here(first._ws.store), first._ws.store
        made = dataclasses.replace(entry(1, 1), status="live", place=own.id, machine=own.machine)
        with store.catalog.write() as write:
            own_gone = dataclasses.replace(gone, place=own.id, machine=own.machine)
            write.add(made, own_gone, dataclasses.replace(entry(2, 2), status="failed", place=own.id))
        assert [e.note for e in first.environments()] == [None] * 4
    shutil.copytree(project, tmp_path / "two")
    with tm.open(tmp_path / "two") as second:
        there = place.here(second._ws.store).machine
        notes = [e.note for e in second.environments() if e.note]
        assert notes == [
            f"This store was copied or moved from {own.machine}. What it served (prod) is served from here now."
        ]
        assert [e.note for e in second.environments()] == [None] * 4
        failed, live = environments.deployments(second._ws, "prod")
        # Nothing that was recorded is another; the move is added, with who and from where.
        assert (failed.changes, failed.status) == ([], "failed")
        assert (live.status, live.machine, live.author) == ("live", own.machine, made.author)
        [moved] = live.changes
        assert (moved.author, moved.machine) == ("ada", there)
        [shown] = [e for e in second.environments() if e.environment == "prod"]
        assert (shown.machine, shown.elsewhere) == (there, False)
    # It says so in whatever is typed first.
    shutil.copytree(tmp_path / "two", tmp_path / "three")
    with tm.open(tmp_path / "three") as third:
        assert f"from {there}" in deploy.stop(third._ws, "prod").notes[0]
        assert deploy.stop(third._ws, "prod").notes == []
    with tm.open(project) as first:
        assert [e.note for e in first.environments()] == [None] * 4


def test_where_nothing_can_be_written_a_place_is_looked_at(store: Store):
    store.environments_folder.write_text("in the way")
    assert not place.here(store).serves(entry(1, 1))
