"""Commits, differences, branches, tags."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import counts, heading, stack, table, when, written

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.datasets.views import (
        BranchView,
        CommitView,
        DiffView,
        TagView,
    )


def log(views: Sequence["CommitView"]) -> "RenderableType":
    """One line a commit."""
    return table(
        ["commit no.", "commit", "branch", "time (UTC)", "author", "rows", "tags", "message"],
        [
            (
                v.number,
                v.id,
                v.branch,
                when(v.time),
                v.author,
                v.rows,
                ", ".join(v.tags),
                v.message,
            )
            for v in views
        ],
        empty="There are no commits.",
    )


def diff(view: "DiffView") -> "RenderableType":
    """How many rows differ, and the first cells that do."""
    summary = f"{view.a} to {view.b}: {counts(view.added, view.changed, view.removed)}."
    if not view.cells:
        return summary
    cells = table(
        ["row", "column", "old", "new"],
        [(str(c["id"]), c["column"], written(c["old"]), written(c["new"])) for c in view.cells],
        empty="",
    )
    return stack(summary, heading("Changed cells:", cells))


def branches(views: Sequence["BranchView"]) -> "RenderableType":
    """One line a branch."""
    return table(
        ["branch", "commit no.", "commit"],
        [(v.branch, v.number, v.commit) for v in views],
        empty="There are no branches.",
    )


def branch(view: "BranchView") -> str:
    """The branch that was made."""
    return f"{view.dataset}@{view.branch} is at commit {view.number} ({view.commit})."


def branch_deleted(view: "BranchView") -> str:
    """The branch that is gone, and how to have it back."""
    return f"Deleted {view.dataset}@{view.branch}, which was at commit {view.number} ({view.commit})."


def tags(views: Sequence["TagView"]) -> "RenderableType":
    """One line a tag."""
    return table(
        ["tag", "commit no.", "commit"],
        [(v.tag, v.number, v.commit) for v in views],
        empty="There are no tags.",
    )


def tag(view: "TagView") -> str:
    """The tag that was made."""
    return f"{view.dataset}@{view.tag} is commit {view.number} ({view.commit})."
