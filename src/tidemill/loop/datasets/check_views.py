"""What checks return."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckView:
    """What one check says; ``ids`` are the first of the ``rows`` that it says no to."""

    check: str
    passed: bool
    reason: str
    rows: int
    ids: list[str]


@dataclass(frozen=True, slots=True)
class CheckedView:
    """What the checks of a branch say of a commit; ``rows`` are those that any of them says no to."""

    dataset: str
    commit: str
    branch: str
    checks: list[CheckView]
    rows: int
    passed: bool


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Rows that checks said no to, and the branch where they are."""

    branch: str
    commit: str
    rows: int
    checks: list[CheckView]
