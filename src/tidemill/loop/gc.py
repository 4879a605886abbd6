"""Garbage: what no branch, tag, run, model, release, review or deployment needs, and how many bytes it takes."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.clock import now as moment
from tidemill.core.clock import parse, stamp
from tidemill.core.errors import NotAllowed, StorageError
from tidemill.core.events import Progress, Sink, silent
from tidemill.core.names import Digest
from tidemill.loop.datasets.forgetting import settle
from tidemill.loop.datasets.named import named_commits
from tidemill.loop.datasets.traces import logs
from tidemill.loop.needed import named, needed
from tidemill.loop.old_versions import old_versions, remove_overdue
from tidemill.loop.quiet import no_run
from tidemill.loop.views import Freed, FreedKind, Marked, Young
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Swept
    from tidemill.store.catalog import records
    from tidemill.store.catalog.database import Transaction
    from tidemill.store.marks import Marks

GRACE = timedelta(hours=24)
"""How long a blob of a shared store stays marked before it is removed."""
_SHARE = 0.5
"""Of what runs and releases once named, the most that is removed without being asked for."""


def gc(
    ws: Workspace, *, dry_run: bool = False, now: bool = False, everything: bool = False, sink: Sink = silent
) -> Freed:
    """Remove what nothing needs.

    Kept are: every commit that a branch, a tag, a fetched branch, a run or a review leads to; every output of
    every run, the code and the environment that it was made from, every artifact of each pipeline's latest runs, registered models, releases with all they are made
    of, and the cache entries that lead to these. Of the rest, what the cache holds can be computed again; commits
    that nothing names are gone. Waits for whoever writes to a dataset.

    Of a shared store blobs and versions of datasets are marked, and removed by the first collection after a grace time, beside whoever works;
    who uses one until then takes its mark off. A full disk is freed at once.

    Args:
        ws: The project.
        dry_run: Only count.
        now: Remove at once what a shared store's grace time would keep.
        everything: Also where that is most of what runs and releases once named.
        sink: Gets ``Progress``.

    Raises:
        Conflict: ``runs-in-progress``.
        NotAllowed: ``gc-removes-most``; then nothing is removed.
    """
    if not dry_run:
        for name in ws.datasets.names():
            settle(ws, name, sink)
    try:
        return _collected(ws, dry_run=dry_run, now=now, everything=everything, sink=sink)
    except StorageError as error:
        if error.code != codes.DISK_FULL or now or ws.store.blobs.marks is None:
            raise
        # No mark can be written: nothing can be put off.
        return _collected(ws, dry_run=dry_run, now=True, everything=everything, sink=sink)


def _collected(ws: Workspace, *, dry_run: bool, now: bool, everything: bool, sink: Sink) -> Freed:
    from tidemill.data import collect  # noqa: PLC0415

    blobs, marks = ws.store.blobs, ws.store.blobs.marks
    swept: list[Swept] = []
    entries: list[str] = []
    marks_then: list[records.Garbage] = []
    later = marks is not None and not now
    old, young = old_versions(ws) if later else ({}, {})
    datasets = ws.datasets.names()
    with no_run(ws, *(() if later else datasets)) as write:
        there = blobs.all()
        gone = _garbage(ws, write, there, refuse=not (everything or dry_run))
        if not later:
            for name in datasets:
                kept = named_commits(write, name)
                swept.append(collect(ws.store, name, kept, dry_run=dry_run, sink=sink, now=now))
                young |= swept[-1].young
            entries = _removed(ws, write, gone, dry_run=dry_run, sink=sink)
        else:
            marks_then = _mark(write, {**gone, **old}, dry_run=dry_run)
    if marks is not None and later:
        gone, entries = _overdue(ws, marks, dry_run=dry_run, sink=sink)
        swept = remove_overdue(ws, stamp(moment() - GRACE), dry_run=dry_run, sink=sink)
    if not dry_run:
        blobs.remove_unfinished()
    bundles = _bundles(ws, dry_run=dry_run)
    predictions, freed = _prune(ws, sink, dry_run=dry_run)
    versions = sum("/_versions/" in key for each in swept for key in each.removed)
    packed = sum(each.packed for each in swept)
    kinds = [
        FreedKind("dataset versions", versions, sum(sum(each.removed.values()) for each in swept)),
        FreedKind("packed commits", packed, sum(each.size_bytes for each in swept)),
        FreedKind("blobs", len(gone), sum(gone.values())),
        FreedKind("cache entries", len(entries), 0),
        FreedKind("unpacked predictors", len(bundles), sum(bundles)),
        FreedKind("predictions", predictions, freed),
    ]
    then = (
        _marked([g for g in marks_then if g.marked_at > stamp(moment() - GRACE)]) if dry_run else marked(ws)
    )
    return Freed(kinds, sum(kind.bytes for kind in kinds), dry_run, then, _young(young))


def marked(ws: Workspace) -> Marked | None:
    """What is marked to be removed later; None where nothing is."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    if ws.store.blobs.marks is None:
        return None
    with ws.store.catalog.read() as read:
        return _marked(read.find(records.Garbage))


def _marked(every: "Sequence[records.Garbage]") -> Marked | None:
    if not every:
        return None
    first = stamp(parse(min(g.marked_at for g in every)) + GRACE)
    blobs = sum(g.digest.startswith("sha256:") for g in every)
    return Marked(blobs, sum(g.size_bytes for g in every), first, len(every) - blobs)


def _young(written: "Mapping[str, datetime]") -> Young | None:
    from tidemill.data.sweeping import SPARED  # noqa: PLC0415

    return Young(len(written), stamp(max(written.values()) + SPARED)) if written else None


def undo(ws: Workspace) -> int:
    """Take every mark off: what was to be removed stays until the next collection; how much that is."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.write() as write:
        return write.remove(records.Garbage, {})


def _garbage(
    ws: Workspace, write: "Transaction", there: Mapping[Digest, int], *, refuse: bool
) -> dict[Digest, int]:
    """The blobs that nothing needs, and their lengths.

    Raises:
        NotAllowed: ``gc-removes-most``.
    """
    kept = needed(ws, write)
    gone = {d: size for d, size in there.items() if d not in kept}
    if not refuse or not gone:
        return gone
    known = named(ws, write)
    strange = sum(d not in known for d in gone)
    if strange > _SHARE * len(there):
        raise _most(
            gone,
            f"Of {len(there):,} blobs in the store, {strange:,} are named by no record of the catalog "
            f"{ws.store.catalog.database.name}.",
            "It may be an old copy of the catalog, or part of it was lost: runs and releases that it does not know would "
            "lose everything.",
        )
    of_records = sum(d in known for d in there)
    if len(gone) - strange > _SHARE * of_records:
        raise _most(
            gone,
            f"Of {of_records:,} blobs that runs and releases made, {len(gone) - strange:,} are needed by nothing that is "
            "recorded now.",
            "That is so after very many runs; or records were lost.",
        )
    return gone


def _most(gone: Mapping[Digest, int], found: str, why: str) -> NotAllowed:
    return NotAllowed(
        f"{found} Nothing was removed.",
        why=why,
        hint="Type 'tidemill gc --dry-run' and 'tidemill runs' to see whether that is right; then 'tidemill gc --all'.",
        code=codes.GC_REMOVES_MOST,
        details={"blobs": len(gone), "bytes": sum(gone.values())},
    )


def _mark(write: "Transaction", gone: Mapping[str, int], *, dry_run: bool) -> "list[records.Garbage]":
    """Mark these, and no others; the marks that there are then, or would be."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    there = {g.digest: g for g in write.find(records.Garbage)}
    at = stamp(moment())
    new = [records.Garbage(d, size, at) for d, size in gone.items() if d not in there]
    if not dry_run:
        write.remove(records.Garbage, {"digest": [d for d in there if d not in gone]})
        write.put(*new)
    return [*(mark for d, mark in there.items() if d in gone), *new]


def _removed(
    ws: Workspace, write: "Transaction", gone: Mapping[Digest, int], *, dry_run: bool, sink: Sink
) -> list[str]:
    """Remove blobs at once, and the cache entries that lead to them; these."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    entries = _dead_entries(write, set(map(str, gone)))
    if dry_run:
        return entries
    # The blobs first: they make room for the record of it on a full disk.
    for number, digest in enumerate(gone):
        ws.store.blobs.delete(digest)
        sink(Progress("removing", number + 1, len(gone), "blobs"))
    write.forget(entries)
    write.remove(records.Garbage, {})
    return entries


def _overdue(
    ws: Workspace, marks: "Marks", *, dry_run: bool, sink: Sink
) -> tuple[dict[Digest, int], list[str]]:
    """Remove what was marked long enough ago, beside whoever works; what was, and the cache entries that led there."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    before = stamp(moment() - GRACE)
    if dry_run:
        with ws.store.catalog.read() as read:
            due = read.find(
                records.Garbage, between={"marked_at": (None, before), "digest": ("sha256:", "sha256;")}
            )
            gone = {Digest(g.digest): g.size_bytes for g in due}
            return gone, _dead_entries(read, set(map(str, gone)))
    gone = {}
    for batch in marks.remove(before, lambda digests: ws.store.blobs.delete(*digests)):
        gone |= {Digest(g.digest): g.size_bytes for g in batch}
        sink(Progress("removing", len(gone), None, "blobs"))
    if not gone:
        return gone, []
    with ws.store.catalog.write() as write:
        # An entry whose blob a run has made again meanwhile is forgotten too: it is computed once more.
        entries = _dead_entries(write, set(map(str, gone)))
        write.forget(entries)
    return gone, entries


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
        # Nobody waits for an answer while the file is written again.
        shrinks = places.status(ws.store, name) is None
        if dry_run:
            count, size = log_pruning.would_go(log, keep)
            gone, freed = gone + count, freed + (size if shrinks else 0)
            continue
        gone += log_pruning.prune(log, keep, sink)
        freed += log_pruning.shrink(log) if shrinks else 0
    return gone, freed


def _bundles(ws: Workspace, *, dry_run: bool) -> list[int]:
    """Remove the unpacked predictors that no live deployment serves; a release unpacks its own again.

    Returns:
        The bytes of each.
    """
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.release.history import standing  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    folder = ws.store.environments_folder / "bundles"
    if not folder.is_dir():
        return []
    # What answers here needs its own, whatever the records say.
    answering = {told.release for told in places.running(ws.store)}
    with ws.store.catalog.read() as read:
        live = {d.release_digest for d in standing(read, None, "live", "starting")}
        kept = [r for r in read.find(records.Release) if r.digest in live | answering]
    if answering - {r.digest for r in kept}:
        return []
    used = {bundle.unpack(ws.store, release, folder).name for release in kept}
    gone = [path for path in folder.iterdir() if path.name not in used] if folder.is_dir() else []
    sizes = [sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) for path in gone]
    for path in () if dry_run else gone:
        shutil.rmtree(path, ignore_errors=True)
    return sizes


def _dead_entries(read: "Transaction", gone: set[str]) -> list[str]:
    """The cache entries that name a removed blob; an entry without its bytes would be a miss in any case."""
    from tidemill.engine.content import digests_in  # noqa: PLC0415

    return [key for key, entry in read.cache_entries() if gone & set(digests_in(entry))]
