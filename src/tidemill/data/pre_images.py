"""What is hashed to name rows, built for many rows at once: the bytes that ``core.identity`` would write for each.

Arrow joins the parts of all rows in one pass, so that what is left to do for a row is its hash.
"""

import hashlib
import itertools
import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.data.cell_images import cells, digits, fixed, float_bytes, joined, sized
from tidemill.store.table import SYSTEM_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_DIGEST_BYTES = 8


def content(arrow: "pa.Table") -> "pa.Array":
    """Each row's content as ``core.identity`` writes it: a list of ``cells_of`` all columns but the system's."""
    return cells_of(arrow, [c for c in arrow.column_names if c not in SYSTEM_COLUMNS])


def cells_of(arrow: "pa.Table", names: Sequence[str]) -> "pa.Array":
    """The cells of some columns for each row, as ``core.identity`` writes a list of them.

    The bytes of all fixed-width cells, in column order, missing ones as zeros; which of these are missing,
    as bits, or None when none is; then each other cell: a text, bytes, or what ``core.identity.cell`` makes of a
    decimal, a UUID, a list or a record.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    rows = arrow.num_rows
    data: list[np.ndarray[Any, Any]] = [np.zeros((rows, 0), np.uint8)]
    missing: list[np.ndarray[Any, Any]] = [np.zeros((rows, 0), bool)]
    texts: list[Any] = []
    for column in (arrow.column(name).combine_chunks() for name in names):
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        if pa.types.is_null(array.type):
            texts.append([b"n"])
        elif _is_text(array.type):
            texts.append(sized(_letter(array.type), array))
        elif _is_written(array.type):
            texts.append(_written(array))
        else:
            values, absent = _values(array)
            data.append(np.ascontiguousarray(values).view(np.uint8).reshape(rows, -1))
            missing.append(absent)
    packed, absent = np.concatenate(data, axis=1), np.concatenate(missing, axis=1)
    parts = [
        _list_of(2 + len(texts)),
        _header(b"b", packed.shape[1]),
        fixed(packed),
        *(_bits(absent) if absent.any() else [b"n"]),
        *(part for text in texts for part in text),
    ]
    return joined(parts, rows)


def _is_written(kind: Any) -> bool:
    """Whether a cell is neither of fixed width nor a text."""
    import pyarrow as pa  # noqa: PLC0415

    inner = kind.value_type if pa.types.is_fixed_size_list(kind) else kind
    return any(
        test(inner)
        for test in (
            lambda k: isinstance(k, pa.BaseExtensionType),
            pa.types.is_decimal,
            pa.types.is_nested,
        )
    )


def _written(array: Any) -> list[Any]:
    """What ``core.identity.cell`` makes of each cell, as parts; None for one that is missing."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    images = joined([_begin("cell/1"), cells(array)], len(array))
    if array.null_count and not pa.types.is_fixed_size_list(array.type):
        images = pc.if_else(array.is_null(), pa.scalar(None, images.type), images)
    return sized(b"b", images)


def _bits(absent: "np.ndarray[Any, Any]") -> list[Any]:
    """Which cells of each row are missing, as parts; None for a row that lacks none."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    some = pa.array(np.asarray(absent.any(axis=1)))
    bits = fixed(np.packbits(absent, axis=1))
    return sized(b"b", pc.if_else(some, bits, pa.scalar(None, bits.type)))


def occurring(contents: "pa.Array", occurrences: "pa.Array | None") -> "pa.Array":
    """The pre-images of rows with this content, and which of their equals they are; None: all are the first."""
    import pyarrow as pa  # noqa: PLC0415

    last = [_header(b"i", 1) + b"0"] if occurrences is None else sized(b"i", occurrences.cast(pa.string()))
    return joined([_begin("row/1") + _list_of(2), contents, *last], len(contents))


def with_ids(ids: "np.ndarray[Any, Any]", cells: "pa.Array") -> "pa.Array":
    """The pre-images of ``core.identity.data_row``: of each row's ``_id`` and cells."""
    import numpy as np  # noqa: PLC0415

    written = fixed(ids.astype(">u8").view(np.uint8).reshape(-1, 8))
    return joined([_begin("data-row/1") + _list_of(2) + _header(b"b", 8), written, cells], len(cells))


def keyed(columns: "pa.Table") -> "pa.Array":
    """The pre-image of each row's key."""
    parts = [_begin("key/1") + _list_of(columns.num_columns)]
    for column in columns.columns:
        parts += _key_cell(column.combine_chunks())
    return joined(parts, columns.num_rows)


def _key_cell(array: Any) -> list[Any]:
    """A key's cells, as parts; a date or time by its ISO text."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    kind = array.type
    if pa.types.is_boolean(kind):
        letters = [pa.scalar(letter, pa.large_binary()) for letter in (b"t", b"f")]
        return [pc.if_else(array, *letters)]
    if pa.types.is_integer(kind):
        return sized(b"i", array.cast(pa.string()))
    if pa.types.is_floating(kind):
        return [b"d", fixed(float_bytes(array))]
    if pa.types.is_decimal(kind):
        return sized(b"s", digits(array))
    if _is_text(kind):
        return sized(_letter(kind), array)
    fine = getattr(kind, "unit", "") == "ns" and not pa.types.is_duration(kind)
    texts = _fine_texts(array) if fine else [str(cell) for cell in array.to_pylist()]
    return sized(b"s", pa.array(texts, pa.string()))


def _fine_texts(array: Any) -> list[str]:
    """Times of nanoseconds in ISO form, as Python writes them: with as many places as the cell needs."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    kind = array.type
    coarse = pa.time64("us") if pa.types.is_time(kind) else pa.timestamp("us", kind.tz)
    micros, nanos = np.divmod(array.view(pa.int64()).to_numpy(zero_copy_only=False), 1000)
    texts: list[str] = []
    for cell, rest in zip(pa.array(micros).view(coarse).to_pylist(), nanos.tolist(), strict=True):
        text = str(cell)
        if rest:
            second = 8 if pa.types.is_time(kind) else 19
            end = second + 7 if text[second : second + 1] == "." else second
            text = f"{text[:second]}{text[second:end] or '.000000'}{rest:03}{text[end:]}"
        texts.append(text)
    return texts


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
            pa.types.is_fixed_size_binary,
        )
    )


def hashes(pre_images: "pa.Array") -> "np.ndarray[Any, Any]":
    """The 64-bit identity of each; uint64."""
    import numpy as np  # noqa: PLC0415

    blake = hashlib.blake2b
    found = b"".join(blake(image, digest_size=_DIGEST_BYTES).digest() for image in _each(pre_images))
    return np.frombuffer(found, ">u8").astype(np.uint64)


def sha256(pre_images: "pa.Array") -> "np.ndarray[Any, Any]":
    """The SHA-256 of each; uint8, rows x 32."""
    import numpy as np  # noqa: PLC0415

    one = hashlib.sha256
    found = b"".join(one(image).digest() for image in _each(pre_images))
    return np.frombuffer(found, np.uint8).reshape(-1, 32)


def _each(pre_images: "pa.Array") -> Iterator[memoryview]:
    import numpy as np  # noqa: PLC0415

    count = len(pre_images)
    if not count:
        return
    assert pre_images.offset == 0
    _, offsets, data = pre_images.buffers()
    view = memoryview(data or b"")
    for start, end in itertools.pairwise(np.frombuffer(offsets, np.int64, count + 1).tolist()):
        yield view[start:end]


def _list_of(members: int) -> bytes:
    """How a list of so many members begins."""
    return b"l" + struct.pack(">Q", members)


def _header(letter: bytes, size: int) -> bytes:
    """How so many bytes begin: a type letter, and their number."""
    return letter + struct.pack(">Q", size)


def _begin(tag: str) -> bytes:
    """How the pre-image of a kind of identity begins."""
    return identity.pre_image(tag, None)[:-1]
