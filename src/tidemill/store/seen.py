"""Which stored files this machine has found to be as they were written: each is read through once, not each time.

What was found is remembered with what changes when a file does: its size, the time of its last change and its inode;
of an object in a bucket, its ETag. A file that is another one by that is read through again. Bits that turn under a
file that nobody wrote to are found by ``always`` and by ``doctor --deep``.
"""

import atexit
import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from tidemill.core import identity
from tidemill.core.names import Digest

Verify = Literal["never", "first", "always"]
"""When what is read is held against its digest: not at all, once on this machine, or once in each process."""

FILE = "seen.db"
_AT_ONCE = 256
_LARGE_BYTES = 1024 * 1024
"""To read so many again costs more than to write down at once that they were read."""
_BUSY_SECONDS = 2.0
_FREE_SHARE = 0.25
"""Of the file: as much of it that is empty is given back."""

T = TypeVar("T")


class Seen:
    """The memory of one store on this machine. Losing it costs reading again.

    Args:
        folder: This machine's folder of the store; None remembers for this process only.
        verify: When to look.
    """

    def __init__(self, folder: Path | None, verify: Verify = "first") -> None:
        self.verify: Verify = verify
        self._folder = folder
        self._known: dict[str, tuple[str, str]] = {}
        self._looked: set[str] = set()
        self._new: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None
        self._process = os.getpid()
        atexit.register(_keep, weakref.ref(self))

    def is_whole(self, key: str, path: Path, digest: Digest, *, again: bool = False) -> bool:
        """Whether a file has the bytes of this digest, by memory or by reading it through.

        Args:
            key: Its object's key, which names it in this store.
            path: The file.
            digest: Of what was written.
            again: Read it through in any case.

        Raises:
            OSError: When it cannot be read.
        """
        mark = mark_of(path)
        if not again and self.knows(key, digest, mark):
            return True
        if identity.file(path) != digest:
            return False
        # What was written to it meanwhile has another mark, and is read again.
        self.remember(key, digest, mark)
        if path.stat().st_size >= _LARGE_BYTES:
            self.keep()
        return True

    def knows(self, key: str, digest: Digest, mark: str) -> bool:
        """Whether an object with this mark was found to have this digest; by ``always``, in this process."""
        if self.verify == "never":
            return True
        if self.verify == "always" and key not in self._looked:
            return False
        return self._remembered(key) == (digest, mark)

    def knows_none(self, key: str) -> bool:
        """Whether nothing was ever found of this object, so that only reading it would tell; by ``always`` it is read."""
        return self.verify != "always" and self._remembered(key) is None

    def remember(self, key: str, digest: Digest, mark: str) -> None:
        """An object with this mark was read through, or written here, and has this digest."""
        with self._lock:
            self._looked.add(key)
            if self._known.get(key) == (digest, mark):
                return
            self._known[key] = self._new[key] = (digest, mark)
            due = len(self._new) >= _AT_ONCE
        if due:
            self.keep()

    def keep(self) -> None:
        """Write down what was found. Where that cannot be, it is found again."""
        with self._lock:
            new, self._new = self._new, {}
            if new:
                rows = [(key, *found) for key, found in new.items()]
                self._ask(
                    lambda file: file.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", rows),
                    make=True,
                )

    def forget(self, keys: Collection[str]) -> None:
        """These objects are gone: nothing is remembered of them, and the memory takes as much less."""
        with self._lock:
            rows = [(key,) for key in keys]
            for (key,) in rows:
                self._known.pop(key, None)
                self._new.pop(key, None)
            self._ask(lambda file: file.executemany("DELETE FROM seen WHERE key = ?", rows))
            free = self._ask(lambda file: file.execute("PRAGMA freelist_count").fetchone()[0])
            pages = self._ask(lambda file: file.execute("PRAGMA page_count").fetchone()[0])
            if free and pages and free > _FREE_SHARE * pages:
                self._ask(lambda file: file.execute("VACUUM"))

    def load(self, keys: Collection[str]) -> None:
        """Recall what is remembered of these keys, for who is about to ask for each."""
        with self._lock:
            self._recall([key for key in keys if key not in self._known])

    def _remembered(self, key: str) -> tuple[str, str] | None:
        with self._lock:
            if key not in self._known:
                self._recall([key])
            return self._known.get(key)

    def _recall(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            found = self._ask(
                lambda file, some=some, marks=marks: file.execute(
                    f"SELECT key, digest, mark FROM seen WHERE key IN ({marks})",  # noqa: S608 - question marks only
                    some,
                ).fetchall()
            )
            self._known |= {key: (digest, mark) for key, digest, mark in found or ()}

    def _ask(self, ask: Callable[[sqlite3.Connection], T], *, make: bool = False) -> T | None:
        """What the file answers; None where it cannot be read or written."""
        try:
            file = self._opened(make=make)
            if file is None:
                return None
            with file:
                return ask(file)
        except sqlite3.OperationalError:
            return None
        except sqlite3.DatabaseError:
            # A power cut may have left a part of it.
            self._close()
            assert self._folder
            with contextlib.suppress(OSError):
                (self._folder / FILE).unlink(missing_ok=True)
            return None
        except OSError:
            return None

    def _opened(self, *, make: bool) -> sqlite3.Connection | None:
        if self._file is not None and self._process == os.getpid():
            return self._file
        # A connection does not outlive a fork.
        self._file, self._process = None, os.getpid()
        if self._folder is None or not (make or (self._folder / FILE).exists()):
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(self._folder / FILE, timeout=_BUSY_SECONDS, check_same_thread=False)
        # What a power cut takes is found again: nobody waits for the disk.
        file.execute("PRAGMA synchronous = OFF")
        file.execute(
            "CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY, digest TEXT, mark TEXT) WITHOUT ROWID"
        )
        self._file = file
        return file

    def close(self) -> None:
        """Write down what was found, and let go of the file."""
        self.keep()
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file = None


def _keep(seen: "weakref.ref[Seen]") -> None:
    alive = seen()
    if alive is not None:
        alive.keep()


def mark_of(path: Path) -> str:
    """What changes when a file does: size, time of the last change, inode."""
    about = path.stat()
    return f"{about.st_size} {about.st_ctime_ns} {about.st_ino}"
