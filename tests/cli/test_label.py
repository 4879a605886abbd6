"""``tidemill label``: at a real terminal by keys, and by lines where there is none."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.cli.conftest import Tidemill
from tests.services.waiting import WATCHDOG_SECONDS
from tidemill.cli.answers import Answer, Typing, meaning
from tidemill.loop.datasets.labelling.classes import with_keys

ESCAPE = "\x1b"
AT_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal that of the program, so that Ctrl-C and a hang-up mean it, also where the tests run under nohup;
not in a forked copy of the tests."""


@pytest.fixture
def pets(project: Path, tidemill: Tidemill) -> Path:
    """Five rows with an image, two of them with a label."""
    lines = ["name,label,p1,p2,p3,p4"]
    lines += [f"n{n},{'cat,' if n == 0 else 'ankle boot,' if n == 1 else ','}{n},200,0,255" for n in range(5)]
    (project / "pets.csv").write_text("\n".join(lines) + "\n", "utf-8")
    assert tidemill("data", "import", "pets", "pets.csv", "--tensor", "image=p*:2x2", "--key", "name")
    return project


class Terminal:
    """A program at a terminal of 30 lines of 100 columns; ``seen`` is all it has written."""

    def __init__(self, folder: Path, *words: str, author: str, **variables: str) -> None:
        self._terminal, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **variables}
        environment.pop("NO_COLOR", None)
        self._process = subprocess.Popen(
            [sys.executable, "-c", AT_TERMINAL, sys.executable, "-m", "tidemill", *words],
            cwd=folder,
            stdin=child,
            stdout=child,
            stderr=child,
            env={**environment, "TIDEMILL_AUTHOR": author},
            start_new_session=True,
        )
        os.close(child)
        self.seen = ""

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def wait_for(self, words: str, *, more_than: int = 0) -> str:
        """Read on until what was written after the first ``more_than`` characters has ``words``."""
        until = time.monotonic() + WATCHDOG_SECONDS
        while words not in self.text()[more_than:]:
            assert time.monotonic() < until, self.text()
            self._read()
        return self.text()

    def text(self) -> str:
        """What was written, without colours."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.seen)

    def end(self) -> int:
        until = time.monotonic() + WATCHDOG_SECONDS
        while self._process.poll() is None:
            assert time.monotonic() < until, self.text()
            self._read()
        self._read()
        return self._process.returncode

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def _read(self) -> None:
        ready, _, _ = select.select([self._terminal], [], [], 0.2)
        if ready:
            with contextlib.suppress(OSError):
                self.seen += os.read(self._terminal, 65536).decode("utf-8", "replace")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


@contextlib.contextmanager
def terminal(folder: Path, *words: str, author: str = "ada") -> Generator[Terminal]:
    opened = Terminal(folder, *words, author=author)
    try:
        yield opened
    finally:
        opened.close()


def test_keys_label_skip_take_back_and_quit(pets: Path, tidemill: Tidemill):
    with terminal(pets, "label", "pets", "--column", "label") as at:
        at.wait_for("0 of 3 done")
        assert "\x1b[38;2;200;200;200" in at.seen  # the image, in true colours
        assert "▀" in at.seen
        at.press("1")  # ankle boot: the first by the alphabet
        at.wait_for("1 of 3 done")
        at.press("ca\t")
        at.wait_for("> cat")
        at.press("\r")
        at.wait_for("2 of 3 done")
        mark = len(at.text())
        at.press("\x7f")
        at.wait_for("1 of 3 done", more_than=mark)
        at.press("dog\r")
        at.wait_for("'dog' is no class")
        at.press("\x1b[A1")  # an arrow means nothing
        at.wait_for("2 of 3 done", more_than=mark)
        at.press(" ")
        at.wait_for("decided       2 (0 in commits)")
        assert at.end() == 0
        assert at.seen.count("\x1b[?1049h") == at.seen.count("\x1b[?1049l") == 1
    view = json.loads(tidemill("label", "status", "pets", "--json").stdout)
    assert (view["decided"], view["left"], view["leases"]) == (2, 1, [])
    assert [(p["author"], p["labels"], p["skipped"]) for p in view["people"]] == [("ada", 2, 1)]
    made = json.loads(tidemill("label", "commit", "pets", "--json").stdout)
    assert [c["labels"] for c in made["commits"]] == [2]
    assert tidemill("label", "close", "pets").stdout == "Closed queue pets of pets: 2 rows were labelled.\n"


@pytest.mark.parametrize("how", ["escape", "interrupt", "hang-up"])
def test_who_leaves_gives_the_row_back_at_once(pets: Path, tidemill: Tidemill, how: str):
    with terminal(pets, "label", "pets", "--column", "label") as at:
        at.wait_for("0 of 3 done")
        view = json.loads(tidemill("label", "status", "pets", "--json").stdout)
        assert [lease["author"] for lease in view["leases"]] == ["ada"]
        if how == "escape":
            at.press(ESCAPE)
        elif how == "interrupt":
            at.press("\x03")
        else:
            at.signal(signal.SIGHUP)
        assert at.end() == (0 if how == "escape" else 130)
    view = json.loads(tidemill("label", "status", "pets", "--json").stdout)
    assert view["leases"] == []


def test_lines_answer_where_there_is_no_terminal(
    pets: Path, tidemill: Tidemill, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TIDEMILL_AUTHOR", "grace")
    done = tidemill("label", "pets", "--column", "label", "--json", stdin="cat\nundo\nan\n\nskip\nwhat\n")
    assert done.returncode == 0
    view = json.loads(done.stdout)
    assert [(p["author"], p["labels"], p["skipped"]) for p in view["people"]] == [("grace", 1, 1)]
    assert "##" in done.stderr or "@@" in done.stderr
    assert "There is no suggestion for this row." in done.stderr
    assert "'what' is no class." in done.stderr
    assert "\x1b" not in done.stderr


def test_a_first_word_that_is_no_command_is_a_dataset(pets: Path, tidemill: Tidemill):
    done = tidemill("label", "pest", "--column", "label")
    assert done.returncode == 2
    assert "Did you mean 'pets'?" in done.stderr
    assert tidemill("label", "status").stdout == (
        "There are no queues. Type: tidemill label NAME --column COLUMN\n"
    )


def test_a_key_is_a_class_s_own_only_where_it_begins_no_other_name():
    def keys(*names: str) -> dict[str, str | None]:
        return {c.name: c.key for c in with_keys(names)}

    assert keys("cat", "dog") == {"cat": "1", "dog": "2"}
    assert keys("0", "1", "2") == {"0": "0", "1": "1", "2": "2"}
    assert keys("1", "10", "cat") == {"1": None, "10": "2", "cat": "3"}
    assert keys("a", "ant") == {"a": None, "ant": "1"}
    many = keys(*(f"c{n:02}" for n in range(12)))
    assert list(many.values()) == [*"1234567890", None, None]


def test_what_a_line_means():
    classes = with_keys(["ankle boot", "coat", "cat", "skip rope"])
    assert meaning("coat", classes)[0] == Answer("label", "coat")
    assert meaning("COAT", classes)[0] == Answer("label", "coat")
    assert meaning("an", classes)[0] == Answer("label", "ankle boot")
    assert meaning("2", classes)[0] == Answer("label", "coat")
    assert meaning("c", classes) == (None, "'c' may be coat, cat.")
    assert meaning("boat", classes) == (None, "'boat' is no class. Did you mean 'coat'?")
    assert meaning("skip", classes)[0] == Answer("skip")
    assert meaning("", classes)[0] == Answer("suggestion")


def test_keys_before_and_after_something_is_typed():
    typing = Typing(with_keys(["ankle boot", "coat"]))
    assert typing.press("2") == Answer("label", "coat")
    assert typing.press(" ") == Answer("skip")
    assert typing.press("\x7f") == Answer("undo")
    assert [typing.press(k) for k in "ankle b"] == [None] * 7
    assert typing.press("\x7f") is None
    assert typing.typed == "ankle "
    assert typing.press(ESCAPE) is None
    assert typing.press(ESCAPE) == Answer("quit")
    assert typing.press("\x04") == Answer("quit")
