"""Small files become one, so that a commit does not cost more the longer the history is. Rows and their order stay.

Not for what a commit is made of: that stays as it was written. What is put together is a version without a name,
for the next commit to be made on; killed before that, it is garbage.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidemill.data.commits import Commit
from tidemill.data.lance_table import LanceTable
from tidemill.data.snapshot import Fragment, Snapshot, fragments_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Offsets = Mapping[int, np.ndarray[Any, Any]]

_TOGETHER = 16
"""So many files of about one size become one of the next size: a row is written again once for each size."""
_MOST_BYTES = 64 * 1024 * 1024
"""Of what is put together at once: a file that is as large stays as it is, and so does a commit's time."""


def compacted(table: LanceTable, head: Commit, version: int) -> int:
    """A version with the rows of another, in fewer files, in the same order; that version where there are few.

    Args:
        table: Where they lie.
        head: The commit whose rows these are.
        version: Which version: the commit's own, or one with its rows in other columns.
    """
    last = _due(fragments_of(table, version))
    if not last:
        return version
    snapshot = Snapshot(table, replace(head, version=version))
    new = table.write(version, _rows(snapshot, last))
    return table.commit(version, gone={}, merged=[f.number for f in last], new=new, properties={})


def moved(table: LanceTable, gone: "Offsets", before: int, after: int) -> "Offsets":
    """Where rows lie in another version that has them all; fragment numbers and offsets, as ``Snapshot.locate`` says.

    Args:
        table: Of both versions.
        gone: Where they lie in ``before``.
        before: The one version.
        after: The other.
    """
    import numpy as np  # noqa: PLC0415

    there = {f.number: f for f in fragments_of(table, before)}
    ids = np.sort(np.concatenate([np.zeros(0, np.uint64), *(there[n].ids_at(at) for n, at in gone.items())]))
    if not len(ids):
        return {}
    found = ((f.number, np.sort(f.find(ids)[1])) for f in fragments_of(table, after))
    return {number: offsets for number, offsets in found if len(offsets)}


def _due(fragments: Sequence[Fragment]) -> list[Fragment]:
    """The last fragments, where enough of them are of about one size or smaller."""
    last, level = 0, 0
    while True:
        here = last
        while here < len(fragments) and _level(fragments[-1 - here]) <= level:
            here += 1
        # What is to be put together already counts as one file of this size.
        if here - last + (last > 0) < _TOGETHER:
            break
        last, level = here, level + 1
    return list(fragments[len(fragments) - last :])


def _level(fragment: Fragment) -> int:
    """Which power of ``_TOGETHER`` its rows come to; beyond all for a file that is large."""
    if fragment.size_bytes * _TOGETHER > _MOST_BYTES:
        return _TOGETHER
    return (max(fragment.rows, 1).bit_length() - 1) // (_TOGETHER.bit_length() - 1)


def _rows(snapshot: Snapshot, fragments: Sequence[Fragment]) -> "Iterator[pa.Table]":
    for fragment in fragments:
        yield fragment.read(snapshot.schema.names).to_arrow()
