"""What making a run again says, and what explaining a difference does."""

from dataclasses import dataclass
from typing import Any

from tidemill.loop.interpreters import Difference
from tidemill.loop.views import RunSummary


@dataclass(frozen=True, slots=True)
class StepAgain:
    """One step then and now.

    Attributes:
        then: Each output to its digest.
        now: The same in the run that was made again; empty where it did not get so far.
        result: ``identical``; ``same rows``, for a table in other chunks; ``different``; ``not reached``.
    """

    step: str
    then: dict[str, str]
    now: dict[str, str]
    result: str

    @property
    def good(self) -> bool:
        """Whether the step gave what it had given."""
        return self.result in ("identical", "same rows")


@dataclass(frozen=True, slots=True)
class Reproduced:
    """A run that was made again.

    Attributes:
        release: The release whose run it is, ``NAME/NUMBER``, where one was named.
        identical: Whether every step gave what it had given.
        first: The first step that did not.
        reasons: What was another for that step: data, code, settings, inputs, packages, threads, the machine. None
            of these where the step itself gives something else each time.
        installed: The packages that were brought back; empty where those here are the run's.
        lacking: What could not be brought back, and is another than it was.
        folder: Where it was made, if that was kept.
        error: Of the run, where it failed.
    """

    run: str
    pipeline: str
    release: str | None
    identical: bool
    steps: list[StepAgain]
    first: str | None
    reasons: list[str]
    installed: list[Difference]
    lacking: list[Difference]
    seconds: float
    folder: str | None
    error: dict[str, Any] | None

    def _repr_html_(self) -> str:
        from tidemill.loop import replay_pages  # noqa: PLC0415 - only a notebook asks

        return replay_pages.reproduced_part(self)


@dataclass(frozen=True, slots=True)
class FactorView:
    """Something that may be another in two runs.

    Attributes:
        name: ``data``, ``code``, ``settings`` or ``environment``.
        differs: Whether it is another in them.
        replayed: Whether runs with the one and with the other were made; not so where it is equal.
        changes: What is another, in words.
        note: Why it was not replayed, though it differs; or what of it is not as it was then.
    """

    name: str
    differs: bool
    replayed: bool
    changes: list[str]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class StateView:
    """A run between two others.

    Attributes:
        changed: The factors that are those of the second run; the others are those of the first.
        computed: Steps that had to be computed; the rest was in the cache. None where it was not made.
        metrics: What came of it.
        error: Why there is nothing, where it failed.
    """

    changed: list[str]
    computed: int | None
    metrics: dict[str, float]
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FactorShare:
    """What a factor contributes to a metric's difference.

    Attributes:
        share: The mean over the orders in which the factors could have changed.
        in_order: What it adds in the order data, code, settings, environment; None where a run of it failed.
        lowest: In the order in which it adds least; ``highest``, in which it adds most.
    """

    factor: str
    share: float
    in_order: float | None
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class MetricExplained:
    """A metric of two runs.

    Attributes:
        a: As the first run's record has it; ``b``, the second's.
        difference: ``b`` less ``a``: the sum of all shares and of ``remainder``.
        a_again: In the first run made again; ``b_again``, in the second.
        remainder: The part of the difference that no run shows: what was not replayed, and noise.
    """

    name: str
    a: float
    b: float
    difference: float
    shares: list[FactorShare]
    a_again: float | None
    b_again: float | None
    remainder: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a metric is another in one run than in another.

    Attributes:
        states: The runs that were made, or would be.
        orders: Over how many orders of the factors each share is the mean; ``all_orders`` is how many there are.
        metrics: Those of both runs; empty where the runs were not made.
    """

    a: RunSummary
    b: RunSummary
    factors: list[FactorView]
    states: list[StateView]
    orders: int
    all_orders: int
    metrics: list[MetricExplained]
    dry_run: bool
    path: str | None = None

    @property
    def how(self) -> str:
        """Which mean the shares are."""
        if self.all_orders == 1:
            return "one change, one order"
        every = self.orders == self.all_orders
        which = f"all {self.orders}" if every else f"{self.orders} of {self.all_orders}"
        return f"each is the mean over {which} orders of the changes"

    def _repr_html_(self) -> str:
        from tidemill.loop import replay_pages  # noqa: PLC0415 - only a notebook asks

        return replay_pages.explanation_part(self)
