"""What making a run again says, and what explaining a difference does."""

from dataclasses import dataclass
from typing import Any

from tidemill.loop.interpreters import Difference


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
        reasons: What was another for that step: code, settings, inputs, packages, threads, the machine. None of
            these where the step itself gives something else each time.
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
