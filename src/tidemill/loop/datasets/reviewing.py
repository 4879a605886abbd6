"""Reviews: a request to merge one branch into another, looked at and approved before it is merged.

What a review would change is computed when it is shown, and never stored. While it is open it follows its
branch; an approval is of one commit.
"""

import dataclasses
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.clock import now, stamp
from tidemill.core.errors import AlreadyExists, InvalidInput
from tidemill.core.events import Sink, silent
from tidemill.loop.datasets.choices import Decisions, as_choices
from tidemill.loop.datasets.merging import merge_view
from tidemill.loop.datasets.review_records import as_view, called, ends, find_open, find_review, said
from tidemill.loop.datasets.review_rules import check_approver, lacking_approvals, rule_of
from tidemill.loop.datasets.review_views import ApprovalView, CommentView, ReviewView
from tidemill.loop.datasets.views import MergeView, RowCounts
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Commit, Dataset, Merged
    from tidemill.loop.views import RefitView
    from tidemill.store.catalog import records


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
            code=codes.NOTHING_TO_REVIEW,
        )
    with ws.store.catalog.write() as write:
        same = write.first(
            records.Review, {"dataset": name, "source": source, "target": into, "state": "open"}
        )
        if same is not None:
            raise AlreadyExists(
                f"Review {called(same)} asks for '{source}' to be merged into '{into}' already.",
                why="An open review follows its branch.",
                hint=f"Type 'tidemill review show {called(same)}'.",
                code=codes.REVIEW_EXISTS,
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
    return as_view(review, [], 0)


def comment(ws: Workspace, ref: str, text: str, row: str | None = None) -> CommentView:
    """Write something under a review, whatever its state; ``row`` is the ``_id`` that it is about.

    Raises:
        NotFound: ``review-not-found``.
        InvalidInput: ``invalid-review``, ``empty-comment``, ``invalid-row``.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    review = find_review(ws, ref)
    if not text.strip():
        raise InvalidInput("The comment is empty.", hint="Write something.", code=codes.EMPTY_COMMENT)
    if row is not None and not row.isdecimal():
        raise InvalidInput(
            f"'{row}' is not the _id of a row.",
            hint=f"Type 'tidemill review show {ref}'; the rows that it changes are listed with theirs.",
            code=codes.INVALID_ROW,
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

    review = find_open(ws, ref)
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
    from tidemill.loop.firing import commit_and_fire, settle_branch  # noqa: PLC0415 - it runs pipelines

    review = find_review(ws, ref)
    if fire and review.state == "merged" and review.merge_commit is not None:
        fired = settle_branch(ws, review.dataset, review.target, sink)
        if fired:
            return _finished(ws.datasets.open(review.dataset).resolve(review.merge_commit), review, fired)
    review = find_open(ws, ref)

    def change(dataset: "Dataset") -> "Merged":
        head, target = dataset.head(review.source), dataset.head(review.target)
        approvals, _ = said(ws, review)
        missing = lacking_approvals(rule_of(ws, review.dataset), review, approvals, head.id)
        if missing:
            raise missing
        # The commit that was looked at, and not its branch, which may move until it is merged.
        text = message or f"Merge review {called(review)}: {review.title}"
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
        return merged

    merged, fired = commit_and_fire(
        ws, review.dataset, review.target, change, fire=fire, sink=sink, reviewed=True
    )
    return merge_view(review.dataset, review.source, review.target, merged, fired)


def _finished(commit: "Commit", review: "records.Review", fired: "list[RefitView]") -> MergeView:
    """A review that was merged before, and whose triggers are answered now."""
    return MergeView(
        review.dataset,
        review.source,
        review.target,
        commit.id,
        commit.number,
        RowCounts(0, 0, 0),
        already=True,
        fired=fired,
    )


def close(ws: Workspace, ref: str) -> ReviewView:
    """End a review without merging it. Its branch stays.

    Raises:
        NotFound: ``review-not-found``.
        NotAllowed: ``review-ended``.
    """
    review = find_open(ws, ref)
    head, target = ends(ws.datasets.open(review.dataset), review)
    ended = _end(ws, dataclasses.replace(review, state="closed", source_commit=head, target_commit=target))
    approvals, comments = said(ws, review)
    return as_view(ended, approvals, len(comments))


def _end(ws: Workspace, review: "records.Review") -> "records.Review":
    ended = dataclasses.replace(review, ended_at=stamp(now()), ended_by=ws.project.author)
    with ws.store.catalog.write() as write:
        write.put(ended)
    return ended
