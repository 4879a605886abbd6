"""Refit: run again what is running, on the data as they are now, and let the better one take over."""

from typing import TYPE_CHECKING, Any

from tidemill.core.errors import Failed, NotFound, TidemillError
from tidemill.core.events import Note, Sink, silent
from tidemill.core.names import Reference, nearest
from tidemill.core.settings import PipelineSettings
from tidemill.loop.champion import running_release
from tidemill.loop.deploy import promote
from tidemill.loop.lookup import find_run
from tidemill.loop.releases import create_release
from tidemill.loop.runs import as_recorded, run
from tidemill.loop.views import RefitView, RunView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog import records


PREPARATION = ("dataset", "row_step", "transform")
"""The kinds of steps that prepare rows; training and judging are not preparation."""


def refit(
    ws: Workspace,
    pipeline: str | None = None,
    *,
    environment: str | None = None,
    force: bool = False,
    sink: Sink = silent,
) -> RefitView:
    """Refit a pipeline with the parameters of its running release, and deploy what passes the gate.

    Args:
        ws: The project.
        pipeline: Which; may be left out where the project has one.
        environment: Where a new release goes, through every environment before it; the last one if None.
        force: Also when no data changed since the running release.
        sink: Gets the run's events.

    Raises:
        NotFound: ``pipeline-not-found``, ``nothing-to-refit``.
        Failed: ``gate-not-passed`` or ``run-failed``; then what runs still does.
    """
    from tidemill.watch import triggers  # noqa: PLC0415

    for left in triggers.unsettled(ws.store):
        settings = ws.settings.triggers.get(left.trigger)
        if settings is not None:
            answered = _answer(ws, left.trigger, left.cause, settings.pipeline, settings.deploy, sink)
            if answered is not None:
                sink(
                    Note(f"Trigger {left.trigger} was left unanswered and is answered now: {answered.reason}")
                )
    name = _pipeline(ws, pipeline)
    target = environment or list(ws.settings.environments)[-1]
    base = _base_run(ws, name)
    changed = _changed(ws, base)
    if not changed and not force:
        return RefitView(
            "person", "", None, None, None, deployed=False, reason="no data changed since the last run"
        )
    view = _refit(ws, name, target, "person", ", ".join(changed) or "forced", base, sink)
    if view.verdict is None and view.release is None:
        raise Failed(
            f"The refit of run {view.run} made no release: {view.reason}",
            hint=f"Type 'tidemill show {view.run}'. What runs still does.",
            code="run-failed",
            details={"run": view.run},
        )
    if view.verdict is not None and not view.verdict.passed:
        missed = [f"{r['name']}: {r['reason']}" for r in view.verdict.rules if not r["passed"]]
        raise Failed(
            f"The refitted model of run {view.run} did not pass the gate: {'; '.join(missed)}.",
            hint=f"Type 'tidemill report {view.run}' to see it. What runs still does.",
            code="gate-not-passed",
            details={"run": view.run, "failed": missed},
        )
    return view


def fire_merge(
    ws: Workspace, dataset: str, branch: str, commit: str, *, sink: Sink = silent
) -> list[RefitView]:
    """Answer every trigger that watches ``branch``; each commit once, even over a crash."""
    from tidemill.watch import triggers  # noqa: PLC0415

    answers = [
        _answer(ws, name, commit, settings.pipeline, settings.deploy, sink)
        for name, settings in triggers.fired_by_merge(ws.settings, dataset, branch)
    ]
    return [a for a in answers if a is not None]


def _answer(
    ws: Workspace, trigger: str, cause: str, pipeline: str, deploy: str | None, sink: Sink
) -> RefitView | None:
    """Refit for a trigger; None when somebody has answered it, or is at it."""
    from tidemill.watch import triggers  # noqa: PLC0415

    claim = triggers.claim(ws.store, trigger, cause)
    if claim is None:
        return None
    with claim:
        try:
            name = _pipeline(ws, pipeline)
            view = _refit(ws, name, deploy, f"trigger:{trigger}", cause, _base_run(ws, name), sink)
        except TidemillError as error:
            # It was answered, with a failure: asked again, it would fail again. A crash is not an answer.
            triggers.settle(ws.store, claim, outcome=error.code)
            reason = f"it failed: {error.message}"
            return RefitView(f"trigger:{trigger}", cause, None, None, None, deployed=False, reason=reason)
        triggers.settle(ws.store, claim, outcome=view.reason, run=view.run)
    return view


def _refit(
    ws: Workspace,
    name: str,
    environment: str | None,
    trigger: str,
    cause: str,
    base: "records.Run",
    sink: Sink,
) -> RefitView:
    file = ws.settings.pipelines.get(name, PipelineSettings()).file
    made = run(
        ws, ws.folder / file, as_recorded(_on_branches(ws, base)), name=name, trigger=trigger, sink=sink
    )
    if made.status != "succeeded":
        reason = f"its run failed: {(made.error or {}).get('message', '')}"
        return RefitView(trigger, cause, made.run, None, None, deployed=False, reason=reason)
    facts: dict[str, Any] = {
        "rows_computed": sum(s.rows_computed or 0 for s in made.steps if s.kind in PREPARATION),
        "preparation_seconds": sum(s.seconds for s in made.steps if s.kind in PREPARATION),
    }
    if made.verdict is None or not made.verdict.passed:
        reason = "its gate said no" if made.verdict else "its pipeline makes no predictor and report to judge"
        return RefitView(trigger, cause, made.run, made.verdict, None, deployed=False, reason=reason, **facts)
    release = create_release(ws, made.run, sink=sink)
    for place in _way_to(ws, environment) if environment else []:
        promote(ws, f"{release.name}/{release.number}", place, f"refit by {trigger}", sink=sink)
    where = f", live in {environment}" if environment else ""
    return RefitView(
        trigger,
        cause,
        made.run,
        made.verdict,
        release.number,
        deployed=environment is not None,
        reason=f"release {release.number}{where}",
        **facts,
    )


def preparation_seconds(view: RunView) -> float:
    """How long a run took to prepare its rows."""
    return sum(s.seconds for s in view.steps if s.kind in PREPARATION)


def _way_to(ws: Workspace, environment: str) -> list[str]:
    """The environments that a release passes on its way, in order."""
    way = [environment]
    while (before := ws.settings.environments[way[0]].after) is not None and before not in way:
        way.insert(0, before)
    return way


def _pipeline(ws: Workspace, name: str | None) -> str:
    known = list(ws.settings.pipelines)
    if name is None and len(known) == 1:
        return known[0]
    if name in known:
        return str(name)
    close = nearest(name, known) if name else None
    raise NotFound(
        f"The project has no pipeline '{name}'." if name else "The project has several pipelines, or none.",
        hint=f"Did you mean '{close}'?"
        if close
        else f"tidemill.toml has: {', '.join(known) or 'none'}; add [pipelines.NAME].",
        code="pipeline-not-found",
    )


def _base_run(ws: Workspace, name: str) -> "records.Run":
    """The run behind the running release; before there is one, the latest that succeeded."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    release = running_release(ws, name)
    if release is not None:
        return find_run(ws, release.run)
    with ws.store.catalog.read() as read:
        found = read.first(
            records.Run, {"pipeline": name, "status": "succeeded"}, order=("-started_at", "-id")
        )
    if found is None:
        raise NotFound(
            f"There is nothing to refit: no run of '{name}' has succeeded.",
            hint="Type 'tidemill run' with the pipeline's file first.",
            code="nothing-to-refit",
        )
    return found


def _changed(ws: Workspace, base: "records.Run") -> list[str]:
    """The datasets of which another commit would be read now."""
    now = _on_branches(ws, base)
    changed: list[str] = []
    for name, read in _references(base).items():
        reference = Reference.parse(str(now[name]))
        if ws.datasets.open(reference.name).resolve(reference.at).id != base.inputs.get(read.name):
            changed.append(str(reference))
    return changed


def _on_branches(ws: Workspace, base: "records.Run") -> dict[str, Any]:
    """The run's parameters, each dataset on its branch: a refit reads the data as they are now.

    A run that read a commit or a tag is refitted on ``main``.
    """
    values = dict(base.parameters)
    for name, reference in _references(base).items():
        branches = ws.datasets.open(reference.name).branches()
        text = str(Reference(reference.name, reference.at if reference.at in branches else "main"))
        values[name] = text if isinstance(values[name], str) else {"$dataset": text}
    return values


def _references(base: "records.Run") -> dict[str, Reference]:
    """The parameters that name a dataset which the run read."""
    from tidemill.pipeline.spelling import reference_in  # noqa: PLC0415

    names = {text.partition("@")[0] for text in base.inputs}
    return {
        name: Reference.parse(text)
        for name, value in base.parameters.items()
        if (text := reference_in(value)) is not None and text.partition("@")[0] in names
    }
