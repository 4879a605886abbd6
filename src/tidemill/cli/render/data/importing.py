"""What an import did."""

from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import counts

if TYPE_CHECKING:
    from tidemill.loop.datasets.views import (
        ImportView,
    )


def imported(view: "ImportView") -> str:
    """The commit, and what it did."""
    where = f"commit {view.number} ({view.commit})"
    if view.unchanged:
        return f"{view.dataset}: nothing changed; still {where} with {view.total:,} rows."
    return f"{view.dataset}: {where}, rows: {counts(view.rows.added, view.rows.changed, view.rows.removed)}; {view.total:,} in all."
