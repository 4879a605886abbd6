"""Conflicts of a merge, asked one after the other in the terminal. Nothing is changed while asking."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tidemill.cli import streams

if TYPE_CHECKING:
    from tidemill.loop.datasets.views import ConflictView

_SIDES = {"o": "ours", "t": "theirs", "b": "base"}


def ask(
    conflicts: "Sequence[ConflictView]", decided: Mapping[str, str]
) -> dict[tuple[int, str | None], str] | None:
    """A choice for each conflict.

    Args:
        conflicts: What cannot be decided.
        decided: Columns that a side is chosen for already.

    Returns:
        Row and column to choice, as ``loop.datasets.choices.Decisions`` has it; None when the asking was left.
    """
    from tidemill.cli.render.data import merging as render  # noqa: PLC0415

    left = [c for c in conflicts if c.column not in decided]
    answers: dict[tuple[int, str | None], str] = {}
    rest: str | None = None
    for number, conflict in enumerate(left, start=1):
        choice = rest
        if choice is None:
            drawn = render.question(conflict, number, len(left))
            streams.note(streams.text(drawn, sys.stderr))
            choice, rest = _answer(conflict)
        if choice is None:
            return None
        answers[int(conflict.id), conflict.column] = choice
    return answers


def _answer(conflict: "ConflictView") -> tuple[str | None, str | None]:
    """What is chosen (None to leave), and for all that follow, if that was said."""
    sides = {key: side for key, side in _SIDES.items() if side != "base" or conflict.has_base}
    takes_value = conflict.column is not None and not conflict.shape
    words = [f"{key} {side}" for key, side in sides.items()]
    words += ["=TEXT a value"] if takes_value else []
    words += ["O or T for all that follow", "q leave"]
    while True:
        streams.note(f"Choose: {', '.join(words)}")
        line = sys.stdin.readline()
        typed = line.strip()
        if not line or typed == "q":
            return None, None
        if typed in sides:
            return sides[typed], None
        if typed in ("O", "T"):
            side = _SIDES[typed.lower()]
            return side, side
        if typed.startswith("=") and takes_value:
            return typed, None
        streams.note(f"'{typed}' is none of these.")
