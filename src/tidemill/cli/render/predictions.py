"""Predictions and feedback, drawn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from tidemill.cli.render.shapes import counts, exact, stack, table, written
from tidemill.core.figures import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import LeftOut, Predicted

_SHOWN = 20
"""Predictions in the table; ``--json`` has all."""


def predicted(view: "Predicted") -> "RenderableType":
    """The first answers, each with the id that feedback names."""
    shown = view.predictions[:_SHOWN]
    # A classifier answers with a label and its probability, a regressor with a value.
    columns = list(dict.fromkeys(name for answer in shown for name in answer if name != "prediction"))
    rows = [(p["prediction"], *(_exact(p.get(name)) for name in columns)) for p in shown]
    more = view.count - len(rows)
    summary = (
        f"{counted(view.count, 'prediction')} of {view.model}, release {view.release}, in {view.environment}."
    )
    return stack(
        table(["prediction", *columns], rows, empty="There are no rows."),
        summary + (f" {more:,} more than shown; --json gives all." if more > 0 else ""),
    )


def _exact(answer: Any) -> str:
    """A label, a number or a few of them as they are, no digit lost; a tensor of more dimensions by its shape."""
    is_tensor = isinstance(answer, list) and any(isinstance(a, list) for a in cast("list[Any]", answer))
    return written(answer) if answer is None or is_tensor else exact(answer)


def _left(labels: "Sequence[LeftOut]", what: str) -> list[str]:
    """Labels that were not taken, the first ones each with its reason."""
    if not labels:
        return []
    more = len(labels) - _SHOWN
    lines = [f"{counted(len(labels), 'label')}: {what}."]
    lines += [f"  {one.prediction}: {one.message}" for one in labels[:_SHOWN]]
    return [*lines, *([f"  and {more:,} more; --json gives all"] if more > 0 else [])]


def feedback(view: Mapping[str, Any]) -> str:
    """How many labels were taken, and the commit they became."""
    taken = view["accepted"]
    lines = [f"{view['environment']}: {counted(taken, 'label')} taken."] if taken else []
    lines += _left(view["refused"], "refused")
    lines += [view["note"]] if view.get("note") else []
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
