"""What checks say."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import mark, stack, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.datasets.check_views import CheckedView, CheckView


def checked(view: "CheckedView") -> "RenderableType":
    """One line a check, and what comes of them."""
    told = (
        f"{view.dataset}: commit {view.commit} is as the checks of {view.branch} ask."
        if view.passed
        else f"{view.dataset}: commit {view.commit} is not as the checks of {view.branch} ask; "
        f"rows that they say no to: {view.rows:,}."
    )
    return stack(checks(view.checks), told)


def checks(views: "Sequence[CheckView]") -> "RenderableType":
    """One line a check."""
    return table(
        ["check", "", "what is wrong", "rows"],
        [(v.check, mark(good=v.passed), v.reason, v.rows or "") for v in views],
        empty="There are no checks.",
    )
