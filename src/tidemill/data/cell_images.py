"""The written form of cells, as ``core.identity`` writes their values, for a whole array at once.

Not of whole rows: that is ``pre_images``. What is inside of lists and records is written first, all of it in one
pass; a list's form is then a piece of those bytes.
"""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidemill.data.nested import cells_with_missing, members, offsets, records

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_HEADER_BYTES = 9
"""A type letter, and a length of 8 bytes."""


def cells(array: Any) -> "pa.Array":
    """Each cell's tree as ``core.identity`` writes it (large binary).

    A truth value, a whole number, a float (of any width, as 64 bits) and a text are themselves, bytes too; a
    decimal is its digits as text, without zeros at the end of its fraction; a date, time or duration is the whole
    number of its unit; a UUID is its 16 bytes; a list, a tensor and a map are lists, a map's entries being records
    of ``key`` and ``value``; a record is a map by its fields' names. What is missing is None; a missing tensor is
    a list of as many.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return cells(array.storage)
    if pa.types.is_null(kind):
        return joined([b"n"], len(array))
    if pa.types.is_fixed_size_list(kind):
        return _nested(array)
    if pa.types.is_nested(kind):
        return _or_none(_nested(array), array)
    if pa.types.is_boolean(kind):
        return _or_none(pc.if_else(array, *(pa.scalar(x, pa.large_binary()) for x in (b"t", b"f"))), array)
    if pa.types.is_floating(kind):
        return _or_none(joined([b"d", fixed(float_bytes(array))], len(array)), array)
    if pa.types.is_temporal(kind):
        array = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    if pa.types.is_integer(array.type):
        return joined(sized(b"i", array.cast(pa.string())), len(array))
    if pa.types.is_decimal(kind):
        return joined(sized(b"s", digits(array)), len(array))
    letter = b"s" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else b"b"
    return joined(sized(letter, array), len(array))


def digits(array: Any, *, trimmed: bool = True) -> Any:
    """Decimals as text; trimmed, without zeros at the end of a fraction: ``12.5`` for 12.50, ``12`` for 12.00."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    # Arrow writes small decimals of many places with an exponent: shifted to whole numbers, they have none.
    scale = array.type.scale
    whole = pa.decimal256(76, 0) if pa.types.is_decimal256(array.type) else pa.decimal128(38, 0)
    text = unscaled(array, whole).cast(pa.string())
    if not scale:
        return text
    sign = pc.if_else(pc.starts_with(text, "-"), "-", "")
    padded = pc.utf8_lpad(pc.utf8_ltrim(text, "-"), scale + 1, "0")
    before, after = pc.utf8_slice_codeunits(padded, 0, -scale), pc.utf8_slice_codeunits(padded, -scale)
    fraction = pc.utf8_rtrim(after, "0") if trimmed else after
    point = pc.if_else(pc.equal(fraction, ""), "", ".")
    return pc.binary_join_element_wise(sign, before, point, fraction, "")


def unscaled(array: Any, whole: Any) -> Any:
    """The whole numbers that decimals are kept as: 1250 for 12.50."""
    import pyarrow as pa  # noqa: PLC0415

    buffers = array.buffers()
    return pa.Array.from_buffers(whole, len(array), buffers, offset=array.offset)


def float_bytes(array: Any) -> "np.ndarray[Any, Any]":
    """The 8 bytes of each number as float64, most significant first; one NaN for all, zeros where missing."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    values = array.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
    values = np.where(np.isnan(values), np.nan, values).astype(">f8")
    return values.view(np.uint8).reshape(-1, 8)


def _nested(array: Any) -> "pa.Array":
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    kind, rows = array.type, len(array)
    if pa.types.is_struct(kind):
        fields = {kind.field(at).name: a for at, a in enumerate(records(array))}
        parts: list[Any] = [b"m" + _length(len(fields))]
        for name in sorted(fields):
            text = name.encode("utf-8", "surrogatepass")
            parts += [b"s" + _length(len(text)) + text, cells(fields[name])]
        return joined(parts, rows)
    if pa.types.is_fixed_size_list(kind):
        inner, lengths = cells_with_missing(array), np.full(rows, kind.list_size, np.int64)
    else:
        inner, lengths = members(array)
    written = _compact(cells(inner))
    _, bounds, data = written.buffers()
    at = np.frombuffer(bounds, np.int64, len(written) + 1) if len(written) else np.zeros(1, np.int64)
    # The members' bytes lie one after the other: a list's are those from its first member to its last.
    starts = np.ascontiguousarray(at[offsets(lengths)])
    bodies = pa.Array.from_buffers(pa.large_binary(), rows, [None, pa.py_buffer(starts), data])
    return joined([_headers(b"l", lengths), bodies], rows)


def _compact(array: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return array if not array.offset else pa.concat_arrays([array, array[:0]])


def _or_none(written: Any, array: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    none = pa.scalar(b"n", pa.large_binary())
    return pc.if_else(array.is_null(), none, written) if array.null_count else written


def _length(size: int) -> bytes:
    return struct.pack(">Q", size)


def _headers(letter: bytes, lengths: "np.ndarray[Any, Any]") -> "pa.Array":
    """A type letter and a length, for each of these lengths."""
    import numpy as np  # noqa: PLC0415

    headers = np.empty((len(lengths), _HEADER_BYTES), np.uint8)
    headers[:, 0] = letter[0]
    headers[:, 1:] = lengths.astype(">u8").view(np.uint8).reshape(-1, 8)
    return fixed(headers)


def sized(letter: bytes, array: Any) -> "list[Any]":
    """Texts or bytes with their headers, as parts; a missing one is the letter of None alone."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    data = array.cast(pa.binary()) if pa.types.is_fixed_size_binary(array.type) else array
    data = data.cast(pa.large_binary())
    whole = _headers(letter, pc.binary_length(data).fill_null(0).to_numpy(zero_copy_only=False))
    if array.null_count:
        none = pa.scalar(b"n", pa.large_binary())
        whole = pc.if_else(array.is_null(), none, whole)
        data = data.fill_null(b"")
    return [whole, data]


def fixed(rows: "np.ndarray[Any, Any]") -> "pa.Array":
    """The bytes of each row of a matrix."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    count, width = rows.shape
    bounds = (
        np.arange(0, (count + 1) * width, width, dtype=np.int64) if width else np.zeros(count + 1, np.int64)
    )
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(np.ascontiguousarray(rows))]
    return pa.Array.from_buffers(pa.large_binary(), count, buffers)


def joined(parts: Sequence[Any], rows: int) -> "pa.Array":
    """The parts of each row, one after the other; a part is bytes for all rows, or an array."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    kind = pa.large_binary()
    arrays = [pa.scalar(part, kind) if isinstance(part, bytes) else part for part in parts]
    made = pc.binary_join_element_wise(*arrays, pa.scalar(b"", kind))
    return made if isinstance(made, pa.Array) else pa.array([made.as_py()] * rows, kind)
