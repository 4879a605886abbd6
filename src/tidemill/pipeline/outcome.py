"""What became of a run, as its exit steps are told."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What became of a run.

    Attributes:
        run: Its id; empty where a pipeline runs in memory.
        pipeline: Its pipeline's name.
        status: How it stands before its exit steps.
        failed_step: The step that failed; None where none did, or it is not known.
        error: What it said; None where the run succeeded.
    """

    run: str
    pipeline: str
    status: Literal["succeeded", "failed"]
    failed_step: str | None = None
    error: str | None = None
