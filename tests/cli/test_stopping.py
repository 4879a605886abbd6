"""Ctrl-C in a terminal, and what comes from outside: once stops cleanly, twice at once; nothing is left running."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Tidemill
from tests.services.waiting import until
from tests.suites.executors import is_alive

SLOW = """
import os, signal, subprocess, sys, time
from pathlib import Path
import tidemill as tm

@tm.step
def quick(n: int) -> int:
    Path({folder!r}, "quick").open("a").write("x")
    return n

@tm.step
def slow(n: int) -> int:
    if Path({folder!r}, "go").exists():
        return n
    ignores = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(1000)"
    child = subprocess.Popen([sys.executable, "-c", ignores], stdout=subprocess.PIPE)
    child.stdout.readline()
    Path({folder!r}, "pids.new").write_text(f"{{os.getpid()}} {{child.pid}}")
    Path({folder!r}, "pids.new").rename(Path({folder!r}, "pids"))
    time.sleep(1000)
    return n

@tm.pipeline
def wait(n: int = 1) -> int:
    return slow(quick(n))
"""
IN_A_TERMINAL = (
    "import fcntl, os, sys, termios\n"
    "os.setsid()\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'tidemill', *sys.argv[1:]])\n"
)


class Terminal:
    """A pseudo-terminal with a command in it."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.ours, theirs = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, *words],
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
        )
        os.close(theirs)
        self.shown = ""

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def read(self) -> None:
        """Take what is shown, so that the command never waits for the terminal."""
        os.set_blocking(self.ours, False)
        try:
            while piece := os.read(self.ours, 65536):
                self.shown += piece.decode("utf-8", "replace")
        except OSError:
            # Nothing more now, or nobody has the other side any more.
            pass

    def until(self, happened: Callable[[], bool]) -> None:
        def looked() -> bool:
            self.read()
            return happened()

        until(looked)

    def ended(self) -> int:
        self.until(lambda: self.process.poll() is not None)
        self.read()
        return self.process.wait()


@contextmanager
def terminal(project: Path, *words: str) -> Generator[Terminal]:
    made = Terminal(project, *words)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        os.close(made.ours)


@pytest.fixture
def slow(project: Path) -> Path:
    """A project with a pipeline whose second step starts a process that ignores SIGTERM, and waits."""
    (project / "slow.py").write_text(SLOW.format(folder=str(project)), "utf-8")
    return project


def pids(project: Path) -> list[int]:
    return [int(pid) for pid in (project / "pids").read_text().split()]


def goes_on(project: Path, tidemill: Tidemill) -> None:
    """The run is recorded, its lock is free, and the next one takes what was finished from the cache."""
    until(lambda: not any(map(is_alive, pids(project))))
    [run] = json.loads(tidemill("runs", "--json").stdout)
    assert run["status"] == "interrupted"
    (project / "go").touch()
    resumed = json.loads(tidemill("resume", run["run"], "--json").stdout)
    assert resumed["status"] == "succeeded"
    assert {s["name"]: s["status"] for s in resumed["steps"]} == {"quick": "cached", "slow": "computed"}
    assert (project / "quick").read_text() == "x"


@pytest.mark.parametrize("executor", ["local", "process"])
def test_ctrl_c_in_a_terminal_stops_the_run_and_says_how_to_go_on(
    slow: Path, tidemill: Tidemill, executor: str
):
    with terminal(slow, "run", "slow.py", "--on", executor) as shown:
        shown.until((slow / "pids").exists)
        assert all(map(is_alive, pids(slow)))
        shown.type(b"\x03")
        assert shown.ended() == 130
        assert not any(map(is_alive, pids(slow)))
        assert "Traceback" not in shown.shown
        found = re.search(r"Type 'tidemill resume ([0-9a-f-]+)' to go on", shown.shown)
        assert found is not None, shown.shown
        assert shown.shown.count("\x1b[?25l") <= shown.shown.count("\x1b[?25h"), "the cursor is there again"
    [run] = json.loads(tidemill("runs", "--json").stdout)
    assert run["run"] == found[1]
    goes_on(slow, tidemill)


def test_ctrl_c_twice_ends_it_at_once(slow: Path, tidemill: Tidemill):
    with terminal(slow, "run", "slow.py") as shown:
        shown.until((slow / "pids").exists)
        shown.type(b"\x03\x03")
        assert shown.ended() == 130
        assert "Traceback" not in shown.shown
        assert shown.shown.count("\x1b[?25l") <= shown.shown.count("\x1b[?25h")
    goes_on(slow, tidemill)


LISTENING = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Whoever runs the tests may have been told to ignore a hang-up (nohup), and that is handed down."""


@pytest.mark.parametrize(
    ("number", "executor"),
    [
        (signal.SIGTERM, "local"),
        (signal.SIGTERM, "process"),
        (signal.SIGHUP, "local"),
        (signal.SIGKILL, "local"),
        (signal.SIGKILL, "process"),
    ],
)
def test_a_signal_from_outside(slow: Path, tidemill: Tidemill, number: signal.Signals, executor: str):
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            LISTENING,
            sys.executable,
            "-m",
            "tidemill",
            "run",
            "slow.py",
            "--on",
            executor,
        ],
        cwd=slow,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until((slow / "pids").exists)
    process.send_signal(number)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == (-number if number is signal.SIGKILL else 130)
    assert "Traceback" not in errors
    assert ("tidemill resume" in errors) == (number is not signal.SIGKILL)
    goes_on(slow, tidemill)


STUCK = """
import hashlib, sys, threading
from tidemill.cli import signals

def tell():
    begun.wait()
    print("ready", flush=True)

begun = threading.Event()
threading.Thread(target=tell, daemon=True).start()
with signals.ending_is_interrupt():
    # The other thread has its turn when this one is in the library, which does not come back for minutes.
    sys.setswitchinterval(1000)
    begun.set()
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 10**9)
"""


def test_the_second_one_ends_also_what_does_not_listen():
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        def ended() -> bool:
            process.send_signal(signal.SIGINT)
            return process.poll() is not None

        until(ended)
    assert process.returncode == 130


def test_who_ignores_a_signal_wants_it_ignored():
    script = (
        "import os, signal\nfrom tidemill.cli import signals\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with signals.ending_is_interrupt():\n    os.kill(os.getpid(), signal.SIGHUP)\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\nprint('on')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "on\n"
