"""Where the rows of a data file lie, by ``_id``: a side file for each, sorted, memory-mapped.

A data file never changes, so neither does its side file. It is derived: made with the rows where they are
written here, and else when it is first needed. Looking a few ids up reads a few pages, however long the table.
"""

import contextlib
import mmap
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_ID_BYTES = 8
_OFFSET_BYTES = 4


class IdFile:
    """The ``_id``s of one data file in ascending order, and the offset of each in the file."""

    def __init__(self, ids: "np.ndarray[Any, Any]", offsets: "np.ndarray[Any, Any]") -> None:
        self._ids = ids
        self._offsets = offsets

    def find(self, wanted: "np.ndarray[Any, Any]") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """Which of these are there, and the offset of each.

        Args:
            wanted: Distinct ids, ascending; uint64.

        Returns:
            Positions in ``wanted``, ascending, and offsets in the file; as long as each other.
        """
        import numpy as np  # noqa: PLC0415

        if not len(self._ids) or not len(wanted):
            return np.zeros(0, np.int64), np.zeros(0, np.uint32)
        small, large = (wanted, self._ids) if len(wanted) <= len(self._ids) else (self._ids, wanted)
        place = np.searchsorted(large, small)
        place[place == len(large)] = 0
        there = np.flatnonzero(large[place] == small)
        if small is wanted:
            return there, self._offsets[place[there]]
        return place[there], self._offsets[there]


class IdFiles:
    """The side files of one dataset.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[str, IdFile] = {}

    def of(self, data_file: str, ids: "Callable[[], np.ndarray[Any, Any]]") -> IdFile:
        """The side file of a data file; ``ids`` reads its ids in its order, deleted rows too."""
        if data_file not in self._opened:
            path = self._path(data_file)
            if path.exists():
                self._opened[data_file] = _mapped(path)
            else:
                self.put(data_file, ids())
        return self._opened[data_file]

    def put(self, data_file: str, ids: "np.ndarray[Any, Any]") -> None:
        """Make the side file of a data file with these ids, in its order."""
        import numpy as np  # noqa: PLC0415

        order = np.argsort(ids, kind="stable")
        made = IdFile(ids[order], order.astype(np.uint32))
        self._opened[data_file] = made
        path = self._path(data_file)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        # What cannot be kept (a store that may only be read, a full disk) is made again the next time.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with part.open("wb") as file:
                    file.write(ids[order].tobytes())
                    file.write(order.astype(np.uint32).tobytes())
                os.replace(part, path)
                self._opened[data_file] = _mapped(path)
            finally:
                part.unlink(missing_ok=True)

    def _path(self, data_file: str) -> Path:
        return self._folder / f"{data_file.rpartition('.')[0]}.ids"


def _mapped(path: Path) -> IdFile:
    import numpy as np  # noqa: PLC0415

    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # An empty file cannot be mapped. A map outlives the file's handle.
        data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
    rows = size // (_ID_BYTES + _OFFSET_BYTES)
    return IdFile(
        np.frombuffer(data, np.uint64, rows), np.frombuffer(data, np.uint32, rows, rows * _ID_BYTES)
    )
