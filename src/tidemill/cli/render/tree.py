"""The steps of a run as a tree that is drawn over and over: each one's state, how long, how fast, and why.

A step stands under the last of those whose results it takes. What follows one step alone stands straight below
it; where a step has several that follow, they are indented. The steps of a list's items are counted on one line;
of these, only those that are computed now and those that failed have lines of their own.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import seconds, status
from tidemill.core.events import Progress, RunStarted, StepFinished, StepsAdded, StepStarted
from tidemill.core.figures import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_DEEPEST = 8
"""Levels that are indented; a terminal is only so wide."""
_BAR = 16
_FAILED = 3
"""Items that failed and are shown; the run's error tells the first one."""


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
        self._items: dict[str, set[str]] = {}
        self._template: dict[str, str] = {}
        self.ended: dict[str, StepFinished] = {}

    def add(self, event: StepsAdded) -> None:
        """The items of a list are known."""
        for step in event.steps:
            self._after[step.name] = step.after
            if step.template is not None:
                # A list in a list: it counts with the steps that the run was planned with.
                template = self._template.get(step.template, step.template)
                self._template[step.name] = template
                members = self._items.setdefault(template, set())
                members.discard(step.template)
                members.add(step.name)

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
            if name in self._items:
                self._draw_items(grid, words, name, running, now)
            elif name in self.ended:
                grid.add_row(words, *_ended(self.ended[name]))
            elif name in running:
                grid.add_row(words, *_running(*running[name], now))
            else:
                grid.add_row(words, Text("waits", style="dim"), "", "", self._waits_for(name))
        planned = len(self._lines) - len(self._items) + sum(map(len, self._items.values()))
        count = f"{len(self.ended)} of {planned} steps"
        title = Text(f"{self._run.pipeline}  run {self._run.run}  {count}  {seconds(now - self._since)}")
        return Group(title, grid)

    def _draw_items(
        self,
        grid: "Table",
        words: "Text",
        template: str,
        running: Mapping[str, tuple[StepStarted, float, Progress | None]],
        now: float,
    ) -> None:
        from rich.text import Text  # noqa: PLC0415

        members = self._items[template]
        ended = [event for name, event in self.ended.items() if name in members]
        counts = Counter(event.status for event in ended)
        told = ", ".join(f"{count} {status}" for status, count in counts.items())
        grid.add_row(words, f"{len(ended)} of {len(members)}", "", "", _reason(told))
        failed = [event for event in ended if event.status == "failed"][:_FAILED]
        for event in failed:
            grid.add_row(Text(f"   {event.step}"), *_ended(event))
        for name in [name for name in running if name in members]:
            grid.add_row(Text(f"   {name}", style="bold"), *_running(*running[name], now))

    def _waits_for(self, step: str) -> "RenderableType":
        missing = [name for name in self._after[step] if not self._is_over(name)]
        return _reason(f"for {', '.join(missing)}" if missing else "")

    def _is_over(self, step: str) -> bool:
        return step in self.ended or (step in self._items and self._items[step] <= self.ended.keys())


def _reason(words: str) -> "RenderableType":
    from rich.text import Text  # noqa: PLC0415

    return Text(words, style="dim", no_wrap=True, overflow="ellipsis")


def _ended(event: StepFinished) -> "tuple[RenderableType, ...]":
    rate = event.rows_per_second
    rows = (
        ""
        if event.rows_computed is None or event.status != "computed"
        else f"{counted(event.rows_computed, 'row')}"
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
