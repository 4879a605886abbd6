"""The first pass over the rows: the label's classes, the range of each number, rows to show."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.data.profile.kinds import has_range, kind_of, numbers, width
from tidemill.data.profile.sketches import Frequent
from tidemill.data.profile.values import Against
from tidemill.data.snapshot import Fragment, Snapshot
from tidemill.store import polars_frames
from tidemill.store.table import Table

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MOST_CLASSES = 200
"""A label with more different values than this has no classes."""
_MOST_NUMBERS = 50
"""Whole numbers with more different values than this are amounts, not classes."""
SAMPLES = 8
_READ_BYTES = 256 * 1024 * 1024
"""A group of columns of one fragment that is in memory at once."""
_KEPT_BYTES = 2 * _READ_BYTES
"""A table that is kept between the two passes."""


class Rows:
    """The snapshot's columns, some at a time: read once where all of them are small together, else each time."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.fragments = snapshot.fragments()
        self._widths = {n: width(snapshot.schema.field(n).type) for n in snapshot.columns}
        small = sum(self._widths.values()) * snapshot.rows <= _KEPT_BYTES
        self._kept: dict[int, list[Table]] | None = {} if small else None

    def read(self, fragment: Fragment, names: Sequence[str]) -> Iterator[Table]:
        """Tables that have these columns among them, each column in one of them."""
        if self._kept is None:
            yield from self._read(fragment, names)
        else:
            if fragment.number not in self._kept:
                self._kept[fragment.number] = list(self._read(fragment, list(self._widths)))
            yield from self._kept[fragment.number]

    def column(self, fragment: Fragment, name: str) -> Any:
        """One column as Arrow has it."""
        return next(t for t in self.read(fragment, [name]) if name in t.columns).to_arrow().column(name)

    def _read(self, fragment: Fragment, names: Sequence[str]) -> Iterator[Table]:
        group: list[str] = []
        taken = 0
        for name in names:
            size = self._widths[name] * fragment.rows
            if group and taken + size > _READ_BYTES:
                yield fragment.read(group)
                group, taken = [], 0
            group.append(name)
            taken += size
        if group:
            yield fragment.read(group)


class First:
    """What the first pass finds: the label's classes, rows to show of each, the range of each number."""

    def __init__(self, snapshot: Snapshot, rows: Rows, label: str | None) -> None:
        self._rows = rows
        self.label = label
        self.ranges: dict[str, tuple[float, float]] = {}
        self.classes: list[tuple[Any, int]] = []
        self.unlabelled = 0
        self.samples: dict[Any, list[int]] = {}
        self.numeric = False
        self.middle = 0.0
        wanted = [n for n in snapshot.columns if has_range(snapshot.schema.field(n).type)]
        for fragment in rows.fragments:
            for table in rows.read(fragment, wanted):
                for name in wanted:
                    if name in table.columns:
                        self._widen(name, table)
        if label is not None:
            self._classify(snapshot.schema.field(label).type, label)
        self._sample()

    def against(self, fragment: Fragment) -> Against:
        """The label in the rows of a fragment."""
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        if self.label is None:
            return Against()
        column = self._rows.column(fragment, self.label)
        if self.numeric:
            values = column.cast(pa.float64()).to_numpy()
            return Against(values=np.where(np.isfinite(values), values, np.nan), middle=self.middle)
        if not self.classes:
            return Against()
        return Against(len(self.classes), self._codes(column))

    def _codes(self, column: Any) -> "Array":
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        known = pa.array([c for c, _ in self.classes], column.type)
        found: Any = pc.call_function("index_in", [column], pc.SetLookupOptions(known))
        return found.fill_null(len(self.classes)).to_numpy()

    def _widen(self, name: str, table: Table) -> None:
        import numpy as np  # noqa: PLC0415

        column = table.to_arrow().column(name)
        for chunk in column.chunks:
            values = numbers(chunk)[0]
            finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
            if len(finite):
                low, high = finite.min().item(), finite.max().item()
                known = self.ranges.get(name, (low, high))
                self.ranges[name] = min(known[0], low), max(known[1], high)

    def _classify(self, type_: Any, label: str) -> None:
        import pyarrow as pa  # noqa: PLC0415

        kind, whole = kind_of(type_), pa.types.is_integer(type_)
        seen = Frequent()
        for fragment in self._rows.fragments:
            series = polars_frames.series(label, self._rows.column(fragment, label))
            self.unlabelled += series.null_count()
            if series.dtype.is_float():
                self.unlabelled += int(series.is_nan().sum())
            if kind in ("text", "truth") or whole:
                seen.add(series.drop_nulls(), None)
        most = _MOST_NUMBERS if whole else MOST_CLASSES
        top = seen.top(most + 1)
        if kind in ("number", "time") and not (whole and len(top) <= most):
            self.numeric = kind == "number"
            low, high = self.ranges.get(label, (0.0, 0.0))
            self.middle = low / 2 + high / 2
        elif len(top) <= most:
            self.classes = sorted(top)

    def _sample(self) -> None:
        """The rows of least ``_id`` of each class: ids are hashes, so this is a fair draw that repeats."""
        import numpy as np  # noqa: PLC0415

        least: dict[Any, Array] = {}
        names = [c for c, _ in self.classes]
        for fragment in self._rows.fragments:
            ids = fragment.ids()
            codes = self.against(fragment).codes if names else None
            for at, name in enumerate(names or [None]):
                own = ids if codes is None else ids[codes == at]
                both = np.concatenate([least.get(name, own[:0]), own])
                count = SAMPLES if names else 4 * SAMPLES
                least[name] = np.sort(np.partition(both, count)[:count] if len(both) > count else both)
        self.samples = {n: [int(i) for i in ids] for n, ids in least.items()}
