"""Commits, differences, branches, tags."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.data import graphs
from tidemill.cli.render.shapes import counts, heading, stack, table, when, written

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.datasets.views import (
        BlameView,
        BranchView,
        CommitView,
        DiffStat,
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


def graph(views: Sequence["CommitView"]) -> "RenderableType":
    """One line a commit, with lines from each to those it was made from."""
    rows = graphs.lanes([(v.id, v.parents) for v in views])
    by_id = {v.id: v for v in views}
    cells: list[tuple[Any, ...]] = []
    for drawn, commit in rows:
        v = by_id.get(commit or "")
        facts = (v.id, v.branch, when(v.time), v.author, ", ".join(v.tags), v.message) if v else ("",) * 6
        cells.append((drawn, *facts))
    return table(
        ["", "commit", "branch", "time (UTC)", "author", "tags", "message"],
        cells,
        empty="There are no commits.",
    )


def blame(view: "BlameView") -> "RenderableType":
    """One line for the cells of a row that one commit changed last."""
    lines = table(
        ["row", "cells", "commit", "time (UTC)", "author", "message"],
        [
            (
                line.id,
                ", ".join(f"{name} {written(value)}" for name, value in line.values.items()),
                line.commit,
                when(line.time),
                line.author,
                line.message,
            )
            for line in view.lines
        ],
        empty="There are no such rows.",
    )
    rest = view.found - view.rows
    return stack(lines, f"{rest:,} more rows; --limit shows more." if rest else None)


def switched(view: "BranchView") -> str:
    """The branch that the project works on now."""
    return f"{view.dataset} means {view.dataset}@{view.branch} here now, at commit {view.number} ({view.commit})."


def diff(view: "DiffView") -> "RenderableType":
    """How many rows differ, the first cells that do, the first rows that came and went."""
    summary = f"{view.a} to {view.b}: {counts(view.added, view.changed, view.removed)}."
    if not (view.cells or view.rows):
        return summary
    parts: list[RenderableType] = []
    if view.cells:
        cells = table(
            ["row", "column", "old", "new"],
            [(str(c["id"]), c["column"], written(c["old"]), written(c["new"])) for c in view.cells],
            empty="",
        )
        parts.append(heading("Changed cells:", cells))
    for change in ("added", "removed"):
        rows = [r for r in view.rows if r["change"] == change]
        names = list(dict.fromkeys(name for r in rows for name in r["cells"]))
        drawn = [(r["id"], *(written(r["cells"].get(name)) for name in names)) for r in rows]
        if drawn:
            parts.append(heading(f"{change.capitalize()} rows:", table(["row", *names], drawn, empty="")))
    return stack(summary, *parts)


def diff_stat(view: "DiffStat") -> "RenderableType":
    """How much differs, by column and by label."""
    columns = table(
        ["column", "changed"],
        [(c["column"], f"{c['changed']:,}") for c in view.columns],
        empty="No cell changed.",
    )
    labels = table(
        ["label", "before", "added", "removed", "relabelled to it", "from it", "after"],
        [
            tuple("-" if v is None else v if isinstance(v, str) else f"{v:,}" for v in line.values())
            for line in view.labels
        ],
        empty="",
    )
    summary = f"{view.a} to {view.b}: {counts(view.added, view.changed, view.removed)}."
    return stack(summary, columns, labels if view.labels else None)


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
