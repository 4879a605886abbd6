"""A row to label as a notebook shows it: its picture, its cells, and what is known of its label."""

import html
from typing import TYPE_CHECKING

from tidemill.core.percent import percent
from tidemill.data.cell_values import as_text
from tidemill.evaluation import png, skeleton

if TYPE_CHECKING:
    from tidemill.loop.datasets.labelling.views import Task

_CSS = (
    ".tidemill-row { display: flex; gap: 1.2rem; align-items: flex-start; } "
    ".tidemill-row img { width: 11rem; image-rendering: pixelated; }"
)


def render(task: "Task") -> str:
    """A part of a page."""
    facts = {str(name): as_text(value) for name, value in task.cells.items() if value is not None}
    if task.given is not None:
        facts["label now"] = task.given
    if task.suggestion is not None:
        sure = f" ({percent(task.confidence, 0)})" if task.confidence is not None else ""
        facts["suggested"] = f"{task.suggestion}{sure}"
    facts |= {f"{vote['author']} said": vote["label"] for vote in task.votes}
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(told)}</td></tr>" for name, told in facts.items()
    )
    picture = (
        skeleton.image(png.encode(task.picture.pixels), task.picture.column)
        if task.picture is not None
        else ""
    )
    return (
        f"<style>{_CSS}</style><div class=tidemill-row>{picture}"
        f"<table><caption>row {html.escape(task.row)}</caption><tbody>{rows}</tbody></table></div>"
    )
