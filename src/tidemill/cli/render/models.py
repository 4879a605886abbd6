"""Models, drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import measured, short, table, when

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import ModelView


def models(views: Sequence["ModelView"]) -> "RenderableType":
    """One line a version."""
    return table(
        ["model", "version", "framework", "run", "digest", "created (UTC)", "releases", "metrics"],
        [
            (
                v.name,
                v.version,
                v.framework,
                v.run,
                short(v.digest),
                when(v.created_at),
                ", ".join(map(str, v.releases)) or None,
                measured(v.metrics),
            )
            for v in views
        ],
        empty="There are no models. A run makes one when it trains.",
    )
