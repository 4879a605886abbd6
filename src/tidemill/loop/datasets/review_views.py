"""What the use cases of reviews return."""

from dataclasses import dataclass

from tidemill.loop.datasets.check_views import CheckView
from tidemill.loop.datasets.views import ConflictView, DiffView


@dataclass(frozen=True, slots=True)
class ReviewView:
    """One review; ``review`` is what it is called, as in ``fashion#3``."""

    review: str
    dataset: str
    number: int
    title: str
    state: str
    source: str
    into: str
    author: str
    opened_at: str
    approved_by: list[str]
    comments: int
    merge_commit: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """Somebody's approval; it counts while ``commit`` is what would be merged, and the rule lets its author."""

    author: str
    time: str
    commit: str
    counts: bool


@dataclass(frozen=True, slots=True)
class CommentView:
    """A comment; ``row`` is the ``_id`` of the row that it is about, if of one."""

    number: int
    author: str
    time: str
    text: str
    row: str | None


@dataclass(frozen=True, slots=True)
class ReviewShow:
    """A review with what it would change; ``lacking`` says what keeps it from being merged, in words.

    Attributes:
        commit: The head of its source; None when that branch is gone.
        diff: From what source and target have in common to that head.
        rule: Who must approve it, in words.
        conflicts: What the one who merges has to decide; the first of ``conflict_count``.
        path: The page that was written; None for none.
    """

    about: ReviewView
    description: str
    commit: str | None
    diff: DiffView | None
    rule: str
    approvals: list[ApprovalView]
    approvals_needed: int
    checks: list[CheckView]
    conflicts: list[ConflictView]
    conflict_count: int
    comments: list[CommentView]
    lacking: list[str]
    ended_at: str | None
    ended_by: str | None
    path: str | None
