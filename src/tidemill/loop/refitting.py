"""What a refit does: run again what is running, on the data as they are now, and let the better one take over."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import NotFound
from tidemill.core.events import Sink
from tidemill.core.names import Reference, did_you_mean, listed
from tidemill.core.settings import PipelineSettings
from tidemill.loop.champion import running_release
from tidemill.loop.deploy import promote, was_live
from tidemill.loop.lookup import find_run
from tidemill.loop.releases import create_release
from tidemill.loop.runs import as_recorded, run, show_run
from tidemill.loop.views import RefitView, RunView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog import records


PREPARATION = ("dataset", "row_step", "transform")
"""The kinds of steps that prepare rows; training and judging are not preparation."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A refit that was cut off.

    Attributes:
        run: The run that it had begun.
        since: When it was asked for: ``core.clock.stamp``.
    """

    run: str
    since: str


def make(
    ws: Workspace,
    name: str,
    environment: str | None,
    trigger: str,
    cause: str,
    sink: Sink,
    begun: Begun | None = None,
) -> RefitView:
    """Run pipeline ``name`` as it runs now, on today's data, and release and deploy what passes its gate.

    Args:
        ws: The project.
        name: The pipeline.
        environment: Where the release goes, through every environment before it; nowhere if None.
        trigger: What started it.
        cause: Why.
        sink: Gets the run's events.
        begun: Go on with this one; what it had finished is not done again.

    Raises:
        NotFound: ``environment-not-found``, ``nothing-to-refit``.
    """
    # Before anything is computed for it.
    way = _way_to(ws, environment) if environment else []
    made = _finished(ws, begun.run) if begun else None
    if made is None:
        file = ws.settings.pipelines.get(name, PipelineSettings()).file
        parameters = as_recorded(_on_branches(ws, base_run(ws, name)))
        made = run(ws, ws.folder / file, parameters, name=name, trigger=trigger, sink=sink)
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
    for place in way:
        # What was promoted, and taken back by a person since, stays taken back.
        if begun and was_live(ws, release.digest, place, begun.since):
            continue
        made_live = promote(ws, f"{release.name}/{release.number}", place, f"refit by {trigger}", sink=sink)
        if made_live.status == "wanted":
            # The way goes on from there once the machine that serves it has brought it in.
            reason = f"release {release.number}, wanted in {place}, which {made_live.machine} serves and has not answered"
            return RefitView(
                trigger, cause, made.run, made.verdict, release.number, deployed=False, reason=reason, **facts
            )
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


def _finished(ws: Workspace, run: str) -> RunView | None:
    """A run that came to its end and was judged; None of one that must be made again."""
    view = show_run(ws, run)
    judged = view.verdict is not None or not {"predictor", "report"} <= view.outputs.keys()
    return view if view.status == "failed" or (view.status == "succeeded" and judged) else None


def is_over(ws: Workspace, run: str) -> bool:
    """Whether a run came to its end, well or badly, and was judged."""
    return _finished(ws, run) is not None


def preparation_seconds(view: RunView) -> float:
    """How long a run took to prepare its rows."""
    return sum(s.seconds for s in view.steps if s.kind in PREPARATION)


def _way_to(ws: Workspace, environment: str) -> list[str]:
    """The environments that a release passes on its way, in order.

    Raises:
        NotFound: ``environment-not-found``.
    """
    from tidemill.release.history import environment_settings  # noqa: PLC0415

    way = [environment]
    while (before := environment_settings(ws.settings, way[0]).after) is not None and before not in way:
        way.insert(0, before)
    return way


def pipeline_named(ws: Workspace, name: str | None) -> str:
    """The pipeline of this name, or the only one.

    Raises:
        NotFound: ``pipeline-not-found``.
    """
    known = list(ws.settings.pipelines)
    if name is None and len(known) == 1:
        return known[0]
    if name in known:
        return str(name)
    raise NotFound(
        f"The project has no pipeline '{name}'." if name else "The project has several pipelines, or none.",
        hint=did_you_mean(name or "", known, f"tidemill.toml has: {listed(known)}; add [pipelines.NAME]."),
        code=codes.PIPELINE_NOT_FOUND,
    )


def base_run(ws: Workspace, name: str) -> "records.Run":
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
            code=codes.NOTHING_TO_REFIT,
        )
    return found


def changed_since(ws: Workspace, base: "records.Run") -> list[str]:
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
