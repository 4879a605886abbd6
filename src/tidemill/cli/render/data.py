"""Datasets, drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import counts, facts, heading, stack, table, when, written

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import (
        BranchView,
        CommitView,
        DatasetView,
        DataShow,
        DiffView,
        Exported,
        ImportView,
        MergeView,
        RefitView,
        RowCounts,
        TagView,
    )


def _counts(rows: "RowCounts") -> str:
    return counts(rows.added, rows.changed, rows.removed)


def imported(view: "ImportView") -> str:
    """The commit, and what it did."""
    where = f"commit {view.number} ({view.commit})"
    if view.unchanged:
        return f"{view.dataset}: nothing changed; still {where} with {view.total:,} rows."
    return f"{view.dataset}: {where}, rows: {_counts(view.rows)}; {view.total:,} in all."


def datasets(views: Sequence["DatasetView"]) -> "RenderableType":
    """One line a dataset."""
    return table(
        ["dataset", "rows", "commit", "commit no.", "branches", "tags", "time (UTC)"],
        [(v.name, v.rows, v.commit, v.number, v.branches, v.tags, when(v.time)) for v in views],
        empty="There are no datasets. Type: tidemill data import NAME FILE.csv",
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


def show(view: "DataShow") -> "RenderableType":
    """The commit, the columns, some rows."""
    commit = view.commit
    about = facts(
        [
            ("dataset", view.dataset),
            ("commit", f"{commit.number} ({commit.id}) on {commit.branch}"),
            ("tags", ", ".join(commit.tags) or None),
            ("time", f"{when(commit.time)} UTC by {commit.author}"),
            ("message", commit.message or None),
            ("rows", commit.rows),
        ]
    )
    columns = table(
        ["column", "type", "missing"],
        [(c["name"], c["type"], c["missing"]) for c in view.columns],
        empty="No columns.",
    )
    names = list(dict.fromkeys(name for row in view.sample for name in row))
    sample = table(
        names, [[_cell(name, row.get(name)) for name in names] for row in view.sample], empty="No rows."
    )
    return stack(about, columns, sample)


def _cell(name: str, value: object) -> str:
    # A 64-bit id with thousands separators reads as an amount.
    return str(value) if name.startswith("_") and value is not None else written(value)


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


def merge(view: "MergeView") -> str:
    """The merge, and what it set off."""
    where = f"commit {view.number} ({view.commit})"
    if view.already:
        return f"{view.dataset}: {view.source} is in {view.into} already; nothing to merge. Still {where}."
    lines = [f"{view.dataset}: merged {view.source} into {view.into}, {where}: {_counts(view.rows)}."]
    return "\n".join([*lines, *(_fired(refit) for refit in view.fired)])


def _fired(refit: "RefitView") -> str:
    from tidemill.cli.render.circle import refit as draw  # noqa: PLC0415

    return f"Trigger {refit.trigger}: {draw(refit)}"


def exported(view: "Exported") -> str:
    """The file that was written."""
    return f"{view.path}: {view.rows:,} rows of {view.dataset} at {view.commit}, as {view.format}."
