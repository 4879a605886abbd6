"""Rows of plain values that were read once, kept aside while their types are found: in memory, or on the disk."""

import pickle
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_MEMORY_BYTES = 64 * 1024 * 1024


class Kept:
    """Rows in pieces, each a list of values for each column.

    Attributes:
        rows: How many there are.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 - lives as long as this
        weakref.finalize(self, self._file.close)

    def add(self, columns: Sequence[Sequence[Any]]) -> None:
        """Some more rows."""
        self.rows += len(columns[0])
        pickle.dump(columns, self._file)

    def pieces(self) -> Iterator[tuple[int, Sequence[Sequence[Any]]]]:
        """Each piece, with the number of its first row, from 0."""
        self._file.seek(0)
        start = 0
        while start < self.rows:
            columns = pickle.load(self._file)  # noqa: S301 - this process wrote it, to a file without a name
            yield start, columns
            start += len(columns[0])

    def named(self, names: Sequence[str]) -> Iterator[tuple[int, Callable[[str], Sequence[Any]]]]:
        """Each piece, with the number of its first row, as what gives a column's values by its name."""
        for start, columns in self.pieces():
            yield start, dict(zip(names, columns, strict=True)).__getitem__
