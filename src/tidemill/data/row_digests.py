"""The digest of each row, and the tree over ranges of ``_id``s that makes the digest of a commit's rows of them.

A range is all ``_id``s with the same first bits: none of it alone says where its rows lie, so files, order and
store do not matter. A commit that changes a few rows changes the digests of their ranges, and of no other. What is
kept here is derived from the table, and made again where it is missing; ``core.identity`` says what is hashed.
"""

import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.core.names import hex_of
from tidemill.data import pre_images
from tidemill.data.commits import Commit
from tidemill.store.sealed import Sealed
from tidemill.store.table import ID

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

_DIGEST_BYTES = 32
_ID_BITS = 64
_BATCH_ROWS = 32_768
_ROWS_OF_A_RANGE = 256
_KEPT_TREES = 8
_SHAPE_DIGITS = 16


def digests_of(rows: "pa.Table") -> "Array":
    """The digest of each row, from its ``_id`` and its other cells by their columns' names; uint8, rows x 32."""
    import numpy as np  # noqa: PLC0415

    names = sorted(name for name in rows.column_names if name != ID)
    parts = [np.zeros((0, _DIGEST_BYTES), np.uint8)]
    for at in range(0, rows.num_rows, _BATCH_ROWS):
        batch = rows.slice(at, _BATCH_ROWS)
        cells = pre_images.cells_of(batch, names)
        parts.append(pre_images.sha256(pre_images.with_ids(batch.column(ID).to_numpy(), cells)))
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class Tree:
    """The digests of all ranges of a commit's rows.

    Attributes:
        rows: How many rows there are.
        ranges: uint8, a power of two x 32: by the first bits of ``_id``, ascending.
    """

    rows: int
    ranges: "Array"

    @classmethod
    def of(cls, ids: "Array", digests: "Array") -> "Tree":
        """The tree of these rows, which are all there are, in any order."""
        import numpy as np  # noqa: PLC0415

        count = 1 << _bits(len(ids))
        return cls(len(ids), _ranges(ids, digests, np.arange(count), count))

    def fits(self, rows: int) -> bool:
        """Whether a tree of so many rows has the same ranges."""
        return len(self.ranges) == 1 << _bits(rows)

    def of_ids(self, ids: "Array") -> "Array":
        """The ranges in which there are some of these ``_id``s, ascending; int64."""
        import numpy as np  # noqa: PLC0415

        return np.unique(_range_of(ids, len(self.ranges)))

    def ends(self, which: "Array") -> "tuple[Array, Array]":
        """The first and the last ``_id`` of some ranges; uint64."""
        import numpy as np  # noqa: PLC0415

        bits = np.uint64(_ID_BITS - (len(self.ranges).bit_length() - 1))
        if len(self.ranges) == 1:
            return np.zeros(len(which), np.uint64), np.full(len(which), np.iinfo(np.uint64).max)
        first = which.astype(np.uint64) << bits
        return first, first + ((np.uint64(1) << bits) - np.uint64(1))

    def changed(self, which: "Array", rows: int, ids: "Array", digests: "Array") -> "Tree":
        """The tree of other rows, that differ in some ranges alone.

        Args:
            which: The ranges in which they differ; ascending.
            rows: How many there are now in all ranges.
            ids: Of all rows that these ranges have now, in any order.
            digests: Of the same.
        """
        made = self.ranges.copy()
        made[which] = _ranges(ids, digests, which, len(made))
        return Tree(rows, made)


def _bits(rows: int) -> int:
    """How many first bits of an ``_id`` name its range, so that one has 256 to 512 rows where ids are spread evenly."""
    return (rows // _ROWS_OF_A_RANGE).bit_length() - 1 if rows >= 2 * _ROWS_OF_A_RANGE else 0


def _range_of(ids: "Array", count: int) -> "Array":
    import numpy as np  # noqa: PLC0415

    bits = count.bit_length() - 1
    return (ids >> np.uint64(_ID_BITS - bits)).astype(np.int64) if bits else np.zeros(len(ids), np.int64)


def _ranges(ids: "Array", digests: "Array", which: "Array", count: int) -> "Array":
    import numpy as np  # noqa: PLC0415

    order = np.argsort(ids)
    ascending = ids[order]
    written = np.empty((len(ids), 8 + _DIGEST_BYTES), np.uint8)
    written[:, :8] = ascending.astype(">u8").view(np.uint8).reshape(-1, 8)
    written[:, 8:] = digests[order]
    of = _range_of(ascending, count)
    starts, ends = np.searchsorted(of, which, "left"), np.searchsorted(of, which, "right")
    found = [identity.data_range(written[a:b].tobytes()) for a, b in zip(starts, ends, strict=True)]
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, _DIGEST_BYTES)


class RowDigests:
    """What was computed of one dataset.

    Args:
        files: Where it is kept: a file for each fragment, and one for each of the last trees.

    Attributes:
        folder: Their folder.
    """

    def __init__(self, files: Sealed) -> None:
        self._files = files
        self.folder = files.folder

    def of(self, data_file: str, fragment: str, rows: int, compute: "Callable[[], Array]") -> "Array":
        """The digests of a fragment's rows, those that left it too.

        Args:
            data_file: The first of the files that it is made of.
            fragment: The fragment's digest: it names its files and the columns that are read from them.
            rows: How many it has; what is kept and has not as many was cut, and is made anew.
            compute: Makes them.
        """
        import numpy as np  # noqa: PLC0415

        shape = hex_of(fragment)[:_SHAPE_DIGITS]
        name = f"{data_file.rpartition('.')[0]}-{shape}.rows"
        if not self._files.is_whole(name, rows * _DIGEST_BYTES):
            made = compute()
            # What cannot be kept is made again the next time.
            self._files.put(name, made.tobytes())
            return made
        if not rows:
            return np.zeros((0, _DIGEST_BYTES), np.uint8)
        return np.memmap(self.folder / name, np.uint8, "r", shape=(rows, _DIGEST_BYTES))

    def tree(self, commit: Commit) -> Tree | None:
        """The tree of a commit, where it is kept."""
        import numpy as np  # noqa: PLC0415

        size = _DIGEST_BYTES << _bits(commit.rows)
        if not self._files.is_whole(_tree(commit), size):
            return None
        try:
            data = (self.folder / _tree(commit)).read_bytes()[:size]
        except OSError:
            return None
        return Tree(commit.rows, np.frombuffer(data, np.uint8).reshape(-1, _DIGEST_BYTES))

    def put_tree(self, commit: Commit, tree: Tree) -> None:
        """Keep the tree of a commit; of others, those that were kept last."""
        self._files.put(_tree(commit), tree.ranges.tobytes())
        with contextlib.suppress(OSError):
            kept = sorted(self.folder.glob("*.tree"), key=lambda path: path.stat().st_mtime_ns)
            for path in kept[:-_KEPT_TREES]:
                path.unlink(missing_ok=True)

    def versions(self) -> list[int]:
        """The versions of the commits whose trees are kept."""
        stems = (path.stem.partition("-")[0] for path in self.folder.glob("*.tree"))
        return [int(stem) for stem in stems if stem.isdecimal()]

    def sweep(self, needed: Callable[[str], bool]) -> None:
        """Remove the files whose name is not needed."""
        for path in self.folder.glob("*"):
            if not needed(path.name):
                path.unlink(missing_ok=True)


def is_needed(name: str, files: Collection[str], versions: Collection[int]) -> bool:
    """Whether a file of the folder is of one of these data files, without their ending, or a commit at these versions."""
    stem, _, kind = name.rpartition(".")
    if kind == "tree":
        version = stem.partition("-")[0]
        return version.isdecimal() and int(version) in versions
    return kind == "rows" and stem.rpartition("-")[0] in files


def _tree(commit: Commit) -> str:
    return f"{commit.version}-{commit.state}.tree"
