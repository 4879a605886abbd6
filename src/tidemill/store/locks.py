"""Locks between processes on one store: held by the operating system, so a killed holder frees them."""

import fcntl
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tidemill.core.errors import Conflict
from tidemill.store.faults import translated

_POLL_SECONDS = 0.01


class Locks:
    """Named locks in a folder.

    Attributes:
        everywhere: Whether they hold between machines.
    """

    everywhere: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, name: str, *, timeout_seconds: float = 600.0) -> Generator[None]:
        """Hold lock ``name``; wait for whoever has it.

        Raises:
            Conflict: ``lock-timeout``, when it is still held after ``timeout_seconds``.
        """
        with translated(str(self._folder)):
            self._folder.mkdir(parents=True, exist_ok=True)
            opened = self._file(name).open("a")
        with opened as file:
            deadline = time.monotonic() + timeout_seconds
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise timed_out(name, timeout_seconds) from None
                    time.sleep(_POLL_SECONDS)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def discard(self, name: str) -> None:
        """Remove what a lock leaves that nobody will ask for again."""
        self._file(name).unlink(missing_ok=True)

    def is_held(self, name: str) -> bool:
        """Whether another process (or another open of this one) holds the lock now."""
        path = self._file(name)
        if not path.exists():
            return False
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(file, fcntl.LOCK_UN)
            return False

    def close(self) -> None:
        """Nothing stays open between two holds."""

    def _file(self, name: str) -> Path:
        return self._folder / f"{name.replace('/', '_')}.lock"


def timed_out(name: str, seconds: float) -> Conflict:
    """Somebody held a lock too long."""
    return Conflict(
        f"Another process has held '{name}' for {seconds:g} seconds.",
        hint="Wait for it to end, then run the same command again.",
        code="lock-timeout",
    )
