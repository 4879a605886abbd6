"""Rows removed from every commit: history is written anew beside the old one, then the refs are swapped.

Until that moment all is as it was; from it on the old history is garbage, and is swept. The commits keep their
ids, which name them and are no digest of their rows; those that lost rows carry a mark that says so.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidemill.core.errors import InvalidInput
from tidemill.core.events import Progress, Sink
from tidemill.data.commits import Commit
from tidemill.data.pieces import place
from tidemill.data.refs import Ref, Refs, Tombstone
from tidemill.data.replay import Replay
from tidemill.data.snapshot import Snapshot
from tidemill.data.sweeping import sweep
from tidemill.data.transfer import Copy
from tidemill.data.turns import holding
from tidemill.store.table import ID, PREDICTION, SYSTEM_COLUMNS, Table

if TYPE_CHECKING:
    import pyarrow as pa

    from tidemill.store.open import Store

_LEAST_TEXT = 4
"""Characters of a text that may name a row."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a rewriting did.

    Attributes:
        commits: How many were made again.
        lost: Id of each commit that lost rows, and how many.
    """

    commits: int
    lost: dict[str, int]


@dataclass(frozen=True, slots=True)
class Matches:
    """Rows of any commit that a condition holds for.

    Attributes:
        ids: Their ``_id``s, ascending.
        predictions: The predictions that feedback made some of them of.
        commits: Id of each commit that has some of them, and how many.
        rows: The rows themselves with all their columns, as each file has them: one that was changed is there twice.
    """

    ids: tuple[int, ...]
    predictions: frozenset[str]
    commits: dict[str, int]
    rows: "tuple[Table, ...]" = ()

    def with_rows(self, others: Sequence[Table]) -> "Matches":
        """These, and rows with an ``_id`` that no commit has."""
        ids = {i for table in others for i in table.numpy(ID).tolist()}
        return replace(self, ids=tuple(sorted({*self.ids, *ids})), rows=(*self.rows, *others))


def find(store: "Store", name: str, condition: str, named: Collection[str]) -> Matches:
    """The rows to forget, found in every commit, without changing anything.

    Raises:
        InvalidInput: ``invalid-where``.
    """
    with holding(store, name):
        return matching(Copy.of(store, name), condition, named)


def forget(store: "Store", name: str, tombstone: Tombstone, named: Collection[str], sink: Sink) -> None:
    """Remove a tombstone's rows from every commit, and all that the old history alone needed.

    Killed at any moment, it leaves the old history or the new one; ``settle`` does what is left to do.

    Args:
        store: The store.
        name: The dataset.
        tombstone: What to forget.
        named: The ids of commits beside the refs that are kept, too.
        sink: Gets ``Progress``.
    """
    with holding(store, name):
        copy = Copy.of(store, name)
        rewrite(copy, [tombstone], named, sink)
        sweep(copy, set(copy.history.kept(copy.refs(), named)), sink)


def that_lost(
    store: "Store", name: str, named: Collection[str], since: int
) -> tuple[frozenset[int], set[str], set[str]]:
    """What was forgotten after the first ``since`` times.

    Args:
        store: The store.
        name: The dataset.
        named: The ids of commits beside the refs that are kept, too.
        since: How many tombstones not to look at.

    Returns:
        The ``_id``s; the commits that had some of them; and every commit that is there.
    """
    copy = Copy.of(store, name)
    refs = copy.refs()
    kept = copy.history.kept(refs, named)
    new = refs.forgotten[since:]
    lost = {commit for tombstone in new for commit in affected(kept.values(), tombstone)}
    return frozenset(i for t in new for i in t.ids), lost, {c.id for c in kept.values()}


def unsettled(store: "Store", name: str) -> list[Tombstone]:
    """The tombstones of a dataset whose traces are still to be removed from the store."""
    return [t for t in Copy.of(store, name).refs().forgotten if not t.purged]


def settle(
    store: "Store", name: str, named: Collection[str], sink: Sink
) -> "list[tuple[Tombstone, set[str]]]":
    """Rewrite and sweep what is left to do; the tombstones whose traces are, and the commits that had their rows.

    Args:
        store: The store.
        name: The dataset.
        named: The ids of commits beside the refs that are kept, too.
        sink: Gets ``Progress``.
    """
    left = unsettled(store, name)
    if not left:
        return []
    with holding(store, name):
        copy = Copy.of(store, name)
        rewrite(copy, [], named, sink)
        kept = copy.history.kept(copy.refs(), named)
        sweep(copy, set(kept), sink)
        return [(tombstone, set(affected(kept.values(), tombstone))) for tombstone in left]


def settled(store: "Store", name: str, tombstones: Collection[Tombstone]) -> None:
    """Write down that the traces of these tombstones are removed from the store."""

    def purged(refs: Refs) -> Refs:
        marked = (replace(t, purged=t.purged or t in tombstones) for t in refs.forgotten)
        return replace(refs, forgotten=tuple(marked))

    Copy.of(store, name).history.change(purged)


def matching(copy: Copy, condition: str, named: Collection[str]) -> Matches:
    """The rows that a condition holds for in any commit.

    Rows that left are found too, as long as a data file of a kept commit has them.

    Raises:
        InvalidInput: ``invalid-where``, when no commit can be asked that.
    """
    import numpy as np  # noqa: PLC0415

    table = copy.table
    seen: set[str] = set()
    found: set[int] = set()
    predictions: set[str] = set()
    held: list[Table] = []
    refusal: InvalidInput | None = None
    asked = False
    kept = copy.history.kept(copy.refs(), named)
    for commit in kept.values():
        snapshot = Snapshot(table, commit)
        schema, pieces = snapshot.made_of()
        new = [
            piece.whole()
            for fragment, piece in zip(snapshot.fragments(), pieces, strict=True)
            if fragment.digest not in seen
        ]
        if not new and asked:
            continue
        seen |= {fragment.digest for fragment in snapshot.fragments()}
        # A version of these files, without their deletions, answers for all that is in them. No ref names it.
        every = Snapshot(table, replace(commit, version=place(table, schema, new, {})))
        try:
            here = every.where(condition)
            asked = True
        except InvalidInput as error:
            # An earlier commit may not have had the column yet.
            refusal = refusal or error
            continue
        found |= set(here.tolist())
        if len(here):
            cells = every.read([ID, PREDICTION, *every.columns], here)
            held.append(cells)
            predictions |= {p for p in cells.to_arrow()[PREDICTION].to_pylist() if p}
    if refusal is not None and not asked:
        raise refusal
    ids = np.array(sorted(found), np.uint64)
    lost = {
        commit.id: rows
        for commit in kept.values()
        if (rows := sum(len(f.find(ids)[0]) for f in Snapshot(table, commit).fragments()))
    }
    return Matches(tuple(sorted(found)), frozenset(predictions), lost, tuple(held))


def own_texts(store: "Store", name: str, found: Matches) -> frozenset[str]:
    """The texts that only these rows have, by which others know them: names, addresses, numbers of a card.

    A text of four characters or more that is in no other row at the head of a branch.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    copy = Copy.of(store, name)
    texts: set[str] = set()
    for rows in found.rows:
        table = rows.to_arrow()
        for column in _texts(table.schema):
            texts |= {t for t in table[column].to_pylist() if t and len(t.strip()) >= _LEAST_TEXT}
    ids = np.array(found.ids, np.uint64)
    for head in copy.refs().branches.values():
        if not texts:
            break
        snapshot = Snapshot(copy.table, copy.history.at(head))
        columns = _texts(snapshot.schema)
        for fragment in snapshot.fragments() if columns else ():
            table = fragment.read([ID, *columns])
            others = table.to_arrow().filter(pa.array(~np.isin(table.numpy(ID), ids)))
            for column in columns:
                known = pc.call_function(
                    "is_in", [others[column]], pc.SetLookupOptions(pa.array(texts, others[column].type))
                )
                texts -= set(others[column].filter(known).to_pylist())
    return frozenset(texts)


def _texts(schema: "pa.Schema") -> list[str]:
    import pyarrow as pa  # noqa: PLC0415

    return [
        f.name
        for f in schema
        if f.name not in SYSTEM_COLUMNS and (pa.types.is_string(f.type) or pa.types.is_large_string(f.type))
    ]


def rewrite(copy: Copy, new: Sequence[Tombstone], named: Collection[str], sink: Sink) -> Rewritten:
    """Make history again without the rows of these tombstones, and of those that the dataset has.

    The caller holds the dataset's lock. The old history is garbage afterwards, and not yet removed.

    Args:
        copy: The dataset.
        new: Tombstones to add.
        named: The ids of commits beside the refs that are kept, too.
        sink: Gets ``Progress``.
    """
    while True:
        refs = copy.refs()
        tombstones = (*refs.forgotten, *(t for t in new if not _has(refs, t)))
        replay = Replay(copy.table, copy.table, tombstones)
        moved: dict[int, int] = {}
        commits = sorted(copy.history.kept(refs, named).values(), key=lambda c: c.version)
        for number, commit in enumerate(commits):
            parents = [p.version for p in copy.history.parents(commit)]
            if replay.touches(commit) or any(p in moved for p in parents):
                moved[commit.version] = replay.make(commit, [moved.get(p, p) for p in parents])
            sink(Progress("rewriting", number + 1, len(commits), "commits"))
        if not moved and tombstones == refs.forgotten:
            return Rewritten(0, {})
        if copy.history.swap(refs, _turned(refs, moved, tombstones)):
            return Rewritten(len(moved), replay.lost)


def affected(commits: Collection[Commit], tombstone: Tombstone) -> dict[str, int]:
    """The commits that lost rows to a tombstone: id, and how many."""
    told = (tombstone.author, tombstone.time, tombstone.reason)
    return {
        c.id: mark.rows
        for c in commits
        for mark in c.forgotten
        if (mark.author, mark.time, mark.reason) == told
    }


def unknown(theirs: Refs, ours: Refs) -> list[Tombstone]:
    """The tombstones that the other copy has and we have not, as ones whose traces are still to be removed."""
    return [replace(t, purged=False) for t in theirs.forgotten if not _has(ours, t)]


def _has(refs: Refs, tombstone: Tombstone) -> bool:
    return any(replace(t, purged=False) == replace(tombstone, purged=False) for t in refs.forgotten)


def _turned(refs: Refs, moved: dict[int, int], tombstones: tuple[Tombstone, ...]) -> Refs:
    def new(names: Mapping[str, Ref]) -> dict[str, Ref]:
        return {name: Ref(ref.id, moved.get(ref.version, ref.version)) for name, ref in names.items()}

    return replace(
        refs,
        branches=new(refs.branches),
        tags=new(refs.tags),
        remotes=new(refs.remotes),
        generation=refs.generation + 1,
        forgotten=tombstones,
    )
