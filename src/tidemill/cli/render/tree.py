"""The steps of a run as a tree that is drawn over and over: each one's state, how long, how fast, and why.

A step stands under the last of those whose results it takes. What follows one step alone stands straight below
it; where a step has several that follow, they are indented.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import seconds, status
from tidemill.core.events import Progress, RunStarted, StepFinished, StepStarted

if TYPE_CHECKING:
    from rich.console import RenderableType

_DEEPEST = 8
"""Levels that are indented; a terminal is only so wide."""
_BAR = 16


class Tree:
    """The steps of one run, and what became of those that have ended.

    Args:
        run: What was planned.
        since: When it began, in seconds of the clock that ``draw`` is given.
    """

    def __init__(self, run: RunStarted, since: float) -> None:
        self._run = run
        self._since = since
        self._after = {s.name: s.after for s in run.steps}
        self._lines = lines(run)
        self.ended: dict[str, StepFinished] = {}

    def draw(
        self, running: Mapping[str, tuple[StepStarted, float, Progress | None]], now: float
    ) -> "RenderableType":
        """The tree as it stands.

        Args:
            running: Steps that are computed now, since when, and how far they are.
            now: By the same clock.
        """
        from rich.console import Group  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        grid = Table.grid(padding=(0, 2, 0, 0))
        for justify in ("left", "left", "right", "right"):
            grid.add_column(no_wrap=True, justify=justify)
        # What may be wrapped is what shrinks where the terminal is narrow; the texts in it are cut instead.
        grid.add_column()
        for guide, name in self._lines:
            words = Text.assemble((guide, "dim"), (name, "bold" if name in running else ""))
            if name in self.ended:
                grid.add_row(words, *_ended(self.ended[name]))
            elif name in running:
                grid.add_row(words, *_running(*running[name], now))
            else:
                grid.add_row(words, Text("waits", style="dim"), "", "", self._waits_for(name))
        count = f"{len(self.ended)} of {len(self._lines)} steps"
        title = Text(f"{self._run.pipeline}  run {self._run.run}  {count}  {seconds(now - self._since)}")
        return Group(title, grid)

    def _waits_for(self, step: str) -> "RenderableType":
        missing = [name for name in self._after[step] if name not in self.ended]
        return _reason(f"for {', '.join(missing)}" if missing else "")


def _reason(words: str) -> "RenderableType":
    from rich.text import Text  # noqa: PLC0415

    return Text(words, style="dim", no_wrap=True, overflow="ellipsis")


def _ended(event: StepFinished) -> "tuple[RenderableType, ...]":
    rate = event.rows_per_second
    rows = (
        "" if event.rows_computed is None or event.status != "computed" else f"{event.rows_computed:,} rows"
    )
    return (
        status(event.status),
        seconds(event.seconds) if event.status in ("computed", "failed") else "",
        f"{rows}, {rate:,.0f}/s" if rate is not None else rows,
        _reason(event.why),
    )


def _running(
    step: StepStarted, since: float, progress: Progress | None, now: float
) -> "tuple[RenderableType, ...]":
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    took = now - since
    if progress is None:
        return Text("computing", style="cyan"), seconds(took), "", _reason(step.why)
    rate = f", {progress.done / took:,.0f}/s" if took > 0 and progress.unit == "rows" else ""
    far = f"{progress.done:,.0f}" + (f" of {progress.total:,.0f}" if progress.total else "")
    bar = ProgressBar(total=progress.total, completed=progress.done, width=_BAR, pulse=progress.total is None)
    return bar, seconds(took), f"{far} {progress.unit}{rate}".rstrip(), _reason(step.why)


def lines(run: RunStarted) -> list[tuple[str, str]]:
    """Each step once, with what is drawn before its name."""
    order = {s.name: at for at, s in enumerate(run.steps)}
    below: dict[str | None, list[str]] = {}
    for step in run.steps:
        below.setdefault(max(step.after, key=order.__getitem__, default=None), []).append(step.name)
    made: list[tuple[str, str]] = []
    # What is still to be drawn, the next one last: its guide, and the guide of what follows it.
    waiting = [("", "", name) for name in reversed(below.get(None, []))]
    while waiting:
        guide, rest, name = waiting.pop()
        made.append((guide, name))
        following = below.get(name, [])
        if len(following) == 1 or len(rest) >= 3 * _DEEPEST:
            waiting += [(rest, rest, n) for n in reversed(following)]
        elif following:
            branches = [(f"{rest}├─ ", f"{rest}│  ", n) for n in following[:-1]]
            waiting += reversed([*branches, (f"{rest}└─ ", f"{rest}   ", following[-1])])
    return made
