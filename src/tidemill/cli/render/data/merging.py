"""What a merge did."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import counts, table, when, written

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.datasets.views import ConflictsFile, MergeView, RevertView
    from tidemill.loop.views import RefitView


def merge(view: "MergeView") -> str:
    """The merge, and what it set off."""
    where = f"commit {view.number} ({view.commit})"
    if view.already:
        return f"{view.dataset}: {view.source} is in {view.into} already; nothing to merge. Still {where}."
    lines = [
        f"{view.dataset}: merged {view.source} into {view.into}, {where}: {counts(view.rows.added, view.rows.changed, view.rows.removed)}."
    ]
    return "\n".join([*lines, *(_fired(refit) for refit in view.fired)])


def revert(view: "RevertView") -> str:
    """What was undone, and what that set off."""
    where = f"commit {view.number} ({view.commit})"
    if view.already:
        return (
            f"{view.dataset}: what {view.undone} changed is undone in {view.branch} already. Still {where}."
        )
    rows = counts(view.rows.added, view.rows.changed, view.rows.removed)
    return "\n".join(
        [
            f"{view.dataset}: undid {view.undone} in {view.branch}, {where}: {rows}.",
            *(_fired(refit) for refit in view.fired),
        ]
    )


def conflicts(listed: "Sequence[Mapping[str, Any]]") -> "RenderableType":
    """One line a conflict, with who did it on either side."""
    return table(
        ["row", "column", "base", "ours", "by", "theirs", "by"],
        [
            (
                c["id"],
                c["column"] or "(row)",
                _cell(c["base"], c, "base"),
                _cell(c["ours"], c, "ours"),
                _who(c["ours_by"]),
                _cell(c["theirs"], c, "theirs"),
                _who(c["theirs_by"]),
            )
            for c in listed
        ],
        empty="No conflicts.",
    )


def conflicts_file(view: "ConflictsFile") -> str:
    """The list that was written, and what to do with it."""
    if not view.conflicts:
        return f"{view.path}: nothing to decide; {view.source} can be merged into {view.into}."
    return (
        f"{view.path}: {view.conflicts:,} to decide. Fill in its column 'choice' (ours, theirs, base or a value), "
        f"then type: tidemill data merge {view.dataset} {view.source} --into {view.into} --choices {view.path}"
    )


def _cell(value: Any, conflict: "Mapping[str, Any]", side: str) -> str:
    if value is None and conflict["column"] is None and side != "base":
        return "(removed)"
    return written(value)


def _who(by: "Mapping[str, str] | None") -> str:
    return f"{by['author']} {when(by['time'])}" if by else "-"


def _fired(refit: "RefitView") -> str:
    from tidemill.cli.render.circle import refit as draw  # noqa: PLC0415

    return f"Trigger {refit.trigger}: {draw(refit)}"
