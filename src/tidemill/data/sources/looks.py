"""Whether a file's bytes show any cell that a fast reader of whole numbers takes, though something of it is lost."""

from typing import Any


class Looks:
    """Watches the bytes of a delimited file as they are read.

    Arrow reads ``007``, ``0x10``, ``-0`` and `` 5 `` as whole numbers. Where none of these stands anywhere, a column
    that it reads as whole numbers lost nothing, and needs no second look at its text.

    Args:
        delimiter: Between the cells.

    Attributes:
        suspicious: Whether such a cell was seen; it may be one of a text column.
    """

    def __init__(self, delimiter: str) -> None:
        self._edges = (ord(delimiter), ord("\n"), ord("\r"), ord('"'))
        self._before = b"\n"
        self.suspicious = False

    def see(self, data: bytes) -> None:
        """The next bytes; none at the end of a file."""
        if self.suspicious:
            return
        import numpy as np  # noqa: PLC0415

        # A cell may be cut in two between two readings: the last bytes are looked at again with the next.
        text = np.frombuffer(self._before + (data or b"\n"), np.uint8)
        self._before = text[-4:].tobytes() if data else b"\n"
        if len(text) < 4:
            return
        edge = np.zeros(len(text), bool)
        for mark in self._edges:
            edge |= text == mark
        at, after = edge[:-3], text[1:-2]
        second, third = text[2:-1], text[3:]
        zero = (after == ord("0")) & (_digit(second) | (second == ord("x")) | (second == ord("X")))
        minus = after == ord("-")
        below = minus & (second == ord("0")) & (third != ord("."))
        space = (text == ord(" ")) | ((text == ord("\t")) & ~edge)
        self.suspicious = bool(
            (at & (zero | below)).any() or (space[1:] & edge[:-1]).any() or (space[:-1] & edge[1:]).any()
        )


def _digit(text: Any) -> Any:
    return (text >= ord("0")) & (text <= ord("9"))
