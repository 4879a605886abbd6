"""Locks between real processes: one suite over the system's and over PostgreSQL's."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.services.postgres import Postgres as Server
from tidemill.core.errors import Conflict
from tidemill.store.catalog.advisory import AdvisoryLocks
from tidemill.store.catalog.postgres import Postgres
from tidemill.store.locks import Locks

AnyLocks = Locks | AdvisoryLocks

OPEN = """
import sys
from pathlib import Path
def opened():
    if sys.argv[1].startswith("postgresql"):
        from tidemill.store.catalog.advisory import AdvisoryLocks
        from tidemill.store.catalog.postgres import Postgres
        return AdvisoryLocks(Postgres(sys.argv[1]), "s3://bucket/store")
    from tidemill.store.locks import Locks
    return Locks(Path(sys.argv[1]))
"""
HOLD = """
part = int(sys.argv[2]) if sys.argv[2:] else None
with opened().hold("import/fashion", part=part):
    print("held", flush=True); sys.stdin.read()
"""


@pytest.fixture(params=["folder", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else request.getfixturevalue("postgres").fresh()


@pytest.fixture
def opened(where: str) -> Generator[Callable[[], AnyLocks]]:
    """Open the locks once more, as another process or another part of this one would."""
    with ExitStack() as stack:

        def open_again() -> AnyLocks:
            if not where.startswith("postgresql"):
                return Locks(Path(where))
            database = Postgres(where)
            locks = AdvisoryLocks(database, "s3://bucket/store")
            stack.callback(database.sql.dispose)
            stack.callback(locks.close)
            return locks

        yield open_again


@pytest.fixture
def locks(opened: Callable[[], AnyLocks]) -> AnyLocks:
    return opened()


def holder(where: str, *part: str) -> subprocess.Popen[str]:
    """Another process that has the lock, or a part of it, until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", OPEN + HOLD, where, *part],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_one_at_a_time(where: str, locks: AnyLocks):
    with holder(where) as other:
        assert locks.is_held("import/fashion")
        with (
            pytest.raises(Conflict, match="has held 'import/fashion' for 0.05 seconds") as caught,
            locks.hold("import/fashion", timeout_seconds=0.05),
        ):
            pytest.fail("two holders")
        assert caught.value.code == "lock-timeout"
        with locks.hold("import/digits", timeout_seconds=0):
            pass
        other.communicate()
    with locks.hold("import/fashion", timeout_seconds=10):
        pass
    assert not locks.is_held("import/fashion")


@pytest.mark.parametrize("system", ["regions", "files"])
def test_parts_are_locks_of_their_own(
    where: str, opened: Callable[[], AnyLocks], monkeypatch: pytest.MonkeyPatch, system: str
):
    if system == "files":
        monkeypatch.setattr("tidemill.store.locks._SET", None)
    largest = 2**60 - 1
    one, two = opened(), opened()
    for part in (0, 4095, largest - 4094):
        with one.hold("steps", part=part, timeout_seconds=0):
            for other in (one, two):
                with pytest.raises(Conflict), other.hold("steps", part=part, timeout_seconds=0):
                    pytest.fail("two holders")
                with other.hold("steps", part=part + 1, timeout_seconds=0), other.hold("steps"):
                    pass
        with two.hold("steps", part=part, timeout_seconds=0):
            pass


def test_a_part_is_freed_when_its_holder_is_killed(where: str, locks: AnyLocks):
    with holder(where, "7") as other:
        with pytest.raises(Conflict), locks.hold("import/fashion", part=7, timeout_seconds=0):
            pytest.fail("two holders")
        with locks.hold("import/fashion", part=8, timeout_seconds=0):
            pass
        other.kill()
        other.wait()
        with locks.hold("import/fashion", part=7, timeout_seconds=10):
            pass


def test_who_waits_gets_it_next(where: str, locks: AnyLocks):
    got = threading.Event()

    def wait() -> None:
        with locks.hold("import/fashion", timeout_seconds=60):
            got.set()

    with holder(where) as other:
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert not got.is_set()
        other.communicate()
        waiter.join()
    assert got.is_set()


def test_a_killed_holder_frees_it(where: str, opened: Callable[[], AnyLocks]):
    with holder(where) as other:
        other.kill()
        other.wait()
        with opened().hold("import/fashion", timeout_seconds=10):
            assert opened().is_held("import/fashion")


def test_an_error_inside_frees_it(locks: AnyLocks):
    with pytest.raises(ValueError, match="inside"), locks.hold("a"):
        raise ValueError("inside")
    assert not locks.is_held("a")
    assert not locks.is_held("never asked for")


def test_two_parts_of_one_process_exclude_each_other(locks: AnyLocks):
    counts = {"inside": 0, "most": 0, "times": 0}

    def enter() -> None:
        for _ in range(5):
            with locks.hold("x"):
                counts["inside"] += 1
                counts["most"] = max(counts["most"], counts["inside"])
                time.sleep(0.001)
                counts["inside"] -= 1
                counts["times"] += 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {"inside": 0, "most": 1, "times": 20}


def test_another_store_in_the_same_database_has_other_locks(postgres: Server):
    database = Postgres(postgres.fresh())
    one, other = (AdvisoryLocks(database, f"s3://bucket/{name}") for name in ("one", "other"))
    with one.hold("gc"), other.hold("gc", timeout_seconds=0):
        assert one.is_held("gc")
    for locks in (one, other):
        locks.close()
    database.sql.dispose()
