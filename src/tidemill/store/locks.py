"""Locks between processes on one store: held by the operating system, so a killed holder frees them."""

import fcntl
import os
import struct
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tidemill.core import codes
from tidemill.core.errors import Conflict
from tidemill.store.faults import translated

_POLL_SECONDS = 0.01
_SET: int | None = getattr(fcntl, "F_OFD_SETLK", None)
"""Linux locks regions of a file for whoever opened it, other parts of the same process excluded."""
_FILES = 4096
"""Elsewhere parts share so many files: enough that two seldom meet, few enough for a folder."""


class Locks:
    """Named locks in a folder.

    Attributes:
        everywhere: Whether they hold between machines.
    """

    everywhere: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, name: str, *, part: int | None = None, timeout_seconds: float = 600.0) -> Generator[None]:
        """Hold lock ``name``, or one part of it that is as good as a lock of its own; wait for whoever has it.

        Args:
            name: A lock has a file, which stays; its parts have none, so there may be any number of them.
            part: From 0 to 2**62.
            timeout_seconds: How long to wait.

        Raises:
            Conflict: ``lock-timeout``, when it is still held after ``timeout_seconds``.
        """
        if part is not None and _SET is None:
            name, part = f"{name}-{part % _FILES:03x}", None
        handle = self._opened(name)
        try:
            deadline = time.monotonic() + timeout_seconds
            while not _taken(handle, part):
                if time.monotonic() >= deadline:
                    raise timed_out(name, timeout_seconds)
                time.sleep(_POLL_SECONDS)
            try:
                yield
            finally:
                # Closing it is not enough: a child that was forked meanwhile has the file open too.
                _free(handle, part)
        finally:
            os.close(handle)

    def discard(self, name: str) -> None:
        """Remove what a lock leaves that nobody will ask for again."""
        Path(self._file(name)).unlink(missing_ok=True)

    def is_held(self, name: str) -> bool:
        """Whether another process (or another open of this one) holds the lock now."""
        try:
            handle = os.open(self._file(name), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            if not _taken(handle):
                return True
            _free(handle)
            return False
        finally:
            os.close(handle)

    def close(self) -> None:
        """Nothing stays open between two holds."""

    def _opened(self, name: str) -> int:
        """The lock's file, made if it is not there."""
        file = self._file(name)
        try:
            return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            with translated(str(self._folder)):
                self._folder.mkdir(parents=True, exist_ok=True)
                return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)

    def _file(self, name: str) -> str:
        return f"{self._folder}/{name.replace('/', '_')}.lock"


def _taken(handle: int, part: int | None = None) -> bool:
    try:
        if part is None or _SET is None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            fcntl.fcntl(handle, _SET, _region(fcntl.F_WRLCK, part))
    except BlockingIOError:
        return False
    return True


def _free(handle: int, part: int | None = None) -> None:
    if part is None or _SET is None:
        fcntl.flock(handle, fcntl.LOCK_UN)
    else:
        fcntl.fcntl(handle, _SET, _region(fcntl.F_UNLCK, part))


def _region(kind: int, part: int) -> bytes:
    """The system's ``struct flock``: one byte of the file, which need not be there."""
    return struct.pack("hhqqi", kind, os.SEEK_SET, part, 1, 0)


def timed_out(name: str, seconds: float) -> Conflict:
    """Somebody held a lock too long."""
    return Conflict(
        f"Another process has held '{name}' for {seconds:g} seconds.",
        hint="Wait for it to end, then run the same command again.",
        code=codes.LOCK_TIMEOUT,
    )
