"""Why a step was computed, drawn: each thing that changed, code as a coloured difference."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import counts, exact, heading, short, stack, status, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import Forecast, WhyView

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def why(view: "WhyView") -> "RenderableType":
    """The reason, and each thing that changed."""
    words = f"{view.step} in run {view.run}: {view.status}" + (f", {view.why}" if view.why else "")
    against = f" (compared with run {view.previous})" if view.previous else ""
    return stack(words + against, *(change(c) for c in view.changes))


def forecast(view: "Forecast") -> "RenderableType":
    """One line a step, then the code and the data that changed, each piece once."""
    summary = f"{view.pipeline}: {view.computed} to compute, {view.cached} in the cache"
    rows = [(s.name, status(s.status), s.rows, s.why) for s in view.steps]
    told = {
        (c["name"], str(c["after"])): c
        for s in view.steps
        for c in s.changes
        if c["kind"] == "code" or "rows" in c
    }
    lines = table(["step", "would be", "rows", "why"], rows, empty="It has no steps.")
    return stack(summary, lines, *(change(c) for c in told.values()))


def change(told: Mapping[str, Any]) -> "RenderableType":
    """One thing that changed, and how."""
    title = f"{told['kind']} {told['name']}"
    if told["kind"] == "code":
        return heading(title, difference(told["diff"]))
    if "rows" in told:
        before, after = told["commits"]
        rows = counts(told["rows"]["added"], told["rows"]["changed"], told["rows"]["removed"])
        return f"{title}: {told['dataset']} from commit {before} to {after}, rows: {rows}"
    made = f", made by step {told['made_by']}" if "made_by" in told else ""
    return f"{title}: {_side(told['before'])} -> {_side(told['after'])}{made}"


def difference(diff: str | None) -> "RenderableType":
    """A unified difference of code, coloured."""
    from rich.text import Text  # noqa: PLC0415

    if diff is None:
        return "  Its text before was not kept."
    drawn = Text()
    for line in diff.splitlines():
        style = "bold" if line.startswith(("---", "+++")) else _STYLES.get(line[:1], "")
        drawn.append(f"  {line}\n", style=style)
    drawn.rstrip()
    return drawn


def _side(value: object) -> str:
    return short(value) if isinstance(value, str) and value.startswith("sha256:") else exact(value)
