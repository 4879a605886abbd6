"""What is going on, drawn: a board that events are put on, as a live view or as lines."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import seconds, size
from tidemill.cli.render.tree import Tree
from tidemill.core.events import (
    Event,
    Note,
    Progress,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    StepFinished,
    StepsAdded,
    StepStarted,
)
from tidemill.core.figures import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

_BARS = 4
"""Bars that are shown at once."""


@dataclass(slots=True)
class Board:
    """What runs now. Times are seconds of one clock, given by the caller.

    Attributes:
        stages: Every stage that began, by name.
        stage: The one that runs, and since when.
        steps: Steps that run, and since when.
        bars: The last word on each progress that is not at its end.
        run: The run that goes on, and since when; ``done`` of ``steps_in_all`` have ended.
        tree: Its steps, where they are few enough to be drawn.
        room: How many steps that is.
        begins: Whether beginnings are told too, so that the end of a step need not repeat why it was computed.
    """

    stages: dict[str, StageStarted] = field(default_factory=dict[str, StageStarted])
    stage: tuple[StageStarted, float] | None = None
    steps: dict[str, tuple[StepStarted, float]] = field(default_factory=dict[str, tuple[StepStarted, float]])
    bars: dict[str, Progress] = field(default_factory=dict[str, Progress])
    run: tuple[RunStarted, float] | None = None
    done: int = 0
    steps_in_all: int = 0
    tree: Tree | None = None
    room: int = 0
    begins: bool = False

    def take(self, event: Event, now: float) -> str | None:
        """Put an event on the board.

        Returns:
            The line that stays, if something ended or was said.
        """
        match event:
            case StageStarted():
                self.stages[event.name], self.stage = event, (event, now)
                self.bars.clear()
            case StageFinished():
                self.stage = None
                self.bars.clear()
                return stage_line(event, self.stages.get(event.name))
            case RunStarted():
                self.run, self.done, self.steps_in_all = (event, now), 0, len(event.steps)
                self.tree = Tree(event, now) if len(event.steps) <= self.room else None
            case StepsAdded():
                self.steps_in_all += len(event.steps) - len({s.template for s in event.steps})
                if self.tree is not None:
                    self.tree.add(event)
            case RunFinished():
                self.run = self.tree = None
            case StepStarted():
                self.steps[event.step] = (event, now)
            case StepFinished():
                self.done += 1
                return self._ended(event)
            case Progress():
                self.bars.pop(event.label, None)
                if event.total is None or event.done < event.total:
                    self.bars[event.label] = event
            case Note():
                return event.text
        return None

    def _ended(self, event: StepFinished) -> str | None:
        known = self.steps.pop(event.step, None) is not None and self.begins
        for label in [name for name in self.bars if _is_of(name, event.step)]:
            del self.bars[label]
        if self.tree is not None:
            self.tree.ended[event.step] = event
            return None
        return step_line(event, reason=not known)

    def bar_of(self, step: str) -> Progress | None:
        """The last word on how far a step is."""
        return next((p for label, p in self.bars.items() if _is_of(label, step)), None)


def begun(event: Event) -> str | None:
    """The line for something that begins."""
    match event:
        case StageStarted():
            return f"[{event.index}/{event.count}] {event.title}"
        case StepStarted():
            return f"  {event.step}: computing" + (f" ({event.why})" if event.why else "")
        case _:
            return None


def stage_line(event: StageFinished, started: StageStarted | None) -> str:
    """The line of a stage that ended."""
    number = f"[{started.index}/{started.count}] " if started else ""
    title = started.title if started else event.name
    return f"{number}{title}: {event.result} ({seconds(event.seconds)})"


def step_line(event: StepFinished, *, reason: bool = True) -> str:
    """The line of a step that ended."""
    words = f"  {event.step}: {event.status}"
    if event.status == "computed":
        words += f" in {seconds(event.seconds)}"
        if event.rows_computed is not None:
            words += f", {counted(event.rows_computed, 'row')}"
        if (rate := event.rows_per_second) is not None:
            words += f", {rate:,.0f} rows/s"
        if event.why and reason:
            words += f" ({event.why})"
    elif event.status == "failed":
        words += f" after {seconds(event.seconds)}"
    return words


def _is_of(label: str, step: str) -> bool:
    """Whether a progress is a step's own: it is called as the step, or ``step: what it does``."""
    return label == step or label.startswith(f"{step}: ")


def amount(event: Progress) -> str:
    """How far a progress is, in its unit."""
    if event.unit == "bytes":
        done = size(int(event.done))
        return done if event.total is None else f"{done} of {size(int(event.total))}"
    number = f"{event.done:,.0f}"
    return f"{number if event.total is None else f'{number} of {event.total:,.0f}'} {event.unit}".rstrip()


def amount_line(event: Progress) -> str:
    """A progress as a line."""
    share = f" ({100 * event.done / event.total:.0f} %)" if event.total else ""
    return f"  {event.label}: {amount(event)}{share}"


def live(board: Board, now: float) -> "RenderableType":
    """What runs now, as it is drawn over and over."""
    from rich.console import Group  # noqa: PLC0415
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        grid.add_column(no_wrap=True, overflow="ellipsis")
    if board.stage is not None:
        stage, since = board.stage
        bar = ProgressBar(total=stage.count, completed=stage.index - 1, width=24)
        words = Text(f"[{stage.index}/{stage.count}] {stage.title}", style="bold")
        grid.add_row(words, bar, seconds(now - since))
    if board.run is not None and board.tree is None:
        run, since = board.run
        bar = ProgressBar(total=board.steps_in_all, completed=board.done, width=24)
        count = f"{board.done:,} of {counted(board.steps_in_all, 'step')}"
        grid.add_row(Text(f"  {run.pipeline}"), bar, f"{count}  {seconds(now - since)}")
    for name, (step, since) in ({} if board.tree else board.steps).items():
        bar = board.bar_of(name)
        drawn = (
            ProgressBar(total=bar.total, completed=bar.done, width=24) if bar else Text(step.why, style="dim")
        )
        told = f"{amount(bar)}  {seconds(now - since)}" if bar else seconds(now - since)
        grid.add_row(Text(f"  {name}", style="cyan"), drawn, told)
    for label, event in list(board.bars.items())[-_BARS:]:
        if not any(_is_of(label, name) for name in board.steps):
            bar = ProgressBar(total=event.total, completed=event.done, width=24, pulse=event.total is None)
            grid.add_row(Text(f"  {label}"), bar, amount(event))
    above = tree(board, now)
    return grid if above is None else Group(above, grid)


def tree(board: Board, now: float) -> "RenderableType | None":
    """The steps of the run that goes on, as they stand."""
    if board.tree is None:
        return None
    running = {name: (step, since, board.bar_of(name)) for name, (step, since) in board.steps.items()}
    return board.tree.draw(running, now)
