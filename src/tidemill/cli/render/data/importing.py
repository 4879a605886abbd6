"""What an import did."""

from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import counts, stack, table
from tidemill.core.figures import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.datasets.views import (
        ImportView,
    )

_SHOWN = 40
"""Columns that are shown before the rest is only counted."""


def imported(view: "ImportView") -> "RenderableType":
    """The commit, what it did, and the columns."""
    from rich.text import Text  # noqa: PLC0415

    if (view.unchanged and not view.dry_run) or view.quarantine:
        return stack(Text(_summary(view)), _notes(view))
    more = len(view.columns) - _SHOWN
    columns = table(
        ["column", "type", "how it is known"],
        [(c.name, c.type, c.how) for c in view.columns[:_SHOWN]],
        empty="",
    )
    changes = table(
        ["changed column", "old type", "new type"],
        [(c.column, c.old or "(new)", c.new or "(dropped)") for c in view.changes],
        empty="",
    )
    return stack(
        Text(_summary(view)),
        changes if view.changes else None,
        columns,
        Text(f"and {more:,} more columns; --json has them all.") if more > 0 else None,
        _notes(view),
    )


def _notes(view: "ImportView") -> "RenderableType | None":
    from rich.text import Text  # noqa: PLC0415

    lines = [f"note: {note.text}" for note in view.notes[:_SHOWN]]
    more = len(view.notes) - len(lines)
    if more > 0:
        lines.append(f"and {more:,} more notes; --json has them all.")
    return Text("\n".join(lines)) if lines else None


def _summary(view: "ImportView") -> str:
    where = f"commit {view.number} ({view.commit})"
    rows = counts(view.rows.added, view.rows.changed, view.rows.removed)
    held = view.quarantine
    aside = (
        f"\nRows that checks say no to, {held.rows:,}, are on branch {held.branch}: "
        f"{'; '.join(f'{c.check}: {c.reason}' for c in held.checks)}."
        if held
        else ""
    )
    if view.unchanged:
        return f"{view.dataset}: nothing changed; still {where} with {counted(view.total, 'row')}.{aside}"
    if view.dry_run:
        return f"{view.dataset}: a dry run, nothing is committed. Rows: {rows}; it would have {view.total:,} in all."
    return f"{view.dataset}: {where}, rows: {rows}; {view.total:,} in all.{aside}"
