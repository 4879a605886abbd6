"""Progress on standard error: a live view on a terminal, lines elsewhere. Events may come from any thread."""

import dataclasses
import json
import re
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from tidemill.cli import streams
from tidemill.cli.render import progress
from tidemill.core import clock
from tidemill.core.events import Event, Progress, RunFinished, Sink, StepFinished, silent

_EVERY_SECONDS = 2.0
"""Between two lines about the same progress, where lines cannot be overwritten."""

_BESIDE_THE_TREE = 8
"""Lines of a terminal that the tree of a run's steps leaves to others."""


@contextmanager
def watch(log: str, *, terminal: bool) -> Generator[Sink]:
    """A sink that shows what happens inside the block.

    Args:
        log: ``auto``, ``lines``, ``json`` or ``off``.
        terminal: Whether standard error is one.
    """
    how: Literal["live", "lines", "json", "off"]
    how = ("live" if terminal else "lines") if log == "auto" else log  # pyright: ignore[reportAssignmentType] - click checked it
    if how == "live":
        with _live() as sink:
            yield sink
    else:
        yield {"lines": lines(), "json": _json_line, "off": silent}[how]


def lines() -> Sink:
    """A sink that writes plain lines: what began, what ended, and now and then how far it is."""
    board, lock = progress.Board(begins=True), threading.Lock()
    told: dict[str, float] = {}

    def sink(event: Event) -> None:
        now = time.monotonic()
        with lock:
            line = board.take(event, now)
            if isinstance(event, Progress):
                if now - told.setdefault(event.label, now) >= _EVERY_SECONDS:
                    told[event.label] = now
                    line = progress.amount_line(event)
            else:
                line = progress.begun(event) or line
            if line is not None:
                streams.note(line)

    return sink


def _json_line(event: Event) -> None:
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", type(event).__name__).lower()
    body = {"time": clock.stamp(clock.now()), "event": kind, **dataclasses.asdict(event)}
    if isinstance(event, StepFinished):
        body["rows_per_second"] = event.rows_per_second
    streams.note(json.dumps(streams.plain(body), allow_nan=False))


@contextmanager
def _live() -> Generator[Sink]:
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    # A stage above the tree, bars below it, and the prompt: what is higher than the terminal cannot be redrawn.
    board, lock = progress.Board(room=console.height - _BESIDE_THE_TREE), threading.Lock()

    def draw() -> object:
        with lock:
            return progress.live(board, time.monotonic())

    with Live(
        console=console,
        get_renderable=draw,  # pyright: ignore[reportArgumentType] - a renderable, which is any of several types
        transient=True,
        refresh_per_second=8,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as shown:

        def sink(event: Event) -> None:
            with lock:
                now = time.monotonic()
                # A tree that was drawn over and over stays as it was at the end of its run.
                stays = progress.tree(board, now) if isinstance(event, RunFinished) else None
                line = board.take(event, now)
            if stays is not None:
                # The moving tree goes before the lasting one comes.
                shown.refresh()
            for said in (stays, line):
                if said is not None:
                    shown.console.print(said)

        yield sink
