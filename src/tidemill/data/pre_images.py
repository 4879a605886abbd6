"""What is hashed to name rows, built for many rows at once: the bytes that ``core.identity`` would write for each.

Arrow joins the parts of all rows in one pass, so that what is left to do for a row is its hash.
"""

import hashlib
import itertools
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.store.table import SYSTEM_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_DIGEST_BYTES = 8
_HEADER_BYTES = 9
"""A type letter, and a length of 8 bytes."""


def content(arrow: "pa.Table") -> "pa.Array":
    """Each row's content as ``core.identity`` writes it: a list of cells.

    The bytes of all fixed-width cells, in column order, missing ones as zeros; which of these are missing,
    as bits, or None when none is; then each text or binary cell. System columns are not content.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    rows = arrow.num_rows
    data: list[np.ndarray[Any, Any]] = [np.zeros((rows, 0), np.uint8)]
    missing: list[np.ndarray[Any, Any]] = [np.zeros((rows, 0), bool)]
    texts: list[Any] = []
    own = [c for c in arrow.column_names if c not in SYSTEM_COLUMNS]
    for column in (arrow.column(name).combine_chunks() for name in own):
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        if pa.types.is_null(array.type):
            texts.append([b"n"])
        elif _is_text(array.type):
            texts.append(_sized(_letter(array.type), array))
        else:
            values, absent = _values(array)
            data.append(np.ascontiguousarray(values).view(np.uint8).reshape(rows, -1))
            missing.append(absent)
    packed, absent = np.concatenate(data, axis=1), np.concatenate(missing, axis=1)
    parts = [
        _list_of(2 + len(texts)),
        _header(b"b", packed.shape[1]),
        _fixed(packed),
        *(_bits(absent) if absent.any() else [b"n"]),
        *(part for text in texts for part in text),
    ]
    return _joined(parts, rows)


def _bits(absent: "np.ndarray[Any, Any]") -> list[Any]:
    """Which cells of each row are missing, as parts; None for a row that lacks none."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    some = pa.array(np.asarray(absent.any(axis=1)))
    bits = _fixed(np.packbits(absent, axis=1))
    return _sized(b"b", pc.if_else(some, bits, pa.scalar(None, bits.type)))


def occurring(contents: "pa.Array", occurrences: list[int] | None) -> "pa.Array":
    """The pre-images of rows with this content, and which of their equals they are; None: all are the first."""
    import pyarrow as pa  # noqa: PLC0415

    digits = pa.array([str(n) for n in occurrences or [0]], pa.string())
    last = [_header(b"i", 1) + b"0"] if occurrences is None else _sized(b"i", digits)
    return _joined([_begin("row/1") + _list_of(2), contents, *last], len(contents))


def keyed(columns: "pa.Table") -> "pa.Array":
    """The pre-image of each row's key."""
    parts = [_begin("key/1") + _list_of(columns.num_columns)]
    for column in columns.columns:
        parts += _key_cell(column.combine_chunks())
    return _joined(parts, columns.num_rows)


def _key_cell(array: Any) -> list[Any]:
    """A key's cells, as parts; a date or time by its ISO text."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    kind = array.type
    if pa.types.is_boolean(kind):
        letters = [pa.scalar(letter, pa.large_binary()) for letter in (b"t", b"f")]
        return [pc.if_else(array, *letters)]
    if pa.types.is_integer(kind):
        return _sized(b"i", array.cast(pa.string()))
    if pa.types.is_floating(kind):
        values = array.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(">f8")
        return [b"d", _fixed(values.view(np.uint8).reshape(-1, 8))]
    if _is_text(kind):
        return _sized(_letter(kind), array)
    return _sized(b"s", pa.array([str(cell) for cell in array.to_pylist()], pa.string()))


def _letter(kind: Any) -> bytes:
    import pyarrow as pa  # noqa: PLC0415

    return b"s" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else b"b"


def _values(array: Any) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Values (rows x cells) with zeros where missing, and which are missing, of a fixed-width column."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    rows, size, outer = len(array), 1, None
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        outer = np.asarray(array.is_null()).reshape(rows, 1) if array.null_count else None
        array = array.values[array.offset * size : (array.offset + rows) * size]
    if pa.types.is_temporal(array.type):
        array = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    absent = np.zeros((rows, size), bool)
    if array.null_count:
        absent = np.asarray(array.is_null()).reshape(rows, size)
        array = array.fill_null(pa.scalar(0).cast(array.type))
    values = array.to_numpy(zero_copy_only=False).reshape(rows, size)
    if outer is not None:
        absent = absent | outer
        values = np.where(outer, np.zeros((), values.dtype), values)
    if values.dtype.kind == "f":
        # One NaN for all NaNs, as in core.identity.
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values)
    return values.astype(values.dtype.newbyteorder("<"), copy=False), absent


def _is_text(kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def hashes(pre_images: "pa.Array") -> "np.ndarray[Any, Any]":
    """The 64-bit identity of each; uint64."""
    import numpy as np  # noqa: PLC0415

    count = len(pre_images)
    if not count:
        return np.zeros(0, np.uint64)
    assert pre_images.offset == 0
    _, offsets, data = pre_images.buffers()
    bounds = np.frombuffer(offsets, np.int64, count + 1).tolist()
    view, blake = memoryview(data or b""), hashlib.blake2b
    size = _DIGEST_BYTES
    found = b"".join(blake(view[a:b], digest_size=size).digest() for a, b in itertools.pairwise(bounds))
    return np.frombuffer(found, ">u8").astype(np.uint64)


def _list_of(members: int) -> bytes:
    """How a list of so many members begins."""
    return b"l" + struct.pack(">Q", members)


def _header(letter: bytes, size: int) -> bytes:
    """How so many bytes begin: a type letter, and their number."""
    return letter + struct.pack(">Q", size)


def _begin(tag: str) -> bytes:
    """How the pre-image of a kind of identity begins."""
    return identity.pre_image(tag, None)[:-1]


def _sized(letter: bytes, array: Any) -> "list[Any]":
    """Texts or bytes with their headers, as parts; a missing one is the letter of None alone."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    data = array.cast(pa.large_binary())
    lengths = pc.binary_length(data).fill_null(0).to_numpy(zero_copy_only=False).astype(">u8")
    headers = np.empty((len(data), _HEADER_BYTES), np.uint8)
    headers[:, 0] = letter[0]
    headers[:, 1:] = lengths.view(np.uint8).reshape(-1, 8)
    whole = _fixed(headers)
    if array.null_count:
        none = pa.scalar(b"n", pa.large_binary())
        whole = pc.if_else(array.is_null(), none, whole)
        data = data.fill_null(b"")
    return [whole, data]


def _fixed(rows: "np.ndarray[Any, Any]") -> "pa.Array":
    """The bytes of each row of a matrix."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    count, width = rows.shape
    offsets = (
        np.arange(0, (count + 1) * width, width, dtype=np.int64) if width else np.zeros(count + 1, np.int64)
    )
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows))]
    return pa.Array.from_buffers(pa.large_binary(), count, buffers)


def _joined(parts: Sequence[Any], rows: int) -> "pa.Array":
    """The parts of each row, one after the other; a part is bytes for all rows, or an array."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    kind = pa.large_binary()
    arrays = [pa.scalar(part, kind) if isinstance(part, bytes) else part for part in parts]
    made = pc.binary_join_element_wise(*arrays, pa.scalar(b"", kind))
    return made if isinstance(made, pa.Array) else pa.array([made.as_py()] * rows, kind)
