"""Rows as they come: a table, or batches of one, of which one at a time is in memory."""

import itertools
from collections.abc import Iterable, Iterator

from tidemill.store.table import Table


def opened(table: "Table | Iterable[Table]") -> "tuple[Table, Iterable[Table]]":
    """The first batch, and all of them."""
    if isinstance(table, Table):
        return table, [table]
    rest = iter(table)
    first = next(rest)
    return first, itertools.chain([first], rest)


class Counted:
    """Batches that are counted as they pass."""

    def __init__(self, batches: Iterator[Table]) -> None:
        self._batches = batches
        self.rows = 0

    def __iter__(self) -> Iterator[Table]:
        for batch in self._batches:
            self.rows += len(batch)
            yield batch
