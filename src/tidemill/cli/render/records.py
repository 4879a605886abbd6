"""What runs left, drawn: two of them side by side, and the lines that steps printed."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import counts, exact, facts, heading, seconds, short, stack, table, when
from tidemill.cli.render.why import difference
from tidemill.core.figures import figure

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import CodeSides, Comparison, DataSides, LogView, MetricSides, RunSummary, Sides


def comparison(view: "Comparison") -> "RenderableType":
    """What differs, part by part; parts that are equal are named in one line."""
    parts = [
        ("Metrics", _metrics(view.metrics), any(m.a != m.b for m in view.metrics)),
        ("Parameters", _sides("parameter", view.parameters), _differ(view.parameters)),
        ("Data", _data(view.data), any(not d.equal for d in view.data)),
        ("Code", _code(view.code), bool(view.code)),
        ("Packages", _sides("package", view.packages, steps=True), bool(view.packages)),
        ("Settings", _sides("step and setting", view.settings), bool(view.settings)),
        ("Results", _sides("output", view.artifacts), _differ(view.artifacts)),
    ]
    there = {
        "Metrics": view.metrics,
        "Parameters": view.parameters,
        "Data": view.data,
        "Results": view.artifacts,
    }
    equal = [title.lower() for title, _, differs in parts if not differs and there.get(title, True)]
    return stack(
        facts([("a", _run(view.a)), ("b", _run(view.b))]),
        *(heading(title, drawn) for title, drawn, differs in parts if differs),
        heading("Steps", _steps(view)),
        f"Equal: {', '.join(equal)}." if equal else None,
        f"The page is {view.path}" if view.path else None,
    )


def _run(run: "RunSummary") -> str:
    started = f"{when(run.started_at)} UTC"
    return f"{run.run}  {run.pipeline}, {run.status}, {started}, {seconds(run.seconds)}, {run.trigger}"


def _differ(sides: "Iterable[Sides]") -> bool:
    return any(not s.equal for s in sides)


def _sides(noun: str, sides: "Sequence[Sides]", *, steps: bool = False) -> "RenderableType":
    """Those that differ; how many are equal is told, not which."""
    rows = [
        (s.name, _side(s.a), _side(s.b), *([", ".join(s.steps)] if steps else []))
        for s in sides
        if not s.equal
    ]
    if equal := len(sides) - len(rows):
        rows.append((f"({equal} equal)", "", ""))
    return table([noun, "a", "b", *(["steps"] if steps else [])], rows, empty="None.")


def _code(sides: "Sequence[CodeSides]") -> "RenderableType":
    rows = [(s.name, _side(s.a), _side(s.b), ", ".join(s.steps)) for s in sides]
    drawn = table(["reached by a step", "a", "b", "steps"], rows, empty="None.")
    return stack(drawn, *(difference(s.diff) for s in sides if s.diff))


def _side(value: Any) -> str:
    if value is None:
        return "-"
    return short(value) if isinstance(value, str) and value.startswith("sha256:") else exact(value)


def _metrics(metrics: "Sequence[MetricSides]") -> "RenderableType":
    rows = [
        (m.name, _number(m.a), _number(m.b), "-" if m.difference is None else figure(m.difference, form="+"))
        for m in metrics
    ]
    return table(["metric", "a", "b", "difference"], rows, empty="None.")


def _number(value: float | None) -> str:
    return "-" if value is None else figure(value)


def _data(data: "Sequence[DataSides]") -> "RenderableType":
    rows = [
        (
            d.name,
            d.a or "-",
            d.b or "-",
            "equal"
            if d.equal
            else "not known"
            if d.rows is None
            else counts(d.rows.added, d.rows.changed, d.rows.removed),
        )
        for d in data
    ]
    return table(["dataset", "a", "b", "rows"], rows, empty="None.")


def _steps(view: "Comparison") -> "RenderableType":
    rows = [
        (s.name, s.a or "-", s.b or "-", _seconds(s.seconds_a), _seconds(s.seconds_b), s.results or "-")
        for s in view.steps
    ]
    return table(["step", "a", "b", "seconds a", "seconds b", "results"], rows, empty="No step was reached.")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def logs(view: "LogView") -> "RenderableType":
    """One line a line; before it the step, where several are shown."""
    from rich.text import Text  # noqa: PLC0415

    if not view.lines:
        what = f"Step '{view.step}'" if view.step else "No step"
        printed = "printed nothing" if view.step else "printed anything"
        if view.grep is not None:
            printed = f"printed {'no' if view.step else 'a'} line with '{view.grep}'"
        return Text(f"{what} {printed} in run {view.run}.")
    drawn = Text()
    if view.left_out:
        drawn.append(f"({view.left_out:,} more lines before these: --limit shows more)\n", "dim")
    width = max(len(line.step) for line in view.lines)
    for line in view.lines:
        if view.step is None:
            drawn.append(line.step.ljust(width) + "  ", "cyan")
        drawn.append(line.text + "\n")
    drawn.right_crop(1)
    return drawn
