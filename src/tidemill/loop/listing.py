"""The list of runs: the latest, or those that a condition holds for."""

from collections import Counter
from typing import TYPE_CHECKING

from tidemill.loop import registry
from tidemill.loop.conditions import Condition, Facts
from tidemill.loop.lookup import seconds_of
from tidemill.loop.views import RunSummary
from tidemill.loop.workspace import Workspace

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
        InvalidInput: ``invalid-run-condition``, ``unknown-run-field``, ``ambiguous-run-field``.
    """
    from tidemill.engine.run import mark_interrupted  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    condition = None if where is None else Condition(where)
    mark_interrupted(ws.store)
    of_pipeline = {"pipeline": pipeline} if pipeline else {}
    with ws.store.catalog.read() as read:
        # A condition is asked of every run; without one, the newest are all that is looked at.
        most = limit if condition is None else None
        found = read.find(records.Run, of_pipeline, order=("-started_at", "-id"), limit=most)
    if condition is not None:
        found = _holding(ws, found, condition)[:limit]
    return summaries(ws, found)


def summaries(ws: Workspace, found: "list[records.Run]") -> list[RunSummary]:
    """Each run as one line."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    metrics = registry.metrics_by_run(ws, found)
    counted: Counter[tuple[str, str]] = Counter()
    with ws.store.catalog.read() as read:
        for start in range(0, len(found), registry.AT_ONCE):
            some = {"run": [r.id for r in found[start : start + registry.AT_ONCE]]}
            counted.update(read.counts(records.Step, ("run", "status"), some))
    return [
        RunSummary(
            record.id,
            record.pipeline,
            record.status,
            record.started_at,
            seconds_of(record),
            record.trigger,
            metrics[record.id],
            counted[record.id, "computed"],
            counted[record.id, "cached"],
        )
        for record in found
    ]


def _holding(ws: Workspace, found: "list[records.Run]", condition: Condition) -> "list[records.Run]":
    metrics = registry.metrics_by_run(ws, found) if condition.asks_metrics else {}
    facts = [_facts(record, metrics.get(record.id, {})) for record in found]
    if facts:
        condition.bind(facts)
    return [record for record, known in zip(found, facts, strict=True) if condition.holds(known)]


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
