"""Immutable bytes, named by their SHA-256. Written whole or not at all; the same bytes are stored once.

A blob is read as a plain file, so that it can be memory-mapped; that is what ``path`` is for. In a folder
that is the object's own file. A blob of a remote store is fetched into this machine's cache once, checked
against its digest, and stays there: the cache has no limit of its own, and can be deleted at any time.
"""

import copy
import json
import os
import secrets
import shutil
import socket
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes, identity
from tidemill.core.errors import Conflict, NotFound, StorageError, TidemillError
from tidemill.core.names import Digest, digest_of_hex
from tidemill.store import damage, overlay
from tidemill.store.address import open_objects
from tidemill.store.faults import translated
from tidemill.store.hashed_file import HashedFile
from tidemill.store.objects import Entry, Objects
from tidemill.store.seen import Seen, Verify, mark_of

if TYPE_CHECKING:
    from tidemill.store.marks import Marks

_FOLDER = "blobs"
_INSTEAD = "replaced"
"""Objects by the digest of a blob whose bytes are gone: which blob took its place."""
_HEX_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Place:
    """Where blobs are, as it is told to another process.

    Attributes:
        address: Of the store; of a folder its whole path.
        local: The folder where this machine keeps copies of a remote store's.
        options: How to reach it: a process that was started earlier has another environment. None: as the
            process's own environment says.
        verify: When what is read is held against its digest.
    """

    address: str
    local: str
    options: Mapping[str, str] | None = field(default=None, repr=False)
    verify: Verify = "first"


class Blobs:
    """The content-addressed part of a store.

    Args:
        objects: The store's.
        local: The folder where this machine keeps copies, where the objects are no files.
        marks: Which of them are to be removed; None where none is ever marked, and in a process that only computes.
        seen: What this machine has looked at; None: as ``local`` remembers it.

    Attributes:
        read_bytes: Of the blobs that were asked for through this object, each time.
        written_bytes: Of the blobs that were added through it; of what was there already, none.
    """

    def __init__(
        self, objects: Objects, local: Path, marks: "Marks | None" = None, seen: Seen | None = None
    ) -> None:
        self._objects = objects
        self.marks = marks
        self._seen = seen or Seen(local)
        self._local = local
        own = objects.path(_FOLDER)
        self._folder = local / "cache" / _FOLDER if own is None else own
        self._remote = own is None
        below = overlay.beneath(objects)
        self._below = Blobs(open_objects(below["address"]), Path(below["local"])) if below else None
        self.read_bytes = 0
        self.written_bytes = 0

    @classmethod
    def at(cls, place: Place) -> "Blobs":
        """The blobs that another process has at ``place``; the way there is found once, for all that ask in turn."""
        global _latest  # noqa: PLW0603 - a worker is given order after order of one store
        known = _latest
        if known is None or known[0] != place:
            local = Path(place.local)
            found = cls(open_objects(place.address, place.options), local, seen=Seen(local, place.verify))
            known = _latest = place, found
        blobs = copy.copy(known[1])
        blobs.read_bytes = blobs.written_bytes = 0
        return blobs

    @cached_property
    def place(self) -> Place:
        """Where they are, for another process."""
        # Another process, and a step, may have another working directory.
        root = self._objects.path("")
        address = self._objects.address if root is None else str(root.absolute())
        return Place(address, str(self._local.absolute()), self._objects.options, self._seen.verify)

    def put(self, data: bytes | memoryview) -> Digest:
        """Store ``data``; storing it twice costs one look. What is stored already and damaged is written again.

        Raises:
            StorageError: ``disk-full``, ``storage`` or ``store-unreachable``; then nothing is stored.
        """
        digest = identity.blob(data)
        if not self._is_own_whole(digest):
            stored = bytes(data)
            self._objects.put(_key(digest), stored)
            self._was_written(digest)
            self.written_bytes += len(stored)
        return digest

    def put_file(self, path: Path) -> Digest:
        """Store the bytes of a file without reading it into memory at once. ``path`` stays."""
        digest = identity.file(path)
        if not self._is_own_whole(digest):
            self._objects.put_file(_key(digest), path)
            self._was_written(digest)
            self.written_bytes += path.stat().st_size
        return digest

    @contextmanager
    def writer(self) -> Generator[HashedFile]:
        """A file to write, which is a blob at the end: hashed on the way, never whole in memory.

        Raises:
            StorageError: ``disk-full``, ``storage`` or ``store-unreachable``; then nothing is stored.
        """
        path = self.scratch()
        try:
            with translated(str(self._folder)):
                out = HashedFile(path)
                try:
                    yield out
                finally:
                    out.close()
            if not self._is_own_whole(out.digest):
                self.adopt_file(path, out.digest)
        finally:
            path.unlink(missing_ok=True)

    def adopt_file(self, path: Path, digest: Digest) -> None:
        """Move a finished file of ``scratch`` in as blob ``digest``, which the caller has computed."""
        if self._remote:
            self._objects.put_file(_key(digest), path)
        target = self.path_of(digest)
        with translated(str(self._folder)):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
            self._seen.remember(_key(digest), digest, mark_of(target))
            self.written_bytes += target.stat().st_size

    def scratch(self) -> Path:
        """A fresh file name on the blobs' own disk, for ``adopt_file``."""
        with translated(str(self._folder)):
            self.unfinished.mkdir(parents=True, exist_ok=True)
        return self.unfinished / f"{_writer(os.getpid())}{secrets.token_hex(8)}"

    @property
    def unfinished(self) -> Path:
        """The folder of ``scratch``; it may not be there yet."""
        return self._folder / "tmp"

    def get(self, digest: Digest) -> bytes:
        """The bytes of a blob.

        Raises:
            NotFound: ``blob-not-found``.
            StorageError: ``blob-damaged``, when they are not those that were stored.
        """
        path = self._replaced(digest, self._found)
        with translated(str(path)):
            data = path.read_bytes()
        if (found := identity.blob(data)) != digest and found != self.instead_of(digest):
            raise _damaged(digest)
        return data

    @contextmanager
    def reading(self, digest: Digest) -> Generator[None]:
        """Tells what fails inside as damage, where the blob's bytes are not those that were stored.

        A blob that is mapped into memory is not read as a whole, so it is looked at only when something failed.

        Raises:
            StorageError: ``blob-damaged``.
        """
        try:
            yield
        except TidemillError:
            raise
        except Exception as error:
            path = self.path_of(digest)
            if path.is_file() and identity.file(path) != digest:
                raise _damaged(digest) from error
            raise

    def path(self, digest: Digest) -> Path:
        """A local file with the blob's bytes, for memory-mapping. Never write to it.

        Raises:
            NotFound: ``blob-not-found``.
            StorageError: ``blob-damaged``, when a remote store holds other bytes under this digest.
        """
        return self._replaced(digest, self._whole)

    def _replaced(self, digest: Digest, find: Callable[[Digest], Path]) -> Path:
        """What ``find`` finds of a blob, or of the one that took its place."""
        try:
            return find(digest)
        except NotFound as error:
            instead = self.instead_of(digest) if error.code == codes.BLOB_NOT_FOUND else None
            if instead is None:
                raise
            return self._replaced(instead, find)

    def _whole(self, digest: Digest) -> Path:
        """The file of a blob, which was held against its digest on this machine."""
        path = self._found(digest)
        if self._is_file_whole(digest, path):
            return path
        if self._remote and path == self.path_of(digest):
            # The copy has turned; the store's own may be as it was.
            path.unlink(missing_ok=True)
            return self._found(digest)
        raise _damaged(digest)

    def _is_file_whole(self, digest: Digest, path: Path, *, again: bool = False) -> bool:
        with translated(str(path)):
            return self._seen.is_whole(_key(digest), path, digest, again=again)

    def _was_written(self, digest: Digest) -> None:
        if not self._remote:
            self._seen.remember(_key(digest), digest, mark_of(self.path_of(digest)))

    def _found(self, digest: Digest) -> Path:
        path = self.path_of(digest)
        if self._below is not None and not path.is_file():
            path = self._below.path(digest)
        if self._remote and not path.is_file():
            fetched = self._fetched(digest)
            if identity.file(fetched) != digest:
                fetched.unlink()
                raise _damaged(digest)
            with translated(str(self._folder)):
                path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(fetched, path)
                self._seen.remember(_key(digest), digest, mark_of(path))
        if not path.is_file():
            raise _missing(digest)
        self.read_bytes += path.stat().st_size
        return path

    def path_of(self, digest: Digest) -> Path:
        """Where the blob's local file is or would be."""
        return self._folder / _key(digest).removeprefix(f"{_FOLDER}/")

    def exists(self, digest: Digest) -> bool:
        """Whether the blob is stored."""
        if self._is_stored(digest):
            return True
        instead = self.instead_of(digest)
        return instead is not None and self.exists(instead)

    def are_whole(self, digests: Iterable[str]) -> bool:
        """Whether all of these are stored, each with the bytes that it is named by: what a result is taken over by.

        A file is read through when it is first asked for on this machine, and when it changed. Of an object in a bucket
        what this machine saw of it before is compared; its bytes are looked at when it is fetched.
        """
        wanted = list(map(Digest, dict.fromkeys(digests)))
        self._seen.load([_key(digest) for digest in wanted])
        return all(map(self._is_whole, wanted))

    def _is_whole(self, digest: Digest) -> bool:
        if self._is_own_whole(digest):
            return True
        if self._objects.look(_key(digest)) is not None:
            return False
        instead = self.instead_of(digest)
        return instead is not None and self._is_whole(instead)

    def _is_own_whole(self, digest: Digest) -> bool:
        if self.marks is not None:
            self.marks.take_off([digest])
        entry = self._objects.look(_key(digest))
        if entry is None:
            return self._below is not None and self._below.are_whole([digest])
        if self._objects.path(entry.key) is None and self._seen.knows_none(_stored_key(entry.key)):
            return True
        return self._is_as_stored(digest, entry, again=False)

    def _is_stored(self, digest: Digest) -> bool:
        """Whether there is an object, or a blob below, whatever its bytes are."""
        if self.marks is not None:
            self.marks.take_off([digest])
        if self._objects.look(_key(digest)) is not None:
            return True
        return self._below is not None and self._below.exists(digest)

    def name(self, digests: Iterable[str]) -> None:
        """Take the marks off these, which a record is about to name.

        Raises:
            Conflict: ``blob-collected``, when one was removed since it was found.
        """
        for digest in self.marks.take_off(digests) if self.marks is not None else ():
            if not self._is_stored(digest):
                raise Conflict(
                    f"Blob {digest} was removed as garbage just when it was to be used again.",
                    hint="Run the same command again: it is made again.",
                    code=codes.BLOB_COLLECTED,
                )

    def size_bytes(self, digest: Digest) -> int:
        """The blob's length."""
        entry = self._objects.look(_key(digest))
        if entry is None and self._below is not None:
            return self._below.size_bytes(digest)
        if entry is None and (instead := self.instead_of(digest)):
            return self.size_bytes(instead)
        if entry is None:
            raise _missing(digest)
        return entry.size_bytes

    def verify(self, digest: Digest, *, again: bool = True) -> bool:
        """Whether the stored bytes, not a copy of them, have this digest; or what took its place has its own.

        Args:
            digest: Of the blob.
            again: Read it through also where it did not change since this machine looked at it.

        Raises:
            NotFound: ``blob-not-found``.
        """
        entry = self._objects.look(_key(digest))
        if entry is not None:
            return self._is_as_stored(digest, entry, again=again)
        if instead := self.instead_of(digest):
            return self.verify(instead, again=again)
        if self._below is None:
            raise _missing(digest)
        return self._below.verify(digest, again=again)

    def damaged(
        self, *, again: bool = False, told: Callable[[int, int], None] = lambda *_: None
    ) -> list[Digest]:
        """The stored blobs whose bytes have another digest.

        Args:
            again: Read all of them through; else those that changed since this machine looked at them.
            told: Told how many were looked at, and of how many.
        """
        entries = list(self._entries())
        bad: list[Digest] = []
        for number, (digest, entry) in enumerate(entries):
            if not self._is_as_stored(digest, entry, again=again):
                bad.append(digest)
            told(number + 1, len(entries))
        self._seen.keep()
        return bad

    def _is_as_stored(self, digest: Digest, entry: Entry, *, again: bool) -> bool:
        path = self._objects.path(entry.key)
        if path is not None:
            return self._is_file_whole(digest, path, again=again)
        # By another key than its copy on this machine.
        key, mark = _stored_key(entry.key), entry.etag or ""
        if not again and self._seen.knows(key, digest, mark):
            return True
        found = self._objects.read_through(entry.key)
        if found is not None and found[0] == digest:
            self._seen.remember(key, digest, mark)
        return found is None or found[0] == digest

    def keep_seen(self) -> None:
        """Write down which files were found whole here: a process that just ends would forget it."""
        self._seen.keep()

    def replace(self, digest: Digest, by: Digest) -> None:
        """Let another blob be found under a digest whose own bytes must go; they are removed.

        For what records name for good, a release above all, and what may not stay as it was: rows that were
        forgotten. Killed in between, both are there, and doing it again ends it.
        """
        self._objects.put(_instead_key(digest), json.dumps({"layout": 1, "digest": by}).encode())
        self.delete(digest)

    def instead_of(self, digest: Digest) -> Digest | None:
        """The blob that took the place of one whose bytes are gone, if one did."""
        found = self._objects.get(_instead_key(digest))
        return Digest(json.loads(found[0])["digest"]) if found else None

    def with_replacements(self, digests: Iterable[Digest]) -> set[Digest]:
        """These, and what took the place of some of them."""
        known = {digest_of_hex(entry.key.rpartition("/")[2]) for entry in self._objects.list(_INSTEAD)}
        found = set(digests)
        waiting = found & known
        while waiting:
            new = {i for d in waiting if (i := self.instead_of(d))} - found
            found |= new
            waiting = new & known
        return found

    def delete(self, *digests: Digest) -> None:
        """Remove blobs; one that is not there is no error."""
        self._objects.delete([_key(digest) for digest in digests])
        for digest in digests:
            self.path_of(digest).unlink(missing_ok=True)

    def all(self) -> dict[Digest, int]:
        """Every stored digest and its length."""
        return {digest: entry.size_bytes for digest, entry in self._entries()}

    def _entries(self) -> Iterator[tuple[Digest, Entry]]:
        for entry in self._objects.list(f"{_FOLDER}/sha256"):
            if len(name := entry.key.rpartition("/")[2]) == _HEX_DIGITS:
                yield digest_of_hex(name), entry

    def remove_copies(self) -> None:
        """Remove this machine's copies of blobs of a remote store that the store does not have any more."""
        # In this order: what is put is in the store before a copy of it is here.
        here = list(self._folder.glob("sha256/*/*")) if self._remote else []
        there = self.all() if here else {}
        for path in here:
            if digest_of_hex(path.name) not in there:
                _remove(path)

    def remove_unfinished(self, *, older_than_seconds: float = 24 * 3600.0) -> None:
        """Remove what killed writers left here: files that were never given their digest as a name."""
        before = time.time() - older_than_seconds
        for path in self._files():
            finished = path.parent.name != "tmp" and len(path.name) == _HEX_DIGITS
            if not finished and path.stat().st_mtime < before:
                _remove(path)

    def remove_unfinished_of(self, process: int) -> None:
        """Remove what a process of this machine, which is gone now, was writing here."""
        for path in self._folder.glob(f"tmp/{_writer(process)}*"):
            _remove(path)

    def _files(self) -> Iterator[Path]:
        yield from self._folder.glob("tmp/*")
        yield from self._folder.glob("sha256/*/*")

    def _fetched(self, digest: Digest) -> Path:
        """A fresh copy of a remote blob, unchecked, in ``scratch``."""
        target = self.scratch()
        try:
            self._objects.get_file(_key(digest), target)
        except NotFound as error:
            if error.code != codes.OBJECT_NOT_FOUND:
                raise
            raise _missing(digest) from error
        return target


_latest: tuple[Place, Blobs] | None = None


def _key(digest: Digest) -> str:
    algorithm, _, text = digest.partition(":")
    return f"{_FOLDER}/{algorithm}/{text[:2]}/{text}"


def _stored_key(key: str) -> str:
    """What is remembered of an object itself, beside its copy on this machine."""
    return f"stored/{key}"


def _instead_key(digest: Digest) -> str:
    return f"{_INSTEAD}/{digest.partition(':')[2]}"


def _writer(process: int) -> str:
    """What the names of its unfinished files begin with: other machines may write into the same folder."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}-{process}-"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _damaged(digest: Digest) -> StorageError:
    return StorageError(
        f"The store's bytes of blob {digest} are others than its name says.",
        hint=damage.RESTORE,
        code=codes.BLOB_DAMAGED,
    )


def _missing(digest: Digest) -> NotFound:
    return NotFound(
        f"The store holds no blob {digest}.",
        why="It was removed, or the store was copied in part.",
        hint="Type 'tidemill doctor' to see what else is missing.",
        code=codes.BLOB_NOT_FOUND,
    )
