"""The list of runs: the latest, or those that a condition holds for."""

from collections import Counter
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.loop import registry
from tidemill.loop.conditions import Condition, Facts
from tidemill.loop.lookup import check_listed, seconds_of
from tidemill.loop.narrowing import Narrow
from tidemill.loop.view_of import view_of
from tidemill.loop.views import RunSummary
from tidemill.loop.workspace import Workspace

_NEWEST = ("-started_at", "-id")

if TYPE_CHECKING:
    from tidemill.store.catalog import records


def runs(
    ws: Workspace, pipeline: str | None = None, limit: int | None = 20, *, where: str | None = None
) -> list[RunSummary]:
    """The latest runs, newest first.

    Args:
        ws: The project.
        pipeline: Only runs of this pipeline.
        limit: How many at most; None for all.
        where: A condition on them: ``accuracy > 0.88 and param.epochs < 20``; see ``conditions``.

    Raises:
        NotFound: ``pipeline-not-found``, where other pipelines have runs.
        InvalidInput: ``invalid-run-condition``, ``unknown-run-field``, ``ambiguous-run-field``.
    """
    from tidemill.engine.run import mark_interrupted  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    condition = None if where is None else Condition(where)
    mark_interrupted(ws.store)
    if pipeline:
        with ws.store.catalog.read() as read:
            known = set() if read.first(records.Run, {"pipeline": pipeline}) else read.find(records.Run)
        check_listed(ws, "pipeline", pipeline, {run.pipeline for run in known})
    of_pipeline = {"pipeline": pipeline} if pipeline else {}
    if condition is not None:
        return summaries(ws, _holding(ws, of_pipeline, condition)[:limit])
    with ws.store.catalog.read() as read:
        found = read.find(records.Run, of_pipeline, order=_NEWEST, limit=limit)
    return summaries(ws, found)


def summaries(ws: Workspace, found: "list[records.Run]") -> list[RunSummary]:
    """Each run as one line."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    metrics, errors = registry.metrics_by_run(ws, found)
    counted: Counter[tuple[str, str]] = Counter()
    with ws.store.catalog.read() as read:
        for start in range(0, len(found), registry.AT_ONCE):
            some = {"run": [r.id for r in found[start : start + registry.AT_ONCE]]}
            counted.update(read.counts(records.Step, ("run", "status"), some))
    return [
        view_of(
            RunSummary,
            record,
            run=record.id,
            seconds=seconds_of(record),
            metrics=metrics[record.id],
            computed=counted[record.id, "computed"],
            cached=counted[record.id, "cached"],
            error=errors[record.id].to_json() if record.id in errors else None,
        )
        for record in found
    ]


def _holding(ws: Workspace, of_pipeline: dict[str, str], condition: Condition) -> "list[records.Run]":
    """The runs that a condition holds for, newest first."""
    found = _asked(ws, condition, of_pipeline, condition.columns)
    try:
        condition.bind([facts for _, facts in found])
    except InvalidInput as error:
        if error.code != codes.UNKNOWN_RUN_FIELD:
            raise
        # Whether a name is a slip of the pen is told by all runs, not by the few that the columns leave.
        every = _asked(ws, condition, of_pipeline, Narrow()) if condition.columns else found
        if not every:
            return []
        condition.bind([facts for _, facts in every])
    return [record for record, facts in found if condition.holds(facts)]


def _asked(
    ws: Workspace, condition: Condition, of_pipeline: dict[str, str], narrow: Narrow
) -> "list[tuple[records.Run, Facts]]":
    from tidemill.store.catalog import records  # noqa: PLC0415

    equal = dict(narrow.equal)
    for name, value in of_pipeline.items():
        equal[name] = [value] if value in equal.get(name, [value]) else []
    with ws.store.catalog.read() as read:
        found = read.find(records.Run, equal, between=narrow.between, order=_NEWEST)
    metrics, errors = registry.metrics_by_run(ws, found) if condition.asks_metrics else ({}, {})
    if errors:
        # Whether the condition holds for them cannot be told, and to leave them out would say that it does not.
        raise next(iter(errors.values()))
    return [(record, _facts(record, metrics.get(record.id, {}))) for record in found]


def _facts(record: "records.Run", metrics: dict[str, float]) -> Facts:
    own = {
        "run": record.id,
        "pipeline": record.pipeline,
        "status": record.status,
        "started": record.started_at,
        "seconds": seconds_of(record),
        "trigger": record.trigger,
    }
    return Facts(own, metrics, record.parameters, record.inputs)
