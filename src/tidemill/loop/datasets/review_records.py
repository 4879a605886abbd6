"""Reviews as the catalog has them: found by name, with what was said of them and the commits that they are about."""

import re
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NotAllowed, NotFound
from tidemill.loop.datasets.review_views import ReviewView
from tidemill.loop.view_of import view_of
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Dataset
    from tidemill.store.catalog import records

_REF = re.compile(r"(?P<dataset>[^#\s]+)#(?P<number>[1-9]\d*)")


def find_review(ws: Workspace, ref: str) -> "records.Review":
    """The review that ``ref`` names, as in ``fashion#3``.

    Raises:
        NotFound: ``review-not-found``.
        InvalidInput: ``invalid-review``.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    match = _REF.fullmatch(ref)
    if match is None:
        raise InvalidInput(
            f"'{ref}' does not name a review.",
            why="A review is named by its dataset and its number.",
            hint="Type it as in 'fashion#3'; 'tidemill review list' has them all.",
            code=codes.INVALID_REVIEW,
        )
    dataset = ws.datasets.open(match["dataset"])
    with ws.store.catalog.read() as read:
        found = read.first(records.Review, {"dataset": dataset.name, "number": int(match["number"])})
    if found is None:
        raise NotFound(
            f"There is no review {ref}.",
            hint=f"Type 'tidemill review list {dataset.name} --state all'.",
            code=codes.REVIEW_NOT_FOUND,
        )
    return found


def find_open(ws: Workspace, ref: str) -> "records.Review":
    """The same, where it is open.

    Raises:
        NotAllowed: ``review-ended``.
    """
    review = find_review(ws, ref)
    if review.state != "open":
        raise NotAllowed(
            f"Review {ref} is {review.state} already, by {review.ended_by}.",
            hint=f"Type 'tidemill review show {ref}' to see it, or open another.",
            code=codes.REVIEW_ENDED,
        )
    return review


def said(ws: Workspace, review: "records.Review") -> "tuple[list[records.Approval], list[records.Comment]]":
    """The approvals and comments of a review, oldest first."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    where = {"dataset": review.dataset, "review": review.number}
    with ws.store.catalog.read() as read:
        return (
            read.find(records.Approval, where, order=("given_at",)),
            read.find(records.Comment, where, order=("number",)),
        )


def ends(dataset: "Dataset", review: "records.Review") -> tuple[str | None, str | None]:
    """The commits of source and target: as they are while it is open, as they were when it ended."""
    if review.state != "open":
        return review.source_commit, review.target_commit
    heads = dataset.branches()
    source, target = heads.get(review.source), heads.get(review.target)
    return source and source.id, target and target.id


def called(review: "records.Review") -> str:
    """What people type for it."""
    return f"{review.dataset}#{review.number}"


def as_view(review: "records.Review", approvals: "list[records.Approval]", comments: int) -> ReviewView:
    """A review in one line."""
    return view_of(
        ReviewView,
        review,
        review=called(review),
        into=review.target,
        approved_by=sorted({a.author for a in approvals}),
        comments=comments,
    )
