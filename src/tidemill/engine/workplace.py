"""The folder that a step works in: empty when the step begins, its own, and gone with whatever it left there.

A process that carries out one order after another keeps its folder while steps leave it as they found it: to make
and to remove one costs more than a small step does. Whoever ends the process removes the folder.
"""

import os
import shutil
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tidemill.store.blobs import Blobs
from tidemill.store.faults import translated

_KEPT_SECONDS = 3600.0
"""Much less than the time after which the store takes what lies there for left behind."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder of this process, held open; as it was when it was made."""

    path: Path
    handle: int
    made: os.stat_result

    def is_untouched(self) -> bool:
        """Whether it is where it was, as it was made, and empty."""
        try:
            here = self.path.lstat()
            same = os.path.samestat(here, self.made) and here.st_mode == self.made.st_mode
            return same and not os.listdir(self.handle)  # noqa: PTH208 - by handle
        except OSError:
            return False

    def remove(self) -> None:
        """With all that is in it, or what stands in its place."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        os.close(self.handle)


_kept: _Folder | None = None


@contextmanager
def beside(blobs: Blobs) -> Generator[Path]:
    """The name of a fresh folder, which whoever wants it makes; the working directory stays what it is."""
    folder = blobs.scratch()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def inside(blobs: Blobs) -> Generator[Path]:
    """An empty folder that is the working directory, for a process in which nobody else works.

    Raises:
        StorageError: ``disk-full``, ``store-read-only``, ``storage``.
    """
    global _kept  # noqa: PLW0603 - the process has one working directory
    folder = _again(blobs) or _new(blobs)
    _kept = None
    # By handle: the folder that the process was in may be gone by now.
    before = os.open(".", os.O_RDONLY)
    threads = set(threading.enumerate())
    try:
        os.fchdir(folder.handle)
        yield folder.path
    finally:
        os.fchdir(before)
        os.close(before)
        # A thread that stays knows the folder: the next step gets another one.
        if set(threading.enumerate()) <= threads and folder.is_untouched():
            _kept = folder
        else:
            folder.remove()


def leave() -> None:
    """Remove the folder that waits for the next step."""
    global _kept
    folder, _kept = _kept, None
    if folder is not None:
        folder.remove()


def _again(blobs: Blobs) -> _Folder | None:
    """The folder of the step before, if this one can have it."""
    folder = _kept
    if folder is not None and (
        folder.path.parent != blobs.unfinished
        or time.time() - folder.made.st_mtime > _KEPT_SECONDS
        or not folder.is_untouched()
    ):
        leave()
    return _kept


def _new(blobs: Blobs) -> _Folder:
    path = blobs.scratch()
    with translated(str(path.parent)):
        path.mkdir()
        handle = os.open(path, os.O_RDONLY)
    return _Folder(path, handle, os.fstat(handle))
