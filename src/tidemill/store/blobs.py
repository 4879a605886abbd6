"""Immutable bytes, named by their SHA-256. Written whole or not at all; the same bytes are stored once.

A blob of a folder store is a plain file (``blobs/sha256/ab/<64 hex>``), so that it can be
memory-mapped; that is what ``path`` is for.
"""

import errno
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core.errors import NotFound, StorageError
from tidemill.core.identity import blob as digest_of
from tidemill.core.names import Digest

if TYPE_CHECKING:
    from obstore.store import LocalStore

_PIECE_BYTES = 8 * 1024 * 1024
_HEX_DIGITS = 64


class Blobs:
    """The content-addressed part of a store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: LocalStore | None = None

    @property
    def _store(self) -> "LocalStore":
        if self._opened is None:
            from obstore.store import LocalStore  # noqa: PLC0415 - loads only when a blob is touched

            self._folder.mkdir(parents=True, exist_ok=True)
            self._opened = LocalStore(str(self._folder))
        return self._opened

    def put(self, data: bytes | memoryview) -> Digest:
        """Store ``data``; storing it twice costs one look.

        Raises:
            StorageError: ``disk-full`` or ``storage``; then nothing is stored.
        """
        digest = digest_of(data)
        if not self.exists(digest):
            with _translated(self._folder):
                self._store.put(_key(digest), bytes(data))
        return digest

    def put_file(self, path: Path) -> Digest:
        """Store the bytes of a file without reading it into memory at once. ``path`` stays."""
        hasher = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                hasher.update(piece)
        digest = Digest("sha256:" + hasher.hexdigest())
        if not self.exists(digest):
            with _translated(self._folder), path.open("rb") as file:
                self._store.put(_key(digest), file)
        return digest

    def adopt_file(self, path: Path, digest: Digest) -> None:
        """Move a finished file of the same disk in as blob ``digest``, which the caller has computed."""
        target = self.path_of(digest)
        with _translated(self._folder):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)

    def scratch(self) -> Path:
        """A fresh file name on the blobs' own disk, for ``adopt_file``."""
        folder = self._folder / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / secrets.token_hex(8)

    def get(self, digest: Digest) -> bytes:
        """The bytes of a blob.

        Raises:
            NotFound: ``blob-not-found``.
        """
        return self.path(digest).read_bytes()

    def path(self, digest: Digest) -> Path:
        """A local file with the blob's bytes, for memory-mapping. Never write to it.

        Raises:
            NotFound: ``blob-not-found``.
        """
        path = self.path_of(digest)
        if not path.is_file():
            raise NotFound(
                f"The store holds no blob {digest}.",
                why="It was removed, or the store was copied in part.",
                hint="Type 'tidemill doctor' to see what else is missing.",
                code="blob-not-found",
            )
        return path

    def path_of(self, digest: Digest) -> Path:
        """Where the blob is or would be."""
        return self._folder / _key(digest)

    def exists(self, digest: Digest) -> bool:
        """Whether the blob is stored."""
        return self.path_of(digest).is_file()

    def size_bytes(self, digest: Digest) -> int:
        """The blob's length."""
        return self.path(digest).stat().st_size

    def verify(self, digest: Digest) -> bool:
        """Whether the stored bytes still have this digest."""
        hasher = hashlib.sha256()
        with self.path(digest).open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                hasher.update(piece)
        return digest == "sha256:" + hasher.hexdigest()

    def delete(self, digest: Digest) -> None:
        """Remove a blob; one that is not there is no error."""
        self.path_of(digest).unlink(missing_ok=True)

    def all(self) -> Iterator[Digest]:
        """Every stored digest, in no order."""
        for path in self._folder.glob("sha256/*/*"):
            if len(path.name) == _HEX_DIGITS:
                yield Digest(f"sha256:{path.name}")

    def remove_unfinished(self, *, older_than_seconds: float = 24 * 3600.0) -> None:
        """Remove what killed writers left: files that were never given their digest as a name."""
        before = time.time() - older_than_seconds
        for path in (*self._folder.glob("tmp/*"), *self._folder.glob("sha256/*/*")):
            finished = path.parent.name != "tmp" and len(path.name) == _HEX_DIGITS
            if not finished and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)


def _key(digest: Digest) -> str:
    algorithm, _, text = digest.partition(":")
    return f"{algorithm}/{text[:2]}/{text}"


class _translated:  # noqa: N801 - reads as a statement
    """Turns a failed write into a ``StorageError`` that names the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or not isinstance(error, Exception):
            return
        number = getattr(error, "errno", None)
        if number == errno.ENOSPC or "No space left" in str(error) or "os error 28" in str(error):
            raise StorageError(
                f"The disk that holds {self._folder} is full.",
                hint="Free space (perhaps 'tidemill gc'), then run the same command again.",
                code="disk-full",
            ) from error
        raise StorageError(f"Cannot write to {self._folder}: {error}.", code="storage") from error
