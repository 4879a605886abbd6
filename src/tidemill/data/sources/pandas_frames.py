"""A pandas frame as columns for a dataset: what it has beside columns becomes one, is said, or is refused by name.

Not how a frame travels between steps, which is ``store.pandas_frames``: a dataset has columns only, each of one type
that other programs have too.
"""

import decimal
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.kinds import type_name
from tidemill.data.sources.kinds import WORDS
from tidemill.data.sources.source import Note
from tidemill.store.table import ID

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_PLACE = "the frame"
_WORDS = {
    **WORDS,
    bool: "a truth value",
    bytearray: "bytes",
    decimal.Decimal: "a decimal",
    tuple: "a list",
    set: "a set",
    frozenset: "a set",
}


def as_arrow(frame: "pd.DataFrame") -> "tuple[pa.Table, list[Note]]":
    """The frame's columns, those of its index first, and what a person should know of the rest.

    Raises:
        InvalidInput: ``unnamed-index``, ``duplicated-column``, ``invalid-column-name``, ``unknown-cells``,
            ``mixed-types`` or ``not-a-table``.
    """
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    notes: list[Note] = []
    levels = _levels(frame)
    if isinstance(frame.columns, pd.MultiIndex):
        raise InvalidInput(
            "The frame's columns have names of several levels.",
            why="A column of a dataset has one name.",
            hint="Join them first: frame.columns = ['_'.join(map(str, name)) for name in frame.columns].",
            code=codes.INVALID_COLUMN_NAME,
        )
    series = [(name, level.to_series()) for name, level in levels]
    series += [(str(name), frame.iloc[:, at]) for at, name in enumerate(frame.columns)]
    seen: set[str] = set()
    for name, _ in series:
        if name in seen:
            raise InvalidInput(
                f"{_PLACE}: two columns, or a column and the index, are named '{name}'.",
                hint="Rename or remove one of them; frame.reset_index(drop=True) removes the index.",
                code=codes.DUPLICATED_COLUMN,
                details={"file": _PLACE, "column": name},
            )
        seen.add(name)
    if levels and levels[0][0] != ID:
        text = f"The frame's index is imported as {_listed([name for name, _ in levels])}."
        notes.append(Note("index", levels[0][0], text))
    if frame.attrs:
        notes.append(
            Note("attrs", None, f"The frame's attrs are not kept: {_listed([str(n) for n in frame.attrs])}.")
        )
    arrays = [_column(name, column, notes) for name, column in series]
    return pa.Table.from_arrays(arrays, names=[name for name, _ in series]), notes


def _levels(frame: "pd.DataFrame") -> "list[tuple[str, pd.Index]]":
    """The levels of the index by name; none for the usual one."""
    import pandas as pd  # noqa: PLC0415

    index = frame.index
    usual = isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1
    if index.nlevels == 1 and index.name is None:
        if usual or not len(index) or index.equals(pd.RangeIndex(len(index))):
            return []
        first = next(value for at, value in enumerate(index) if value != at)
        raise InvalidInput(
            f"The frame has an index without a name: {first!r} stands where the usual one has {index.get_loc(first)}."
            if index.is_unique
            else f"The frame has an index without a name, in which {index[index.duplicated()][0]!r} stands twice.",
            why="A dataset has columns only. The index may name the rows, or be what a filter has left.",
            hint="frame.reset_index(drop=True) drops it; frame.rename_axis('name') makes it a column of that name.",
            code=codes.UNNAMED_INDEX,
        )
    if any(name is None for name in index.names):
        raise InvalidInput(
            "A level of the frame's index has no name.",
            why="A dataset has columns only, and each has a name.",
            hint="frame.rename_axis(['one', 'two']) names them; frame.reset_index(drop=True) drops them.",
            code=codes.UNNAMED_INDEX,
        )
    return [(str(name), index.get_level_values(level)) for level, name in enumerate(index.names)]


def _column(name: str, column: "pd.Series", notes: list[Note]) -> Any:
    """A column as Arrow; NaN and its like are missing cells."""
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    kind: Any = column.dtype
    if isinstance(kind, (pd.PeriodDtype, pd.IntervalDtype)):
        period = isinstance(kind, pd.PeriodDtype)
        raise InvalidInput(
            f"{_PLACE}, column '{name}': a dataset cannot keep cells of type {kind}.",
            why=f"Only pandas has such a {'period of time' if period else 'pair of bounds'}.",
            hint=f"frame['{name}'].dt.to_timestamp() makes it times; .astype(str) texts."
            if period
            else f"Make two columns of frame['{name}'].array.left and .right; or .astype(str).",
            code=codes.UNKNOWN_CELLS,
            details={"file": _PLACE, "column": name},
        )
    if isinstance(kind, pd.SparseDtype):
        column = column.sparse.to_dense()
    if isinstance(kind, pd.CategoricalDtype) and kind.ordered:
        order = " < ".join(str(c) for c in kind.categories[:6])
        notes.append(
            Note(
                "category-order", name, f"Column '{name}': the order of its categories is not kept: {order}."
            )
        )
    if str(column.dtype) == "object":
        _check_kinds(name, column)
    try:
        array: Any = pa.Array.from_pandas(column)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, NotImplementedError) as error:
        raise InvalidInput(
            f"{_PLACE}, column '{name}': its cells ({column.dtype}) have no type that Arrow knows.",
            why=str(error).splitlines()[0],
            hint="Give the column values of one plain type, as with astype(str).",
            code=codes.NOT_A_TABLE,
            details={"file": _PLACE, "column": name},
        ) from error
    return array.cast(pa.uint64()) if name == ID and pa.types.is_integer(array.type) else array


def _check_kinds(name: str, column: "pd.Series") -> None:
    """Refuse Python values of several kinds in one column: Arrow would make some of them others, or none of them."""
    first: dict[str, int] = {}
    values: Sequence[Any] = column.tolist()
    for row, value in enumerate(values):
        if not _is_missing(value):
            first.setdefault(_kind(value), row)
    if "a set" in first:
        row = first["a set"]
        raise InvalidInput(
            f"{_PLACE}, row {row + 1}, column '{name}': the value is a set, and a dataset keeps lists.",
            why="The members of a set have no order, so that equal sets would be other lists.",
            hint=f"Sort them: frame['{name}'].map(sorted).",
            code=codes.UNKNOWN_CELLS,
            details={"file": _PLACE, "row": row + 1, "column": name},
        )
    if len(first) > 1:
        (one, before), (other, row), *_ = first.items()
        raise InvalidInput(
            f"{_PLACE}, row {row + 1}, column '{name}': it is {other} here and {one} in row {before + 1}.",
            why="A column has one type.",
            hint=f"Correct one of them, or take all as text: frame['{name}'].map(str, na_action='ignore').",
            code=codes.MIXED_TYPES,
            details={"file": _PLACE, "row": row + 1, "column": name},
        )


def _kind(value: Any) -> str:
    import numpy as np  # noqa: PLC0415

    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return "a list"
    return next((_WORDS[t] for t in type(value).__mro__ if t in _WORDS), f"a {type_name(value)}")


def _is_missing(value: Any) -> bool:
    import pandas as pd  # noqa: PLC0415

    return (
        value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
