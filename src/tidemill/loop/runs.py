"""Runs: start one, look at one, draw its report. A run with a model ends with the gate's verdict."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import NotFound, TidemillError
from tidemill.core.events import Note, Sink, silent
from tidemill.core.given import Json
from tidemill.loop import judging, predictors, registry, why, written
from tidemill.loop.lookup import find_run, seconds_of, steps_of
from tidemill.loop.view_of import view_of
from tidemill.loop.views import Forecast, ReportFile, RunView, StepForecast, StepView, VerdictView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.core.names import Reference
    from tidemill.engine.run import RunResult
    from tidemill.pipeline.graph import Graph
    from tidemill.pipeline.pipelines import Pipeline
    from tidemill.store.catalog import records


def run(
    ws: Workspace,
    pipeline: "Path | str | Pipeline[..., Any]",
    parameters: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    executor: str | None = None,
    trigger: str = "person",
    audit: float = 0.0,
    sink: Sink = silent,
    commits: Mapping[str, str] | None = None,
) -> RunView:
    """Run a pipeline. A failed run is returned with its error, not raised.

    Args:
        ws: The project.
        pipeline: A file, or a pipeline itself.
        parameters: By name: values of Python, which stay what they are; or ``core.given.Text`` and ``Json``, which
            are read by annotation.
        name: Which pipeline of the file.
        executor: Who computes the steps; None: as the settings say.
        trigger: What started it.
        audit: The share of cache hits that is computed again; the run fails where the result differs.
        sink: Gets the steps' events.
        commits: Dataset to the commit at which it is read, whatever the pipeline says; by name, or by reference
            where one dataset is read at several commits.

    Raises:
        InvalidInput: When the file, a parameter or the graph is wrong; then nothing was run.
        Interrupted: When it was stopped from the keyboard.
    """
    from tidemill.engine.run import run as execute  # noqa: PLC0415

    defined, values, graph = built(pipeline, parameters or {}, name, sink)
    result = execute(
        ws.store,
        graph.pinned(commits or {}),
        pipeline_name=defined.name,
        file=defined.file,
        parameters=recorded(defined, values),
        trigger=trigger,
        sink=sink,
        workers=ws.project.workers,
        executor=executor or ws.project.settings.executor,
        project_folder=ws.folder,
        resolve=lambda reference: _snapshot(ws, reference),
        seed=seed_of(values),
        audit=audit,
    )
    if result.run.status == "succeeded":
        registry.register(ws, graph, result)
        _judge(ws, result, sink)
    return replace(_view(ws, result.run, result.steps), audited=result.audited, warnings=result.warnings)


def forecast(
    ws: Workspace,
    pipeline: "Path | str | Pipeline[..., Any]",
    parameters: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    commits: Mapping[str, str] | None = None,
    sink: Sink = silent,
) -> Forecast:
    """What ``run`` would compute and what it would take from the cache, and why. Nothing is computed.

    Raises:
        InvalidInput: When the file, a parameter or the graph is wrong.
    """
    from tidemill.engine.forecast import forecast as look  # noqa: PLC0415

    defined, values, graph = built(pipeline, parameters or {}, name, sink)
    expected = look(
        ws.store,
        graph.pinned(commits or {}),
        pipeline_name=defined.name,
        resolve=lambda reference: _snapshot(ws, reference),
        seed=seed_of(values),
    )
    steps: list[StepForecast] = []
    for e in expected:
        read = graph.inputs.get(e.step)
        changes = [
            why.as_view(c) | (why.rows_between(ws, read.name, c.before, c.after) if read else {})
            for c in e.changes
        ]
        steps.append(StepForecast(e.step, e.kind, e.status, e.why, e.rows, changes))
    computed, cached = (sum(e.status == status for e in expected) for status in ("computed", "cached"))
    return Forecast(defined.name, computed, cached, steps)


def built(
    pipeline: "Path | str | Pipeline[..., Any]", parameters: Mapping[str, Any], name: str | None, sink: Sink
) -> "tuple[Pipeline[..., Any], dict[str, Any], Graph]":
    """The pipeline, its parameters' values, and the graph that they make."""
    from tidemill.pipeline.load import load  # noqa: PLC0415

    defined = load(Path(pipeline), name) if isinstance(pipeline, (str, Path)) else pipeline
    graph = predictors.with_predictor(defined.build(parameters), defined.name, defined.file, sink)
    return defined, defined.values(parameters), graph


def show_run(ws: Workspace, run: str = "latest") -> RunView:
    """One run, by id, by the start of one, or ``latest``.

    Raises:
        NotFound: ``run-not-found``.
        InvalidInput: ``ambiguous-run``.
    """
    from tidemill.engine.run import mark_interrupted  # noqa: PLC0415

    mark_interrupted(ws.store)
    record = find_run(ws, run)
    return _view(ws, record, steps_of(ws, record.id))


def value(ws: Workspace, run: str = "latest", output: str = "result") -> Any:
    """What a run returned: a plain value, an array, a ``Table``, a ``TrainedModel``, a ``Report``, a path.

    Raises:
        NotFound: ``run-not-found``, ``output-not-found``.
    """
    from tidemill.engine.artifacts import load_value  # noqa: PLC0415

    record = find_run(ws, run)
    if output not in record.outputs:
        raise NotFound(
            f"Run {record.id} has no output '{output}'.",
            hint=f"It has: {', '.join(record.outputs) or 'none'}.",
            code=codes.OUTPUT_NOT_FOUND,
        )
    return load_value(ws.store, record.outputs[output])


def report(ws: Workspace, run: str = "latest", path: Path | None = None) -> ReportFile:
    """Write a run's report as one HTML page.

    Args:
        ws: The project.
        run: Which run.
        path: Where; ``report-RUN.html`` in the project's folder if None.

    Raises:
        NotFound: ``no-report``, when the run made none.
    """
    from tidemill.engine.artifacts import load_value  # noqa: PLC0415
    from tidemill.evaluation.page import render  # noqa: PLC0415

    record = find_run(ws, run, with_report=run == "latest")
    digest = registry.digest_of_kind(ws, record, "report")
    if digest is None:
        raise NotFound(
            f"Run {record.id} has no report.",
            why="Its pipeline returned none, or the run did not get so far.",
            hint="Return parts.evaluate(model, test) from the pipeline.",
            code=codes.NO_REPORT,
        )
    found = load_value(ws.store, digest)
    verdict = judging.verdict_of(ws, record.id)
    facts: dict[str, object] = {
        "Run": record.id,
        "Started": record.started_at,
        "Data": dict(record.inputs),
        "Parameters": dict(record.parameters),
    }
    target = path or ws.folder / f"report-{record.id}.html"
    body = None if verdict is None else {"passed": verdict.passed, "rules": verdict.rules}
    about = written.shown_by_runs(ws.store, [record.inputs])
    written.write_page(ws.store, target, "report", about, render(found, facts=facts, verdict=body))
    return ReportFile(record.id, str(target), dict(found.metrics))


def _judge(ws: Workspace, result: "RunResult", sink: Sink) -> None:
    if not predictors.is_judged(result):
        return
    try:
        judging.judge_run(ws, result.graph, result.run)
    except TidemillError as error:
        sink(Note(f"The gate could not judge run {result.run.id}: {error.message}"))
        raise


def _snapshot(ws: Workspace, reference: "Reference") -> Any:
    return ws.datasets.open(reference.name).snapshot(reference.at)


def recorded(defined: "Pipeline[..., Any]", values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameter values as a run's record has them; given again as ``Json``, they make the same run."""
    from tidemill.pipeline.values import recorded as one  # noqa: PLC0415

    return {p.name: one(values[p.name], p.annotation, p.default) for p in defined.parameters}


def as_recorded(parameters: Mapping[str, Any]) -> dict[str, Json]:
    """The parameters of a run's record, to be given again."""
    return {name: Json(tree) for name, tree in parameters.items()}


def seed_of(values: Mapping[str, Any]) -> int:
    """A pipeline that has a parameter ``random_state`` or ``seed`` says so itself."""
    for name in ("random_state", "seed"):
        value = values.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value % 2**32
    return 0


def _view(ws: Workspace, record: "records.Run", steps: "list[records.Step]") -> RunView:
    from tidemill.store.catalog import records  # noqa: PLC0415

    digests = list(record.outputs.values())
    with ws.store.catalog.read() as read:
        known = {a.digest: a for a in read.find(records.Artifact, {"digest": digests})}
    outputs: dict[str, Any] = {}
    for name, digest in record.outputs.items():
        artifact = known[digest]
        if artifact.kind == "value" and "content" in artifact.meta:
            outputs[name] = artifact.meta["content"]
        else:
            shown = ("rows", "columns", "shape", "dtype", "framework")
            facts = {n: artifact.meta[n] for n in shown if n in artifact.meta}
            outputs[name] = {"kind": artifact.kind, "digest": digest, **facts}
    verdict = judging.verdict_of(ws, record.id)
    return view_of(
        RunView,
        record,
        run=record.id,
        outputs=outputs,
        steps=[view_of(StepView, s, printed=s.log is not None) for s in steps],
        seconds=seconds_of(record) or 0.0,
        model=registry.model_of(ws, record),
        verdict=view_of(VerdictView, verdict) if verdict else None,
    )
