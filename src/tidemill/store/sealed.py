"""Derived files that end in their own digest: one with other bytes than were written is no file, and is made anew."""

import contextlib
import hashlib
from pathlib import Path

from tidemill.core import identity
from tidemill.core.files import atomic_write
from tidemill.core.names import digest_of_hex
from tidemill.store.seen import Seen, mark_of

SEAL_BYTES = 32
_CHUNK = 1024 * 1024


class Sealed:
    """The derived files of one folder.

    Args:
        folder: Where they are.
        name: What the folder is called in the store, for ``seen``.
        seen: What this machine has looked at.

    Attributes:
        folder: The same.
    """

    def __init__(self, folder: Path, name: str, seen: Seen) -> None:
        self.folder = folder
        self._name = name
        self._seen = seen

    def put(self, name: str, data: bytes) -> bool:
        """Keep bytes; False where that cannot be (a store that may only be read, a full disk)."""
        path = self.folder / name
        digest = hashlib.sha256(data)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as part, part.open("wb") as file:
                file.write(data)
                file.write(digest.digest())
            self._seen.remember(self._key(name), digest_of_hex(digest.hexdigest()), mark_of(path))
            return True
        return False

    def is_whole(self, name: str, size: int) -> bool:
        """Whether a file is there, of so many bytes before its seal, and has the bytes that the seal says."""
        path = self.folder / name
        try:
            mark = mark_of(path)
            if not mark.startswith(f"{size + SEAL_BYTES} "):
                return False
            with path.open("rb") as file:
                file.seek(size)
                said = digest_of_hex(file.read().hex())
                if self._seen.knows(self._key(name), said, mark):
                    return True
                file.seek(0)
                found = identity.blob(file.read(size))
        except OSError:
            return False
        if said != found:
            return False
        self._seen.remember(self._key(name), said, mark)
        return True

    def remove_damaged(self) -> list[str]:
        """Read every file through, and remove those whose seal does not hold; their names."""
        found: list[str] = []
        for path in sorted(self.folder.glob("[!.]*")):
            with contextlib.suppress(OSError):
                with path.open("rb") as file:
                    left = max(path.stat().st_size - SEAL_BYTES, 0)
                    digest = hashlib.sha256()
                    while left and (some := file.read(min(left, _CHUNK))):
                        digest.update(some)
                        left -= len(some)
                    whole = file.read() == digest.digest()
                if not whole:
                    path.unlink()
                    found.append(path.name)
        return found

    def _key(self, name: str) -> str:
        return f"{self._name}/{name}"
