"""What the store does to a run that is on: a catalog that is locked or restarts, a disk that fills up."""

import os
import random
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine.projects import Project, statuses
from tests.engine.test_failures import SLOW, is_alive, start
from tests.services import postgres as postgres_service
from tests.services.waiting import until
from tidemill.core import events
from tidemill.core.errors import StorageError
from tidemill.engine.ledger import Ledger, mark_interrupted
from tidemill.store.catalog import records, sqlite
from tidemill.store.catalog.database import Transaction
from tidemill.store.open import Store

HOLD = """
import sqlite3, sys
catalog = sqlite3.connect(sys.argv[1], isolation_level=None)
catalog.execute("begin immediate")
print("held", flush=True)
sys.stdin.readline()
catalog.execute("rollback")
"""


@contextmanager
def held(project: Project) -> "Generator[subprocess.Popen[str]]":
    """Another process that amid a write of its own has the catalog; a line sent to it lets it go."""
    file = project.store.folder / "catalog.db"
    assert file.is_file()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.communicate("\n")


def runs(project: Project) -> list[records.Run]:
    with project.store.catalog.read() as read:
        return read.find(records.Run, order=("started_at", "id"))


def test_a_catalog_that_is_held_for_a_moment_is_waited_for(project: Project) -> None:
    project.write(SLOW)
    started = threading.Event()
    project.sink = lambda event: started.set() if getattr(event, "step", "") == "slow" else None
    with held_later(project, started) as holding:
        result = project.run(folder=str(project.folder))
        holding.join()
    assert statuses(result) == {"first": "computed", "slow": "computed"}


@contextmanager
def held_later(project: Project, started: threading.Event) -> Generator[threading.Thread]:
    """Once the slow step is on, the catalog is held, the step ends, and then the catalog is free again."""

    def hold() -> None:
        started.wait()
        with held(project):
            (project.folder / "go").touch()
            until((project.folder / "slow").exists)

    holding = threading.Thread(target=hold)
    holding.start()
    yield holding
    holding.join()


def test_a_catalog_that_stays_held_is_said_and_the_run_goes_on_later(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    store = Store.open(project.store.folder)
    project.store.close()
    project.store = store
    project.write(SLOW)
    with held_from(project, "slow"), pytest.raises(StorageError) as locked:
        project.run(folder=str(project.folder))
    assert locked.value.code == "catalog-locked"
    assert "run the same command again" in (locked.value.hint or "")
    mark_interrupted(project.store)
    assert [r.status for r in runs(project)] == ["interrupted"]
    again = project.run(folder=str(project.folder))
    assert statuses(again)["first"] == "cached"
    assert project.value(again) == 2
    assert (project.folder / "first").read_text() == "x"


@contextmanager
def held_from(project: Project, step: str) -> Generator[None]:
    """From the moment on that a step has started, the catalog is held; the step then ends."""
    started, done = threading.Event(), threading.Event()

    def hold() -> None:
        started.wait()
        with held(project):
            (project.folder / "go").touch()
            done.wait()

    project.sink = lambda event: started.set() if getattr(event, "step", "") == step else None
    holding = threading.Thread(target=hold)
    holding.start()
    try:
        yield
    finally:
        started.set()
        done.set()
        holding.join()
        project.sink = lambda _: None


CHAIN = """
from pathlib import Path
import tidemill as tm

@tm.step
def link(x: int, at: int, folder: str) -> int:
    with open(folder + "/computed", "a") as file:
        file.write(f"{at}\\n")
    return x * 3 % 1009 + at

@tm.pipeline
def chain(folder: str, length: int = 60):
    x = 1
    for at in range(length):
        x = link(x, at, folder)
    return x
"""


def expected(length: int) -> int:
    x = 1
    for at in range(length):
        x = x * 3 % 1009 + at
    return x


@pytest.fixture(scope="module")
def server() -> Generator[postgres_service.Postgres]:
    """A server that a test may stop without spoiling others."""
    with postgres_service.postgres_server() as running:
        yield running


@pytest.fixture
def team(
    project: Project, server: postgres_service.Postgres, monkeypatch: pytest.MonkeyPatch
) -> Generator[Project]:
    """The project, with its catalog on that server."""
    monkeypatch.setenv("PGPASSWORD", server.password)
    project.store.close()
    project.store = Store.create(project.folder / "team", catalog=server.catalog())
    project.write(CHAIN)
    yield project
    project.sink = events.silent


def test_a_database_that_restarts_amid_a_write_is_waited_for(
    team: Project, server: postgres_service.Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, moments = Ledger._write, iter(["before", "", "after"])

    def write_and_restart(self: Ledger, transaction: Transaction) -> None:
        moment = next(moments, "")
        if moment == "before":
            server.restart()
        write(self, transaction)
        if moment == "after":
            server.restart()

    monkeypatch.setattr(Ledger, "_write", write_and_restart)
    result = team.run(folder=str(team.folder), length=4)
    assert {s.status for s in result.steps} == {"computed"}
    assert team.value(result) == expected(4)


def test_a_database_that_restarts_at_any_moment_loses_nothing(
    team: Project, server: postgres_service.Postgres
) -> None:
    """The run goes on, or says what to type; then it goes on from there."""
    at, begun = random.randrange(60), threading.Event()
    team.sink = lambda event: begun.set() if getattr(event, "step", "").endswith(f"-{at}") else None

    def restart() -> None:
        begun.wait()
        server.restart()

    restarting = threading.Thread(target=restart)
    restarting.start()
    lost: list[StorageError] = []
    try:
        result = team.run(folder=str(team.folder))
    except StorageError as error:
        lost.append(error)
        result = team.run(folder=str(team.folder))
    begun.set()
    restarting.join()
    assert all(e.code == "catalog-lost" and "the same command again" in (e.hint or "") for e in lost)
    assert team.value(result) == expected(60)
    computed = (team.folder / "computed").read_text().split()
    assert {*computed} == {str(n) for n in range(60)}
    # At most what was being computed is computed again.
    assert len(computed) <= 60 + len(lost)
    mark_interrupted(team.store)
    assert all(r.finished_at for r in runs(team))


FILLS = """
from pathlib import Path
import numpy as np
import tidemill as tm

@tm.step
def first() -> int:
    return 1

@tm.step
def large(x: int) -> np.ndarray:
    return np.arange(x, x + 50_000)

@tm.step
def last(x: np.ndarray) -> int:
    return int(x.sum())

@tm.pipeline
def p():
    return last(large(first()))
"""
SUM = sum(range(1, 50_001))


def fill(file: Path, leave_bytes: int) -> None:
    """Take what is free on a disk, but so much."""
    free = os.statvfs(file.parent)
    size = free.f_bavail * free.f_frsize - leave_bytes
    with file.open("wb") as filling:
        filling.write(b"\0" * max(0, size))


def test_a_disk_that_is_full_fails_the_step_and_space_lets_the_run_go_on(
    project: Project, small_disk: Path
) -> None:
    project.store.close()
    project.store = Store.create(small_disk / "store")
    project.write(FILLS)
    with project.store.catalog.read() as read:
        assert read.find(records.Run) == []
    fill(small_disk / "filler", leave_bytes=200_000)
    failed = project.run()
    assert failed.run.status == "failed"
    assert failed.run.error is not None
    assert failed.run.error["code"] == "disk-full"
    assert "'large'" in failed.run.error["message"]
    assert statuses(failed) == {"first": "computed", "large": "failed", "last": "skipped"}
    assert runs(project)[-1].status == "failed"
    (small_disk / "filler").unlink()
    again = project.run()
    assert statuses(again) == {"first": "cached", "large": "computed", "last": "computed"}
    assert project.value(again) == SUM


def test_a_disk_without_a_byte_is_said_and_space_lets_the_run_go_on(
    project: Project, small_disk: Path
) -> None:
    project.store.close()
    project.store = Store.create(small_disk / "store")
    project.write(FILLS)

    def filled(event: events.Event) -> None:
        if isinstance(event, events.StepStarted) and event.step == "large":
            fill(small_disk / "filler", leave_bytes=0)

    project.sink = filled
    with pytest.raises(StorageError) as full:
        project.run()
    assert full.value.code == "disk-full"
    (small_disk / "filler").unlink()
    project.sink = events.silent
    mark_interrupted(project.store)
    assert [r.status for r in runs(project)] == ["interrupted"]
    again = project.run()
    assert statuses(again)["first"] == "cached"
    assert project.value(again) == SUM


def test_a_step_whose_engine_was_killed_is_taken_over_by_the_one_that_waits(project: Project) -> None:
    project.write(SLOW)
    one = start(project, project.folder)
    until((project.folder / "slow.pid").exists)
    worker = int((project.folder / "slow.pid").read_text())
    two = start(project, project.folder)
    until(lambda: len(runs(project)) == 2)
    one.kill()
    one.communicate()
    until(lambda: not is_alive(worker))
    (project.folder / "go").touch()
    assert two.communicate(timeout=180)[0].strip() == "succeeded cached computed"
    assert (project.folder / "slow").read_text() == "x"
    mark_interrupted(project.store)
    assert sorted(r.status for r in runs(project)) == ["interrupted", "succeeded"]
