"""Whatever is marked, removed, used again and taken back beside runs: what a record names is there."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machines.marks import Collecting
from tidemill.loop.workspace import Workspace, open_workspace
from tidemill.store.blobs import Blobs
from tidemill.store.catalog import records
from tidemill.store.marks import Marks

THOROUGH = os.environ.get("TIDEMILL_TEST_PROFILE") == "thorough"


def marking(folder: Path) -> Workspace:
    """A new project whose store, though in a folder, is collected as a shared one is."""
    folder.mkdir()
    workspace = open_workspace(folder, make=True)
    store = workspace.store
    store.blobs = Blobs(store.objects, store.folder, Marks(lambda: store.catalog))
    return workspace


def test_what_a_record_names_is_there_whoever_collects(tmp_path: Path):
    taken: Counter[str] = Counter()
    workspace = marking(tmp_path / "project")

    class Here(Collecting):
        def __init__(self) -> None:
            super().__init__(workspace, taken)
            with workspace.store.catalog.write() as write:
                for kind in (records.Step, records.Run, records.Artifact, records.Garbage):
                    write.remove(kind, {})
                write.forget([key for key, _ in write.cache_entries()])
            workspace.store.blobs.delete(*workspace.store.blobs.all())

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=500 if THOROUGH else 12,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
    workspace.close()
    assert min(taken[name] for name in ("stored", "hit", "marked", "removed beside a run", "undone")) > 0, (
        taken
    )


@pytest.mark.parametrize("another_begins", [False, True])
def test_a_run_whose_blob_goes_before_it_is_recorded_is_told_so(tmp_path: Path, *, another_begins: bool):
    taken: Counter[str] = Counter()
    workspace = marking(tmp_path / "project")
    work = Collecting(workspace, taken)
    work.everything_is_made_and_left()
    work.a_worker_stores(which=0, content=0)
    work.a_batch_of_what_was_marked_is_removed()
    if another_begins:
        work.a_run_begins()
    work.what_was_stored_is_recorded(which=0)
    work.what_a_record_names_is_there()
    assert taken["too late"] == 1
    work.teardown()
    workspace.close()
