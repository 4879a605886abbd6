"""Suspected label errors, drawn."""

from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import facts, heading, stack, table
from tidemill.core.percent import percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.datasets.views import SuspectsView

_SHOWN = 10


def suspects(view: "SuspectsView") -> "RenderableType":
    """What was found, the first of them, and where they can be reviewed."""
    about = facts(
        [
            ("dataset", f"{view.dataset} at {view.commit}"),
            ("labels", f"{view.rows:,}, of which {percent(view.agreeing)} are the most probable class"),
            ("wrong", f"about {view.estimated:,}, by confident learning's estimate"),
            ("suspects", len(view.suspects)),
            ("file", view.path),
        ]
    )
    if not view.suspects:
        return stack(about)
    rows = [
        (s.id, s.given, s.suggested, f"{s.given_probability:.4f}", f"{s.suggested_probability:.4f}")
        for s in view.suspects[:_SHOWN]
    ]
    columns = ["row", view.label, "suggested", "its probability", "of the suggested"]
    first = heading("The most doubtful", table(columns, rows, empty=""))
    then = (
        f"Review {view.review} is open, from branch {view.branch}. Type: tidemill review show {view.review}"
    )
    return stack(about, first, then)
