"""Commits made again, in another table or in the same one, with their ids, and without the rows that are forgotten."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.core.names import hex_of
from tidemill.data.commits import Commit, Forgotten, again
from tidemill.data.lance_table import LanceTable
from tidemill.data.pieces import Piece, place, written
from tidemill.data.refs import Tombstone
from tidemill.data.snapshot import Fragment, Snapshot

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class _Cut:
    """A fragment's data files without the forgotten rows.

    Attributes:
        pieces: What was written instead; none where nothing was left.
        gone: The offsets that the forgotten rows had, ascending.
    """

    pieces: tuple[Piece, ...]
    gone: "np.ndarray[Any, Any]"


class Replay:
    """Makes commits of ``source`` again in ``target``, which may be the same table.

    Args:
        source: Where they are.
        target: Where they are to be; it has the data files that ``needs`` names.
        tombstones: Whose rows are left out.
    """

    def __init__(self, source: LanceTable, target: LanceTable, tombstones: Sequence[Tombstone]) -> None:
        import numpy as np  # noqa: PLC0415

        self._source = source
        self._target = target
        self._tombstones = tombstones
        ids = [i for tombstone in tombstones for i in tombstone.ids]
        self._forgotten = np.unique(np.array(ids, np.uint64))
        self._cuts: dict[str, _Cut] = {}
        self._blank: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        """Id of each commit that was made without some of its rows, and how many."""

    def touches(self, commit: Commit) -> bool:
        """Whether a data file of a commit holds a forgotten row, be it one that left."""
        return any(self._tainted(f) for f in Snapshot(self._source, commit).fragments())

    def needs(self, commit: Commit) -> dict[str, int]:
        """The data files that the commit is made of in ``target`` too, and their sizes in bytes."""
        snapshot = Snapshot(self._source, commit)
        _, pieces = snapshot.made_of()
        return {
            file["path"]: file["file_size_bytes"] or 0
            for fragment, piece in zip(snapshot.fragments(), pieces, strict=True)
            if not self._tainted(fragment)
            for file in piece.metadata["files"]
        }

    def make(self, commit: Commit, parents: Sequence[int]) -> int:
        """Make a commit again; its version in ``target``.

        Args:
            commit: Of ``source``.
            parents: The versions that its parents are in ``target``.
        """
        snapshot = Snapshot(self._source, commit)
        schema, pieces = snapshot.made_of()
        made: list[Piece] = []
        lost: list[int] = []
        for fragment, piece in zip(snapshot.fragments(), pieces, strict=True):
            if not self._tainted(fragment):
                made.append(piece)
                continue
            positions, _ = fragment.find(self._forgotten)
            lost += self._forgotten[positions].tolist()
            made += self._left(snapshot, schema, fragment)
        if lost:
            self.lost[commit.id] = len(lost)
        stored = self._source.properties(commit.version, commit.id)
        marks = [mark for each in self._tombstones if (mark := _mark(each, lost))]
        properties = again(stored, parents=parents, rows=commit.rows - len(lost), forgotten=marks)
        return place(self._target, schema, made, properties, on=parents[0] if parents else None)

    def _tainted(self, fragment: Fragment) -> bool:
        return len(self._forgotten) > 0 and len(fragment.find_all(self._forgotten)[0]) > 0

    def _left(self, snapshot: Snapshot, schema: Any, fragment: Fragment) -> list[Piece]:
        """What is left of a fragment: its rows that were not forgotten, less those that had left it anyway."""
        import numpy as np  # noqa: PLC0415

        cut = self._cuts.get(fragment.digest)
        if cut is None:
            cut = self._cuts[fragment.digest] = self._cut(snapshot, schema, fragment)
        deleted = fragment.deleted[~np.isin(fragment.deleted, cut.gone)]
        deleted = deleted - np.searchsorted(cut.gone, deleted).astype(np.uint32)
        left: list[Piece] = []
        start = 0
        for piece in cut.pieces:
            rows = piece.rows
            own = deleted[(deleted >= start) & (deleted < start + rows)] - np.uint32(start)
            if len(own) < rows:
                left.append(_without(piece, own, fragment.deletion_file))
            start += rows
        return left

    def _cut(self, snapshot: Snapshot, schema: Any, fragment: Fragment) -> _Cut:
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        rows = snapshot.every_row(fragment)
        _, offsets = fragment.find_all(self._forgotten)
        keep = np.ones(rows.num_rows, bool)
        keep[offsets] = False
        if not keep.any():
            return _Cut((), np.sort(offsets))
        # New files are written in the schema of a version, so that their columns get its numbers.
        shape = str(schema)
        if shape not in self._blank:
            self._blank[shape] = place(self._target, schema, [], {})
        new = self._target.write(self._blank[shape], [rows.filter(pa.array(keep))])
        return _Cut(tuple(map(written, new)), np.sort(offsets))


def _mark(tombstone: Tombstone, lost: Sequence[int]) -> Forgotten | None:
    own = sorted(set(tombstone.ids) & set(lost))
    if not own:
        return None
    digest = hex_of(identity.value(["forgotten", own]))[:12]
    return Forgotten(len(own), digest, tombstone.author, tombstone.time, tombstone.reason)


def _without(piece: Piece, deleted: "np.ndarray[Any, Any]", like: str | None) -> Piece:
    """A piece without the rows at these offsets, in the form that Lance gives to few deletions.

    ``like`` is the deletion file that it comes from: of one file comes one, whichever commit it is found in.
    """
    import pyarrow as pa  # noqa: PLC0415

    if not len(deleted):
        return piece
    name = identity.value(["deletions", list(piece.files), like])
    file: Mapping[str, Any] = {
        "read_version": 1,
        "id": int(hex_of(name)[:15], 16),
        "file_type": "array",
        "num_deleted_rows": len(deleted),
        "base_id": None,
    }
    schema = pa.schema([pa.field("row_id", pa.uint32(), nullable=False)])
    table = pa.Table.from_arrays([pa.array(deleted, pa.uint32())], schema=schema)
    out = io.BytesIO()
    with pa.ipc.new_file(out, schema) as writer:
        writer.write_table(table)
    return Piece({**piece.metadata, "deletion_file": dict(file)}, out.getvalue())
