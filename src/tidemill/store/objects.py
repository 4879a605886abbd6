"""Named bytes in a folder or in an S3 bucket: the port that everything in a store is kept through.

A key is a relative path such as ``datasets/fashion.lance/_tidemill/refs.json``. An object is written whole or
not at all, and whoever reads sees the old bytes or the new ones. ``put_if`` is the compare-and-swap that
makes one writer of two lose, so that it can look again. Not for bytes that are named by their own digest:
those are ``Blobs``, which stand on this.

S3 is spoken through obstore. Answers of 5xx (500, 503 "slow down"), refused and dropped connections are tried
again with growing pauses, inside of it; what is still wrong after that is a ``StorageError``.
"""

# ruff: noqa: D102 - the port's methods say what every place's do

import fcntl
import hashlib
import itertools
import os
import random
import secrets
import shutil
import stat
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import config
from tidemill.core.errors import Conflict, InvalidInput, NotFound
from tidemill.store.faults import may_pass, translated

if TYPE_CHECKING:
    from obstore.store import S3Store

SCHEME = "s3://"
RETRIES = 8
"""How often a failed request is sent again; with the pauses between, about ten seconds."""

_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_PART = ".part"
_PIECE_BYTES = 8 * 1024 * 1024
_MOST_PIECES = 9_000
"""S3 takes 10,000 pieces of one object."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a listing has it.

    Attributes:
        modified: When it was last written, in UTC.
    """

    key: str
    size_bytes: int
    modified: datetime


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

    def copy(self, key: str, to: "Objects") -> None:
        """Write an object under the same key of another place, without reading it into memory at once.

        Raises:
            NotFound: ``object-not-found``.
        """
        here, there = self.path(key), to.path(key)
        if here is not None:
            if not here.is_file():
                raise _missing(self.address, key)
            to.put_file(key, here)
        elif there is not None:
            self.get_file(key, there)
        else:
            with tempfile.TemporaryDirectory() as folder:
                self.get_file(key, Path(folder, "object"))
                to.put_file(key, Path(folder, "object"))


def open_objects(address: str | Path, options: Mapping[str, str] | None = None) -> Objects:
    """The objects at an address. Nothing is read, written or connected yet.

    Args:
        address: A folder, or ``s3://bucket/prefix``.
        options: How to reach S3, by obstore's names; None takes the ``AWS_*`` variables.

    Raises:
        InvalidInput: ``invalid-store-address``.
    """
    text = str(address)
    if not text.startswith(SCHEME):
        if "://" in text:
            raise InvalidInput(
                f"'{text}' is no address of a store.",
                hint="An address is a folder, or s3://BUCKET/PREFIX.",
                code="invalid-store-address",
            )
        return Folder(Path(text))
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise InvalidInput(
            f"'{text}' names no bucket.",
            hint="An address is s3://BUCKET/PREFIX.",
            code="invalid-store-address",
        )
    return Bucket(bucket, prefix.strip("/"), config.s3_options() if options is None else options)


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
                raise _changed(self.address, key)
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
            raise _missing(self.address, key)
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
            elif not each.name.endswith(_PART) and (entry := self.look(key)):
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
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_PART}")
        with translated(self.address):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield part
                os.replace(part, target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise


class Bucket(Objects):
    """Objects under a prefix of an S3 bucket."""

    def __init__(
        self, bucket: str, prefix: str, options: Mapping[str, str], *, retries: int = RETRIES
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._options: dict[str, Any] = dict(options)
        self._retries = retries
        self._clients: dict[int, S3Store] = {}

    @property
    def address(self) -> str:
        return f"{SCHEME}{self._bucket}" + (f"/{self._prefix}" if self._prefix else "")

    @property
    def options(self) -> dict[str, str]:
        return self._options

    @property
    def store(self) -> "S3Store":
        """The client, which keeps its connections."""
        return self._client(self._retries)

    def _client(self, retries: int) -> "S3Store":
        if retries not in self._clients:
            from obstore.store import S3Store  # noqa: PLC0415 - loads only when a store is remote

            plain = self._options.get("endpoint", "").startswith("http://")
            first, longest = timedelta(milliseconds=50), timedelta(seconds=5)
            self._clients[retries] = S3Store(
                self._bucket,
                prefix=self._prefix or None,
                client_options={"allow_http": plain, "connect_timeout": "5s", "read_timeout": "30s"},
                retry_config={
                    "max_retries": retries,
                    "retry_timeout": timedelta(seconds=60),
                    "backoff": {"init_backoff": first, "max_backoff": longest, "base": 2},
                },
                **self._options,
            )
        return self._clients[retries]

    def get(self, key: str) -> tuple[bytes, str] | None:
        with translated(self.address):
            try:
                got = self.store.get(key)
                return bytes(got.bytes()), got.meta["e_tag"] or ""
            except FileNotFoundError as error:
                self._check_bucket(error)
                return None

    def look(self, key: str) -> Entry | None:
        with translated(self.address):
            try:
                meta = self.store.head(key)
            except FileNotFoundError:
                return None
        return Entry(key, meta["size"], meta["last_modified"])

    def put(self, key: str, data: bytes) -> None:
        self._again(lambda: self.store.put(key, data))

    def put_if(self, key: str, data: bytes, etag: str | None) -> str:
        from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError  # noqa: PLC0415

        once = self._client(0)
        with translated(self.address):
            for attempt in range(self._retries + 1):
                try:
                    made = once.put(key, data, mode="create" if etag is None else {"e_tag": etag})
                    return made["e_tag"] or ""
                except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
                    self._check_bucket(error)
                    # After a lost answer, what is in the way may be our own.
                    there = self.get(key) if attempt else None
                    if there is not None and there[0] == data:
                        return there[1]
                    raise _changed(self.address, key) from error
                except GenericError as error:
                    self._pause(error, attempt)
        raise AssertionError("the last attempt returns or raises")

    def put_file(self, key: str, path: Path) -> None:
        piece = max(_PIECE_BYTES, path.stat().st_size // _MOST_PIECES + 1)
        self._again(lambda: self.store.put(key, path, chunk_size=piece, max_concurrency=4))

    def get_file(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PART}")
        try:
            with translated(self.address):
                try:
                    got = self.store.get(key)
                except FileNotFoundError as error:
                    self._check_bucket(error)
                    raise _missing(self.address, key) from error
                with part.open("wb") as file:
                    for piece in got.stream(_PIECE_BYTES):
                        file.write(piece)
            with translated(str(path.parent)):
                os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        from obstore.exceptions import GenericError  # noqa: PLC0415

        last, attempt = None, 0
        with translated(self.address):
            while True:
                try:
                    for page in self.store.list(prefix or None, offset=last):
                        for meta in page:
                            yield Entry(meta["path"], meta["size"], meta["last_modified"])
                            last, attempt = meta["path"], 0
                except GenericError as error:
                    # A page that broke off in the middle is not tried again by the client itself.
                    self._pause(error, attempt)
                    attempt += 1
                else:
                    return

    def delete(self, keys: Sequence[str]) -> None:
        if keys:
            self._again(lambda: self.store.delete(list(keys)))

    def uri(self, prefix: str) -> tuple[str, dict[str, str]]:
        plain = self._options.get("endpoint", "").startswith("http://")
        return f"{self.address}/{prefix}", {
            **{f"aws_{name}": value for name, value in self._options.items()},
            "allow_http": str(plain).lower(),
            "client_max_retries": str(self._retries),
        }

    def path(self, key: str) -> Path | None:
        del key
        return None

    def _again(self, work: Callable[[], object]) -> None:
        """Do what may be done twice. The client tries most again itself, but no answer that broke off midway."""
        from obstore.exceptions import GenericError  # noqa: PLC0415

        with translated(self.address):
            for attempt in itertools.count():
                try:
                    work()
                except GenericError as error:
                    self._pause(error, attempt)
                else:
                    return

    def _pause(self, error: Exception, attempt: int) -> None:
        """Wait before a request is sent again; raise ``error`` if it must not be, or has been often enough."""
        if attempt >= self._retries or not may_pass(error):
            raise error
        time.sleep(random.uniform(0.5, 1) * min(0.05 * 2**attempt, 5))  # noqa: S311

    def _check_bucket(self, error: Exception) -> None:
        """A bucket that is not there answers as an object that is not there does; only the text differs."""
        if "NoSuchBucket" in str(error):
            raise error


def _tag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _changed(address: str, key: str) -> Conflict:
    return Conflict(
        f"{address}/{key} was changed by another writer at the same moment.",
        hint="Run the same command again.",
        code="object-changed",
    )


def _missing(address: str, key: str) -> NotFound:
    return NotFound(
        f"There is no {key} in {address}.",
        why="It was removed, or the store was copied in part.",
        hint="Type 'tidemill doctor' to see what else is missing.",
        code="object-not-found",
    )
