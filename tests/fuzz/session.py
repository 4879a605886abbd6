"""Calls of the command line in this process, each in its folder, with its time limit and its judge."""

import io
import json
import os
import re
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click

from tests.fuzz.guards import Guard, Outside, Stopped

SECONDS = 10
"""A call may work for so long, and wait for so many times ``PATIENCE``; a longer one hangs."""
PATIENCE = 6
"""A machine that does other things too gives a call its seconds late."""
_MEMORY_BYTES = 6 << 30
"""Of addresses: a size that a damaged file names is refused by the system, not tried on the machine."""
_RAW = re.compile(r"^(Traceback \(most|thread '.*' panicked)", re.MULTILINE)
"""A traceback that nobody meant for a person; that of a user's own step is indented below its error."""
_GOOD = frozenset({0, 1, 2, 130, 141})


class Hang(BaseException):
    """A call took longer than ``SECONDS``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended.

    Attributes:
        status: The exit status; None where it was stopped at the start of another program.
        out: Standard output.
        err: Standard error.
        error: What was raised inside, before it was given its words.
    """

    status: int | None
    out: str
    err: str
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A call that broke a promise.

    Attributes:
        promise: Which: ``traceback``, ``bug``, ``hang``, ``outside``, ``status``, ``words``, ``json``, ``cells``.
        where: The place in the code, or the error's code: what tells one kind of fault from another.
        text: What was seen.
        words: The command line.
    """

    promise: str
    where: str
    text: str
    words: tuple[str, ...]


class Session:
    """A process in which calls are tried.

    Args:
        root: The folder for all of them; what is changed outside of it is a finding.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._guard = Guard(root)
        self._error: BaseException | None = None
        sys.dont_write_bytecode = True
        signal.signal(signal.SIGALRM, _alarmed)
        signal.signal(signal.SIGPROF, _alarmed)
        from tidemill.cli import faults

        report = faults.report

        def seen(error: BaseException, words: Sequence[str]) -> int:
            self._error = error
            return report(error, words)

        # Only looked at: the report is the program's own.
        faults.report = seen

    def call(self, words: Sequence[str], *, stdin: bytes = b"", encoding: str = "utf-8") -> Outcome:
        """Type a command line in the working directory.

        Raises:
            Hang: It took longer than ``SECONDS``.
        """
        from tidemill.cli.main import main

        out, err = (io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2))
        before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
        self._error, status, error = None, None, None
        try:
            with redirect_stdout(out), redirect_stderr(err), _time_limit(), self._guard.watching():
                main(list(words))
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            error = self._error
        except (Stopped, Outside):
            pass
        except Hang:
            raise
        except BaseException as escaped:  # noqa: BLE001 - that is the finding
            error, status = escaped, -1
        finally:
            sys.stdin = before
        return Outcome(status, _text(out), _text(err), error)

    def tried(
        self, words: Sequence[str], *, stdin: bytes = b"", encoding: str = "utf-8"
    ) -> tuple[Outcome | None, list[Finding]]:
        """Type a command line, and judge how it went."""
        try:
            outcome = self.call(words, stdin=stdin, encoding=encoding)
        except Hang as hang:
            return None, [Finding("hang", _place(hang), f"over {SECONDS} s", tuple(words))]
        found = judged(words, outcome)
        found += [Finding("outside", _place(None), what, tuple(words)) for what in self._guard.outside]
        return outcome, found


def _valued(words: Sequence[str]) -> set[str]:
    """The options that take a value, of the command that these words lead to."""
    from tidemill.cli.main import main

    command: click.Command | None = main
    found: set[str] = set()
    left = iter(words)
    while command is not None:
        context = click.Context(command, info_name="tidemill")
        options = [p for p in command.params if isinstance(p, click.Option) and not (p.is_flag or p.count)]
        found |= {name for option in options for name in option.opts}
        if not isinstance(command, click.Group):
            return found
        word = next((w for w in left if not w.startswith("-")), None)
        command = None if word is None else command.get_command(context, word)
    return found


def judged(words: Sequence[str], outcome: Outcome) -> list[Finding]:
    """What of the command line's promises a call broke."""
    if outcome.status is None:
        return []
    where = _place(outcome.error)

    def finding(promise: str, text: str) -> list[Finding]:
        return [Finding(promise, where, text[-3000:], tuple(words))]

    asked_debug = any(word.startswith("--d") for word in words)
    if outcome.status == -1:
        return finding(
            "traceback", "".join(traceback.format_exception(outcome.error)) if outcome.error else outcome.err
        )
    if _RAW.search(outcome.err) and not asked_debug:
        return finding("traceback", outcome.err)
    if outcome.status == 70 or "error[internal]" in outcome.err:
        trace = "".join(traceback.format_exception(outcome.error)) if outcome.error else ""
        return finding("bug", outcome.err + outcome.out + trace)
    if outcome.status not in _GOOD:
        return finding("status", f"exit status {outcome.status}\n{outcome.err}")
    broken = _words_broken(words, outcome)
    return finding(*broken) if broken else []


def _words_broken(words: Sequence[str], outcome: Outcome) -> tuple[str, str] | None:
    """Which promise about words, or about JSON, a call that went as it may did not keep, and what it said."""
    options = list(words[: words.index("--")]) if "--" in words else list(words)
    # Behind an option that takes a value it is that value; an error may be JSON all the same.
    valued = _valued(options)
    as_json = any(w == "--json" and before not in valued for before, w in pairwise(["", *options]))
    try:
        tree = json.loads(outcome.out) if "--json" in options and outcome.out.strip() else None
    except ValueError:
        if as_json:
            helped = outcome.out.startswith("Usage:") or "--version" in options
            return None if helped else ("json", outcome.out)
        tree = None
    body = tree.get("error") if isinstance(tree, dict) else None
    if outcome.status != 2 or "Usage:" in outcome.err[:10] + outcome.out[:10]:
        return None
    if body is None and as_json:
        return "json", f"no error as JSON: {outcome.out!r} {outcome.err!r}"
    good = (
        body.get("code") and body.get("hint")
        if body
        else "error[" in outcome.err and "  try: " in outcome.err
    )
    return None if good else ("words", outcome.err + outcome.out)


@contextmanager
def folder(path: Path) -> Generator[Path]:
    """An empty working directory for the block, gone after it."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    before = Path.cwd()
    os.chdir(path)
    try:
        yield path
    finally:
        os.chdir(before)
        shutil.rmtree(path, ignore_errors=True)


def limit_memory() -> None:
    """Have a size that makes no sense refused, instead of the machine used up."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))


@contextmanager
def _time_limit() -> Generator[None]:
    # Code in C does not hear an alarm: then the campaign ends the process, and goes on behind the case.
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, SECONDS * PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _alarmed(number: int, frame: object) -> None:
    raise Hang


def _text(stream: io.TextIOWrapper) -> str:
    return stream.buffer.getvalue().decode(stream.encoding, "replace")  # pyright: ignore[reportAttributeAccessIssue]


def _place(error: BaseException | None) -> str:
    """The error's type and code, and the innermost place in Tidemill's own code."""
    if error is None:
        return ""
    inner = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    frames = [
        f for f in traceback.extract_tb(inner.__traceback__) if f"{os.sep}tidemill{os.sep}" in f.filename
    ]
    last = frames[-1] if frames else None
    at = f"{Path(last.filename).name}:{last.name}" if last else ""
    return f"{type(inner).__name__} {getattr(error, 'code', '')} {at}".replace("  ", " ")
