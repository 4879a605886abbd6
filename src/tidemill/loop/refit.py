"""Refit: run again what is running, on the data as they are now, and let the better one take over."""

from tidemill.core import codes
from tidemill.core.errors import Failed
from tidemill.core.events import Note, Sink, silent
from tidemill.loop import firing, refitting
from tidemill.loop.views import RefitView
from tidemill.loop.workspace import Workspace


def refit(
    ws: Workspace,
    pipeline: str | None = None,
    *,
    environment: str | None = None,
    force: bool = False,
    sink: Sink = silent,
) -> RefitView:
    """Refit a pipeline with the parameters of its running release, and deploy what passes the gate.

    Triggers that are owed are answered first.

    Args:
        ws: The project.
        pipeline: Which; may be left out where the project has one.
        environment: Where a new release goes, through every environment before it; the last one if None.
        force: Also when no data changed since the running release.
        sink: Gets the run's events.

    Raises:
        NotFound: ``pipeline-not-found``, ``environment-not-found``, ``nothing-to-refit``.
        Failed: ``gate-not-passed`` or ``run-failed``; then what runs still does.
    """
    for answered in firing.settle(ws, sink=sink):
        came = "" if answered.owed else ", and is answered now"
        sink(Note(f"{answered.trigger} was owed since a merge{came}: {answered.reason}"))
    name = refitting.pipeline_named(ws, pipeline)
    target = environment or next(reversed(ws.settings.environments), None)
    changed = refitting.changed_since(ws, refitting.base_run(ws, name))
    if not changed and not force:
        return RefitView(
            "person", "", None, None, None, deployed=False, reason="no data changed since the last run"
        )
    view = refitting.make(ws, name, target, "person", ", ".join(changed) or "forced", sink)
    if view.verdict is None and view.release is None:
        raise Failed(
            f"The refit of run {view.run} made no release: {view.reason}",
            hint=f"Type 'tidemill show {view.run}'. What runs still does.",
            code=codes.RUN_FAILED,
            details={"run": view.run},
        )
    if view.verdict is not None and not view.verdict.passed:
        missed = [f"{r['name']}: {r['reason']}" for r in view.verdict.rules if not r["passed"]]
        raise Failed(
            f"The refitted model of run {view.run} did not pass the gate: {'; '.join(missed)}.",
            hint=f"Type 'tidemill report {view.run}' to see it. What runs still does.",
            code=codes.GATE_NOT_PASSED,
            details={"run": view.run, "failed": missed},
        )
    return view
