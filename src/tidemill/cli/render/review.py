"""Reviews, drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import facts, heading, stack, table, when

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.datasets.review_views import ApprovalView, CommentView, ReviewShow, ReviewView


def opened(view: "ReviewView") -> str:
    """The review that was opened, and how to look at it."""
    return (
        f"Opened {view.review}: merge {view.source} into {view.into}. "
        f"Type 'tidemill review show {view.review}'."
    )


def reviews(views: "Sequence[ReviewView]") -> "RenderableType":
    """One line a review."""
    return table(
        ["review", "state", "from", "into", "author", "opened (UTC)", "approved by", "comments", "title"],
        [
            (
                v.review,
                v.state,
                v.source,
                v.into,
                v.author,
                when(v.opened_at),
                ", ".join(v.approved_by),
                v.comments,
                v.title,
            )
            for v in views
        ],
        empty="There are no such reviews.",
    )


def show(view: "ReviewShow") -> "RenderableType":
    """A review, whole."""
    from tidemill.cli.render.data import history  # noqa: PLC0415
    from tidemill.cli.render.data.checking import checks  # noqa: PLC0415

    about = view.about
    top = facts(
        [
            ("review", f"{about.review}: {about.title}"),
            ("asks for", f"{about.source} into {about.into}"),
            ("author", f"{about.author}, {when(about.opened_at)} UTC"),
            ("state", _state(view)),
            ("commit", view.commit),
            ("merge commit", about.merge_commit),
            ("description", view.description or None),
            ("rule", view.rule if view.approvals_needed else None),
            ("page", view.path),
        ]
    )
    return stack(
        top,
        history.diff(view.diff) if view.diff else None,
        _conflicts(view),
        heading("Checks:", checks(view.checks)) if view.checks else None,
        heading("Approvals:", _approvals(view)) if view.approvals or view.approvals_needed else None,
        heading("Comments:", _comments(view.comments)) if view.comments else None,
        _next(view),
    )


def _conflicts(view: "ReviewShow") -> "RenderableType | None":
    from dataclasses import asdict  # noqa: PLC0415

    from tidemill.cli.render.data import merging  # noqa: PLC0415

    if not view.conflict_count:
        return None
    words = f"Conflicts with {view.about.into}, {view.conflict_count:,}:"
    return heading(words, merging.conflicts([asdict(c) for c in view.conflicts]))


def _state(view: "ReviewShow") -> str:
    if view.ended_at is None:
        return view.about.state
    return f"{view.about.state} by {view.ended_by}, {when(view.ended_at)} UTC"


def _approvals(view: "ReviewShow") -> "RenderableType":
    needed = view.approvals_needed
    return table(
        ["by", "time (UTC)", "commit", "counts"],
        [(a.author, when(a.time), a.commit, _counts(a)) for a in view.approvals],
        empty=f"None yet; {needed} needed.",
    )


def _counts(approval: "ApprovalView") -> str:
    return "yes" if approval.counts else "no"


def _comments(comments: "Sequence[CommentView]") -> "RenderableType":
    return table(
        ["by", "time (UTC)", "row", "comment"],
        [(c.author, when(c.time), c.row or "", c.text) for c in comments],
        empty="",
    )


def _next(view: "ReviewShow") -> str | None:
    if view.about.state != "open":
        return None
    if view.lacking:
        return "\n".join(["It cannot be merged yet:", *(f"- {reason}" for reason in view.lacking)])
    deciding = " and what to do with the conflicts, as --ours" if view.conflict_count else ""
    return f"It can be merged: 'tidemill review merge {view.about.review}'{deciding}."


def commented(view: "CommentView") -> str:
    """The comment that was written."""
    about = f" about row {view.row}" if view.row else ""
    return f"Comment {view.number}{about}, by {view.author}."


def approved(view: "ApprovalView") -> str:
    """The approval, and of what it is."""
    return f"{view.author} approved commit {view.commit}. If the branch moves, it must be approved again."


def closed(view: "ReviewView") -> str:
    """The review that ended."""
    return f"Closed {view.review}. Branch {view.source} stays."
