"""Raw rows as columns of NumPy arrays, and the check that they are what a signature says."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import did_you_mean
from tidemill.models.signature import DATATYPES, Tensor
from tidemill.store.spelling import Spelling, type_of

if TYPE_CHECKING:
    import numpy as np

    from tidemill.store.table import Table

Columns = Mapping[str, "np.ndarray[Any, Any]"]
"""A batch of rows: each column an array (a masked one where cells are missing), all of one length."""


def from_table(table: "Table", names: Sequence[str]) -> "dict[str, np.ndarray[Any, Any]]":
    """These columns of a table as a request has them: dates, times and decimals as text (``store.spelling``).

    One with missing cells becomes a ``numpy.ma.MaskedArray``.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    columns: dict[str, np.ndarray[Any, Any]] = {}
    for name in names:
        missing = table.missing(name)
        column = table.to_arrow().column(name)
        spelled = type_of(column.type)
        if spelled:
            texts = Spelling(spelled).write(
                pa.concat_arrays(column.chunks) if column.chunks else column.combine_chunks()
            )
            columns[name] = np.ma.MaskedArray(texts, mask=missing) if missing.any() else texts
        elif missing.any():
            columns[name] = np.ma.MaskedArray(_filled(table, name), mask=missing)
        else:
            columns[name] = table.numpy(name)
    return columns


def with_nan(features: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The array with NaN in place of a mask; its numbers are floating point."""
    import numpy as np  # noqa: PLC0415

    return features.filled(np.nan) if isinstance(features, np.ma.MaskedArray) else features


def _filled(table: "Table", name: str) -> "np.ndarray[Any, Any]":
    import pyarrow as pa  # noqa: PLC0415

    shape, chunked = table.shape_of(name), table.to_arrow().column(name)
    array: Any = chunked.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    if shape:
        size = array.type.list_size
        array = array.values[array.offset * size : (array.offset + len(array)) * size]
    text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
    filled = array.fill_null("" if text else pa.scalar(0).cast(array.type))
    return filled.to_numpy(zero_copy_only=False).reshape(len(table), *shape)


class Check:
    """The check of incoming rows against the inputs of a signature, with what it needs worked out once."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        import numpy as np  # noqa: PLC0415

        self._wanted = [(t.name, np.dtype(DATATYPES[t.datatype]), t.cell) for t in inputs]
        self._names = {t.name for t in inputs}
        self._spelled = {t.name: Spelling(t.type) for t in inputs if t.type}

    def __call__(self, columns: Columns) -> "tuple[int, dict[str, np.ndarray[Any, Any]]]":
        """The number of rows, and the columns in the signature's dtypes; dates, times and decimals read from text.

        A dtype that widens without loss (``uint8`` where ``float32`` is wanted) is taken; any other is not. NaN is a
        missing cell, as it is in a table: it comes back masked.

        Raises:
            InvalidInput: ``unknown-column``, ``missing-column``, ``no-rows``, ``wrong-shape``,
                ``wrong-dtype``, ``non-finite``; the details name the ``field`` and, where one is to
                blame, the ``row``.
        """
        if set(columns) != self._names:
            raise self._wrong_names(columns)
        rows = -1
        checked: dict[str, np.ndarray[Any, Any]] = {}
        for name, dtype, cell in self._wanted:
            array = columns[name]
            shape = array.shape
            if rows < 0:
                rows = shape[0] if shape else 0
            if shape != (rows, *cell):
                raise _wrong_shape(name, shape, (rows, *cell), cell)
            if name in self._spelled:
                checked[name] = _read(name, array, self._spelled[name])
                continue
            if array.dtype != dtype:
                array = _widened(name, array, dtype)
            if dtype.kind == "f":
                array = _with_mask(name, array)
            checked[name] = array
        if rows == 0:
            raise InvalidInput(
                "There are no rows to predict.",
                hint="Send at least one row.",
                code=codes.NO_ROWS,
                details={"rows": 0},
            )
        return rows, checked

    def _wrong_names(self, columns: Columns) -> InvalidInput:
        for name in columns:
            if name not in self._names:
                return InvalidInput(
                    f"The model has no input '{name}'.",
                    hint=did_you_mean(name, sorted(self._names)),
                    code=codes.UNKNOWN_COLUMN,
                    details={"field": name},
                )
        lacking = next(n for n, _, _ in self._wanted if n not in columns)
        return InvalidInput(
            f"The rows lack '{lacking}'.",
            hint=f"The model takes: {', '.join(sorted(self._names))}.",
            code=codes.MISSING_COLUMN,
            details={"field": lacking},
        )


def _wrong_shape(
    name: str, got: tuple[int, ...], wanted: tuple[int, ...], cell: tuple[int, ...]
) -> InvalidInput:
    return InvalidInput(
        f"'{name}' has shape {list(got)}, not {list(wanted)}.",
        why=f"One row of '{name}' has shape {list(cell)}." if cell else f"One row of '{name}' is one value.",
        hint="Send every input with the same number of rows, each row of that shape.",
        code=codes.WRONG_SHAPE,
        details={"field": name, "shape": list(got), "wanted": [-1, *cell]},
    )


def _widened(name: str, array: "np.ndarray[Any, Any]", dtype: "np.dtype[Any]") -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    if dtype.kind == "O":
        if array.dtype.kind in "UT":
            return array.astype(object)
    elif array.dtype.kind in "biuf" and np.can_cast(array.dtype, dtype, "safe"):
        return array.astype(dtype)
    wanted = "text" if dtype.kind == "O" else str(dtype)
    raise InvalidInput(
        f"'{name}' has values of type {array.dtype}, not {wanted}.",
        hint=f"Send '{name}' as {wanted}.",
        code=codes.WRONG_DTYPE,
        details={"field": name, "dtype": str(array.dtype), "wanted": wanted},
    )


def _read(name: str, array: "np.ndarray[Any, Any]", spelling: Spelling) -> "np.ndarray[Any, Any]":
    """The cells that texts say; cells that were read already stay as they are."""
    import numpy as np  # noqa: PLC0415

    if array.dtype.kind == "O" and not all(isinstance(v, str) for v in np.ma.compressed(array)):
        return array
    if array.dtype.kind in "OUT":
        return spelling.read(name, array)
    return array if array.dtype == spelling.dtype else _widened(name, array, spelling.dtype)


def _with_mask(name: str, array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The array, masked where it holds NaN; infinity is refused."""
    import numpy as np  # noqa: PLC0415

    numbers = np.asarray(array)
    if np.isfinite(numbers).all():
        return array
    missing = np.isnan(numbers) | np.ma.getmaskarray(array)
    infinite = np.isinf(numbers) & ~missing
    if infinite.any():
        row = int(np.argwhere(infinite)[0][0])
        raise InvalidInput(
            f"'{name}' of row {row} holds a value that is not finite.",
            why="Infinity is not a number that a model can weigh.",
            hint="Send a number; leave a missing cell out as null.",
            code=codes.NON_FINITE,
            details={"field": name, "row": row},
        )
    return np.ma.MaskedArray(numbers, mask=missing) if missing.any() else array
