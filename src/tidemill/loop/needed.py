"""Which blobs are needed, and which some record names at all."""

from typing import TYPE_CHECKING

from tidemill.core.names import Digest
from tidemill.loop import origins
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Transaction

KEEP_RUNS = 10
"""Of each pipeline, the latest runs whose every step stays; of older ones, outputs and releases do."""


def named(ws: Workspace, read: "Transaction") -> set[Digest]:
    """Every blob that a record names: what runs and releases once made, needed or not."""
    from tidemill.engine.content import blobs_of, digests_in  # noqa: PLC0415
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    found = {d for a in read.find(records.Artifact) for d in (a.digest, *blobs_of(a))}
    found |= {d for _, entry in read.cache_entries() for d in digests_in(entry)}
    for step in read.find(records.Step):
        found |= set(step.parts.get("code", {}).values())
        if step.log:
            found.add(step.log)
    found |= {queue.content for queue in read.find(records.LabelQueue)}
    found |= origins.blobs_of(ws, read.find(records.Run))
    for release in read.find(records.Release):
        found |= set(bundle.holds(ws.store, release))
    return ws.store.blobs.with_replacements(Digest(d) for d in found)


def needed(ws: Workspace, read: "Transaction") -> set[Digest]:
    """The blobs that are kept; ``gc.gc`` says which."""
    from tidemill.engine.artifacts import blobs_of  # noqa: PLC0415
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    runs = read.find(records.Run, order=("-started_at", "-id"))
    found = origins.blobs_of(ws, runs)
    latest: dict[str, int] = {}
    kept_runs: set[str] = set()
    for run in runs:
        latest[run.pipeline] = latest.get(run.pipeline, 0) + 1
        if latest[run.pipeline] <= KEEP_RUNS or run.status == "running":
            kept_runs.add(run.id)
    wanted = {d for r in runs for d in r.outputs.values()}
    wanted |= {m.digest for m in read.find(records.Model)}
    for step in read.find(records.Step):
        if step.run in kept_runs:
            wanted |= set(step.outputs.values())
            # The text of its code: what a later run's difference is told from.
            found |= {Digest(d) for d in step.parts.get("code", {}).values()}
        if step.log:
            found.add(Digest(step.log))
    for artifact in read.find(records.Artifact):
        if artifact.digest in wanted or artifact.kind == "release":
            found |= {Digest(d) for d in blobs_of(artifact)}
    found |= {Digest(queue.content) for queue in read.find(records.LabelQueue)}
    for release in read.find(records.Release):
        found |= set(bundle.holds(ws.store, release))
    return ws.store.blobs.with_replacements(found)
