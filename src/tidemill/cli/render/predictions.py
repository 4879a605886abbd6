"""Predictions and feedback, drawn."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import counts, stack, table, written

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import Predicted

_SHOWN = 20
"""Predictions in the table; ``--json`` has all."""


def predicted(view: "Predicted") -> "RenderableType":
    """The first answers, each with the id that feedback names."""
    rows = [
        (p["prediction"], written(p.get("label", p.get("value"))), _probability(p.get("probability")))
        for p in view.predictions[:_SHOWN]
    ]
    more = view.count - len(rows)
    summary = f"{view.count:,} predictions of {view.model}, release {view.release}, in {view.environment}."
    return stack(
        table(["prediction", "label", "probability"], rows, empty="There are no rows."),
        summary + (f" {more:,} more than shown; --json gives all." if more > 0 else ""),
    )


def _probability(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def feedback(view: Mapping[str, Any]) -> str:
    """How many labels were taken, and the commit they became."""
    lines = [f"{view['environment']}: {view['accepted']:,} labels taken."] if view["accepted"] else []
    got = view["collected"]
    if got is not None:
        rows = counts(got.rows.added, got.rows.changed, got.rows.removed)
        lines.append(f"{got.dataset}@{got.branch}: commit {got.number} ({got.commit}), rows: {rows}.")
        lines.append(f"Next: tidemill data merge {got.dataset} {got.branch}")
    return "\n".join(lines) or f"{view['environment']}: no labels."
