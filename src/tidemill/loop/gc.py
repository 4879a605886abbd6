"""Garbage: what no branch, tag, run, model, release, review or deployment needs, and how many bytes it takes."""

import shutil
from typing import TYPE_CHECKING

from tidemill.core.events import Progress, Sink, silent
from tidemill.core.names import Digest
from tidemill.loop import origins
from tidemill.loop.datasets.forgetting import settle
from tidemill.loop.datasets.named import named_commits
from tidemill.loop.datasets.traces import digests_in, logs
from tidemill.loop.quiet import no_run
from tidemill.loop.views import Freed, FreedKind
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Transaction

_KEEP_RUNS = 10
"""Of each pipeline, the latest runs whose every step stays; of older ones, outputs and releases do."""


def gc(ws: Workspace, *, dry_run: bool = False, sink: Sink = silent) -> Freed:
    """Remove what nothing needs.

    Kept are: every commit that a branch, a tag, a fetched branch, a run or a review leads to; every output of
    every run, the code and the environment that it was made from, every artifact of each pipeline's latest runs, registered models, releases with all they are made
    of, and the cache entries that lead to these. Of the rest, what the cache holds can be computed again; commits
    that nothing names are gone. Waits for whoever writes to a dataset.

    Args:
        ws: The project.
        dry_run: Only count.
        sink: Gets ``Progress``.

    Raises:
        Conflict: ``runs-in-progress``.
    """
    from tidemill.data import collect  # noqa: PLC0415

    if not dry_run:
        for name in ws.datasets.names():
            settle(ws, name, sink)
    blobs = ws.store.blobs
    swept: dict[str, int] = {}
    with no_run(ws) as write:
        for name in ws.datasets.names():
            swept |= collect(ws.store, name, named_commits(write, name), dry_run=dry_run, sink=sink)
        needed = _needed(ws, write)
        gone = {d: size for d, size in blobs.all().items() if d not in needed}
        entries = _dead_entries(write, set(map(str, gone)))
        if not dry_run:
            write.forget(entries)
            for number, digest in enumerate(gone):
                blobs.delete(digest)
                sink(Progress("removing", number + 1, len(gone), "blobs"))
    if not dry_run:
        blobs.remove_unfinished()
    bundles = _bundles(ws, dry_run=dry_run)
    predictions, freed = _prune(ws, sink, dry_run=dry_run)
    versions = sum("/_versions/" in key for key in swept)
    kinds = [
        FreedKind("dataset versions", versions, sum(swept.values())),
        FreedKind("blobs", len(gone), sum(gone.values())),
        FreedKind("cache entries", len(entries), 0),
        FreedKind("unpacked predictors", len(bundles), sum(bundles)),
        FreedKind("predictions", predictions, freed),
    ]
    return Freed(kinds, sum(kind.bytes for kind in kinds), dry_run)


def _prune(ws: Workspace, sink: Sink, *, dry_run: bool) -> tuple[int, int]:
    """Let go of the predictions that no environment's log keeps any more; how many, and the bytes that came free."""
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.serve import log_pruning  # noqa: PLC0415
    from tidemill.serve.options import Keep  # noqa: PLC0415

    gone = freed = 0
    for name, log in logs(ws).items():
        place = ws.settings.environments.get(name)
        if place is None or (place.keep_days, place.keep_bytes) == (None, None):
            continue
        keep = Keep(place.keep_days, place.keep_bytes)
        if dry_run:
            gone += log_pruning.would_go(log, keep)
            continue
        gone += log_pruning.prune(
            log, keep, lambda so_far: sink(Progress("removing", so_far, None, "predictions"))
        )
        if places.status(ws.store, name) is None:
            # Nobody waits for an answer while the file is written again.
            freed += log_pruning.shrink(log)
    return gone, freed


def _bundles(ws: Workspace, *, dry_run: bool) -> list[int]:
    """Remove the unpacked predictors that no live deployment serves; a release unpacks its own again.

    Returns:
        The bytes of each.
    """
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        live = {d.release_digest for d in read.find(records.Deployment, {"status": ["live", "starting"]})}
        kept = [r for r in read.find(records.Release) if r.digest in live]
    folder = ws.store.environments_folder / "bundles"
    used = {bundle.unpack(ws.store, release, folder).name for release in kept}
    gone = [path for path in folder.iterdir() if path.name not in used] if folder.is_dir() else []
    sizes = [sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) for path in gone]
    for path in () if dry_run else gone:
        shutil.rmtree(path, ignore_errors=True)
    return sizes


def _needed(ws: Workspace, read: "Transaction") -> set[Digest]:
    from tidemill.engine.artifacts import blobs_of  # noqa: PLC0415
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    runs = read.find(records.Run, order=("-started_at", "-id"))
    needed = origins.blobs_of(ws, runs)
    latest: dict[str, int] = {}
    kept_runs: set[str] = set()
    for run in runs:
        latest[run.pipeline] = latest.get(run.pipeline, 0) + 1
        if latest[run.pipeline] <= _KEEP_RUNS or run.status == "running":
            kept_runs.add(run.id)
    wanted = {d for r in runs for d in r.outputs.values()}
    wanted |= {m.digest for m in read.find(records.Model)}
    for step in read.find(records.Step):
        if step.run in kept_runs:
            wanted |= set(step.outputs.values())
            # The text of its code: what a later run's difference is told from.
            needed |= {Digest(d) for d in step.parts.get("code", {}).values()}
        if step.log:
            needed.add(Digest(step.log))
    for artifact in read.find(records.Artifact):
        if artifact.digest in wanted or artifact.kind == "release":
            needed |= {Digest(d) for d in blobs_of(artifact)}
    needed |= {Digest(queue.content) for queue in read.find(records.LabelQueue)}
    for release in read.find(records.Release):
        needed |= set(bundle.holds(ws.store, release))
    return ws.store.blobs.with_replacements(needed)


def _dead_entries(read: "Transaction", gone: set[str]) -> list[str]:
    """The cache entries that name a removed blob; an entry without its bytes would be a miss in any case."""
    return [key for key, entry in read.cache_entries() if gone & set(digests_in(entry))]
