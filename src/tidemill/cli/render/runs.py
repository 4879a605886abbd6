"""Runs, drawn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import (
    damaged,
    exact,
    facts,
    heading,
    mark,
    measured,
    seconds,
    short,
    size,
    stack,
    status,
    table,
    when,
    written,
)
from tidemill.core.figures import figure

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.views import ReportFile, RunSummary, RunView, StepView, VerdictView


def run(view: "RunView") -> "RenderableType":
    """What came of a run that just ended; its steps were told while it went on."""
    done: dict[str, int] = {}
    for step in view.steps:
        done[step.status] = done.get(step.status, 0) + 1
    steps = ", ".join(f"{count} {word}" for word, count in done.items())
    summary = (
        f"{view.pipeline}: run {view.run} {view.status} in {seconds(view.seconds)} ({steps or 'no steps'})"
    )
    audit = (
        f"Audit: computed again, with the same result: {', '.join(view.audited)}" if view.audited else None
    )
    warnings = [f"Warning: {text}" for text in view.warnings]
    return stack(summary, audit, *warnings, _outputs(view), _model(view), verdict(view.verdict))


def run_in_full(view: "RunView") -> "RenderableType":
    """A run with its parameters, inputs and steps."""
    about = facts(
        [
            ("run", view.run),
            ("pipeline", view.pipeline),
            ("status", status(view.status)),
            ("started", f"{when(view.started_at)} UTC"),
            ("took", seconds(view.seconds)),
            ("trigger", view.trigger),
            ("host", _hosts(view)),
            ("inputs", ", ".join(f"{name} = {commit}" for name, commit in view.inputs.items()) or None),
        ]
    )
    parameters = (
        heading("Parameters", facts((name, exact(value)) for name, value in view.parameters.items()))
        if view.parameters
        else None
    )
    return stack(
        about,
        parameters,
        heading("Steps", steps(view.steps)),
        _printed(view),
        _outputs(view),
        _model(view),
        verdict(view.verdict),
    )


def steps(views: Sequence["StepView"]) -> "RenderableType":
    """One line a step."""
    return table(
        ["step", "status", "seconds", "rows", "computed", "memory", "read", "written", "why"],
        [
            (
                s.name,
                status(s.status),
                f"{s.seconds:.3f}",
                s.rows_out,
                s.rows_computed,
                *(None if n is None else size(n) for n in (s.peak_bytes, s.read_bytes, s.written_bytes)),
                s.why,
            )
            for s in views
        ],
        empty="No step was reached.",
    )


def _printed(view: "RunView") -> "RenderableType | None":
    """Which steps printed something, and how to read it."""
    names = [s.name for s in view.steps if s.printed]
    if not names:
        return None
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"Printed by {some}: tidemill logs {view.run}"


def _hosts(view: "RunView") -> str | None:
    """The machines that computed its steps."""
    return ", ".join(sorted({s.host for s in view.steps if s.host})) or None


def _outputs(view: "RunView") -> "RenderableType | None":
    if not view.outputs:
        return None
    return heading("Outputs", facts((name, _output(value)) for name, value in view.outputs.items()))


def _output(value: Any) -> str:
    """An output as one line. A plain value is shown with its type, so that the text ``2`` and the number are told apart."""
    if value is None:
        return exact(value)
    if not isinstance(value, Mapping) or "kind" not in value or "digest" not in value:
        return f"{type(value).__name__} {exact(value)}"
    rest = {name: fact for name, fact in value.items() if name not in {"kind", "digest"} and fact is not None}
    return " ".join([str(value["kind"]), *([written(rest)] if rest else []), short(str(value["digest"]))])


def _model(view: "RunView") -> "RenderableType | None":
    return None if view.model is None else f"Model {view.model['name']}, version {view.model['version']}"


def verdict(view: "VerdictView | None") -> "RenderableType | None":
    """Each rule of the gate, and why it said what it said."""
    if view is None:
        return None
    against = f" (against {view.against})" if view.against else ""
    title = f"Gate: {'passed' if view.passed else 'not passed'}{against}"
    rows = [(mark(good=rule["passed"]), rule["name"], rule["reason"]) for rule in view.rules]
    return heading(title, table(["", "rule", "reason"], rows, empty="It has no rules."))


def runs(views: Sequence["RunSummary"], where: str | None = None) -> "RenderableType":
    """One line a run; ``where`` is what they were chosen by."""
    none = "There are no runs. Type: tidemill run pipeline.py"
    return table(
        ["run", "pipeline", "status", "started (UTC)", "seconds", "computed", "cached", "trigger", "metrics"],
        [
            (
                v.run,
                v.pipeline,
                status(v.status),
                when(v.started_at),
                None if v.seconds is None else f"{v.seconds:.1f}",
                v.computed,
                v.cached,
                v.trigger,
                damaged() if v.error else measured(v.metrics),
            )
            for v in views
        ],
        empty=none if where is None else f"There is no such run: {where}",
    )


def report(view: "ReportFile") -> "RenderableType":
    """Where the page is, and its headline numbers."""
    return stack(
        f"The report of run {view.run} is {view.path}",
        facts((n, figure(v)) for n, v in view.metrics.items()) if view.metrics else None,
    )
