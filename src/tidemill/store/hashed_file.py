"""A file whose SHA-256 is known when it is written: no second reading, and never whole in memory."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tidemill.core.names import Digest, digest_of_hex

_APART_BYTES = 1024 * 1024
"""Pieces from this size on are hashed by a thread while they are written; below it a thread costs more."""


class HashedFile:
    """A new file to write into. Not seekable."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._hasher = hashlib.sha256()
        self._thread: ThreadPoolExecutor | None = None
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append ``data``."""
        piece = memoryview(data).cast("B")
        if len(piece) < _APART_BYTES:
            self._hasher.update(piece)
            self._append(piece)
        else:
            self._thread = self._thread or ThreadPoolExecutor(1)
            hashed = self._thread.submit(self._hasher.update, piece)
            try:
                self._append(piece)
            finally:
                hashed.result()
        self.size_bytes += len(piece)
        return len(piece)

    @property
    def digest(self) -> Digest:
        """Of what was written so far."""
        return digest_of_hex(self._hasher.hexdigest())

    def close(self) -> None:
        """No more is written."""
        self._file.close()
        if self._thread is not None:
            self._thread.shutdown()

    def _append(self, piece: memoryview) -> None:
        while piece:
            piece = piece[self._file.write(piece) :]
