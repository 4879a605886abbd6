"""JSON values and raw bytes as the arrays of a signature, with errors that name field and row.

Loaded only in a server and its client, never by ``import tidemill``.
"""

import itertools
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.models.signature import DATATYPES, Tensor

_CODES = {
    "UINT8": "B",
    "INT8": "b",
    "UINT16": "H",
    "INT16": "h",
    "UINT32": "I",
    "INT32": "i",
    "UINT64": "Q",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
_WHOLE = frozenset({"UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "UINT64", "INT64"})
_UNPACKABLE = (TypeError, ValueError, OverflowError, struct.error)
_PIECE = 1 << 16
_EXACT = 2**53
"""Up to which a float of 64 bits has every whole number."""
MAX_DIMENSIONS = 16


def from_json(
    name: str, values: list[Any], datatype: str, shape: tuple[int, ...], *, booleans: bool = True
) -> Any:
    """An array of ``shape`` from numbers or text, flat or nested as the shape says.

    ``null`` is a missing cell: the array is then a ``numpy.ma.MaskedArray``. A truth value is no number.

    Args:
        name: The column.
        values: What was sent.
        datatype: The protocol's word for what it is.
        shape: Rows first.
        booleans: Whether there may be a truth value among them, which Python takes for 0 or 1.

    Raises:
        InvalidInput: ``wrong-shape``, ``wrong-dtype``, ``out-of-range``; the details name ``field`` and
            ``row``.
    """
    flat = _flat(name, values, shape)
    code = _CODES.get(datatype)
    if code is None:
        return _slow(name, flat, datatype, shape)
    if booleans:
        at = next((at for at, value in enumerate(flat) if type(value) is bool), None)
        if at is not None:
            raise _wrong_type(name, at // max(1, math.prod(shape[1:])), flat[at], datatype)
    dtype = np.dtype(DATATYPES[datatype])
    packed = bytearray(len(flat) * dtype.itemsize)
    missing: Any = None
    for start in range(0, len(flat), _PIECE):
        # One odd cell costs its neighbours' time, not that of all.
        piece = flat[start : start + _PIECE] if len(flat) > _PIECE else flat
        try:
            _pack_into(packed, start * dtype.itemsize, piece, code)
        except _UNPACKABLE:
            if None in piece:
                missing = np.zeros(len(flat), bool) if missing is None else missing
                missing[start : start + len(piece)] = [value is None for value in piece]
            found = _mended(name, start, piece, datatype, shape).tobytes()
            packed[start * dtype.itemsize : start * dtype.itemsize + len(found)] = found
    made = np.frombuffer(packed, dtype=dtype).reshape(shape)
    return made if missing is None else np.ma.MaskedArray(made, mask=missing.reshape(shape))


def _pack_into(packed: bytearray, at: int, values: list[Any], code: str) -> None:
    """Several times quicker than NumPy's own way from a list, and exact or refused."""
    if code == "B":
        packed[at : at + len(values)] = bytearray(values)
    else:
        struct.pack_into(f"<{len(values)}{code}", packed, at, *values)


def _mended(name: str, start: int, piece: list[Any], datatype: str, shape: tuple[int, ...]) -> Any:
    """Numbers as an array where some are missing, or whole numbers are written with a point."""
    filled = [0 if value is None else value for value in piece] if None in piece else piece
    dtype = np.dtype(DATATYPES[datatype])
    packed = bytearray(len(filled) * max(dtype.itemsize, 8))
    try:
        _pack_into(packed, 0, filled, _CODES[datatype])
        return np.frombuffer(packed, dtype, len(filled))
    except _UNPACKABLE:
        pass
    least, most = _range(datatype)
    try:
        _pack_into(packed, 0, filled, "d")
        numbers = np.frombuffer(packed, np.float64)
        fits = (numbers >= least) & (numbers <= most)
        if datatype in _WHOLE:
            fits &= (numbers == np.floor(numbers)) & (np.abs(numbers) < _EXACT)
        if fits.all():
            return numbers.astype(dtype)
    except _UNPACKABLE:
        pass
    cells = [_cell(name, start + at, value, datatype, shape) for at, value in enumerate(filled)]
    with np.errstate(over="ignore"):
        return np.array(cells, dtype=dtype)


def from_rows(name: str, cells: list[Any], tensor: Tensor, *, booleans: bool = True) -> Any:
    """One column from a list of cells, each nested as the tensor's cell shape says, flat, or null.

    ``booleans`` is that of ``from_json``.

    Raises:
        InvalidInput: As ``from_json``.
    """
    cell = tensor.cell
    if any(n < 0 for n in cell):
        cell = cell_shape(next((c for c in cells if c is not None), None))
    shape = (len(cells), *cell)
    values = _one_form(name, cells, cell) if cell else cells
    return from_json(name, values, tensor.datatype, shape, booleans=booleans)


def _one_form(name: str, cells: list[Any], cell: tuple[int, ...]) -> list[Any]:
    """Cells of that shape; as one list of values where some are null as a whole, or flat."""
    is_odd = None in cells or (
        len(cell) > 1 and any(isinstance(c, list) and c and not isinstance(c[0], list) for c in cells)
    )
    if not is_odd:
        return cells
    missing = [None] * math.prod(cell)
    return [
        value
        for row, given in enumerate(cells)
        for value in (missing if given is None else _values(name, given, cell, row))
    ]


def _values(name: str, given: Any, cell: tuple[int, ...], row: int) -> list[Any]:
    is_flat = isinstance(given, list) and len(given) == math.prod(cell)
    if is_flat and not any(isinstance(value, list) for value in given):
        return given
    level: list[Any] = [given]
    for size in cell:
        if any(not isinstance(part, list) or len(part) != size for part in level):
            raise _wrong_shape(name, (1, *cell_shape(given)), (1, *cell), row)
        level = list(itertools.chain.from_iterable(level))
    return level


def from_bytes(name: str, data: memoryview, datatype: str, shape: tuple[int, ...]) -> Any:
    """An array from the protocol's binary form: raw little-endian values; text with its length in front.

    Raises:
        InvalidInput: ``wrong-size`` or ``not-utf-8``.
    """
    count = math.prod(shape)
    if datatype == "BYTES":
        found: Any = np.empty(count, dtype=object)
        found[:] = _texts(name, data, count)
        return found.reshape(shape)
    dtype = np.dtype(DATATYPES[datatype])
    if len(data) != count * dtype.itemsize:
        raise _wrong_size(name, len(data), count * dtype.itemsize, shape, datatype)
    # A copy: a stage may write into its column, and the body's bytes are not ours to change.
    return np.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


def to_bytes(values: Any, datatype: str) -> bytes:
    """The protocol's binary form of an array."""
    if datatype != "BYTES":
        if isinstance(values, np.ma.MaskedArray) and values.dtype.kind == "f":
            values = values.filled(np.nan)
        return np.ascontiguousarray(values, dtype=DATATYPES[datatype]).tobytes()
    texts = [str(t).encode() for t in np.asarray(values, dtype=object).reshape(-1)]
    return b"".join(struct.pack("<I", len(t)) + t for t in texts)


def cell_shape(value: Any) -> tuple[int, ...]:
    """The shape of a nested list, by its first members."""
    shape: list[int] = []
    while isinstance(value, list) and len(shape) < MAX_DIMENSIONS:
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _flat(name: str, values: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """The innermost values, if the nesting is flat or exactly the shape's."""
    level, count = values, math.prod(shape)
    if len(shape) > 1 and values and isinstance(values[0], list):
        if len(values) != shape[0]:
            raise _wrong_shape(name, (len(values),), shape, None)
        for depth, size in enumerate(shape[1:]):
            for at, part in enumerate(level):
                if not isinstance(part, list) or len(part) != size:
                    row = at // math.prod(shape[1 : 1 + depth])
                    raise _wrong_shape(name, (1, *cell_shape(values[row])), (1, *shape[1:]), row)
            level = list(itertools.chain.from_iterable(level))
        return level
    if len(level) != count:
        raise _wrong_shape(name, cell_shape(level), shape, None)
    return level


def _slow(name: str, flat: list[Any], datatype: str, shape: tuple[int, ...]) -> Any:
    """Texts and truth values, cell by cell."""
    missing = [value is None for value in flat]
    cells = [_cell(name, at, value, datatype, shape) for at, value in enumerate(flat)]
    if datatype == "BYTES":
        found: Any = np.empty(len(cells), dtype=object)
        found[:] = cells
    else:
        found = np.array(cells, dtype=DATATYPES[datatype])
    found = found.reshape(shape)
    return np.ma.MaskedArray(found, mask=np.array(missing).reshape(shape)) if any(missing) else found


def _cell(name: str, at: int, value: Any, datatype: str, shape: tuple[int, ...]) -> Any:
    row = at // max(1, math.prod(shape[1:]))
    if value is None:
        return "" if datatype == "BYTES" else 0
    if datatype == "BYTES":
        if isinstance(value, str):
            return value
    elif datatype == "BOOL":
        if isinstance(value, bool):
            return value
    elif isinstance(value, (int, float)):
        least, most = _range(datatype)
        if not least <= value <= most:
            raise InvalidInput(
                f"'{name}' of row {row} has the value {_short(value)}, which {datatype} cannot hold.",
                why=f"It holds {least} to {most}.",
                hint=f"Send '{name}' in that range.",
                code=codes.OUT_OF_RANGE,
                details={"field": name, "row": row},
            )
        if datatype not in _WHOLE:
            return value
        if value == int(value):
            return int(value)
    raise _wrong_type(name, row, value, datatype)


def _wrong_type(name: str, row: int, value: Any, datatype: str) -> InvalidInput:
    return InvalidInput(
        f"'{name}' of row {row} holds {_words(value)} where {datatype} is wanted.",
        hint=f"Send '{name}' as {DATATYPES[datatype].replace('object', 'text')}.",
        code=codes.WRONG_DTYPE,
        details={"field": name, "row": row, "wanted": datatype},
    )


def _range(datatype: str) -> tuple[float, float]:
    """As Python's own numbers: those compare with a whole number of any length."""
    if datatype in _WHOLE:
        whole = np.iinfo(DATATYPES[datatype])
        return whole.min, whole.max
    real: Any = np.finfo(DATATYPES[datatype])
    return float(real.min), float(real.max)


def _short(value: float) -> str:
    text = str(value)
    return text if len(text) < 30 else f"{text[:20]}... ({len(text)} digits)"


def _words(value: Any) -> str:
    kinds = {str: "text", bool: "a truth value", list: "a list", dict: "an object"}
    return kinds.get(type(value), f"the number {value}")


def _texts(name: str, data: memoryview, count: int) -> list[str]:
    texts: list[str] = []
    at = 0
    for _ in range(count):
        end = at + 4
        length = struct.unpack_from("<I", data, at)[0] if end <= len(data) else len(data)
        if end + length > len(data):
            raise _wrong_size(name, len(data), end + length, (count,), "BYTES")
        try:
            texts.append(str(data[end : end + length], "utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"A text of '{name}' is not UTF-8.",
                why=str(error),
                hint="Encode texts as UTF-8.",
                code=codes.NOT_UTF_8,
                details={"field": name},
            ) from error
        at = end + length
    if at != len(data):
        raise _wrong_size(name, len(data), at, (count,), "BYTES")
    return texts


def _wrong_size(name: str, got: int, wanted: int, shape: Sequence[int], datatype: str) -> InvalidInput:
    return InvalidInput(
        f"'{name}' has {got} bytes of binary data, not {wanted}.",
        why=f"Its shape is {list(shape)} and its datatype {datatype}.",
        hint="Let 'binary_data_size' and the data agree with shape and datatype.",
        code=codes.WRONG_SIZE,
        details={"field": name},
    )


def _wrong_shape(name: str, got: Sequence[int], wanted: Sequence[int], row: int | None) -> InvalidInput:
    where = f"'{name}'" if row is None else f"'{name}' of row {row}"
    details: dict[str, object] = {"field": name, "shape": list(got), "wanted": list(wanted)}
    if row is not None:
        got, wanted, details["row"] = got[1:], wanted[1:], row
    return InvalidInput(
        f"{where} has shape {list(got)}, not {list(wanted)}.",
        hint="Send the values flat, or nested exactly as the shape says.",
        code=codes.WRONG_SHAPE,
        details=details,
    )


def datatype_of(name: str, values: Any) -> str:
    """The protocol's word for an array's type. A missing cell of floating point numbers is sent as NaN.

    Raises:
        InvalidInput: ``no-datatype`` or ``missing-cells``.
    """
    if (
        isinstance(values, np.ma.MaskedArray)
        and values.dtype.kind != "f"
        and np.ma.getmaskarray(values).any()
    ):
        raise InvalidInput(
            f"'{name}' has missing cells, and binary tensors have no word for them.",
            hint="Ask with rows, with None where a cell is missing.",
            code=codes.MISSING_CELLS,
            details={"field": name},
        )
    if values.dtype.kind in "OUT":
        return "BYTES"
    for datatype, dtype in DATATYPES.items():
        if values.dtype == dtype:
            return datatype
    raise InvalidInput(
        f"'{name}' has type {values.dtype}, for which the inference protocol has no word.",
        hint="Send numbers, booleans or text.",
        code=codes.NO_DATATYPE,
        details={"field": name},
    )
