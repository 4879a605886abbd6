"""Where the rows of a data file lie, by ``_id``, and which lies where: a side file for each, memory-mapped.

A data file never changes, so neither does its side file, which ends in its own digest. It is derived: made with the
rows where they are written here, and else when it is first needed. Looking a few up, either way, reads a few pages,
however long the table.
"""

import contextlib
import mmap
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.store.sealed import SEAL_BYTES, Sealed

if TYPE_CHECKING:
    import numpy as np

_ID_BYTES = 8
_OFFSET_BYTES = 4
_FEW = 64
"""To look for more than one id in so many costs more than to put all of a file in order (measured)."""


class IdFile:
    """The ``_id``s of one data file, deleted rows too.

    Attributes:
        ids: In the file's order; uint64.
    """

    def __init__(self, ids: "np.ndarray[Any, Any]", ascending: "np.ndarray[Any, Any]") -> None:
        self.ids = ids
        self._ascending = ascending

    def find(self, wanted: "np.ndarray[Any, Any]") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """Which of these are there, and the offset of each.

        Args:
            wanted: Distinct ids, ascending; uint64.

        Returns:
            Positions in ``wanted``, ascending, and offsets in the file; as long as each other.
        """
        import numpy as np  # noqa: PLC0415

        if not len(self.ids) or not len(wanted):
            return np.zeros(0, np.int64), np.zeros(0, np.uint32)
        if len(wanted) * _FEW < len(self.ids):
            place = self._search(wanted)
            offsets = self._ascending[place]
            there = np.flatnonzero(self.ids[offsets] == wanted)
            return there, offsets[there]
        small, large = (wanted, self._ordered) if len(wanted) <= len(self.ids) else (self._ordered, wanted)
        place = np.searchsorted(large, small)
        place[place == len(large)] = 0
        there = np.flatnonzero(large[place] == small)
        if small is wanted:
            return there, self._ascending[place[there]]
        return place[there], self._ascending[there]

    def within(self, first: "np.ndarray[Any, Any]", last: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """The offsets of all ids in these ranges, in no order.

        Args:
            first: The least id of each range, ascending; uint64.
            last: The greatest of each, below the next range.
        """
        import numpy as np  # noqa: PLC0415

        if not len(self.ids) or not len(first):
            return np.zeros(0, np.uint32)
        if len(first) * _FEW < len(self.ids):
            starts, ends = self._search(first), self._search(last)
            offsets = np.concatenate([self._ascending[a : b + 1] for a, b in zip(starts, ends, strict=True)])
            ids = self.ids[offsets]
        else:
            offsets, ids = np.arange(len(self.ids), dtype=np.uint32), self.ids
        place = np.searchsorted(first, ids, "right") - 1
        inside = (place >= 0) & (ids <= last[place])
        return np.unique(offsets[inside])

    @cached_property
    def _ordered(self) -> "np.ndarray[Any, Any]":
        # Kept for whoever brings a whole table piece by piece.
        return self.ids[self._ascending]

    def _search(self, wanted: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """For each, the place in ascending order of the first id that is not less, or of the last one."""
        import numpy as np  # noqa: PLC0415

        low = np.zeros(len(wanted), np.int64)
        high = np.full(len(wanted), len(self.ids) - 1)
        # Each turn halves what is left, and touches one page an id; to put all in order would touch every one.
        for _ in range(len(self.ids).bit_length()):
            middle = (low + high) // 2
            less = self.ids[self._ascending[middle]] < wanted
            low = np.minimum(np.where(less, middle + 1, low), len(self.ids) - 1)
            high = np.where(less, high, middle)
        return low


class IdFiles:
    """The side files of one dataset.

    Args:
        files: Where they are kept.
    """

    def __init__(self, files: Sealed) -> None:
        self._files = files
        self._opened: dict[str, IdFile] = {}

    def of(self, data_file: str, rows: int, ids: "Callable[[], np.ndarray[Any, Any]]") -> IdFile:
        """The side file of a data file.

        Args:
            data_file: Which.
            rows: How many it has, deleted ones too: a side file of another length, or of other bytes than were
                written, is made anew.
            ids: Reads its ids in its order, those of deleted rows too.
        """
        if data_file not in self._opened:
            name = _name(data_file)
            if self._files.is_whole(name, rows * (_ID_BYTES + _OFFSET_BYTES)):
                self._opened[data_file] = _mapped(self._files.folder / name)
            else:
                self.put(data_file, ids())
        return self._opened[data_file]

    def put(self, data_file: str, ids: "np.ndarray[Any, Any]") -> None:
        """Make the side file of a data file with these ids, in its order."""
        import numpy as np  # noqa: PLC0415

        order = np.argsort(ids, kind="stable").astype(np.uint32)
        self._opened[data_file] = IdFile(ids, order)
        # What cannot be kept is made again the next time.
        if self._files.put(_name(data_file), ids.tobytes() + order.tobytes()):
            with contextlib.suppress(OSError):
                self._opened[data_file] = _mapped(self._files.folder / _name(data_file))


def _name(data_file: str) -> str:
    return f"{data_file.rpartition('.')[0]}.ids"


def _mapped(path: Path) -> IdFile:
    import numpy as np  # noqa: PLC0415

    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # An empty file cannot be mapped. A map outlives the file's handle.
        data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
    rows = (size - SEAL_BYTES) // (_ID_BYTES + _OFFSET_BYTES)
    return IdFile(
        np.frombuffer(data, np.uint64, rows), np.frombuffer(data, np.uint32, rows, rows * _ID_BYTES)
    )
