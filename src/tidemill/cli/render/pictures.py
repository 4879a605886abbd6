"""Small images in a terminal: two pixels a character where it has colours, shades of grey text where not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console, RenderableType

_SHADES = " .:-=+*#%@"
_LARGEST = 4
"""Times that a small image is enlarged, at most."""


class Picture:
    """An image to be printed, as large as fits.

    Args:
        pixels: uint8 of shape ``(height, width, channels)``, 1 or 3 of them.
        lines: How many lines of the terminal it may take.
    """

    def __init__(self, pixels: "np.ndarray[Any, Any]", lines: int) -> None:
        self._pixels = pixels
        self._lines = max(lines, 4)

    def __rich_console__(self, console: "Console", options: Any) -> "Iterator[RenderableType]":
        """Draw it for this console."""
        from rich.text import Text  # noqa: PLC0415

        if console.color_system is None:
            # A character is twice as high as wide, so a pixel is two characters.
            small = self._pixels.shape[0]
            for row in _fitted(self._pixels, min(self._lines, small), options.max_width // 2).mean(axis=2):
                shades = "".join(2 * _SHADES[int(v) * len(_SHADES) // 256] for v in row)
                yield Text(shades.rstrip(), no_wrap=True)
            return
        pixels = _fitted(self._pixels, 2 * self._lines, options.max_width)
        for top, bottom in zip(pixels[::2], [*pixels[1::2], None], strict=False):
            yield _line(top, bottom)


def _line(top: "np.ndarray[Any, Any]", bottom: "np.ndarray[Any, Any] | None") -> Any:
    from rich.color import Color  # noqa: PLC0415
    from rich.style import Style  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    line = Text(no_wrap=True)
    for at, pixel in enumerate(top):
        under = None if bottom is None else Color.from_rgb(*_rgb(bottom[at]))
        line.append("▀", Style(color=Color.from_rgb(*_rgb(pixel)), bgcolor=under))
    return line


def _rgb(pixel: "np.ndarray[Any, Any]") -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in (pixel if len(pixel) == 3 else [pixel[0]] * 3))
    return red, green, blue


def _fitted(pixels: "np.ndarray[Any, Any]", height: int, width: int) -> "np.ndarray[Any, Any]":
    """The image enlarged by a whole number, or thinned out, to fit."""
    import numpy as np  # noqa: PLC0415

    times = min(height // pixels.shape[0], width // pixels.shape[1], _LARGEST)
    if times >= 1:
        return pixels.repeat(times, axis=0).repeat(times, axis=1)
    scale = max(pixels.shape[0] / height, pixels.shape[1] / width)
    rows = (np.arange(int(pixels.shape[0] / scale)) * scale).astype(int)
    columns = (np.arange(int(pixels.shape[1] / scale)) * scale).astype(int)
    return pixels[rows][:, columns]
