"""Why a step was computed: each thing that changed, as far as it can be told: a diff, rows, versions, values."""

from typing import TYPE_CHECKING, Any

from tidemill.core.errors import TidemillError
from tidemill.loop.lookup import find_run, steps_of
from tidemill.loop.views import WhyView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.engine.why import Change, Why
    from tidemill.store.catalog import records


def why(ws: Workspace, run: str, step: str) -> WhyView:
    """Why a step of a run was computed, or was not: what changed since the run before.

    Each change has ``kind`` (``setting``, ``input``, ``code`` or ``package``), ``name``, ``before`` and ``after``.
    Of code there is ``diff`` besides; of an input ``made_by``, the step that it comes from, and of a dataset
    ``dataset``, ``commits`` and ``rows`` (``added``, ``changed``, ``removed``).

    Raises:
        NotFound: ``run-not-found``, ``step-not-found``.
    """
    from tidemill.engine.why import why as ask  # noqa: PLC0415

    found = ask(ws.store, find_run(ws, run).id, step)
    record = found.record
    changes = [as_view(c) | _source(ws, c, found) for c in found.changes]
    against = found.before.run if found.before else None
    return WhyView(record.run, step, record.status, found.reason, against, changes)


def as_view(change: "Change") -> dict[str, Any]:
    """A change as plain values."""
    view = {"kind": change.kind, "name": change.name, "before": change.before, "after": change.after}
    return view | ({"diff": change.diff} if change.kind == "code" else {})


def _source(ws: Workspace, change: "Change", found: "Why") -> dict[str, Any]:
    """Where an input comes from, and what became of its rows."""
    if change.kind != "input" or found.before is None:
        return {}
    if found.record.kind == "dataset":
        return rows_between(ws, found.record.component, change.before, change.after)
    new = _maker(ws, found.record.run, change.after)
    old = _maker(ws, found.before.run, change.before)
    if new is None:
        return {}
    if new.kind != "dataset" or old is None or old.kind != "dataset":
        return {"made_by": new.name}
    commits = (step.parts.get("inputs", {}).get("commit") for step in (old, new))
    return {"made_by": new.name, **rows_between(ws, new.component, *commits)}


def _maker(ws: Workspace, run: str, digest: Any) -> "records.Step | None":
    """The step of a run that has this output; None where it is a file, or several."""
    if not isinstance(digest, str):
        return None
    return next((s for s in steps_of(ws, run) if digest in s.outputs.values()), None)


def rows_between(ws: Workspace, reference: str, before: str | None, after: str | None) -> dict[str, Any]:
    """Two commits of a dataset, and how many rows differ; ``reference`` as a step's component has it."""
    name = reference.removeprefix("dataset:").partition("@")[0]
    told: dict[str, Any] = {"dataset": name, "commits": [before, after]}
    if before is None or after is None:
        return told
    try:
        counts = ws.datasets.open(name).diff(before, after).counts
    except TidemillError:
        # A commit that was collected or forgotten has no rows to compare any more; the rest still holds.
        return told
    return told | {"rows": {"added": counts.added, "changed": counts.changed, "removed": counts.removed}}
