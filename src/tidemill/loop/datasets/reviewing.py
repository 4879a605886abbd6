"""Reviews: a request to merge one branch into another, looked at and approved before it is merged.

What a review would change is computed when it is shown, and never stored. While it is open it follows its
branch; an approval is of one commit.
"""

import dataclasses
import re
from typing import TYPE_CHECKING

from tidemill.core.clock import now, stamp
from tidemill.core.errors import AlreadyExists, InvalidInput, NotAllowed, NotFound
from tidemill.core.events import Sink, silent
from tidemill.loop.datasets import diffing
from tidemill.loop.datasets.check_views import CheckView
from tidemill.loop.datasets.checking import check_views
from tidemill.loop.datasets.choices import Decisions, as_choices
from tidemill.loop.datasets.merging import conflicts
from tidemill.loop.datasets.references import row_counts
from tidemill.loop.datasets.review_rules import check_approver, counting, lacking_approvals, rule_of
from tidemill.loop.datasets.review_views import ApprovalView, CommentView, ReviewShow, ReviewView
from tidemill.loop.datasets.views import ConflictView, DiffView, MergeView
from tidemill.loop.guard import check_proposal, guard
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Dataset
    from tidemill.store.catalog import records

_REF = re.compile(r"(?P<dataset>[^#\s]+)#(?P<number>[1-9]\d*)")


def open_review(
    ws: Workspace,
    name: str,
    source: str,
    into: str = "main",
    title: str | None = None,
    description: str = "",
) -> ReviewView:
    """Ask for branch ``source`` to be merged into ``into``.

    Args:
        ws: The project.
        name: The dataset.
        source: The branch that has the changes.
        into: The branch that shall get them.
        title: One line; the message of the newest commit of ``source`` if None.
        description: What the one who looks should know.

    Raises:
        NotFound: ``dataset-not-found``, ``branch-not-found``.
        InvalidInput: ``nothing-to-review``: ``into`` has all of it.
        AlreadyExists: ``review-exists``: an open one asks for the same.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    dataset = ws.datasets.open(name)
    head, target = dataset.head(source), dataset.head(into)
    if dataset.base(head.id, target.id).id == head.id:
        raise InvalidInput(
            f"'{into}' of dataset '{name}' has all that '{source}' has.",
            hint=f"Change something on '{source}' first.",
            code="nothing-to-review",
        )
    with ws.store.catalog.write() as write:
        same = write.first(
            records.Review, {"dataset": name, "source": source, "target": into, "state": "open"}
        )
        if same is not None:
            raise AlreadyExists(
                f"Review {_called(same)} asks for '{source}' to be merged into '{into}' already.",
                why="An open review follows its branch.",
                hint=f"Type 'tidemill review show {_called(same)}'.",
                code="review-exists",
            )
        review = records.Review(
            dataset=name,
            number=write.greatest(records.Review, "number", {"dataset": name}) + 1,
            title=(title or head.message).strip().splitlines()[0],
            description=description,
            source=source,
            target=into,
            author=ws.project.author,
            state="open",
            opened_at=stamp(now()),
        )
        write.add(review)
    return _view(review, [], 0)


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
        _view(
            r,
            [a for a in approvals if (a.dataset, a.review) == (r.dataset, r.number)],
            sum((c.dataset, c.review) == (r.dataset, r.number) for c in comments),
        )
        for r in found
    ]


def show_review(ws: Workspace, ref: str, limit: int = 20) -> ReviewShow:
    """A review, with what it would change, its conflicts, and what it lacks.

    Args:
        ws: The project.
        ref: Which, as in ``fashion#3``.
        limit: Changed cells and conflicts to show at most.

    Raises:
        NotFound: ``review-not-found``.
        InvalidInput: ``invalid-review``.
    """
    review = _find(ws, ref)
    approvals, comments = _said(ws, review)
    dataset, rule = ws.datasets.open(review.dataset), rule_of(ws, review.dataset)
    head, target = _ends(dataset, review)
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
    return ReviewShow(
        about=_view(review, approvals, len(comments)),
        description=review.description,
        commit=head,
        diff=_diff(ws, dataset, head, target, limit),
        approvals=[
            ApprovalView(a.author, a.given_at, a.head, a.head == head and a.author in yes) for a in approvals
        ],
        approvals_needed=rule.approvals,
        checks=checks,
        conflicts=undecided[:limit],
        conflict_count=len(undecided),
        comments=[CommentView(c.number, c.author, c.written_at, c.text, c.row) for c in comments],
        lacking=lacking,
        ended_at=review.ended_at,
        ended_by=review.ended_by,
    )


def comment(ws: Workspace, ref: str, text: str, row: str | None = None) -> CommentView:
    """Write something under a review, whatever its state; ``row`` is the ``_id`` that it is about.

    Raises:
        NotFound: ``review-not-found``.
        InvalidInput: ``invalid-review``, ``empty-comment``, ``invalid-row``.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    review = _find(ws, ref)
    if not text.strip():
        raise InvalidInput("The comment is empty.", hint="Write something.", code="empty-comment")
    if row is not None and not row.isdecimal():
        raise InvalidInput(
            f"'{row}' is not the _id of a row.",
            hint=f"Type 'tidemill review show {ref}'; the rows that it changes are listed with theirs.",
            code="invalid-row",
        )
    where = {"dataset": review.dataset, "review": review.number}
    with ws.store.catalog.write() as write:
        made = records.Comment(
            review.dataset,
            review.number,
            write.greatest(records.Comment, "number", where) + 1,
            ws.project.author,
            text.strip(),
            row,
            stamp(now()),
        )
        write.add(made)
    return CommentView(made.number, made.author, made.written_at, made.text, made.row)


def approve(ws: Workspace, ref: str) -> ApprovalView:
    """Approve what a review would merge as it is now: the head of its branch, and no later one.

    Raises:
        NotFound: ``review-not-found``, ``branch-not-found``.
        NotAllowed: ``review-ended``, ``own-review``, ``not-an-approver``.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    review = _open(ws, ref)
    author = ws.project.author
    check_approver(rule_of(ws, review.dataset), review, author)
    head = ws.datasets.open(review.dataset).head(review.source).id
    made = records.Approval(review.dataset, review.number, author, head, stamp(now()))
    with ws.store.catalog.write() as write:
        write.add_new(made)
    return ApprovalView(author, made.given_at, head, counts=True)


def merge_review(
    ws: Workspace,
    ref: str,
    message: str | None = None,
    *,
    decisions: Decisions | None = None,
    fire: bool = True,
    sink: Sink = silent,
) -> MergeView:
    """Merge what a review asks for, then run what watches its target, as ``merging.merge`` does.

    Args:
        ws: The project.
        ref: Which, as in ``fashion#3``.
        message: Of the merge commit; the review's name and title if None.
        decisions: What to do where both changed the same.
        fire: Whether triggers run.
        sink: Gets the events of what was fired.

    Raises:
        NotAllowed: ``review-ended``, ``not-approved``, ``review-moved``.
        Conflict: ``merge-conflict``; then nothing is changed.
        Failed: ``commit-refused``: a check of the target says no to what the merge makes.
        InvalidInput: What ``choices.as_choices`` raises; ``unknown-conflict``, ``no-base``.
    """
    from tidemill.loop.refit import fire_merge  # noqa: PLC0415 - refit merges nothing, but it runs pipelines

    review = _open(ws, ref)
    dataset = ws.datasets_behind(guard(ws.project, reviewed=True)).open(review.dataset)
    head, target = dataset.head(review.source), dataset.head(review.target)
    approvals, _ = _said(ws, review)
    missing = lacking_approvals(rule_of(ws, review.dataset), review, approvals, head.id)
    if missing:
        raise missing
    # The commit that was looked at, and not its branch, which may move until it is merged.
    text = message or f"Merge review {_called(review)}: {review.title}"
    choices = as_choices(decisions) if decisions else None
    merged = dataset.merge(head.id, into=review.target, message=text, choices=choices)
    _end(
        ws,
        dataclasses.replace(
            review,
            state="merged",
            source_commit=head.id,
            target_commit=target.id,
            merge_commit=merged.commit.id,
        ),
    )
    fired = (
        fire_merge(ws, review.dataset, review.target, merged.commit.id, sink=sink)
        if fire and not merged.already
        else []
    )
    return MergeView(
        review.dataset,
        review.source,
        review.target,
        merged.commit.id,
        merged.commit.number,
        row_counts(merged.changes),
        merged.already,
        fired,
    )


def close(ws: Workspace, ref: str) -> ReviewView:
    """End a review without merging it. Its branch stays.

    Raises:
        NotFound: ``review-not-found``.
        NotAllowed: ``review-ended``.
    """
    review = _open(ws, ref)
    head, target = _ends(ws.datasets.open(review.dataset), review)
    ended = _end(ws, dataclasses.replace(review, state="closed", source_commit=head, target_commit=target))
    approvals, comments = _said(ws, review)
    return _view(ended, approvals, len(comments))


def _end(ws: Workspace, review: "records.Review") -> "records.Review":
    ended = dataclasses.replace(review, ended_at=stamp(now()), ended_by=ws.project.author)
    with ws.store.catalog.write() as write:
        write.put(ended)
    return ended


def _find(ws: Workspace, ref: str) -> "records.Review":
    from tidemill.store.catalog import records  # noqa: PLC0415

    match = _REF.fullmatch(ref)
    if match is None:
        raise InvalidInput(
            f"'{ref}' does not name a review.",
            why="A review is named by its dataset and its number.",
            hint="Type it as in 'fashion#3'; 'tidemill review list' has them all.",
            code="invalid-review",
        )
    dataset = ws.datasets.open(match["dataset"])
    with ws.store.catalog.read() as read:
        found = read.first(records.Review, {"dataset": dataset.name, "number": int(match["number"])})
    if found is None:
        raise NotFound(
            f"There is no review {ref}.",
            hint=f"Type 'tidemill review list {dataset.name} --state all'.",
            code="review-not-found",
        )
    return found


def _open(ws: Workspace, ref: str) -> "records.Review":
    review = _find(ws, ref)
    if review.state != "open":
        raise NotAllowed(
            f"Review {ref} is {review.state} already, by {review.ended_by}.",
            hint=f"Type 'tidemill review show {ref}' to see it, or open another.",
            code="review-ended",
        )
    return review


def _said(ws: Workspace, review: "records.Review") -> "tuple[list[records.Approval], list[records.Comment]]":
    from tidemill.store.catalog import records  # noqa: PLC0415

    where = {"dataset": review.dataset, "review": review.number}
    with ws.store.catalog.read() as read:
        return (
            read.find(records.Approval, where, order=("given_at",)),
            read.find(records.Comment, where, order=("number",)),
        )


def _ends(dataset: "Dataset", review: "records.Review") -> tuple[str | None, str | None]:
    """The commits of source and target: as they are while it is open, as they were when it ended."""
    if review.state != "open":
        return review.source_commit, review.target_commit
    heads = dataset.branches()
    source, target = heads.get(review.source), heads.get(review.target)
    return source and source.id, target and target.id


def _diff(
    ws: Workspace, dataset: "Dataset", head: str | None, target: str | None, limit: int
) -> DiffView | None:
    if head is None or target is None:
        return None
    base = dataset.base(head, target)
    return diffing.diff(ws, f"{dataset.name}@{base.id}", f"{dataset.name}@{head}", limit)


def _checks(ws: Workspace, dataset: "Dataset", review: "records.Review", head: str) -> list[CheckView]:
    """What the target's checks say of the source as it is; a merge is checked again, as what it makes."""
    from tidemill.data import Changes, Proposal  # noqa: PLC0415

    before, result = dataset.snapshot(review.target), dataset.snapshot(head)
    return check_views(
        check_proposal(ws.project, Proposal(dataset.name, review.target, before, result, Changes()))
    )


def _called(review: "records.Review") -> str:
    return f"{review.dataset}#{review.number}"


def _view(review: "records.Review", approvals: "list[records.Approval]", comments: int) -> ReviewView:
    return ReviewView(
        review=_called(review),
        dataset=review.dataset,
        number=review.number,
        title=review.title,
        state=review.state,
        source=review.source,
        into=review.target,
        author=review.author,
        opened_at=review.opened_at,
        approved_by=sorted({a.author for a in approvals}),
        comments=comments,
        merge_commit=review.merge_commit,
    )
