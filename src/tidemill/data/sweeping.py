"""What no kept commit of a dataset needs: versions, data files, deletion files; and removing it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import StorageError
from tidemill.core.events import Progress, Sink
from tidemill.data.commits import from_properties
from tidemill.data.file_log import FOLDER
from tidemill.data.history import History
from tidemill.data.lance_table import LanceTable
from tidemill.data.packing import carry_out, originals, plan
from tidemill.data.packs import FOLDER as PACKS
from tidemill.data.pieces import place
from tidemill.data.refs import load
from tidemill.data.row_digests import is_needed
from tidemill.data.snapshot import fragments_of
from tidemill.data.transfer import Copy
from tidemill.data.turns import holding
from tidemill.store.objects import Entry

if TYPE_CHECKING:
    from tidemill.store.open import Store

SPARED = timedelta(hours=24)
"""Where no lock reaches every writer (a bucket): what is younger may belong to a push that is going on."""
_AT_ONCE = 500
_SMALL_BYTES = 4096
"""A side file up to this size, of a data file that only old commits need, costs less to make again than to keep."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a collection removed, or would.

    Attributes:
        removed: Key and size in bytes of what no kept commit needs.
        packed: How many old versions were packed.
        size_bytes: Of what left its place for a pack, less that of new packs.
        young: When each version was written, by the key of its manifest, that no kept commit needs and that stays for
            being young.
    """

    removed: Mapping[str, int] = field(default_factory=dict)
    packed: int = 0
    size_bytes: int = 0
    young: Mapping[str, datetime] = field(default_factory=dict[str, datetime])


def collect(
    store: "Store", name: str, named: Collection[str], *, dry_run: bool, sink: Sink, now: bool = False
) -> Swept:
    """Remove what no branch, tag or fetched branch of a dataset needs, nor a commit of the ids ``named``.

    What old commits need is packed. Waits for a writer of the dataset to end, and lets none begin.

    Args:
        store: The store.
        name: The dataset.
        named: The ids of commits that are kept too.
        dry_run: Only say what would be removed.
        sink: Gets ``Progress``.
        now: In a bucket, take the manifests that are packed out of their places at once.
    """
    with holding(store, name):
        copy = Copy.of(store, name)
        keep = set(copy.history.kept(copy.refs(), named))
        return (
            foreseen(copy, keep, keep, sink, now=now)
            if dry_run
            else sweep(copy, keep, sink, pack=keep, now=now)
        )


def foreseen(
    copy: Copy, keep: Collection[int], pack: Collection[int], sink: Sink, *, now: bool = False
) -> Swept:
    """What ``sweep`` would do."""
    table, refs = copy.table, copy.refs()
    planned = plan(table, refs, keep, pack, left=_young_packs(table, now=now), sink=sink)
    there = {e.key: e.size_bytes for e in table.objects.list(table.prefix)}
    freed = sum(there.get(f"{table.prefix}/{key}", 0) for key in planned.before | planned.gone)
    own = set(originals(table, table.packs.versions()))
    gone, young = garbage(table, keep)
    freed += sum(size for key, size in gone.items() if key in own)
    left = {key: size for key, size in gone.items() if key not in own}
    return Swept(left, len(planned.versions), max(freed - planned.size_bytes, 0), young)


def garbage(table: LanceTable, keep: Collection[int]) -> tuple[dict[str, int], dict[str, datetime]]:
    """Key and size in bytes of each object that these versions do not need; and the versions that stay for being young.

    The newest version stays as well, for Lance counts on from it: as it is if it is empty, else as an empty one
    that ``sweep`` makes. What has forgotten rows in it is not spared for being young: no push that can still end
    well needs it, since whoever forgets changes the refs.
    """
    return _garbage(table, keep, _needed(table, keep, now=False), now=False)


def _needed(table: LanceTable, keep: Collection[int], *, now: bool) -> set[str]:
    newest = table.unpacked()[:1]
    versions = {*keep, *(newest if newest and _is_empty(table, newest[0]) else ())}
    needed = {key for version in versions for key in table.holds(version)}
    needed |= {f"{table.prefix}/{key}" for key in table.files.log.keys}
    young = _young_packs(table, now=now)
    waiting = (v for pack in table.packs.packs if pack.name in young for v in pack.versions)
    return needed.union(*(set(originals(table, [v])) for v in waiting))


def _young_packs(table: LanceTable, *, now: bool) -> set[str]:
    """The packs, by name, that somebody may not know of yet: what is in them stays in its place too."""
    if now or table.objects.path("") is not None:
        return set()
    since = datetime.now(UTC) - SPARED
    there = table.objects.list(f"{table.prefix}/{PACKS}")
    return {entry.key.rpartition("/")[2] for entry in there if entry.modified >= since}


def _garbage(
    table: LanceTable, keep: Collection[int], needed: Collection[str], *, now: bool
) -> tuple[dict[str, int], dict[str, datetime]]:
    files, near = _data_files(needed), _data_files(_of_heads(table))
    found = [
        entry
        for entry in table.objects.list(table.prefix)
        if entry.key not in needed
        and (
            _is_of_a_version(table, entry, files, keep)
            or (entry.size_bytes <= _SMALL_BYTES and not _is_near(table, entry, near))
        )
    ]
    young: set[str] = set()
    if table.objects.path("") is None:
        since = datetime.now(UTC) - SPARED
        young = {entry.key for entry in found if entry.modified >= since}
        young -= set(originals(table, table.packs.versions())) if now else set()
        young -= _with_forgotten_rows(table, young)
        young -= _without_parents(table, young, {entry.key for entry in found} - young)
    spared = {e.key: e.modified for e in found if e.key in young and table.version_of(e.key) is not None}
    return {entry.key: entry.size_bytes for entry in found if entry.key not in young}, spared


def sweep(
    copy: Copy, keep: Collection[int], sink: Sink, *, pack: Collection[int] = (), now: bool = False
) -> Swept:
    """Remove what these versions do not need.

    The caller holds the dataset's lock. Versions go before their files: killed in the middle, it leaves no
    version without what it is made of.

    Args:
        copy: The dataset.
        keep: The versions that are kept.
        sink: Gets ``Progress``.
        pack: Those of them that are packed where they are old: commits.
        now: In a bucket, take manifests that are packed out of their places at once.
    """
    table, refs = copy.table, copy.refs()
    versions = table.unpacked()
    if versions and versions[0] not in keep and not _is_empty(table, versions[0]):
        for lost in (version for version in keep if version > versions[0]):
            # The new one would get its number, and be taken for it: this says that it is gone.
            table.holds(lost)
        place(table, table.open(versions[0]).lance_schema, [], {})
    planned = plan(table, refs, keep, pack, left=_young_packs(table, now=now), sink=sink)
    try:
        if planned.made or planned.gone:
            carry_out(table, copy.history, refs, planned)
        _forget_digests(table, keep, now=now)
    except StorageError as error:
        # On a full disk what goes makes room for it.
        if error.code != codes.DISK_FULL:
            raise
        late = True
    else:
        late = False
    needed = _needed(table, keep, now=now)
    found, young = _garbage(table, keep, needed, now=now)
    if table.objects.path("") is None:
        # What is derived lies on this machine, not beside what it is derived from.
        held = _data_files(needed)
        table.row_digests.sweep(lambda name: is_needed(name, held, keep))
        table.packs.sweep()
    ordered = sorted(found, key=lambda key: "/_versions/" not in key)
    for start in range(0, len(ordered), _AT_ONCE):
        table.objects.delete(ordered[start : start + _AT_ONCE])
        sink(Progress("sweeping", min(start + _AT_ONCE, len(ordered)), len(ordered), "files"))
    table.files.forget(found.keys())
    if late:
        _forget_digests(table, keep, now=now)
    own = {*originals(table, table.packs.versions()), *(f"{table.prefix}/{key}" for key in planned.gone)}
    replaced = sum(size for key, size in found.items() if key in own)
    return Swept(
        {key: size for key, size in found.items() if key not in own},
        len(planned.versions),
        max(replaced - planned.size_bytes, 0),
        young,
    )


def _forget_digests(table: LanceTable, keep: Collection[int], *, now: bool) -> None:
    """Before files go, their digests do: else a file that was swept would be one that was lost."""
    known = table.files.log.files().keys()
    needed = _needed(table, keep, now=now)
    gone, _ = _garbage(table, keep, needed, now=now)
    there = {entry.key for entry in table.objects.list(table.prefix)}
    spared = there - gone.keys()
    left = {key for key in known if (full := f"{table.prefix}/{key}") in needed or full in spared}
    if len(left) < len(known):
        History(table).keep_digests(left)


def _is_empty(table: LanceTable, version: int) -> bool:
    return not any("/data/" in key for key in table.holds(version))


def _data_files(keys: Iterable[str]) -> set[str]:
    """The names of the data files among these keys, without their ending."""
    return {key.rpartition("/")[2].rpartition(".")[0] for key in keys if "/data/" in key}


def _is_of_a_version(table: LanceTable, entry: Entry, files: set[str], versions: Collection[int]) -> bool:
    folder, _, name = entry.key.removeprefix(f"{table.prefix}/").rpartition("/")
    if folder == "_versions":
        return name.endswith(".manifest")
    if folder == "_tidemill/rows":
        return name.rpartition(".")[0] not in files
    if folder == "_tidemill/digests":
        return not is_needed(name, files, versions)
    if folder == FOLDER:
        return table.files.is_taken_over(entry.key)
    # `_tidemill/ids` is how side files lay before: nothing reads them.
    return folder in {PACKS, "_tidemill/ids", "_transactions", "_deletions"} or folder.split("/")[0] == "data"


def _is_near(table: LanceTable, entry: Entry, near: Collection[str]) -> bool:
    """Whether an object is no side file, or one of these data files."""
    folder, _, name = entry.key.removeprefix(f"{table.prefix}/").rpartition("/")
    stem, _, kind = name.rpartition(".")
    if folder == "_tidemill/digests" and kind == "rows":
        return stem.rpartition("-")[0] in near
    return folder != "_tidemill/rows" or stem in near


def _of_heads(table: LanceTable) -> set[str]:
    """The keys of all that the commits which are named are made of."""
    refs, _ = load(table.objects, table.dataset)
    versions = {ref.version for ref in (refs.heads() if refs else ())}
    return {key for version in versions for key in table.holds(version)}


def _with_forgotten_rows(table: LanceTable, keys: Collection[str]) -> set[str]:
    """Those of these versions and data files in which there is a row that was forgotten."""
    import numpy as np  # noqa: PLC0415

    refs, _ = load(table.objects, table.dataset)
    forgotten = np.unique(np.array([i for t in (refs.forgotten if refs else ()) for i in t.ids], np.uint64))
    if not len(forgotten):
        return set()
    found: set[str] = set()
    seen: set[str] = set()
    for key in keys:
        if (version := table.version_of(key)) is not None:
            fragments = fragments_of(table, version)
            seen |= {file for fragment in fragments for file in fragment.files}
            tainted = [f for f in fragments if len(f.find_all(forgotten)[0])]
            found |= {f"{table.prefix}/data/{file}" for fragment in tainted for file in fragment.files}
            found |= {key} if tainted else set()
    for key in keys:
        # What was killed before it made a version of it.
        file = key.rpartition("/")[2]
        if "/data/" in key and file not in seen and np.isin(table.file_ids(file), forgotten).any():
            found.add(key)
    return found


def _without_parents(table: LanceTable, keys: Collection[str], gone: Collection[str]) -> set[str]:
    """Those of these versions that are commits and come from what goes: nobody could walk back from them."""
    versions = sorted(v for key in keys if (v := table.version_of(key)) is not None)
    lost = {v for key in gone if (v := table.version_of(key)) is not None}
    found: set[str] = set()
    if not (versions and lost):
        return found
    for version in versions:
        commit = from_properties(table.dataset, version, table.properties(version))
        if commit and lost.intersection(commit.parent_versions):
            lost.add(version)
            found.add(table.manifest(version))
    return found
