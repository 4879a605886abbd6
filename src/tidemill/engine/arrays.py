"""NumPy arrays between steps: the bytes that ``numpy.save`` writes, memory-mapped when read.

Kept are values, shape and type, byte order too. The order in memory is not: an array comes back in C order.
"""

from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import Failed
from tidemill.core.kinds import full_type_name
from tidemill.core.names import Digest
from tidemill.engine.orders import Saved
from tidemill.store.blobs import Blobs

if TYPE_CHECKING:
    from tidemill.store.hashed_file import HashedFile

_PIECE_BYTES = 16 * 1024 * 1024
_X87_BYTES = 10
"""Of the 16 bytes of x86's ``longdouble``; the other six are whatever lay in memory."""


def save(blobs: Blobs, array: Any, step: str, output: str) -> Saved:
    """Store an array.

    Raises:
        Failed: ``no-artifact-kind``, for one that would not come back as it is.
    """
    import numpy as np  # noqa: PLC0415

    hint = _way_out(array)
    if hint is not None:
        kind = f"{full_type_name(array)} of type {array.dtype}"
        raise Failed(
            f"Step '{step}' returned a {kind} as '{output}', which has no place in the store.",
            why="A later step must get the same array, of the same type, without running any code to read it.",
            hint=hint,
            code=codes.NO_ARTIFACT_KIND,
            details={"step": step, "output": output, "type": kind},
        )
    array = _without_padding(np.asarray(array))
    with blobs.writer() as out:
        _write(out, array)
    return Saved(out.digest, "array", out.size_bytes, {"dtype": str(array.dtype), "shape": list(array.shape)})


def load(blobs: Blobs, digest: Digest) -> Any:
    """The array, read-only: a map of the stored file."""
    import numpy as np  # noqa: PLC0415

    return np.load(blobs.path(digest), mmap_mode="r", allow_pickle=False).view(np.ndarray)


def _way_out(array: Any) -> str | None:
    """What to return instead of an array that would not come back as it is; None for any other."""
    import numpy as np  # noqa: PLC0415

    if isinstance(array, np.ma.MaskedArray):
        return "Return {'data': array.data, 'mask': array.mask}."
    if type(array) not in (np.ndarray, np.memmap):
        return "Return numpy.asarray(...) of it."
    if array.dtype.kind == "T":
        return "Return array.astype(str), or array.tolist()."
    if array.dtype.hasobject:
        return "Return array.tolist(), or give it a type: array.astype(str), array.astype(float)."
    if array.dtype.names is not None:
        layout = np.lib.format
        try:
            is_kept = layout.descr_to_dtype(layout.dtype_to_descr(array.dtype)) == array.dtype
        except (TypeError, ValueError):
            is_kept = False
        return None if is_kept else "Return {name: array[name] for name in array.dtype.names}."
    return None


def _without_padding(array: Any) -> Any:
    """``array``, in a copy whose unused bytes are zero where its type has such: equal arrays have one digest."""
    import numpy as np  # noqa: PLC0415

    if array.dtype.kind not in "fc" or array.dtype.char not in "gG" or np.finfo(np.longdouble).nmant != 63:
        return array
    array = np.array(array, order="C", ndmin=1, subok=False).reshape(array.shape)
    bytes_of_each = array.reshape(-1).view(np.uint8).reshape(-1, np.dtype(np.longdouble).itemsize)
    bytes_of_each[:, _X87_BYTES:] = 0
    return array


def _write(out: "HashedFile", array: Any) -> None:
    """The bytes that ``numpy.save`` writes of the array in C order, piece by piece."""
    import numpy as np  # noqa: PLC0415

    layout = np.lib.format
    if array.flags.c_contiguous or array.dtype.names is not None:
        # NumPy warns where it chooses the version that has names of fields in any script.
        version = None if str(array.dtype).isascii() else (3, 0)
        layout.write_array(out, np.asarray(array, order="C"), version, allow_pickle=False)
        return
    # Any other layout is put into C order a piece at a time: the same values, the same digest.
    layout.write_array_header_1_0(out, {**layout.header_data_from_array_1_0(array), "fortran_order": False})
    pieces: Any = np.nditer(
        array,
        flags=["external_loop", "buffered", "zerosize_ok"],
        buffersize=max(1, _PIECE_BYTES // max(1, array.itemsize)),
        order="C",
    )
    for piece in pieces:
        out.write(piece.tobytes())
