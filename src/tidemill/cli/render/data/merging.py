"""What a merge did."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import counts, stack, table, when, written

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.datasets.views import ConflictsFile, ConflictView, MergeView, RevertView, WhoView
    from tidemill.loop.views import RefitView

_PICTURE_LINES = 14


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


def question(conflict: "ConflictView", number: int, count: int) -> "RenderableType":
    """One conflict with all that is known of it; images are drawn."""
    what = f"column {conflict.column}" if conflict.column else "removed on one side, changed on the other"
    lines = [f"Conflict {number} of {count}: row {conflict.id}, {what}"]
    parts: list[RenderableType] = []
    sides: list[tuple[str, Any, WhoView | None]] = [
        ("ours", conflict.ours, conflict.ours_by),
        ("theirs", conflict.theirs, conflict.theirs_by),
    ]
    if conflict.has_base:
        sides.insert(0, ("base", conflict.base, None))
    for side, value, by in sides:
        who = f" by {by.author} at {when(by.time)}" if by else ""
        picture = _picture(value, conflict.shape)
        if value is None and conflict.column is None:
            text = "(removed)"
        else:
            text = "" if picture else written(value, limit=None)
        parts.append(f"  {side}{who}: {text}".rstrip())
        parts += [picture] if picture else []
    return stack(lines[0], *parts)


def _picture(value: Any, shape: "Sequence[int]") -> "RenderableType | None":
    """An image as the terminal can draw it; None for anything else."""
    if value is None or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3)):
        return None
    import numpy as np  # noqa: PLC0415

    from tidemill.cli.render.pictures import Picture  # noqa: PLC0415

    cells = np.array([0 if c is None else c for c in value], np.float64)
    low, high = min(float(cells.min()), 0.0), float(cells.max())
    # Whole bytes as they are; anything else from its least to its greatest.
    top = 255.0 if 1 < high <= 255 and low >= 0 else high
    pixels = (cells - low) * (255 / (top - low)) if top > low else np.zeros_like(cells)
    return Picture(pixels.astype(np.uint8).reshape(*shape[:2], -1), lines=_PICTURE_LINES)


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
    from tidemill.cli.render.circle import answered  # noqa: PLC0415

    return f"Trigger {answered(refit)}"
