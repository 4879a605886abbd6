"""The digest of a commit: of its rows and its columns, whatever files they lie in, and in whatever order."""

from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.core.errors import TidemillError
from tidemill.core.names import Digest
from tidemill.data.commits import from_properties
from tidemill.data.difference import Diff
from tidemill.data.row_digests import Tree, digests_of
from tidemill.data.snapshot import Fragment, Snapshot
from tidemill.store.table import ID

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def digest_of(snapshot: Snapshot) -> Digest:
    """The digest of a snapshot, from what was computed before and what differs from there.

    Equal for the same rows and columns in every store, after a revert, a compaction and a transfer.
    """
    kept = snapshot.table.row_digests
    tree = kept.tree(snapshot.commit)
    if tree is None:
        tree = _from_another(snapshot) or _whole(snapshot)
        kept.put_tree(snapshot.commit, tree)
    return _named(snapshot, tree)


def digest_at_hand(snapshot: Snapshot) -> Digest | None:
    """The same, where not all rows must be read for it."""
    tree = snapshot.table.row_digests.tree(snapshot.commit) or _from_another(snapshot)
    return _named(snapshot, tree) if tree else None


def digest_again(snapshot: Snapshot) -> Digest:
    """The same from the rows themselves: nothing that was kept is believed."""
    import numpy as np  # noqa: PLC0415

    ids, digests = [np.zeros(0, np.uint64)], [digests_of(snapshot.schema.empty_table())]
    for fragment in snapshot.fragments():
        rows = fragment.read().to_arrow()
        ids.append(rows.column(ID).to_numpy())
        digests.append(digests_of(rows))
    return _named(snapshot, Tree.of(np.concatenate(ids), np.concatenate(digests)))


def _named(snapshot: Snapshot, tree: Tree) -> Digest:
    columns: list[identity.Value] = [
        [field.name, str(field.type), [[k, v] for k, v in sorted((field.metadata or {}).items())]]
        for field in snapshot.schema
    ]
    return identity.data_commit(columns, tree.rows, tree.ranges.tobytes())


def _whole(snapshot: Snapshot) -> Tree:
    rows = [_rows(snapshot, f, f.live) for f in snapshot.fragments()]
    return Tree.of(*_joined(rows))


def _from_another(snapshot: Snapshot) -> Tree | None:
    """The tree as it follows from the nearest one that is kept; None where most would be read all the same."""
    before = _nearest(snapshot)
    if before is None or _cells(before) != _cells(snapshot):
        return None
    known = snapshot.table.row_digests.tree(before.commit)
    if known is None or not known.fits(snapshot.rows):
        return None
    import numpy as np  # noqa: PLC0415

    apart = Diff(before, snapshot)
    which = known.of_ids(np.concatenate([apart.added, apart.removed, apart.rewritten]))
    if 2 * len(which) > len(known.ranges) > 1:
        return None
    ends = known.ends(which)
    rows = [_rows(snapshot, f, f.within(*ends)) for f in snapshot.fragments()]
    return known.changed(which, snapshot.rows, *_joined(rows))


def _nearest(snapshot: Snapshot) -> Snapshot | None:
    """The commit with a tree whose version is nearest, if it is there still."""
    table, own = snapshot.table, snapshot.commit.version
    versions = sorted(table.row_digests.versions(), key=lambda version: abs(version - own))
    for version in versions[:1]:
        try:
            found = from_properties(table.dataset, version, table.properties(version))
        except TidemillError:
            return None
        return None if found is None else Snapshot(table, found)
    return None


def _cells(snapshot: Snapshot) -> dict[str, Any]:
    """What the digests of rows depend on beside their cells."""
    return {field.name: field.type for field in snapshot.schema}


def _rows(snapshot: Snapshot, fragment: Fragment, offsets: "Array") -> "tuple[Array, Array]":
    """The ``_id``s and digests of the rows at these offsets."""
    ids = fragment.ids_at(offsets)
    if not len(offsets):
        return ids, digests_of(snapshot.schema.empty_table())
    kept = snapshot.table.row_digests.of(
        fragment.files[0],
        fragment.digest,
        fragment.stored_rows,
        lambda: digests_of(snapshot.every_row(fragment)),
    )
    return ids, kept[offsets]


def _joined(rows: "list[tuple[Array, Array]]") -> "tuple[Array, Array]":
    import numpy as np  # noqa: PLC0415

    ids, digests = zip(*rows, strict=True) if rows else ((), ())
    return (
        np.concatenate([np.zeros(0, np.uint64), *ids]),
        np.concatenate([np.zeros((0, 32), np.uint8), *digests]),
    )
