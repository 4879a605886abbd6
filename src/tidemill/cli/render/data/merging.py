"""What a merge did."""

from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import counts

if TYPE_CHECKING:
    from tidemill.loop.datasets.views import (
        MergeView,
    )
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


def _fired(refit: "RefitView") -> str:
    from tidemill.cli.render.circle import refit as draw  # noqa: PLC0415

    return f"Trigger {refit.trigger}: {draw(refit)}"
