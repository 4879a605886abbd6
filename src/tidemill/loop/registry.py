"""Registered models: each new one that a run made, with a number, and what a run's outputs say of it."""

from typing import TYPE_CHECKING, Any

from tidemill.core.clock import now, stamp
from tidemill.core.errors import TidemillError
from tidemill.core.names import Digest
from tidemill.loop.unreadable import error_of_one
from tidemill.loop.view_of import view_of
from tidemill.loop.views import ModelView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.engine.run import RunResult
    from tidemill.pipeline.graph import Graph
    from tidemill.store.catalog import records

MODEL, REPORT = "model", "report"
AT_ONCE = 500
"""Digests or ids that one query names."""


def register(ws: Workspace, graph: "Graph", result: "RunResult") -> None:
    """Give the run's model a number, unless the same model has one already."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    model = result.outputs.get(MODEL)
    if model is None or model.kind != "model" or MODEL not in graph.outputs:
        return
    run = result.run
    metrics = metrics_of(ws, run)
    facts = {n: model.meta.get(n) for n in ("features", "label", "classes")}
    with ws.store.catalog.write() as write:
        if write.first(records.Model, {"name": run.pipeline, "digest": model.digest}):
            return
        version = write.greatest(records.Model, "version", {"name": run.pipeline}) + 1
        write.add(
            records.Model(
                run.pipeline,
                version,
                model.digest,
                run.id,
                str(model.meta["framework"]),
                facts,
                metrics,
                stamp(now()),
            )
        )


def models(ws: Workspace, name: str | None = None) -> list[ModelView]:
    """The registered models, newest first.

    Raises:
        NotFound: ``model-not-found``, where there are models of other names.
    """
    from tidemill.loop.lookup import check_listed  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    where = {"name": name} if name else {}
    with ws.store.catalog.read() as read:
        found = read.find(records.Model, where, order=("-created_at", "-version"))
        runs = {r.id: r for r in read.find(records.Run)}
        releases = read.find(records.Release)
        names = {m.name for m in read.find(records.Model)} if name and not found else set[str]()
    if name:
        check_listed(ws, "model", name, names)
    by_model: dict[str, list[int]] = {}
    for release in releases:
        digest = runs[release.run].outputs.get(MODEL, "")
        by_model.setdefault(digest, []).append(release.number)
    return [view_of(ModelView, m, releases=sorted(by_model.get(m.digest, []))) for m in found]


def model_of(ws: Workspace, run: "records.Run") -> dict[str, Any] | None:
    """Name and version of the model that a run made or took from the cache."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    digest = run.outputs.get(MODEL)
    if digest is None:
        return None
    with ws.store.catalog.read() as read:
        found = read.first(records.Model, {"name": run.pipeline, "digest": digest})
    return None if found is None else {"name": found.name, "version": found.version}


def digest_of_kind(ws: Workspace, run: "records.Run", kind: str) -> Digest | None:
    """The run's output of this kind: the one so named, else the first."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        found = read.find(records.Artifact, {"digest": list(run.outputs.values()), "kind": kind})
    fit = {a.digest for a in found}
    named = run.outputs.get(kind)
    if named in fit:
        return Digest(str(named))
    return next((Digest(d) for d in run.outputs.values() if d in fit), None)


def metrics_of(ws: Workspace, run: "records.Run") -> dict[str, float]:
    """The numbers of the run's report; empty where it made none."""
    metrics, errors = metrics_by_run(ws, [run])
    if errors:
        raise errors[run.id]
    return metrics[run.id]


def metrics_by_run(
    ws: Workspace, runs: "list[records.Run]"
) -> tuple[dict[str, dict[str, float]], dict[str, TidemillError]]:
    """The numbers of the report of each of many runs, by run; each report is read once.

    Returns:
        The numbers, none of a run whose report cannot be read; and the error of each of these.
    """
    from tidemill.engine.artifacts import content_of  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    digests = sorted({d for r in runs for d in r.outputs.values()})
    reports: dict[str, records.Artifact] = {}
    with ws.store.catalog.read() as read:
        for start in range(0, len(digests), AT_ONCE):
            some = {"digest": digests[start : start + AT_ONCE], "kind": REPORT}
            reports.update((a.digest, a) for a in read.find(records.Artifact, some))
    metrics: dict[str, dict[str, float]] = {}
    wrong: dict[str, TidemillError] = {}
    for digest, report in reports.items():
        try:
            metrics[digest] = content_of(ws.store.blobs, report).get("metrics", {})
        except TidemillError as error:
            error_of_one(error)
            metrics[digest], wrong[digest] = {}, error
    found: dict[str, dict[str, float]] = {}
    errors: dict[str, TidemillError] = {}
    for run in runs:
        ordered = [run.outputs.get(REPORT), *run.outputs.values()]
        digest = next((d for d in ordered if d in metrics), None)
        found[run.id] = dict(metrics[digest]) if digest else {}
        if digest in wrong:
            errors[run.id] = wrong[digest]
    return found, errors
