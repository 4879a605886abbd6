"""Objects as plain files in a folder."""

# ruff: noqa: D102 - the port's methods say what every place's do

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tidemill.core import identity
from tidemill.core.files import PART, atomic_write
from tidemill.core.names import Digest
from tidemill.store.faults import translated
from tidemill.store.objects import Entry, Objects, changed, missing

_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class Folder(Objects):
    """Objects as plain files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def address(self) -> str:
        return str(self._folder)

    @property
    def options(self) -> dict[str, str]:
        return {}

    def get(self, key: str) -> tuple[bytes, str] | None:
        with translated(self.address):
            try:
                data = self.path(key).read_bytes()
            except _NO_FILE:
                return None
        return data, _tag(data)

    def look(self, key: str) -> Entry | None:
        with translated(self.address):
            try:
                about = self.path(key).stat()
            except _NO_FILE:
                return None
        if not stat.S_ISREG(about.st_mode):
            return None
        return Entry(key, about.st_size, datetime.fromtimestamp(about.st_mtime, UTC))

    def read_through(self, key: str) -> tuple[Digest, Entry] | None:
        entry = self.look(key)
        if entry is None:
            return None
        with translated(self.address):
            try:
                return identity.file(self.path(key)), entry
            except _NO_FILE:
                return None

    def put(self, key: str, data: bytes) -> None:
        with self._written(key) as part:
            part.write_bytes(data)

    def put_if(self, key: str, data: bytes, etag: str | None) -> str:
        target = self.path(key)
        with translated(self.address):
            target.parent.mkdir(parents=True, exist_ok=True)
        # The folder itself is the lock: nothing to make, nothing to leave behind, freed with its holder.
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            there = self.get(key)
            if (there[1] if there else None) != etag:
                raise changed(self.address, key)
            self.put(key, data)
        finally:
            os.close(handle)
        return _tag(data)

    def put_file(self, key: str, path: Path) -> None:
        with self._written(key) as part:
            shutil.copyfile(path, part)

    def get_file(self, key: str, path: Path) -> None:
        source = self.path(key)
        if not source.is_file():
            raise missing(self.address, key)
        Folder(path.parent).put_file(path.name, source)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        try:
            found = list(os.scandir(self._folder / prefix))
        except _NO_FILE:
            return
        # As S3 orders them: by the whole key.
        for each in sorted(found, key=lambda e: e.name + "/" * e.is_dir()):
            key = f"{prefix}/{each.name}".lstrip("/")
            if each.is_dir():
                yield from self.list(key)
            elif not each.name.endswith(PART) and (entry := self.look(key)):
                yield entry

    def delete(self, keys: Sequence[str]) -> None:
        with translated(self.address):
            for key in keys:
                self.path(key).unlink(missing_ok=True)

    def uri(self, prefix: str) -> tuple[str, dict[str, str]]:
        return str(self._folder / prefix), {}

    def path(self, key: str) -> Path:
        return self._folder / key

    @contextmanager
    def _written(self, key: str) -> Generator[Path]:
        """A file to write, which takes the object's place at the end, or goes."""
        target = self.path(key)
        with translated(self.address):
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as part:
                yield part


def _tag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
