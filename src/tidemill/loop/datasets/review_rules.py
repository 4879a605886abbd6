"""The rule of a dataset's reviews: whose approval counts, and what is still lacking."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.dataset_settings import ReviewSettings
from tidemill.core.errors import NotAllowed
from tidemill.loop.guard import people
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog import records

_NO_RULE = ReviewSettings(approvals=0, branches=())


def rule_of(ws: Workspace, dataset: str) -> ReviewSettings:
    """The rule of a dataset's reviews; without one in the settings, nothing must be approved."""
    return ws.settings.reviews.get(dataset, _NO_RULE)


def in_words(rule: ReviewSettings) -> str:
    """Who must approve a review."""
    if not rule.approvals:
        return "nobody must approve it"
    whose = f"of {', '.join(rule.by)}" if rule.by else "anybody"
    return f"{people(rule.approvals)} must approve it, {whose}" + ("" if rule.own else ", but not its author")


def check_approver(rule: ReviewSettings, review: "records.Review", author: str) -> None:
    """See that somebody may approve a review.

    Raises:
        NotAllowed: ``own-review`` or ``not-an-approver``.
    """
    if author == review.author and not rule.own:
        raise NotAllowed(
            f"{author} opened this review, and cannot approve it.",
            why="A review is looked at by somebody else.",
            hint=f"Ask another; or set reviews.{review.dataset}.own = true in tidemill.toml.",
            code=codes.OWN_REVIEW,
        )
    if rule.by and author not in rule.by:
        raise NotAllowed(
            f"{author} is not among those whose approval counts.",
            why=f"reviews.{review.dataset}.by in tidemill.toml names {', '.join(rule.by)}.",
            hint=f"Ask {' or '.join(rule.by)}.",
            code=codes.NOT_AN_APPROVER,
        )


def counting(
    rule: ReviewSettings, review: "records.Review", approvals: "Sequence[records.Approval]", head: str
) -> "list[records.Approval]":
    """The approvals that count: of exactly this head, by those who may."""
    return [
        a
        for a in approvals
        if a.head == head and (rule.own or a.author != review.author) and (not rule.by or a.author in rule.by)
    ]


def lacking_approvals(
    rule: ReviewSettings, review: "records.Review", approvals: "Sequence[records.Approval]", head: str
) -> NotAllowed | None:
    """What there is to say while too few have approved this head; None when enough have."""
    now = counting(rule, review, approvals, head)
    missing = rule.approvals - len(now)
    if missing <= 0:
        return None
    ref = f"{review.dataset}#{review.number}"
    before = sorted({a.author for a in approvals if a.head != head} - {a.author for a in now})
    others = [a for a in rule.by if a not in {n.author for n in now}]
    whose = f" of {', '.join(others)}" if others else ""
    hint = f"Ask {people(missing)}{whose} to type 'tidemill review approve {ref}'."
    if before:
        return NotAllowed(
            f"Branch '{review.source}' moved after {' and '.join(before)} approved it: "
            f"{people(missing)} must approve {head}.",
            why="An approval is of what was looked at, not of what came later.",
            hint=hint,
            code=codes.REVIEW_MOVED,
        )
    return NotAllowed(
        f"Review {ref} is not approved: {people(missing)} must approve {head}.",
        hint=hint,
        code=codes.NOT_APPROVED,
    )
