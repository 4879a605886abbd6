"""Summaries of a column that are fed piece by piece in bounded memory: exact while it is small, then nearly so."""

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]

_BUFFER = 8192
_LEAST_HASHES = 4096


class Quantiles:
    """Quantiles of numbers: exact up to 8,192 of them, then off by less than 0.2 % in rank.

    Karnin, Lang and Liberty, "Optimal quantile approximation in streams" (FOCS 2016), with every level's
    buffer of one size: a full one is sorted, and every second value goes up a level, where it counts twice.
    Which of each pair goes takes turns instead of being drawn, so that the same rows give the same answer.
    """

    def __init__(self) -> None:
        self._levels: list[list[Array]] = [[]]
        self._sizes: list[int] = [0]
        self._second: list[bool] = [False]

    def add(self, values: "Array") -> None:
        """Take in numbers, in any order."""
        for start in range(0, len(values), _BUFFER):
            self._put(0, values[start : start + _BUFFER])

    @property
    def exact(self) -> bool:
        """Whether ``at`` gives the quantiles themselves."""
        return len(self._levels) == 1

    def at(self, shares: "list[float]") -> "list[Any]":
        """For each share the quantile, as ``interpolated`` says it."""
        import numpy as np  # noqa: PLC0415

        values = np.concatenate([p for level in self._levels for p in level])
        weights = np.repeat(
            2 ** np.arange(len(self._levels), dtype=np.int64),
            [sum(len(p) for p in level) for level in self._levels],
        )
        order = np.argsort(values, kind="stable")
        return interpolated(values[order], np.cumsum(weights[order]), shares)

    def _put(self, level: int, values: "Array") -> None:
        import numpy as np  # noqa: PLC0415

        if level == len(self._levels):
            self._levels.append([])
            self._sizes.append(0)
            self._second.append(False)
        self._levels[level].append(values)
        self._sizes[level] += len(values)
        if self._sizes[level] > _BUFFER:
            ordered = np.sort(np.concatenate(self._levels[level]))
            # One value of an odd number stays, so that the weights add up to what came.
            even = len(ordered) // 2 * 2
            self._levels[level] = [ordered[even:]]
            self._sizes[level] = len(ordered) - even
            chosen = ordered[:even][int(self._second[level]) :: 2]
            self._second[level] = not self._second[level]
            self._put(level + 1, chosen)


def interpolated(values: "Array", reached: "Array", shares: "Sequence[float]") -> "list[Any]":
    """Quantiles with linear interpolation: the default of NumPy and pandas (type 7 of Hyndman and Fan, 1996).

    Args:
        values: Ascending.
        reached: How many values there are up to each of them, itself included; one that counts twice adds two.
        shares: 0 to 1.

    Returns:
        Of whole numbers a whole number, or a ``Fraction`` between two; else a float.
    """
    import numpy as np  # noqa: PLC0415

    last = int(reached[-1]) - 1
    found: list[Any] = []
    for share in shares:
        place = last * share
        low = math.floor(place)
        pair = np.searchsorted(reached, [low, min(low + 1, last)], side="right")
        below, above = values[pair].tolist()
        found.append(_between(below, above, place - low))
    return found


def _between(low: Any, high: Any, part: float) -> Any:
    if not part or low == high:
        return low
    if isinstance(low, int):
        exact = low + (high - low) * Fraction(part)
        return int(exact) if exact.denominator == 1 else exact
    gap = high - low
    if math.isinf(gap):
        return low * (1 - part) + high * part
    # From the nearer end, as NumPy does, so that the same values give the same bits.
    return high - gap * (1 - part) if part >= 0.5 else low + gap * part


class Distinct:
    """How many different values there are: exact below 4,096, then off by some 1.6 %.

    The 4,096 least hashes seen; the greatest of them says how densely the hashes lie (Bar-Yossef et al.,
    "Counting distinct elements in a data stream", RANDOM 2002).
    """

    def __init__(self) -> None:
        self._least: Array | None = None

    def add(self, values: "pl.Series") -> None:
        """Take in values, none of them missing."""
        import numpy as np  # noqa: PLC0415

        hashes = values.hash(seed=0).to_numpy()
        if self._least is not None:
            if not self.exact:
                hashes = hashes[hashes < self._least[-1]]
            hashes = np.concatenate([self._least, hashes])
        self._least = np.unique(hashes)[:_LEAST_HASHES]

    @property
    def exact(self) -> bool:
        """Whether ``count`` is the number itself."""
        return self._least is None or len(self._least) < _LEAST_HASHES

    @property
    def count(self) -> int:
        """The number of different values."""
        if self._least is None:
            return 0
        if self.exact:
            return len(self._least)
        return round((_LEAST_HASHES - 1) / (float(self._least[-1]) / 2.0**64))


class Frequent:
    """The most frequent values with their counts, by class while there are few, in 4,096 counters at most.

    When they do not suffice, as much is taken off all as empties enough of them (Misra and Gries, 1982;
    merged as in Agarwal et al., "Mergeable summaries", PODS 2012): then a count is at least what is said.
    """

    _COUNTERS = 4096
    _BY_CLASS = 1000

    def __init__(self) -> None:
        self._counts: pl.DataFrame | None = None
        self.exact = True
        self._by_class = True

    def add(self, values: "pl.Series", codes: "Array | None") -> None:
        """Take in values, none of them missing, and the class of each."""
        import polars as pl  # noqa: PLC0415

        frame = pl.DataFrame({"value": values}).with_columns(
            pl.Series("class", codes, pl.Int32) if codes is not None else pl.lit(0, pl.Int32).alias("class"),
            pl.lit(1, pl.Int64).alias("rows"),
        )
        keys = ["value", "class"] if self._by_class else ["value"]
        merged = frame.group_by(keys).agg(pl.col("rows").sum())
        if self._counts is not None:
            merged = pl.concat([self._counts, merged]).group_by(keys).agg(pl.col("rows").sum())
        if self._by_class and merged["value"].n_unique() > self._BY_CLASS:
            self._by_class = False
            merged = merged.group_by("value").agg(pl.col("rows").sum())
        if not self._by_class and len(merged) > self._COUNTERS:
            self.exact = False
            taken = merged["rows"].top_k(self._COUNTERS + 1).min()
            merged = merged.with_columns(pl.col("rows") - taken).filter(pl.col("rows") > 0)
        self._counts = merged

    def top(self, count: int) -> list[tuple[Any, int]]:
        """The most frequent, of equals the least first."""
        import polars as pl  # noqa: PLC0415

        if self._counts is None:
            return []
        totals = self._counts.group_by("value").agg(pl.col("rows").sum())
        shown = totals.sort(["rows", "value"], descending=[True, False]).head(count)
        return list(shown.iter_rows())

    def table(self, classes: int) -> "Array | None":
        """How often each value meets each class, (values, classes); None where there were too many values."""
        import numpy as np  # noqa: PLC0415

        if self._counts is None or not self._by_class:
            return None
        rows = self._counts["value"].rank("dense").to_numpy().astype(np.int64) - 1
        columns = self._counts["class"].to_numpy()
        found = np.zeros((int(rows.max(initial=-1)) + 1, classes + 1), np.int64)
        np.add.at(found, (rows, columns), self._counts["rows"].to_numpy())
        return found[:, :classes]


class Moments:
    """Count, mean and spread of numbers, of each class and each place in a tensor.

    Sums of values and squares about a fixed shift near the mean, which keeps what a large mean would drown
    (Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983).

    Args:
        classes: How many classes there are; one more is kept for rows without any.
        shift: What is taken off each value first.
        cells: How many numbers a row has.
    """

    def __init__(self, classes: int, shift: float, cells: int = 1) -> None:
        import numpy as np  # noqa: PLC0415

        self.shift = shift
        self.count = np.zeros((classes + 1, cells))
        self.sum = np.zeros((classes + 1, cells))
        self.squares = np.zeros((classes + 1, cells))

    def add(self, values: "Array", codes: "Array | None") -> None:
        """Take in one number a row, none missing, and the class of each."""
        import numpy as np  # noqa: PLC0415

        centred = np.asarray(values, np.float64) - self.shift
        if codes is None:
            self.count[-1, 0] += len(centred)
            self.sum[-1, 0] += centred.sum()
            self.squares[-1, 0] += centred @ centred
            return
        groups = len(self.count)
        self.count[:, 0] += np.bincount(codes, minlength=groups)
        self.sum[:, 0] += np.bincount(codes, centred, groups)
        self.squares[:, 0] += np.bincount(codes, centred * centred, groups)

    def add_cells(self, values: "Array", codes: "Array | None", absent: "Array | None" = None) -> None:
        """Take in rows of numbers, (rows, cells), and which of them are not there (None: none)."""
        import numpy as np  # noqa: PLC0415

        # Sums over 1,024 rows of 8-bit numbers about a whole shift, and of their squares, are exact in float32.
        narrow = values.dtype.itemsize == 1 and self.shift == int(self.shift)
        for start in range(0, len(values), 1024):
            part = values[start : start + 1024]
            own = np.full(len(part), len(self.count) - 1) if codes is None else codes[start : start + 1024]
            # Rows of one class side by side: their sums are then one call, and need no product of matrices.
            order = np.argsort(own, kind="stable")
            seen, first, rows = np.unique(own[order], return_index=True, return_counts=True)
            piece = part[order].astype(np.float32 if narrow else np.float64)
            piece -= piece.dtype.type(self.shift)
            self.count[seen] += rows[:, None]
            if absent is not None:
                gone = absent[start : start + 1024][order]
                piece[gone] = 0
                self.count[seen] -= np.add.reduceat(gone, first, axis=0, dtype=np.float64)
            self.sum[seen] += np.add.reduceat(piece, first, axis=0)
            np.square(piece, out=piece)
            self.squares[seen] += np.add.reduceat(piece, first, axis=0)

    def means(self) -> "Array":
        """The mean of each class and cell, (classes, cells); NaN where there is none."""
        import numpy as np  # noqa: PLC0415

        with np.errstate(invalid="ignore"):
            return self.sum[:-1] / self.count[:-1] + self.shift

    def overall(self) -> "tuple[float, float]":
        """Mean and standard deviation (of the population) of all classes and cells together."""
        count = float(self.count.sum())
        if not count:
            return math.nan, math.nan
        mean = float(self.sum.sum()) / count
        return mean + self.shift, math.sqrt(max(float(self.squares.sum()) / count - mean * mean, 0.0))
