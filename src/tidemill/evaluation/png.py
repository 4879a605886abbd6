"""Small PNG images from arrays, with nothing but ``zlib``."""

import struct
import zlib
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 3: 2}


def encode(image: "np.ndarray[Any, Any]") -> bytes:
    """An image as a PNG file; equal images give equal bytes.

    Args:
        image: Shape ``(height, width)``, ``(height, width, 1)`` or ``(height, width, 3)``. ``uint8`` as it
            is; other numbers within 0 to 1 are stretched to 0 to 255, within 0 to 255 taken as they are,
            and else stretched from their least to their greatest.

    Raises:
        InvalidInput: ``not-an-image``.
    """
    import numpy as np  # noqa: PLC0415

    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in _COLOUR_TYPES or not pixels.size:
        raise InvalidInput(
            f"An array of shape {list(np.shape(image))} is not an image.",
            hint="Give (height, width), or (height, width, 3) for colour.",
            code=codes.NOT_AN_IMAGE,
        )
    pixels = as_bytes(pixels)
    height, width, channels = pixels.shape
    # Each line begins with the number of its filter; 0 is none.
    lines = np.zeros((height, 1 + width * channels), np.uint8)
    lines[:, 1:] = pixels.reshape(height, width * channels)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    return (
        _SIGNATURE
        + _piece(b"IHDR", header)
        + _piece(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + _piece(b"IEND", b"")
    )


def is_image_shape(shape: tuple[int, ...]) -> bool:
    """Whether a cell of this shape can be drawn."""
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in _COLOUR_TYPES)


def as_bytes(pixels: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Pixels of any number type as ``uint8``, as ``encode`` takes them; of the same shape."""
    import numpy as np  # noqa: PLC0415

    if pixels.dtype == np.uint8:
        return pixels
    numbers = np.nan_to_num(pixels.astype(np.float64))
    low, high = float(numbers.min()), float(numbers.max())
    if low >= 0 and high <= 1:
        numbers = numbers * 255
    elif low < 0 or high > 255:
        numbers = (numbers - low) * (255 / (high - low)) if high > low else np.zeros_like(numbers)
    return np.rint(numbers).astype(np.uint8)


def _piece(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
