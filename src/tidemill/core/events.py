"""What work tells whoever watches it: a stream of small records, in order.

A use case takes ``sink: Sink = silent`` and calls it; a face draws. Nothing below ``cli``
writes to a terminal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work is.

    Attributes:
        label: What is being done, for a person.
        done: Units finished so far.
        total: Units in all, or None where that is not known.
        unit: What is counted (``rows``, ``bytes``, ``epochs``, ``requests``).
    """

    label: str
    done: float
    total: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A named stage of a longer journey begins."""

    name: str
    title: str
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage ended well; ``result`` is one line that says what came of it."""

    name: str
    result: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step that a run will come to.

    Attributes:
        after: The steps whose results it takes, or that decide on it.
        template: The planned step that this is one of; ``train[*]`` stands for one step an item, until the items
            are known.
    """

    name: str
    kind: str
    after: tuple[str, ...]
    template: str | None = None


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins; ``steps`` are all of its steps, each after those it takes results of."""

    run: str
    pipeline: str
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True)
class StepsAdded:
    """The items of a list are known: ``steps`` are those that their templates stood for."""

    run: str
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run ended, however it did: ``succeeded``, ``failed`` or ``interrupted``."""

    run: str
    status: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step of a run starts to compute."""

    run: str
    step: str
    why: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step of a run ended; ``why`` says why it was computed (empty when it was not)."""

    run: str
    step: str
    status: Literal["computed", "cached", "failed", "skipped"]
    seconds: float
    why: str
    rows_computed: int | None = None

    @property
    def rows_per_second(self) -> float | None:
        """How fast its rows were computed; None where it computed none, or in no time."""
        if self.status != "computed" or not self.rows_computed or self.seconds <= 0:
            return None
        return self.rows_computed / self.seconds


@dataclass(frozen=True, slots=True)
class Note:
    """One line worth telling a person."""

    text: str


Event = (
    Progress
    | StageStarted
    | StageFinished
    | RunStarted
    | StepsAdded
    | RunFinished
    | StepStarted
    | StepFinished
    | Note
)
Sink = Callable[[Event], None]


def silent(event: Event) -> None:
    """The sink of someone who does not watch."""
    del event
