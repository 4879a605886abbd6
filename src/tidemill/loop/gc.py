"""Garbage: blobs and cache entries that no run, model, release or deployment needs. Datasets are left alone."""

import shutil
from typing import TYPE_CHECKING

from tidemill.core.errors import Conflict
from tidemill.core.events import Progress, Sink, silent
from tidemill.core.names import Digest
from tidemill.loop.views import Freed
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Transaction

LOCK = "gc"
"""Held by whoever removes blobs, or puts some that no record names yet."""
_KEEP_RUNS = 10
"""Of each pipeline, the latest runs whose every step stays; of older ones, outputs and releases do."""


def gc(ws: Workspace, *, dry_run: bool = False, sink: Sink = silent) -> Freed:
    """Remove what nothing needs.

    Kept are: every output of every run, every artifact of each pipeline's latest runs, registered models,
    releases with all they are made of, and the cache entries that lead to these. What is removed can be
    computed again; a run that would have hit computes instead.

    Args:
        ws: The project.
        dry_run: Only count.
        sink: Gets ``Progress``.

    Raises:
        Conflict: ``runs-in-progress``.
    """
    from tidemill.engine.run import mark_interrupted  # noqa: PLC0415

    mark_interrupted(ws.store)
    blobs = ws.store.blobs
    # Within the write transaction no run can begin: its first record waits. One that is on already has
    # blobs that no record names yet.
    with ws.store.locks.hold(LOCK), ws.store.catalog.write() as write:
        _refuse_while_running(write)
        needed = _needed(ws, write)
        gone = {d: size for d, size in blobs.all().items() if d not in needed}
        entries = _dead_entries(write, set(map(str, gone)))
        size = sum(gone.values())
        if not dry_run:
            write.forget(entries)
            for number, digest in enumerate(gone):
                blobs.delete(digest)
                sink(Progress("removing", number + 1, len(gone), "blobs"))
    if not dry_run:
        blobs.remove_unfinished()
        _remove_bundles(ws)
    return Freed(len(gone), size, len(entries), dry_run)


def _refuse_while_running(read: "Transaction") -> None:
    from tidemill.store.catalog import records  # noqa: PLC0415

    running = read.find(records.Run, {"status": "running"})
    if running:
        raise Conflict(
            f"{len(running)} runs are going on: {', '.join(r.id for r in running[:3])}.",
            why="What they have computed is not recorded yet, and would be taken for garbage.",
            hint="Wait for them to end, then type the same command again.",
            code="runs-in-progress",
        )


def _remove_bundles(ws: Workspace) -> None:
    """Remove the unpacked predictors that no live deployment serves; a release unpacks its own again."""
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        live = {d.release_digest for d in read.find(records.Deployment, {"status": ["live", "starting"]})}
        kept = [r for r in read.find(records.Release) if r.digest in live]
    folder = ws.store.environments_folder / "bundles"
    used = {bundle.unpack(ws.store, release, folder).name for release in kept}
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in used:
            shutil.rmtree(path, ignore_errors=True)


def _needed(ws: Workspace, read: "Transaction") -> set[Digest]:
    from tidemill.engine.artifacts import blobs_of  # noqa: PLC0415
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    runs = read.find(records.Run, order=("-started_at", "-id"))
    latest: dict[str, int] = {}
    kept_runs: set[str] = set()
    for run in runs:
        latest[run.pipeline] = latest.get(run.pipeline, 0) + 1
        if latest[run.pipeline] <= _KEEP_RUNS or run.status == "running":
            kept_runs.add(run.id)
    wanted = {d for r in runs for d in r.outputs.values()}
    wanted |= {m.digest for m in read.find(records.Model)}
    needed: set[Digest] = set()
    for step in read.find(records.Step):
        if step.run in kept_runs:
            wanted |= set(step.outputs.values())
        if step.log:
            needed.add(Digest(step.log))
    for artifact in read.find(records.Artifact):
        if artifact.digest in wanted or artifact.kind == "release":
            needed |= {Digest(d) for d in blobs_of(artifact)}
    needed |= {Digest(queue.content) for queue in read.find(records.LabelQueue)}
    for release in read.find(records.Release):
        needed |= set(bundle.holds(ws.store, release))
    return needed


def _dead_entries(read: "Transaction", gone: set[str]) -> list[str]:
    """The cache entries that name a removed blob; an entry without its bytes would be a miss in any case."""
    return [key for key, entry in read.cache_entries() if gone & set(_digests(entry))]


def _digests(tree: object) -> list[str]:
    if isinstance(tree, str):
        return [tree] if tree.startswith("sha256:") else []
    if isinstance(tree, dict):
        return [d for v in tree.values() for d in _digests(v)]
    if isinstance(tree, list):
        return [d for v in tree for d in _digests(v)]
    return []
