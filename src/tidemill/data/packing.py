"""Packing: the manifests of a dataset's old versions go into packs; nothing that a commit says changes.

The packs are written first, then the refs name them, and only then the manifests may leave their places. Killed between,
the dataset is as it was, or has both.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidemill.core import identity
from tidemill.core.events import Progress, Sink, silent
from tidemill.data import manifests
from tidemill.data.commits import PROPERTY, Commit
from tidemill.data.file_log import FOLDER as LOG
from tidemill.data.history import History
from tidemill.data.lance_table import LanceTable
from tidemill.data.packed_versions import key_of
from tidemill.data.packs import FOLDER, Pack, Packed, ends, written
from tidemill.data.refs import Refs, refs_key
from tidemill.store.objects import changed

_FEW = 16
"""Fewer old versions than this stay as they are: a pack would save little."""
_FULL = 1024
"""A pack of so many versions is not written again for more to come in."""
_DUE = 64
_MOST = 1024
"""A commit packs what came since the last time where it is so much: more is left to a collection."""


class _OthersError(Exception):
    """Another process named other packs since these were planned."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What packing would do.

    Attributes:
        names: Of all packs afterwards; those of today where nothing is to be done.
        made: The new ones among them, and their bytes.
        gone: The keys, below the table, of packs that others take the place of.
        versions: What is packed that was not before.
        before: The keys, below the table, of what these were made of and are not any more.
    """

    names: tuple[str, ...]
    made: Mapping[str, bytes] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    versions: frozenset[int] = frozenset()
    before: frozenset[str] = frozenset()

    @property
    def size_bytes(self) -> int:
        """Of the packs that are new."""
        return sum(map(len, self.made.values()))


def plan(
    table: LanceTable,
    refs: Refs,
    keep: Collection[int],
    pack: Collection[int],
    *,
    left: Collection[str],
    sink: Sink,
) -> Plan:
    """What to pack, and what to take out of packs.

    Args:
        table: Of the dataset.
        refs: Of the dataset.
        keep: The versions that are kept: others leave the packs.
        pack: Those of them that are packed but for what a ref names, and the newest; each is a commit.
        left: The names of packs that are not to be written again for more to come in.
        sink: Gets ``Progress``.

    Raises:
        StorageError: ``store-damaged``, when what would be packed is not as it was written.
    """
    loose: list[int] = []
    # In a bucket others may have an older Tidemill, which could not read it any more: it begins when somebody says so.
    if refs.packs is not None or table.objects.path("") is not None:
        stays = {ref.version for ref in refs.heads()} | {*table.unpacked()[:1]} | table.packs.versions()
        loose = sorted(v for v in pack if v not in stays)
    if len(loose) < _FEW:
        loose = []
    packs = table.packs.packs
    whole = {p.name for p in packs if table.packs.asked(p, lambda pack: pack.versions).issubset(keep)}
    full = {p.name for p in packs if len(p.versions) >= _FULL}
    stay = [p for p in packs if p.name in whole and (not loose or p.name in full or p.name in left)]
    again = [p for p in packs if p not in stay]
    if not (loose or again):
        return Plan(refs.packs or ())
    entries = [e for pack in again for e in _entries(table, pack) if e.version in keep]
    # So many are looked for that all lines are taken apart once.
    table.files.log.files()
    for number, version in enumerate(loose):
        entries.append(_in_place(table, version))
        sink(Progress("packing", number + 1, len(loose), "commits"))
    new_ones = frozenset(loose)
    before = {key for each in entries if each.version in new_ones for key in _places(each)}
    entries.sort(key=lambda each: each.version)
    done = instead(refs, again, entries)
    return replace(done, versions=new_ones, before=frozenset(before))


def instead(refs: Refs, packs: Collection[Pack], entries: Sequence[Packed]) -> Plan:
    """Packs of these versions, which ascend, in the place of others."""
    made = dict(written(entries[at : at + _FULL]) for at in range(0, len(entries), _FULL))
    before = {pack.name for pack in packs}
    names = {*(name for name in refs.packs or () if name not in before), *made}
    gone = frozenset(key_of(pack) for pack in packs if pack.name not in made)
    return Plan(tuple(sorted(names, key=lambda name: (ends(name), name))), made, gone)


def carry_out(
    table: LanceTable, history: History, refs: Refs, planned: Plan, without: Collection[str] = ()
) -> None:
    """Write the packs that were planned for these refs, and name them.

    Args:
        table: Of the dataset.
        history: Of the dataset.
        refs: Its refs.
        planned: What ``plan`` said of them.
        without: The keys, below the table, of files that need no digest any more.

    Raises:
        Conflict: ``object-changed``, when other packs are named by then.
    """
    for name, data in planned.made.items():
        table.objects.put(f"{table.prefix}/{FOLDER}/{name}", data)

    def named(now: Refs) -> Refs:
        if now.packs != refs.packs:
            raise _OthersError
        return replace(now, packs=planned.names)

    try:
        history.change(named, without)
    except _OthersError:
        raise changed(table.objects.address, refs_key(table.dataset)) from None


def pack_as_it_grows(table: LanceTable, history: History, head: Commit) -> None:
    """After a commit: pack what came since the last time, where that is much, so that the next one does not cost more.

    Only in a folder: in a bucket others may be reading who know of no pack yet. The caller holds the dataset's lock.
    """
    if table.objects.path("") is None or not _DUE <= head.version - table.packs.newest <= _MOST:
        return
    refs = history.refs()
    packed = table.packs.versions()
    since = history.since(refs, packed)
    planned = plan(table, refs, packed | since, since, left=(), sink=silent)
    if planned.made:
        # What lies among much else in the log, such as the head of the last time, stays in its place until a collection.
        gone = table.files.log.cheap_to_drop(planned.before | planned.gone)
        carry_out(table, history, refs, planned, gone)
        keys = [f"{table.prefix}/{key}" for key in gone]
        keys += [
            e.key for e in table.objects.list(f"{table.prefix}/{LOG}") if table.files.is_taken_over(e.key)
        ]
        table.objects.delete(keys)
        table.files.forget(keys)


def originals(table: LanceTable, versions: Collection[int]) -> Iterator[str]:
    """The keys of what these versions, which are packed, were made of before and are not any more."""
    for version in sorted(versions):
        packed = table.packed(version)
        assert packed is not None
        yield from (f"{table.prefix}/{key}" for key in _places(packed))


def _places(packed: Packed) -> Iterator[str]:
    yield LanceTable.manifest_below(packed.version)
    if packed.transaction is not None:
        yield packed.transaction


def _entries(table: LanceTable, pack: Pack) -> Sequence[Packed]:
    return table.packs.asked(pack, lambda pack: list(pack.every()))


def _in_place(table: LanceTable, version: int) -> Packed:
    """A version as its pack is to have it; what is not as it was written is not packed."""
    key = table.manifest_below(version)
    manifest = table.files.bytes_of(key)
    held = {k.removeprefix(f"{table.prefix}/") for k in table.holds_in_place(version)} - {key}
    [transaction] = [k for k in held if k.startswith("_transactions/")] or [None]
    if transaction is not None:
        known = table.files.known([transaction]).get(transaction)
        inside = identity.blob(manifests.transaction(manifest))
        if known is None or known.digest != inside:
            transaction = None
    commit = table.properties(version)[PROPERTY]
    return Packed(version, commit, frozenset(held - {transaction}), transaction, manifest)
