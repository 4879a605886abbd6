"""Any table as numbers for a classifier that knows nothing of it: tensors flat, words as yes and no, gaps filled."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from tidemill.store.table import Table

    Array = np.ndarray[Any, Any]

_WORDS = 50
"""So many different texts of a column become a yes-or-no each; a column of more is mostly names, and left out."""


def matrix(rows: "Table", columns: Sequence[str]) -> "tuple[Array, list[str]]":
    """The columns as float32, (rows, numbers).

    A tensor is scaled as a whole, from its least cell at 0 to its greatest at 1; a number to mean 0 and spread 1. A
    missing cell is what is usual there: 0 in a tensor, the mean of numbers, no word at all.

    Returns:
        The matrix, and which columns are in it: one of too many different texts, or of one value, is not.
    """
    import numpy as np  # noqa: PLC0415

    made: list[Array] = []
    used: list[str] = []
    for name in columns:
        found = _tensor(rows, name) if rows.shape_of(name) else _plain(rows, name)
        if found is not None and found.shape[1]:
            made.append(found)
            used.append(name)
    if not made:
        return np.zeros((len(rows), 0), np.float32), []
    return (made[0] if len(made) == 1 else np.concatenate(made, axis=1)), used


def _tensor(rows: "Table", name: str) -> "Array":
    import numpy as np  # noqa: PLC0415

    flat = _numbers(rows.to_arrow().column(name).combine_chunks().flatten(), filled=0.0)
    missing = rows.missing(name).reshape(len(rows), -1)
    whole = rows.to_arrow().column(name).combine_chunks()
    if whole.null_count:
        cells = np.zeros(missing.shape, np.float32)
        cells[~np.asarray(whole.is_null())] = flat.reshape(-1, missing.shape[1])
    else:
        cells = flat.reshape(missing.shape)
    low, high = float(cells.min(initial=0)), float(cells.max(initial=0))
    return (cells - np.float32(low)) / np.float32((high - low) or 1)


def _plain(rows: "Table", name: str) -> "Array | None":
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    column: Any = rows.to_arrow().column(name).combine_chunks()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        words = sorted({w for w in column.unique().to_pylist() if w is not None})
        if not 1 < len(words) <= _WORDS:
            return None
        codes = {w: i for i, w in enumerate(words)}
        at = np.array([codes.get(w, len(words)) for w in column.to_pylist()])
        return np.eye(len(words) + 1, dtype=np.float32)[at][:, :-1]
    if pa.types.is_temporal(column.type):
        column = column.view(pa.int32() if column.type.bit_width == 32 else pa.int64())
    elif not (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_boolean(column.type)
        or pa.types.is_decimal(column.type)
    ):
        return None
    values = _numbers(column, filled=np.nan).astype(np.float64)
    there = np.isfinite(values)
    if not there.any() or (spread := float(values[there].std())) == 0:
        return None
    scaled = np.where(there, (np.where(there, values, 0) - values[there].mean()) / spread, 0)
    return scaled.astype(np.float32)[:, None]


def _numbers(array: Any, *, filled: float) -> "Array":
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    if array.null_count:
        return np.nan_to_num(array.cast(pa.float64()).to_numpy(zero_copy_only=False), nan=filled)
    return array.to_numpy(zero_copy_only=False).astype(np.float32 if filled == 0 else np.float64)
