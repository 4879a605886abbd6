"""Named bytes in one place: the port that everything in a store is kept through.

A key is a relative path such as ``datasets/fashion.lance/_tidemill/refs.json``. An object is written whole or
not at all, and whoever reads sees the old bytes or the new ones. ``put_if`` is the compare-and-swap that
makes one writer of two lose, so that it can look again. Not for bytes that are named by their own digest:
those are ``Blobs``, which stand on this.
"""

import os
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tidemill.core import codes, identity
from tidemill.core.errors import Conflict, NotFound
from tidemill.core.files import PART
from tidemill.core.names import Digest
from tidemill.store.faults import translated


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a listing has it.

    Attributes:
        modified: When it was last written, in UTC.
        etag: What a bucket calls these bytes; None where objects are files.
    """

    key: str
    size_bytes: int
    modified: datetime
    etag: str | None = None


class Objects(ABC):
    """Named bytes under one address."""

    @property
    @abstractmethod
    def address(self) -> str:
        """The folder, or ``s3://bucket/prefix``."""

    @property
    @abstractmethod
    def options(self) -> dict[str, str]:
        """How the place is reached, as ``open_objects`` takes it; there are secrets in it."""

    @abstractmethod
    def get(self, key: str) -> tuple[bytes, str] | None:
        """An object's bytes and its tag for ``put_if``; None where there is none."""

    @abstractmethod
    def look(self, key: str) -> Entry | None:
        """An object's size and time; None where there is none."""

    @abstractmethod
    def read_through(self, key: str) -> tuple[Digest, Entry] | None:
        """The SHA-256 of an object's bytes, never whole in memory, and what a listing has of it; None where there is none."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write an object, in place of an older one."""

    @abstractmethod
    def put_if(self, key: str, data: bytes, etag: str | None) -> str:
        """Write an object only if it is still the one that ``get`` saw; None: only if there is none.

        Where the answer of a server was lost and these very bytes are there, they are taken to be ours.

        Returns:
            The new object's tag.

        Raises:
            Conflict: ``object-changed``; then nothing was written.
        """

    @abstractmethod
    def put_file(self, key: str, path: Path) -> None:
        """Write a file's bytes as an object, without reading it into memory at once."""

    @abstractmethod
    def get_file(self, key: str, path: Path) -> None:
        """Write an object's bytes to a file, which appears whole.

        Raises:
            NotFound: ``object-not-found``.
        """

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every object under a folder (``""``: all), by key."""

    @abstractmethod
    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; one that is not there is no error."""

    @abstractmethod
    def uri(self, prefix: str) -> tuple[str, dict[str, str]]:
        """Where a folder of objects is, as Lance takes it: its URI, and the options to reach it."""

    @abstractmethod
    def path(self, key: str) -> Path | None:
        """The object's own file, where objects are files."""

    def copy(self, key: str, to: "Objects", digest: Digest | None = None) -> bool:
        """Write an object under the same key of another place, without reading it into memory at once.

        Args:
            key: Of the object.
            to: The other place.
            digest: What its bytes must have; None takes them as they are.

        Returns:
            Whether it was so; else nothing is written there.

        Raises:
            NotFound: ``object-not-found``.
        """
        here, there = self.path(key), to.path(key)
        if there is not None:
            # What is looked at is what arrived.
            part = there.with_name(f".{there.name}.{secrets.token_hex(4)}{PART}")
            with translated(to.address):
                try:
                    self.get_file(key, part)
                    whole = digest is None or identity.file(part) == digest
                    if whole:
                        os.replace(part, there)
                finally:
                    part.unlink(missing_ok=True)
            return whole
        if here is not None:
            if not here.is_file():
                raise missing(self.address, key)
            return _put(here, key, to, digest)
        with tempfile.TemporaryDirectory() as folder:
            self.get_file(key, Path(folder, "object"))
            return _put(Path(folder, "object"), key, to, digest)


def _put(path: Path, key: str, to: Objects, digest: Digest | None) -> bool:
    whole = digest is None or identity.file(path) == digest
    if whole:
        to.put_file(key, path)
    return whole


def changed(address: str, key: str) -> Conflict:
    """Another writer was first: ``object-changed``."""
    return Conflict(
        f"{address}/{key} was changed by another writer at the same moment.",
        hint="Run the same command again.",
        code=codes.OBJECT_CHANGED,
    )


def missing(address: str, key: str) -> NotFound:
    """There is no such object: ``object-not-found``."""
    return NotFound(
        f"There is no {key} in {address}.",
        why="It was removed, or the store was copied in part.",
        hint="Type 'tidemill doctor' to see what else is missing.",
        code=codes.OBJECT_NOT_FOUND,
    )
