"""Standard output and standard error: JSON, text and Rich renderables, and what can go wrong with a pipe."""

import contextlib
import dataclasses
import io
import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, TextIO

from tidemill.core import codes
from tidemill.core.errors import StorageError
from tidemill.core.kinds import type_name


class ReaderGone(Exception):
    """Whoever read standard output has closed it; there is nobody left to tell."""


_WIDE = 4096
"""Columns of a text that no terminal shows: a table is never folded or cut in a file."""


def open_closed() -> None:
    """Put something in the place of a standard stream that whoever started the process has closed (``>&-``).

    Else the first file that is opened gets its number, and a library that prints would print into a database. Nothing can
    be written to what takes its place: what a command has to say is then not lost in silence.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def make_writable() -> None:
    """Have characters that a stream's encoding lacks replaced, instead of failing at the last step."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def flush() -> None:
    """Hand everything on while an error can still be told."""
    _guarded("")


def write(thing: object) -> None:
    """One text or Rich renderable, and a line end, on standard output."""
    _print(thing if isinstance(thing, str) else text(thing, sys.stdout))


def write_json(tree: object) -> None:
    """One JSON document on one line of standard output."""
    _print(to_json(tree))


def note(line: str) -> None:
    """One line for a person, on standard error; not being able to say it is no failure."""
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


def abandon() -> None:
    """Point standard output at nothing, so that the interpreter's own last flush has no complaint."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def text(renderable: object, stream: TextIO, width: int | None = None) -> str:
    """A Rich renderable as ``stream`` should get it: coloured and as wide as the terminal, else plain.

    Args:
        renderable: What to draw.
        stream: Where it will go.
        width: Columns; None takes the terminal's.
    """
    from rich.console import Console  # noqa: PLC0415

    terminal = stream.isatty()
    drawn = io.StringIO()
    console = Console(
        file=drawn,
        force_terminal=terminal,
        width=width or (None if terminal else _WIDE),
        no_color=None if terminal else True,
        highlight=False,
        emoji=False,
        markup=False,
    )
    console.print(renderable)
    lines = drawn.getvalue().splitlines()
    return "\n".join(line if terminal else line.rstrip() for line in lines)


def to_json(tree: object) -> str:
    """One line of JSON. A number that is not finite is null, since JSON has none."""
    import json  # noqa: PLC0415

    escape = not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf8")
    return json.dumps(plain(tree), ensure_ascii=escape, allow_nan=False)


def plain(tree: Any) -> Any:
    """A view as dicts, lists, texts, numbers, booleans and None.

    Raises:
        TypeError: For a value that has no JSON form; views are made of plain values, so that is a bug.
    """
    from datetime import date, time, timedelta  # noqa: PLC0415
    from decimal import Decimal  # noqa: PLC0415
    from uuid import UUID  # noqa: PLC0415

    match tree:
        case None | bool() | int() | str():
            return tree
        case float():
            return tree if math.isfinite(tree) else None
        case PurePath() | Decimal() | UUID():
            return str(tree)
        case date() | time():
            return tree.isoformat()
        case timedelta():
            return tree.total_seconds()
        case bytes():
            return tree.hex()
        case Mapping():
            return {str(name): plain(value) for name, value in tree.items()}
        case Sequence() | set() | frozenset():
            return [plain(member) for member in tree]
        case _ if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
            return {field.name: plain(getattr(tree, field.name)) for field in dataclasses.fields(tree)}
        case _ if hasattr(tree, "tolist"):
            return plain(tree.tolist())
        case _:
            raise TypeError(f"A {type_name(tree)} has no JSON form.")


def _print(line: str) -> None:
    _guarded(line + "\n")


def _guarded(words: str) -> None:
    try:
        sys.stdout.write(words)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise StorageError(
            "The output could not be written.",
            why=f"The file or device behind standard output says: {error.strerror}.",
            hint="Free space there, or send the output elsewhere.",
            code=codes.OUTPUT_NOT_WRITTEN,
        ) from error


def program() -> str:
    """How this very program is typed from any folder: its name where the PATH finds it, else its path."""
    started = Path(sys.argv[0])
    if started.name != "tidemill":
        return "tidemill"
    found = shutil.which("tidemill")
    if found is not None and Path(found).resolve() == started.resolve():
        return "tidemill"
    return str(started.absolute())
