"""Merging branches. A merge fires the triggers that watch its branch."""

from tidemill.core.events import Sink, silent
from tidemill.loop.datasets.references import row_counts
from tidemill.loop.datasets.review_rules import refuse_unreviewed
from tidemill.loop.datasets.views import MergeView
from tidemill.loop.workspace import Workspace


def merge(
    ws: Workspace,
    name: str,
    source: str,
    into: str = "main",
    message: str | None = None,
    *,
    fire: bool = True,
    sink: Sink = silent,
) -> MergeView:
    """Merge branch ``source`` into ``into``, then run what watches ``into``.

    Args:
        ws: The project.
        name: The dataset.
        source: A branch, or any reference.
        into: The branch that gets the changes.
        message: What the merge is for.
        fire: Whether triggers run.
        sink: Gets the events of what was fired.

    Raises:
        Conflict: ``merge-conflict``; then nothing is changed.
        NotAllowed: ``review-needed``.
    """
    from tidemill.loop.refit import fire_merge  # noqa: PLC0415 - refit merges nothing, but it runs pipelines

    refuse_unreviewed(ws, name, into, source)
    merged = ws.datasets.open(name).merge(source, into=into, message=message)
    fired = fire_merge(ws, name, into, merged.commit.id, sink=sink) if fire and not merged.already else []
    return MergeView(
        name,
        source,
        into,
        merged.commit.id,
        merged.commit.number,
        row_counts(merged.changes),
        merged.already,
        fired,
    )
