"""Locks between real processes."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tidemill.core.errors import Conflict
from tidemill.store.locks import Locks

HOLD = (
    "import sys, time; from pathlib import Path; from tidemill.store.locks import Locks\n"
    "with Locks(Path(sys.argv[1])).hold('import/fashion'):\n"
    "    print('held', flush=True); sys.stdin.read()\n"
)


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that has the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_one_at_a_time(tmp_path: Path):
    locks = Locks(tmp_path)
    with holder(tmp_path) as other:
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
    assert not locks.is_held("import/fashion")


def test_who_waits_gets_it_next(tmp_path: Path):
    locks, got = Locks(tmp_path), threading.Event()

    def wait() -> None:
        with locks.hold("import/fashion", timeout_seconds=60):
            got.set()

    with holder(tmp_path) as other:
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert not got.is_set()
        other.communicate()
        waiter.join()
    assert got.is_set()


def test_a_killed_holder_frees_it(tmp_path: Path):
    with holder(tmp_path) as other:
        other.kill()
        other.wait()
        with Locks(tmp_path).hold("import/fashion", timeout_seconds=10):
            assert Locks(tmp_path).is_held("import/fashion")


def test_an_error_inside_frees_it(tmp_path: Path):
    locks = Locks(tmp_path)
    with pytest.raises(ValueError, match="inside"), locks.hold("a"):
        raise ValueError("inside")
    assert not locks.is_held("a")
    assert not locks.is_held("never asked for")
