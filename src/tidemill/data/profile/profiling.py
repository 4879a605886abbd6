"""The profile of a snapshot: what each column holds, how it hangs together with the label, how the classes lie.

Two passes over the fragments, a group of columns at a time, so that time is linear and memory bounded. The
first finds the label's classes and each number's range, the second fills the columns' summaries.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidemill.core.events import Progress, Sink, silent
from tidemill.data.profile.columns import Maps, Tensor, summary
from tidemill.data.profile.first import First, Rows
from tidemill.data.profile.kinds import cells
from tidemill.data.profile.values import Against, ColumnProfile
from tidemill.data.snapshot import Snapshot
from tidemill.store.table import ID, array_size

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known about a dataset at a commit.

    Attributes:
        label: The column that the others are held against; None for none.
        classes: The label's classes with their rows, in the order of their names; empty where it has none.
        unlabelled: Rows whose label is missing.
        evenness: How evenly the rows lie on the classes: their entropy over the greatest possible, 1 where
            all are equal (Pielou, "The measurement of diversity", 1966); None below two classes.
        samples: Class to the ``_id`` of some rows, drawn evenly; the class is None where there are none.
        maps: Of each tensor column.
    """

    rows: int
    label: str | None
    classes: list[tuple[Any, int]]
    unlabelled: int
    evenness: float | None
    columns: list[ColumnProfile]
    samples: dict[Any, list[int]] = field(default_factory=dict[Any, list[int]])
    maps: dict[str, Maps] = field(default_factory=dict[str, Maps])


def profile(snapshot: Snapshot, label: str | None = None, *, sink: Sink = silent) -> Profile:
    """Profile each of a snapshot's columns.

    Args:
        snapshot: The dataset at a commit.
        label: The column to hold the others against.
        sink: Gets ``Progress`` in rows.

    Raises:
        NotFound: ``column-not-found``.
    """
    if label is not None:
        # Says which columns there are, where this is none of them.
        snapshot.read([label], ids=[])
    rows = Rows(snapshot)
    first = First(snapshot, rows, label)
    summaries = {n: summary(snapshot, n, first) for n in snapshot.columns}
    done = 0
    for fragment in rows.fragments:
        against = first.against(fragment)
        for table in rows.read(fragment, snapshot.columns):
            for name in table.columns:
                own = Against() if name == label else against
                summaries[name].add(table.to_arrow().column(name), own)
        done += fragment.rows
        sink(Progress("profiling", done, snapshot.rows, "rows"))
    counts = [n for _, n in first.classes]
    return Profile(
        rows=snapshot.rows,
        label=label,
        classes=first.classes,
        unlabelled=first.unlabelled,
        evenness=_evenness(counts),
        columns=[s.profile() for s in summaries.values()],
        samples=first.samples,
        maps={n: s.maps() for n, s in summaries.items() if isinstance(s, Tensor)},
    )


def pictures(snapshot: Snapshot, column: str, ids: Sequence[int]) -> "dict[int, Array]":
    """A tensor column of some rows by their ``_id``, with zeros for what is missing."""
    table = snapshot.read([ID, column], ids=ids)
    shape = table.shape_of(column)
    found: dict[int, Array] = {}
    names = iter(table.numpy(ID).tolist())
    for chunk in table.to_arrow().column(column).chunks:
        values, _ = cells(chunk, array_size(shape))
        found |= {next(names): row.reshape(shape) for row in values}
    return found


def _evenness(counts: Sequence[int]) -> float | None:
    total = sum(counts)
    if len(counts) < 2 or not total:
        return None
    entropy = -sum(n / total * math.log(n / total) for n in counts if n)
    return entropy / math.log(len(counts))
