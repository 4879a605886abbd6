"""What is known about one column: numbers, texts or tensors, taken in piece by piece."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidemill.data.profile.association import (
    CRAMER,
    PEARSON,
    RATIO,
    Association,
    Pearson,
    correlation_ratio,
    cramers_v,
)
from tidemill.data.profile.sketches import Distinct, Frequent, Moments, Quantiles, interpolated

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

SHARES = {"min": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "max": 1.0}
"""The quantiles of a profile, by name."""
BINS = 24
TOP = 10
TALLIED = 1024
"""Whole numbers that lie within so many are counted one by one: all about them is exact."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values lie in each of several equally wide bins.

    Attributes:
        low: Where the first bin begins.
        width: Of a bin.
        counts: One a bin; the last one holds the greatest value too.
    """

    low: float
    width: float
    counts: list[int]


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What is known about one column.

    Attributes:
        kind: ``number``, ``time``, ``truth``, ``text``, ``tensor`` or ``other``.
        missing: Rows that lack the cell; of a tensor, any part of it. NaN is missing.
        missing_cells: Of a tensor, single cells; else the same.
        infinite: Values that are infinite; nothing below counts them.
        distinct: How many different values; None for tensors and what cannot be compared.
        distinct_exact: False where ``distinct`` is estimated, to some 2 %.
        std: The standard deviation of these values as a population: divided by their number, as NumPy does.
        quantiles: By the names of ``SHARES``, between two values interpolated: what NumPy and pandas say. Of dates,
            one between two days is a time of day.
        quantiles_exact: False where a rank is off by up to 0.2 %.
        top: The most frequent values with their counts.
        top_exact: False where a count is at least what is said.
        lengths: Of texts: the least, mean and greatest number of characters.
        association: With the label, where there is one and a measure for the two kinds.
    """

    name: str
    type: str
    kind: str
    missing: int
    missing_cells: int
    infinite: int = 0
    distinct: int | None = None
    distinct_exact: bool = True
    mean: float | None = None
    std: float | None = None
    quantiles: dict[str, Any] = field(default_factory=dict[str, Any])
    quantiles_exact: bool = True
    histogram: Histogram | None = None
    top: list[tuple[Any, int]] = field(default_factory=list[tuple[Any, int]])
    top_exact: bool = True
    lengths: tuple[int, float, int] | None = None
    association: Association | None = None


@dataclass(frozen=True, slots=True)
class Against:
    """What columns are held against: the label's class or value in each row of a piece.

    Attributes:
        classes: How many classes; 0 where the label is a number, or there is none.
        codes: The class of each row, ``classes`` where it has none; None where there are no classes.
        values: The label as a number, NaN where it is missing; None where it is no number.
        middle: Somewhere near the label's mean.
    """

    classes: int = 0
    codes: "Array | None" = None
    values: "Array | None" = None
    middle: float = 0.0

    def where(self, keep: "Array | slice") -> "Against":
        """The same for some of the rows."""
        return Against(
            self.classes,
            None if self.codes is None else self.codes[keep],
            None if self.values is None else self.values[keep],
            self.middle,
        )


class Counted:
    """Whole numbers of a narrow range, truth values among them: counted one by one, by class."""

    def __init__(self, low: int, high: int, label: Against) -> None:
        import numpy as np  # noqa: PLC0415

        self.low, self.span = low, high - low + 1
        self._table = np.zeros((self.span, label.classes + 1), np.int64)
        self._pearson = Pearson(low, label.middle) if label.values is not None else None

    def add(self, values: "Array", label: Against) -> None:
        """Take in whole numbers, none missing."""
        import numpy as np  # noqa: PLC0415

        groups = self._table.shape[1]
        cell = values if self.low == 0 else values.astype(np.int64) - self.low
        if label.codes is not None:
            cell = cell.astype(np.int64) * groups + label.codes
        elif groups > 1:
            cell = cell.astype(np.int64) * groups + groups - 1
        self._table += np.bincount(cell, minlength=self._table.size).reshape(self._table.shape)
        if self._pearson is not None and label.values is not None:
            self._pearson.add(values, label.values)

    def facts(self, *, truth: bool = False) -> dict[str, Any]:
        """The fields of a profile that these numbers fill."""
        import numpy as np  # noqa: PLC0415

        counts = self._table.sum(axis=1)
        total = int(counts.sum())
        if not total:
            return {"distinct": 0}
        # About the least of them: whole numbers near the ends of int64 have no product.
        offsets = np.arange(self.span)
        numbers = offsets + self.low
        mean = int((offsets * counts).sum()) / total
        there = counts > 0
        frequent = np.argsort(-counts, kind="stable")[:TOP]
        width = -(-self.span // BINS)
        padded = np.pad(counts, (0, -self.span % width)).reshape(-1, width).sum(axis=1)
        return {
            "distinct": int(there.sum()),
            "mean": self.low + mean,
            "std": float(np.sqrt(((offsets - mean) ** 2 * counts).sum() / total)),
            "quantiles": dict(
                zip(
                    SHARES,
                    interpolated(numbers[there], np.cumsum(counts[there]), list(SHARES.values())),
                    strict=True,
                )
            ),
            "histogram": Histogram(self.low, width, padded.tolist()),
            "top": [
                (bool(numbers[i]) if truth else int(numbers[i]), int(counts[i]))
                for i in frequent
                if counts[i]
            ],
            "association": self._association(truth=truth),
        }

    def _association(self, *, truth: bool) -> Association | None:
        import numpy as np  # noqa: PLC0415

        if self._pearson is not None:
            return _if_finite(PEARSON, self._pearson.value()[0])
        if self._table.shape[1] == 1:
            return None
        if truth:
            value = cramers_v(self._table[:, :-1])
            return None if value is None else Association(CRAMER, value)
        moments = Moments(self._table.shape[1] - 1, 0.0)
        centred = (np.arange(self.span) - self.span / 2)[:, None]
        moments.count = self._table.sum(axis=0)[:, None]
        moments.sum = (self._table * centred).sum(axis=0)[:, None]
        moments.squares = (self._table * centred**2).sum(axis=0)[:, None]
        return _if_finite(RATIO, correlation_ratio(moments)[0])


class Spread:
    """Other numbers: their quantiles, bins and moments."""

    def __init__(self, low: float, high: float, label: Against, *, whole: bool) -> None:
        import numpy as np  # noqa: PLC0415

        self.low, self.high, self._whole = low, high, whole
        self._bins = np.zeros(BINS, np.int64)
        self._quantiles, self._distinct, self._frequent = Quantiles(), Distinct(), Frequent()
        self._moments = Moments(label.classes, low / 2 + high / 2)
        self._pearson = Pearson(low / 2 + high / 2, label.middle) if label.values is not None else None
        self._count = 0

    def add(self, values: "Array", label: Against) -> None:
        """Take in finite numbers, none missing."""
        import numpy as np  # noqa: PLC0415
        import polars as pl  # noqa: PLC0415

        self._count += len(values)
        self._quantiles.add(values)
        self._moments.add(values, label.codes)
        # Halves, since the distance between the two ends of float64 is no float64.
        low, high = self.low / 2, self.high / 2
        if high > low:
            self._bins += np.histogram(values.astype(np.float64) / 2, BINS, (low, high))[0]
        else:
            self._bins[0] += len(values)
        series = pl.Series(values)
        self._distinct.add(series)
        if self._whole:
            self._frequent.add(series, None)
        if self._pearson is not None and label.values is not None:
            self._pearson.add(values, label.values)

    def facts(self) -> dict[str, Any]:
        """The fields of a profile that these numbers fill."""
        if not self._count:
            return {"distinct": 0}
        mean, std = self._moments.overall()
        quantiles = dict(zip(SHARES, self._quantiles.at(list(SHARES.values())), strict=True))
        if self._pearson is not None:
            association = _if_finite(PEARSON, self._pearson.value()[0])
        else:
            many = len(self._moments.count) > 1
            association = _if_finite(RATIO, correlation_ratio(self._moments)[0]) if many else None
        return {
            "distinct": self._distinct.count,
            "distinct_exact": self._distinct.exact,
            "mean": mean,
            "std": std,
            "quantiles": quantiles | {"min": self.low, "max": self.high},
            "quantiles_exact": self._quantiles.exact,
            "histogram": Histogram(self.low, (self.high - self.low) / BINS, self._bins.tolist()),
            "top": self._frequent.top(TOP),
            "top_exact": self._frequent.exact,
            "association": association,
        }


class Words:
    """Texts: the most frequent ones, and how long they are."""

    def __init__(self, label: Against) -> None:
        self._frequent, self._distinct = Frequent(), Distinct()
        self._classes = label.classes
        self._rows = self._characters = self._longest = 0
        self._shortest: int | None = None

    def add(self, values: "pa.Array", label: Against) -> None:
        """Take in texts, none missing."""
        import polars as pl  # noqa: PLC0415

        series = pl.Series(values)
        self._frequent.add(series, label.codes)
        self._distinct.add(series)
        if series.dtype == pl.String and len(series):
            lengths = series.str.len_chars()
            self._rows += len(series)
            self._characters += int(lengths.sum())
            least, most = lengths.min(), lengths.max()
            assert isinstance(least, int)
            assert isinstance(most, int)
            self._shortest = least if self._shortest is None else min(self._shortest, least)
            self._longest = max(self._longest, most)

    def facts(self) -> dict[str, Any]:
        """The fields of a profile that these texts fill."""
        top = self._frequent.top(TOP)
        table = self._frequent.table(self._classes) if self._classes else None
        value = None if table is None else cramers_v(table)
        return {
            "distinct": self._distinct.count,
            "distinct_exact": self._distinct.exact,
            "top": [(v.hex() if isinstance(v, bytes) else v, n) for v, n in top],
            "top_exact": self._frequent.exact,
            "lengths": None
            if self._shortest is None
            else (self._shortest, self._characters / self._rows, self._longest),
            "association": None if value is None else Association(CRAMER, value),
        }


def _if_finite(measure: str, value: float) -> Association | None:
    return Association(measure, float(value)) if value == value else None  # noqa: PLR0124 - NaN is not itself
