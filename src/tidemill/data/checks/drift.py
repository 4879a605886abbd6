"""How far a column's distribution moved from one commit to another: the population stability index.

The index is ``sum((q - p) * ln(q / p))`` over bins, p and q being the shares of the rows before and after (N.
Siddiqi, Credit Risk Scorecards, Wiley 2006): Kullback-Leibler's divergence in both directions, added up. It is the
size of an effect, and not a test: it does not grow with the number of rows, as a test's certainty does.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

_BINS = 10
"""Of equally many rows before, for numbers."""
_PRIOR = 0.5
"""Rows that each bin is given beforehand, so that an empty one has a logarithm."""


def stability_index(before: "pl.Series", after: "pl.Series") -> float:
    """The index of two columns of one kind; 0 where they are alike, and where one has no rows.

    Numbers of more than ten values are binned by the tenths of ``before``; other values are bins themselves.
    Missing cells are a bin too.
    """
    import numpy as np  # noqa: PLC0415

    if not len(before) or not len(after):
        return 0.0
    if before.dtype.is_numeric() and before.n_unique() > _BINS:
        counts = _binned(before, after)
    else:
        counts = _by_value(before, after)
    old, new = counts
    p = (old + _PRIOR) / (old.sum() + _PRIOR * len(old))
    q = (new + _PRIOR) / (new.sum() + _PRIOR * len(new))
    return float(np.sum((q - p) * np.log(q / p)))


def _binned(before: "pl.Series", after: "pl.Series") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    import numpy as np  # noqa: PLC0415

    there = before.drop_nulls().cast(float).to_numpy()
    edges = np.unique(np.quantile(there, np.linspace(0, 1, _BINS + 1)[1:-1]))

    def count(column: "pl.Series") -> "np.ndarray[Any, Any]":
        bins = np.searchsorted(edges, column.drop_nulls().cast(float).to_numpy(), side="left")
        return np.append(np.bincount(bins, minlength=len(edges) + 1), column.null_count())

    return count(before), count(after)


def _by_value(before: "pl.Series", after: "pl.Series") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    import polars as pl  # noqa: PLC0415

    def count(column: "pl.Series", name: str) -> "pl.DataFrame":
        return pl.DataFrame({"value": column}).group_by("value").len(name=name)

    both = count(before, "old").join(count(after, "new"), on="value", how="full", nulls_equal=True)
    return both["old"].fill_null(0).to_numpy(), both["new"].fill_null(0).to_numpy()
