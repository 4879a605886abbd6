"""Labelling at a terminal: shows a row, takes the answer, goes on. Elsewhere it reads a line for each row."""

import os
import re
import shutil
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tidemill.cli import streams
from tidemill.cli.answers import Answer, Typing, meaning
from tidemill.cli.render import label as render
from tidemill.core import codes
from tidemill.core.errors import Conflict, InvalidInput, NotAllowed

if TYPE_CHECKING:
    from tidemill.loop.datasets.labelling.turns import Labeller
    from tidemill.loop.datasets.labelling.views import QueueView, Task

_KEY = re.compile("\x1b\\[[0-9;]*[A-Za-z~]|\x1bO.|.", re.DOTALL)
"""One key as a terminal sends it; those that are more than a character mean nothing here."""


_LINES = 44
"""For one row, where there is no terminal whose height says it."""


def label(session: "Labeller") -> "QueueView":
    """Label rows until none is left for this person, or they quit; the queue as it is then."""
    try:
        if sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            with _keys() as keys, _screen():
                _at_keys(session, keys)
        else:
            _by_lines(session)
    finally:
        # Whatever ends the session, nobody need wait for the lease to end.
        session.leave()
    return session.progress()


def _at_keys(session: "Labeller", keys: Iterator[str]) -> None:
    said = ""
    while (task := session.take()) is not None:
        view = session.progress()
        typing = Typing(view.classes)
        typing.said = said
        while True:
            _draw(task, view, typing)
            answer = typing.press(next(keys, "\x04"))
            if answer is not None:
                break
        if answer.kind == "quit":
            return
        said = _done(session, answer)


def _by_lines(session: "Labeller") -> None:
    said = ""
    while (task := session.take()) is not None:
        view = session.progress()
        card = render.card(task, view, lines=_LINES, keys=False, said=said)
        streams.note(streams.text(card, sys.stderr) + "\n")
        line = _line(task.position)
        if not line:
            return
        answer, said = meaning(line, view.classes)
        if answer is not None:
            if answer.kind == "quit":
                return
            said = _done(session, answer)


def _line(row: int) -> str:
    """The next line of standard input; empty at its end."""
    # By bytes: as text, one byte that is wrong would take the good lines before it along.
    line = sys.stdin.buffer.readline()
    try:
        return line.decode(sys.stdin.encoding or "utf-8", sys.stdin.errors or "strict")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"The answer to row {row} is not text in {error.encoding}.",
            why="What was answered before is kept.",
            hint="Give the answers as UTF-8, a line for each row.",
            code=codes.NOT_TEXT,
        ) from error


def _done(session: "Labeller", answer: Answer) -> str:
    """Do what was answered; what to tell where it could not be done."""
    try:
        if answer.kind == "skip":
            session.skip()
        elif answer.kind == "undo":
            session.undo()
        else:
            session.answer(answer.label)
    except (Conflict, InvalidInput, NotAllowed) as error:
        if error.code == codes.QUEUE_CLOSED:
            raise
        return f"{error.message} {error.hint or ''}".strip()
    return ""


def _draw(task: "Task", view: "QueueView", typing: Typing) -> None:
    size = shutil.get_terminal_size()
    card = render.card(task, view, lines=size.lines, keys=True, typed=typing.typed, said=typing.said)
    drawn = streams.text(card, sys.stderr).replace("\n", "\x1b[K\n")
    sys.stderr.write(f"\x1b[H{drawn}\x1b[J")
    sys.stderr.flush()


@contextmanager
def _screen() -> Generator[None]:
    """A screen of its own; what was there before comes back at the end."""
    sys.stderr.write("\x1b[?1049h\x1b[?25l\x1b[2J")
    try:
        yield
    finally:
        sys.stderr.write("\x1b[?25h\x1b[?1049l")
        sys.stderr.flush()


@contextmanager
def _keys() -> Generator[Iterator[str]]:
    """The keys as they are pressed, until the terminal is gone. Ctrl-C stays what it is."""
    import termios  # noqa: PLC0415
    import tty  # noqa: PLC0415

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed() -> Iterator[str]:
        while data := os.read(descriptor, 1024):
            yield from (k for k in _KEY.findall(data.decode("utf-8", "ignore")) if len(k) == 1)

    try:
        tty.setcbreak(descriptor)
        yield pressed()
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
