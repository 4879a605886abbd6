"""Predictions and feedback, drawn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import counts, stack, table, written

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import LeftOut, Predicted

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


def _left(labels: "Sequence[LeftOut]", what: str) -> list[str]:
    """Labels that were not taken, the first ones each with its reason."""
    if not labels:
        return []
    more = len(labels) - _SHOWN
    lines = [f"{len(labels):,} {'label' if len(labels) == 1 else 'labels'}: {what}."]
    lines += [f"  {one.prediction}: {one.message}" for one in labels[:_SHOWN]]
    return [*lines, *([f"  and {more:,} more; --json gives all"] if more > 0 else [])]


def feedback(view: Mapping[str, Any]) -> str:
    """How many labels were taken, and the commit they became."""
    lines = [f"{view['environment']}: {view['accepted']:,} labels taken."] if view["accepted"] else []
    lines += _left(view["refused"], "refused")
    got = view["collected"]
    if got is not None:
        rows = counts(got.rows.added, got.rows.changed, got.rows.removed)
        lines.append(f"{got.dataset}@{got.branch}: commit {got.number} ({got.commit}), rows: {rows}.")
        lines += _left(got.left, "no row")
        if got.review is not None:
            lines.append(
                f"{got.waiting:,} were asked with other cells than their rows have, and wait in review {got.review}: "
                f"tidemill review show {got.review}"
            )
        lines.append(f"Next: tidemill data merge {got.dataset} {got.branch}")
    return "\n".join(lines) or f"{view['environment']}: no labels."
