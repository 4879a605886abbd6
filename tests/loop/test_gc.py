"""Collecting garbage: how much goes at once, and what of a shared store waits for a day."""

import contextlib
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import tidemill as tm
from tests.services.postgres import Postgres
from tests.services.s3 import S3Server
from tidemill.cli.render import project as project_page
from tidemill.core.errors import NotAllowed, NotFound, StorageError
from tidemill.core.names import Digest
from tidemill.data import packing, sweeping
from tidemill.loop import doctor, gc, old_versions
from tidemill.loop.datasets import forgetting
from tidemill.loop.views import Freed
from tidemill.loop.workspace import Workspace, open_workspace
from tidemill.pipeline import load
from tidemill.serve import log_layout
from tidemill.store.catalog import records
from tidemill.store.table import Table

PIPELINE = """
import numpy as np
import tidemill as tm

@tm.step
def squares(n: int) -> np.ndarray:
    return np.arange(n) ** 2

@tm.step
def total(numbers: np.ndarray) -> int:
    return int(numbers.sum())

@tm.pipeline
def squared(n: int = 2000) -> int:
    return total(squares(n))
"""


READS = """
import tidemill as tm

@tm.step
def count(rows: tm.Table) -> int:
    return len(rows)

@tm.pipeline
def counted(at: tm.Dataset = tm.dataset("d")) -> int:
    return count(at)
"""


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    with tm.open(tmp_path) as opened:
        assert opened.run(tmp_path / "pipeline.py").status == "succeeded"
        yield opened
    load.leave()


@pytest.fixture
def ws(project: tm.Project) -> Workspace:
    return project._ws


def blobs(freed: Freed) -> int:
    return next(kind.count for kind in freed.kinds if kind.kind == "blobs")


def versions(freed: Freed) -> int:
    return next(kind.count for kind in freed.kinds if kind.kind == "dataset versions")


def there(ws: Workspace, commit: str) -> bool:
    try:
        ws.datasets.open("d").snapshot(commit).read()
    except (NotFound, StorageError):
        return False
    return True


def lose(ws: Workspace, *kinds: type[object]) -> None:
    """What an old copy of the catalog is without."""
    with ws.store.catalog.write() as write:
        for kind in kinds:
            write.remove(kind, {})
        write.forget([key for key, _ in write.cache_entries()])


def made_long_ago(ws: Workspace) -> None:
    with ws.store.catalog.write() as write:
        for mark in write.find(records.Garbage):
            write.change(records.Garbage, {"digest": mark.digest}, marked_at="2026-01-01T00:00:00.000000Z")


@pytest.mark.both_stores
@pytest.mark.parametrize(
    "lost",
    [
        (records.Step, records.Run, records.Artifact),
        (records.Step, records.Run),
    ],
    ids=["nothing is known of them", "nothing needs them"],
)
def test_what_would_take_most_of_what_runs_made_is_refused(ws: Workspace, lost: tuple[type[object], ...]):
    there = ws.store.blobs.all()
    assert len(there) > 2
    lose(ws, *lost)
    with pytest.raises(NotAllowed) as refused:
        gc.gc(ws, now=True)
    assert refused.value.code == "gc-removes-most"
    assert "--all" in (refused.value.hint or "")
    assert ws.store.blobs.all() == there
    assert blobs(gc.gc(ws, dry_run=True, now=True)) == len(there)
    assert blobs(gc.gc(ws, now=True, everything=True)) == len(there)
    assert ws.store.blobs.all() == {}


def test_a_store_in_a_folder_loses_garbage_at_once(ws: Workspace):
    orphan = ws.store.blobs.put(b"nobody needs this")
    freed = gc.gc(ws)
    assert (blobs(freed), freed.marked) == (1, None)
    assert not ws.store.blobs.exists(orphan)


@pytest.fixture
def shared(request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """A project on S3 and PostgreSQL."""
    monkeypatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setenv("TIDEMILL_STORE", request.getfixturevalue("s3").fresh())
    monkeypatch.setenv("TIDEMILL_CATALOG", request.getfixturevalue("postgres").catalog())
    return request.getfixturevalue("ws")


def is_there(ws: Workspace, digest: Digest) -> bool:
    return digest in ws.store.blobs.all()


def test_a_shared_store_loses_garbage_after_a_day_and_not_what_was_taken_back(shared: Workspace):
    ws = shared
    orphan = ws.store.blobs.put(b"nobody needs this")
    foreseen = gc.gc(ws, dry_run=True)
    assert gc.marked(ws) is None
    first = gc.gc(ws)
    assert (blobs(first), first.marked and first.marked.count) == (0, 1)
    assert foreseen.marked is not None
    assert (foreseen.marked.count, foreseen.marked.bytes) == (1, first.marked and first.marked.bytes)
    assert "1 blob (17 bytes) would be marked: " in project_page.gc(foreseen)
    assert "1 blob (17 bytes) is marked: " in project_page.gc(first)
    assert not any("nothing is left over" in project_page.gc(each) for each in (foreseen, first))
    assert gc.gc(ws).marked == gc.gc(ws, dry_run=True).marked == first.marked
    # At once, nothing would be marked.
    assert gc.gc(ws, dry_run=True, now=True).marked is None
    assert is_there(ws, orphan)
    assert gc.undo(ws) == 1
    assert gc.marked(ws) is None
    made_long_ago(ws)
    assert blobs(gc.gc(ws)) == 0
    made_long_ago(ws)
    due = gc.gc(ws, dry_run=True)
    assert (blobs(due), due.marked) == (1, None)
    assert is_there(ws, orphan)
    assert blobs(gc.gc(ws)) == 1
    assert not is_there(ws, orphan)
    assert gc.marked(ws) is None


def test_a_run_that_uses_what_is_marked_keeps_it(shared: Workspace, project: tm.Project):
    ws = shared
    file = ws.folder / "pipeline.py"
    with ws.store.catalog.read() as read:
        [made] = [s.outputs["result"] for s in read.find(records.Step, {"name": "squares"})]
    lose_steps = {"name": "squares"}
    with ws.store.catalog.write() as write:
        write.remove(records.Step, lose_steps)
    marked = gc.gc(ws).marked
    assert marked is not None
    assert is_there(ws, Digest(made))
    with tm.open(ws.folder) as colleague:
        assert {s.status for s in colleague.run(file).steps} == {"cached"}
    made_long_ago(ws)
    gc.gc(ws)
    assert is_there(ws, Digest(made))
    assert {s.status for s in project.run(file).steps} == {"cached"}


def test_old_versions_of_a_shared_store_go_a_day_later_unless_they_are_named_again(
    shared: Workspace, project: tm.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(old_versions, "_BATCH", 1)
    ws = shared
    (tmp_path / "reads.py").write_text(READS)
    for n in (1, 2):
        (tmp_path / "a.csv").write_text(f"k\n{n}\n")
        project.import_data("d", tmp_path / "a.csv", key=["k"])
    project.branch("d", "side")
    ids: list[str] = []
    for n in (3, 4, 5):
        (tmp_path / "a.csv").write_text(f"k\n{n}\n")
        ids.append(project.import_data("d", tmp_path / "a.csv", branch="side").commit or "")
    dataset = ws.datasets.open("d")
    used, tagged, lost = ids

    def left() -> list[bool]:
        return [there(ws, commit) for commit in ids]

    dataset.delete_branch("side")
    # A bucket spares what was just written, for a push that may be going on, and says so.
    for now in (False, True):
        spared = gc.gc(ws, dry_run=True, now=now)
        assert spared.young
        assert (spared.marked, spared.young.count, versions(spared)) == (None, 4, 0)
        assert "4 dataset versions that nothing needs are younger than a day: kept until " in project_page.gc(
            spared
        )
        assert "left over" not in project_page.gc(spared)
    assert gc.gc(ws).young == gc.gc(ws, now=True).young == spared.young
    monkeypatch.setattr(sweeping, "SPARED", timedelta(0))
    first = gc.gc(ws)
    assert first.young is None
    assert (first.marked and first.marked.versions, versions(first), left()) == (4, 0, [True] * 3)
    assert gc.undo(ws) >= 4
    made_long_ago(ws)
    assert (versions(gc.gc(ws)), left()) == (0, [True] * 3)
    with tm.open(ws.folder) as colleague:
        # Who uses one takes its mark off; who names one does so with all that it comes from.
        assert colleague.run(tmp_path / "reads.py", at=f"d@{used}").outputs["result"] == 3
    marked = gc.marked(ws)
    assert marked is not None
    assert marked.versions == 3
    dataset.tag("more", tagged)
    made_long_ago(ws)
    # With the first, empty version of the table.
    assert versions(gc.gc(ws, dry_run=True)) == 2
    assert left() == [True] * 3
    assert (versions(gc.gc(ws)), left()) == (2, [True, True, False])
    assert lost not in {c.id for c in dataset.log("more")}
    assert all(f.ok for f in doctor.doctor(ws.folder) if f.check == "dataset d")


@pytest.mark.both_stores
@pytest.mark.parametrize("what", ["gc", "forget"])
def test_a_commit_that_is_landing_and_a_removal_do_not_wait_for_each_other(ws: Workspace, what: str):
    """A merge records what it owes while it holds the dataset; a removal holds the records."""
    ws.datasets.create("d", Table.of({"k": [1, 2]}), message="One", key=["k"])
    colleague = open_workspace(ws.folder)
    waits, removed = threading.Event(), list[BaseException | None]()

    def owing(_: object) -> None:
        other.start()
        # As far as the removal comes while the dataset is held.
        waits.wait(0.3)
        with ws.store.catalog.write():
            pass

    def remove() -> None:
        try:
            if what == "gc":
                gc.gc(colleague, now=True)
            else:
                forgetting.forget(colleague, "d", "k == 1", reason="asked")
            removed.append(None)
        except BaseException as error:
            removed.append(error)
            raise
        finally:
            waits.set()

    other = threading.Thread(target=remove)
    ws.datasets_behind(owing).open("d").commit(Table.of({"k": [3]}), message="Two")
    other.join()
    colleague.close()
    assert removed == [None]
    assert len(ws.datasets.open("d").snapshot().read()) == (3 if what == "gc" else 2)


def cut_off(ws: Workspace) -> None:
    """The record of a run is as one leaves it that is killed."""
    with ws.store.catalog.write() as write:
        write.change(records.Run, {"status": "succeeded"}, status="running", finished_at=None)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass
    assert os.statvfs(disk).f_bavail == 0


def test_a_catalog_whose_disk_is_full_can_be_looked_at_and_its_store_collected(
    s3: S3Server, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    monkeypatch.setenv("TIDEMILL_STORE", s3.fresh())
    with postgres.on_small_disk(24) as (address, disk):
        monkeypatch.setenv("TIDEMILL_CATALOG", address)
        with tm.open(tmp_path) as project:
            project.run(tmp_path / "pipeline.py")
            orphans = [project._ws.store.blobs.put(b"%d" % n) for n in range(5)]
            cut_off(project._ws)
        load.leave()
        fill(disk)
        with tm.open(tmp_path) as project:
            with pytest.raises(StorageError) as full:
                for n in range(2000):
                    project.run(tmp_path / "pipeline.py", n=2000 + n)
            assert full.value.code == "disk-full"
            assert "Free space on the server" in (full.value.hint or "")
        load.leave()
        with tm.open(tmp_path) as project:
            assert project.runs()
            assert project.show(project.runs()[0].run).run
            assert {e.running for e in project.environments()} == {False}
            assert project.stop("dev") is False
            assert all(f.ok for f in doctor.doctor(tmp_path))
            assert blobs(project.gc()) == len(orphans)
            assert not any(project._ws.store.blobs.exists(o) for o in orphans)
        (disk / "filler").unlink()
        with tm.open(tmp_path) as project:
            assert project.run(tmp_path / "pipeline.py", n=1).status == "succeeded"
    load.leave()


def test_a_full_disk_can_be_looked_at_and_collected(small_disk: Path):
    (small_disk / "pipeline.py").write_text(PIPELINE)
    with tm.open(small_disk) as project:
        assert project.run(small_disk / "pipeline.py").status == "succeeded"
        orphan = project._ws.store.blobs.put(bytes(100_000))
        log = log_layout.log_file(project._ws.store.environments_folder, "dev")
        cut_off(project._ws)
    log.parent.mkdir(exist_ok=True)
    log_layout.open_to_write(log).close()
    load.leave()
    fill(small_disk)
    with tm.open(small_disk) as project:
        # It cannot be marked as interrupted now, and is shown.
        assert [run.status for run in project.runs()] == ["running"]
        assert {e.running for e in project.environments()} == {False}
        assert project.stop("dev") is False
        assert all(f.ok for f in doctor.doctor(small_disk) if f.check not in ("disk", "project"))
        assert blobs(project.gc()) == 1
        assert not project._ws.store.blobs.exists(orphan)
        # There is room again for what is recorded.
        assert project.run(small_disk / "pipeline.py").status == "succeeded"
    load.leave()


def test_what_old_commits_need_is_packed_and_packed_versions_go_as_others_do(
    shared: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(packing, "_FEW", 2)
    ws = shared

    def rows(n: int) -> Table:
        return Table.of({"k": [n]})

    ws.datasets.create("d", rows(0), message="First", key=["k"])
    d = ws.datasets.open("d")
    d.branch("side")
    for n in range(1, 5):
        d.commit(rows(n), message="Row")
        d.commit(rows(-n), branch="side", message="Aside")
    kept, aside = [c.id for c in d.log()], [c.id for c in d.log("side")][:-1]

    def packed(freed: Freed) -> tuple[int, int]:
        kind = next(kind for kind in freed.kinds if kind.kind == "packed commits")
        return kind.count, kind.bytes

    def in_place() -> int:
        return sum(1 for _ in ws.store.objects.list("datasets/d.lance/_versions"))

    before = in_place()
    assert packed(gc.gc(ws, dry_run=True))[0] == 7
    # Who has read the refs before looks for the manifests in their places, for a day.
    assert (packed(gc.gc(ws)), in_place()) == ((7, 0), before)
    monkeypatch.setattr(sweeping, "SPARED", timedelta(0))
    would = packed(gc.gc(ws, dry_run=True))
    assert would[1] > 0
    assert (packed(gc.gc(ws)), in_place()) == (would, before - 7)
    assert [there(ws, commit) for commit in (*kept, *aside)] == [True] * 9
    d.delete_branch("side")
    marked = gc.gc(ws).marked
    assert marked
    assert marked.versions >= len(aside)
    assert [there(ws, commit) for commit in aside] == [True] * 4
    made_long_ago(ws)
    gc.gc(ws)
    assert [there(ws, commit) for commit in (*kept, *aside)] == [True] * 5 + [False] * 4
    assert len(list(ws.store.objects.list("datasets/d.lance/data"))) == 5
    assert all(f.ok for f in doctor.doctor(ws.folder) if f.check == "dataset d")
