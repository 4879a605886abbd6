"""Whether two columns or indexes of pandas are the same: each cell of one value and type."""

import datetime as dt
import decimal
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def same_series(one: "pd.Series", other: "pd.Series") -> bool:
    """Whether two columns are of one type, and each cell of one value and type."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    if one.dtype != other.dtype or str(one.dtype) != str(other.dtype) or len(one) != len(other):
        return False
    kind: Any = one.dtype
    if isinstance(kind, pd.CategoricalDtype):
        categories = (kind.categories, other.dtype.categories)  # pyright: ignore[reportAttributeAccessIssue]
        return (
            same_index(*categories)
            and kind.ordered == other.dtype.ordered  # pyright: ignore[reportAttributeAccessIssue]
            and bool((one.cat.codes.to_numpy() == other.cat.codes.to_numpy()).all())
        )
    if not is_object(kind):
        here, there = one.isna().to_numpy(), other.isna().to_numpy()
        same = np.asarray((one.array == other.array), dtype=object)
        return bool((here == there).all()) and all(bool(s) for s in same[~here])
    return all(_same_cell(a, b) for a, b in zip(one.tolist(), other.tolist(), strict=True))


def first_other(one: "pd.Series", other: "pd.Series") -> int | None:
    """The first row, from 0, whose cell is another one; None where the columns differ as a whole."""
    if len(one) != len(other):
        return None
    pairs = zip(one.tolist(), other.tolist(), strict=True)
    return next((row for row, (a, b) in enumerate(pairs) if not _same_cell(a, b)), None)


def same_index(one: "pd.Index", other: "pd.Index") -> bool:
    """Whether two indexes are of one type, names and members."""
    import pandas as pd  # noqa: PLC0415

    if type(one) is not type(other) or len(one) != len(other) or one.nlevels != other.nlevels:
        return False
    if isinstance(one, pd.MultiIndex):
        return list(one.names) == list(other.names) and all(
            same_index(one.get_level_values(i), other.get_level_values(i)) for i in range(one.nlevels)
        )
    if getattr(one, "freq", None) != getattr(other, "freq", None) or not _same_cell(one.name, other.name):
        return False
    return same_series(pd.Series(one, dtype=one.dtype), pd.Series(other, dtype=other.dtype))


def _same_cell(one: Any, other: Any) -> bool:
    import numpy as np  # noqa: PLC0415

    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        is_one_type = one.dtype == other.dtype and one.shape == other.shape
        if is_one_type and one.dtype == object:
            return all(_same_cell(a, b) for a, b in zip(one.flat, other.flat, strict=True))
        return is_one_type and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same_cell, one, other))
    if isinstance(one, dict):
        return _same_cell(list(one), list(other)) and _same_cell(list(one.values()), list(other.values()))
    if is_nan(one):
        return is_nan(other)
    # Equal in value is not the same yet: 2 and 2.00 are equal, and so is one moment in two zones.
    if isinstance(one, decimal.Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, (dt.datetime, dt.time)):
        is_same = one.fold == other.fold and _same_zone(one.tzinfo, other.tzinfo)
        if not is_same or one.utcoffset() != other.utcoffset():
            return False
        # A time in pandas counts in a unit.
        return bool(one == other) and getattr(one, "unit", "") == getattr(other, "unit", "")
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


def _same_zone(one: Any, other: Any) -> bool:
    if one is other:
        return True
    key = getattr(one, "key", None)
    is_one = key == other.key if key is not None and type(one) is type(other) else bool(one == other)
    return type(one) is type(other) and is_one and str(one) == str(other)


def is_object(dtype: Any) -> bool:
    """Whether a column holds Python objects."""
    return str(dtype) == "object"


def is_nan(value: Any) -> bool:
    """Whether a cell is the float NaN."""
    return isinstance(value, float) and math.isnan(value)
