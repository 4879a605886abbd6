"""Reviews to look at: all of them in a list, and one with what it would change, as facts and as a page."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.loop import written
from tidemill.loop.datasets import diffing
from tidemill.loop.datasets.check_views import CheckView
from tidemill.loop.datasets.checking import check_views
from tidemill.loop.datasets.merging import conflicts
from tidemill.loop.datasets.review_records import as_view, ends, find_review, said
from tidemill.loop.datasets.review_rules import counting, in_words, lacking_approvals, rule_of
from tidemill.loop.datasets.review_views import ApprovalView, CommentView, ReviewShow, ReviewView
from tidemill.loop.guard import check_proposal
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Dataset
    from tidemill.loop.datasets.views import ConflictView
    from tidemill.store.catalog import records

_SHOWN, _ON_A_PAGE = 20, 200
"""Changed cells and conflicts, where nobody says how many."""


def reviews(ws: Workspace, name: str | None = None, state: str | None = "open") -> list[ReviewView]:
    """The reviews of a dataset, or of all; of one state, or (None) of each. The newest first."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    where: dict[str, object] = {}
    if name is not None:
        ws.datasets.open(name)
        where["dataset"] = name
    if state is not None:
        where["state"] = state
    with ws.store.catalog.read() as read:
        found = read.find(records.Review, where, order=("-opened_at", "-number"))
        approvals = read.find(records.Approval)
        comments = read.find(records.Comment)
    return [
        as_view(
            r,
            [a for a in approvals if (a.dataset, a.review) == (r.dataset, r.number)],
            sum((c.dataset, c.review) == (r.dataset, r.number) for c in comments),
        )
        for r in found
    ]


def show_review(ws: Workspace, ref: str, limit: int | None = None, *, html: Path | None = None) -> ReviewShow:
    """A review, with what it would change, its conflicts, and what it lacks.

    Args:
        ws: The project.
        ref: Which, as in ``fashion#3``.
        limit: Changed cells and conflicts to show at most; if None, 20, and 200 on the page.
        html: Also write a page here, with images drawn.

    Raises:
        NotFound: ``review-not-found``.
        InvalidInput: ``invalid-review``.
        StorageError: ``storage``: the page cannot be written.
    """
    review = find_review(ws, ref)
    approvals, comments = said(ws, review)
    dataset, rule = ws.datasets.open(review.dataset), rule_of(ws, review.dataset)
    head, target = ends(dataset, review)
    lacking: list[str] = []
    checks: list[CheckView] = []
    undecided: list[ConflictView] = []
    if review.state == "open" and head and target:
        undecided = conflicts(ws, review.dataset, head, review.target)
        checks = _checks(ws, dataset, review, head)
        lacking += [f"check {c.check}: {c.reason}" for c in checks if not c.passed]
        missing = lacking_approvals(rule, review, approvals, head)
        if missing:
            lacking.append(missing.message)
    elif review.state == "open":
        lacking.append(f"branch '{review.target if head else review.source}' is gone")
    yes = {a.author for a in counting(rule, review, approvals, head)} if head else set[str]()
    base = dataset.base(head, target) if head and target else None
    shows = [c for c in (head, target, base and base.id) if c]
    about = written.shown(ws.store, dataset.name, shows)
    diff = dataset.diff(base.id, head) if base and head else None
    names = (f"{dataset.name}@{base.id}", f"{dataset.name}@{head}") if base else ("", "")
    shown = _SHOWN if limit is None else limit
    view = ReviewShow(
        about=as_view(review, approvals, len(comments)),
        description=review.description,
        commit=head,
        diff=diffing.as_view(diff, *names, shown) if diff else None,
        rule=in_words(rule),
        approvals=[
            ApprovalView(a.author, a.given_at, a.head, a.head == head and a.author in yes) for a in approvals
        ],
        approvals_needed=rule.approvals,
        checks=checks,
        conflicts=undecided[:shown],
        conflict_count=len(undecided),
        comments=[CommentView(c.number, c.author, c.written_at, c.text, c.row) for c in comments],
        lacking=lacking,
        ended_at=review.ended_at,
        ended_by=review.ended_by,
        path=str(html) if html is not None else None,
    )
    if html is not None:
        from tidemill.loop.datasets.pages import review as page  # noqa: PLC0415

        most = _ON_A_PAGE if limit is None else limit
        drawn = diffing.as_view(diff, *names, most) if diff else None
        text = page.render(replace(view, diff=drawn, conflicts=undecided[:most]), diff)
        written.write_page(ws.store, html, "review", [about], text)
    return view


def _checks(ws: Workspace, dataset: "Dataset", review: "records.Review", head: str) -> list[CheckView]:
    """What the target's checks say of the source as it is; a merge is checked again, as what it makes."""
    from tidemill.data import Changes, Proposal  # noqa: PLC0415

    before, result = dataset.snapshot(review.target), dataset.snapshot(head)
    return check_views(
        check_proposal(ws.project, Proposal(dataset.name, review.target, before, result, Changes()))
    )
