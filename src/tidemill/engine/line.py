"""Python objects between this process and another one that is ours, over a socket."""

import pickle
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_SIZE = struct.Struct("!Q")
_PIECE_BYTES = 64 * 1024


class Line:
    """One end of a socket.

    Who reads by ``heard`` never waits for the rest of a message: whoever sends it may be killed amid it, while a
    child of a step still holds the socket open.

    Attributes:
        is_over: Whether the other end has closed, and all that came of it was heard.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._come = bytearray()
        self.is_over = False

    def fileno(self) -> int:
        """The descriptor, to wait for."""
        return self._socket.fileno()

    def send(self, message: Any) -> None:
        """Send a message.

        Raises:
            OSError: Nobody is at the other end.
            Exception: Whatever ``pickle`` raises of what it cannot take. Then nothing was sent.
        """
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._socket.sendall(_SIZE.pack(len(data)) + data)

    def receive(self) -> Any:
        """Wait for the next message.

        Raises:
            EOFError: The other end has closed.
        """
        [size] = _SIZE.unpack(self._exactly(_SIZE.size))
        return pickle.loads(self._exactly(size))  # noqa: S301 - of our own process

    def heard(self, *, to_the_end: bool) -> Iterator[Any]:
        """The messages that are here by now.

        Args:
            to_the_end: Whether nothing more can come, so that all is heard. Else it is some: who talks without end
                keeps nobody here.
        """
        while not self.is_over:
            try:
                piece = self._socket.recv(_PIECE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                piece = b""
            self.is_over = not piece
            self._come += piece
            while (message := self._whole()) is not None:
                yield pickle.loads(message)  # noqa: S301 - of our own process
            if not to_the_end:
                return

    def close(self) -> None:
        """Let go of the socket."""
        with suppress(OSError):
            self._socket.close()

    def _whole(self) -> bytes | None:
        """The next message that has come; None while it has not wholly."""
        start = _SIZE.size
        if len(self._come) < start or len(self._come) < (end := start + _SIZE.unpack_from(self._come)[0]):
            return None
        data = bytes(self._come[start:end])
        del self._come[:end]
        return data

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._socket.recv(min(size - len(data), _PIECE_BYTES))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)
