"""Objects in an S3 bucket, which is spoken to through obstore.

Answers of 5xx (500, 503 "slow down"), refused and dropped connections are tried again with growing pauses,
inside of it; what is still wrong after that is a ``StorageError``.
"""

# ruff: noqa: D102 - the port's methods say what every place's do

import hashlib
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.files import atomic_write
from tidemill.core.names import Digest, digest_of_hex
from tidemill.store.faults import may_pass, translated
from tidemill.store.objects import Entry, Objects, changed, missing

if TYPE_CHECKING:
    from obstore.store import S3Store

SCHEME = "s3://"
RETRIES = 8
"""How often a failed request is sent again; with the pauses between, about ten seconds."""

_PIECE_BYTES = 8 * 1024 * 1024
_MOST_PIECES = 9_000
"""S3 takes 10,000 pieces of one object."""


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
        return _entry(meta, key)

    def read_through(self, key: str) -> tuple[Digest, Entry] | None:
        from obstore.exceptions import GenericError  # noqa: PLC0415

        with translated(self.address):
            for attempt in itertools.count():
                try:
                    got = self.store.get(key)
                    hasher = hashlib.sha256()
                    for piece in got.stream(_PIECE_BYTES):
                        hasher.update(piece)
                    return digest_of_hex(hasher.hexdigest()), _entry(got.meta, key)
                except FileNotFoundError as error:
                    self._check_bucket(error)
                    return None
                except GenericError as error:
                    self._pause(error, attempt)
        raise AssertionError("the last attempt returns or raises")

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
                    raise changed(self.address, key) from error
                except GenericError as error:
                    self._pause(error, attempt)
        raise AssertionError("the last attempt returns or raises")

    def put_file(self, key: str, path: Path) -> None:
        piece = max(_PIECE_BYTES, path.stat().st_size // _MOST_PIECES + 1)
        self._again(lambda: self.store.put(key, path, chunk_size=piece, max_concurrency=4))

    def get_file(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with translated(str(path.parent)), atomic_write(path) as part, translated(self.address):
            try:
                got = self.store.get(key)
            except FileNotFoundError as error:
                self._check_bucket(error)
                raise missing(self.address, key) from error
            with part.open("wb") as file:
                for piece in got.stream(_PIECE_BYTES):
                    file.write(piece)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        from obstore.exceptions import GenericError  # noqa: PLC0415

        last, attempt = None, 0
        with translated(self.address):
            while True:
                try:
                    for page in self.store.list(prefix or None, offset=last):
                        for meta in page:
                            yield _entry(meta, meta["path"])
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


def _entry(meta: Mapping[str, Any], key: str) -> Entry:
    return Entry(key, meta["size"], meta["last_modified"], meta["e_tag"])
