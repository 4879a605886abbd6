"""The deletion files of a Lance table, read: which rows of a data file a version does not have.

A few are a column of an Arrow file; from some thousands on, a Roaring bitmap in its portable form
(https://github.com/RoaringBitmap/RoaringFormatSpec): containers of 65,536 numbers each, by their upper 16 bits.
"""

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_WITH_RUNS = 12347
_WITHOUT_RUNS = 12346
_OFFSETS_FROM = 4
"""A bitmap with runs has no table of offsets, if it has fewer containers than this."""
_ARRAY_MOST = 4096


def read(name: str, data: bytes) -> "np.ndarray[Any, Any]":
    """The offsets in a deletion file, ascending; uint32."""
    import numpy as np  # noqa: PLC0415

    if name.endswith(".arrow"):
        import pyarrow as pa  # noqa: PLC0415

        found = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        return np.sort(found.column("row_id").to_numpy())
    return roaring(data)


def roaring(data: bytes) -> "np.ndarray[Any, Any]":
    """The numbers in a portable Roaring bitmap, ascending; uint32."""
    import numpy as np  # noqa: PLC0415

    (cookie,) = struct.unpack_from("<I", data)
    runs = np.zeros(0, bool)
    if cookie & 0xFFFF == _WITH_RUNS:
        count, at = (cookie >> 16) + 1, 4
        flags = np.frombuffer(data, np.uint8, (count + 7) // 8, at)
        runs = np.unpackbits(flags, bitorder="little")[:count].astype(bool)
        at += len(flags)
    else:
        assert cookie == _WITHOUT_RUNS, f"no Roaring bitmap: cookie {cookie}"
        (count,), at = struct.unpack_from("<I", data, 4), 8
        runs = np.zeros(count, bool)
    header = np.frombuffer(data, "<u2", 2 * count, at).astype(np.uint32).reshape(count, 2)
    at += 4 * count
    if cookie == _WITHOUT_RUNS or count >= _OFFSETS_FROM:
        at += 4 * count
    parts = [np.zeros(0, np.uint32)]
    for (key, less_one), is_runs in zip(header.tolist(), runs.tolist(), strict=True):
        if is_runs:
            (pairs,) = struct.unpack_from("<H", data, at)
            spans = np.frombuffer(data, "<u2", 2 * pairs, at + 2).astype(np.uint32).reshape(pairs, 2)
            low = np.concatenate([np.arange(s, s + n + 1, dtype=np.uint32) for s, n in spans.tolist()])
            at += 2 + 4 * pairs
        elif less_one < _ARRAY_MOST:
            low = np.frombuffer(data, "<u2", less_one + 1, at).astype(np.uint32)
            at += 2 * (less_one + 1)
        else:
            bits = np.unpackbits(np.frombuffer(data, np.uint8, 8192, at), bitorder="little")
            low = np.flatnonzero(bits).astype(np.uint32)
            at += 8192
        parts.append(low | np.uint32(key << 16))
    return np.concatenate(parts)
