"""A dataset's files are held against their digests before Lance, or anything else, reads them.

The digests are in the dataset's log. A file that it does not have is of a version that no ref names yet, or of a
dataset that is older than its log: such a one is taken as it is.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes, identity
from tidemill.core.errors import StorageError
from tidemill.data import file_log
from tidemill.data.file_log import FileLog, Known
from tidemill.store.faults import translated
from tidemill.store.seen import Seen, mark_of

if TYPE_CHECKING:
    from tidemill.store.objects import Entry, Objects

WHOLE_BYTES = 8 * 1024 * 1024
"""An object up to this size is read through when it is first seen; of a larger one the ETag is compared."""
_FEW = 8
"""To ask a bucket for more objects than this costs more than to list them."""
_KEPT_ENTRIES = 8
"""Of the log, though newer ones have taken over their lines: one that is damaged has one before it."""
_THREADS = min(4, os.cpu_count() or 1)


class WholeFiles:
    """The files of one dataset in one store.

    Args:
        objects: The store's.
        prefix: The table's.
        dataset: Its name, for errors.
        seen: What this machine has looked at.
        kept: Where this machine keeps entries of a remote log; None where objects are files.

    Attributes:
        head: The newest entry of the log; None where there is none.
    """

    def __init__(self, objects: "Objects", prefix: str, dataset: str, seen: Seen, kept: Path | None) -> None:
        self._objects = objects
        self._prefix = prefix
        self._dataset = dataset
        self._seen = seen
        self._kept = kept
        self.head: str | None = None
        self._log = FileLog([])
        self._fine: set[str] = set()
        self._noted: dict[str, Known] = {}

    def follow(self, head: str | None) -> None:
        """Take the log from this entry on, which the refs name, for the truth; None: there is none yet."""
        if head != self.head:
            self._log = FileLog([])
            self.head = head

    @property
    def log(self) -> FileLog:
        """The log that the refs name."""
        if self.head is not None and not self._log.entries:
            self._log = file_log.read(self._objects, self._prefix, self.head, self._kept, self._seen)
        return self._log

    @property
    def always(self) -> bool:
        """Whether every file is to be read through each time (``verify = "always"``)."""
        return self._seen.verify == "always"

    def adopt(self, log: FileLog) -> None:
        """Take a log that was just written."""
        self._log, self.head = log, log.entries[0].name
        data = log.entries[0].data
        file_log.keep(self._objects, self._prefix, self.head, data, self._kept, self._seen)

    def is_taken_over(self, key: str) -> bool:
        """Whether the log does not go over an entry, by its whole key, any more, nor over few that are newer."""
        name = key.rpartition("/")[2]
        newest = file_log.number_of(self.head) if self.head is not None else 0
        below = f"{file_log.FOLDER}/{name}"
        return file_log.number_of(name) <= newest - _KEPT_ENTRIES and below not in self.log.keys

    def known(self, keys: Collection[str]) -> dict[str, Known]:
        """Those of these files, by key below the table, that have a digest."""
        return self.log.find(keys) if self.head is not None else {}

    def check(self, keys: Iterable[str], commit: str | None = None) -> None:
        """See that files are as they were written.

        Args:
            keys: Below the table's prefix.
            commit: The id of the commit that needs them, for the error.

        Raises:
            StorageError: ``store-damaged``, naming the first that is not.
        """
        if self._seen.verify == "never":
            return
        known = self.known([key for key in keys if key not in self._fine])
        wrong = self.wrong(known)
        if wrong:
            key, lost = next(iter(wrong.items()))
            raise self.fault(key, lost=lost, commit=commit)

    def wrong(self, known: Mapping[str, Known], *, again: bool = False) -> dict[str, bool]:
        """Those of these files that are not as they were written, and whether each is gone.

        Args:
            known: The files.
            again: Read through those too that were found whole before.
        """
        self._seen.load([self._key(key) for key in known])
        there = self._listed(known)
        found: dict[str, bool] = {}
        for key, whole in zip(known, self._each(known, there, again=again), strict=True):
            if whole:
                self._fine.add(key)
            else:
                found[key] = there[key] is None
        self._seen.keep()
        return found

    def bytes_of(self, key: str, commit: str | None = None) -> bytes:
        """The bytes of a small file, held against its digest.

        Raises:
            StorageError: ``store-damaged``.
        """
        found = self._objects.get(self._key(key))
        if found is None:
            raise self.fault(key, lost=True, commit=commit)
        known = self.known([key]).get(key)
        if known and self._seen.verify != "never" and identity.blob(found[0]) != known.digest:
            raise self.fault(key, lost=False, commit=commit)
        return found[0]

    def note(self, key: str, known: Known) -> None:
        """A file was written here whose digest is known already."""
        entry = self._objects.look(self._key(key))
        if entry is not None:
            self._noted[key] = Known(known.digest, entry.size_bytes, entry.etag)

    def forget(self, keys: Collection[str]) -> None:
        """Objects of the store, or derived files, were removed: nothing is remembered of them.

        Args:
            keys: Whole, as the store has them.
        """
        # Derived files are remembered by where they belong, wherever this machine has them.
        self._seen.forget({*keys, *(key.replace("/_tidemill/", "/", 1) for key in keys)})

    def take(self, keys: Collection[str]) -> dict[str, Known]:
        """The digests of files that were just written, by reading what is there.

        Raises:
            StorageError: ``store-damaged``, when one is gone.
        """
        with ThreadPoolExecutor(_THREADS) as threads:
            found = dict(zip(keys, threads.map(self._taken, keys), strict=True))
        self._fine.update(found)
        self._seen.keep()
        return found

    def fault(self, key: str, *, lost: bool, commit: str | None = None) -> StorageError:
        """The error for a file that is not as it was written."""
        by = f", which commit {commit} needs," if commit else ""
        return StorageError(
            f"File {key} of dataset '{self._dataset}'{by} is {'gone' if lost else 'not as it was written'}.",
            why="It was removed, or the store was copied in part."
            if lost
            else f"Its bytes have another SHA-256 than when they were written to {self._objects.address}.",
            hint=f"Type 'tidemill data repair {self._dataset} --from ADDRESS' to get it from another store that has it, "
            "or put it back from a backup; 'tidemill doctor --deep' says what else is damaged.",
            code=codes.STORE_DAMAGED,
            details={
                "dataset": self._dataset,
                "commit": commit,
                "file": key,
                "lost": lost,
                "store": self._objects.address,
            },
        )

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}"

    def _listed(self, known: Mapping[str, Known]) -> "dict[str, Entry | None]":
        """What is there of these; many are listed at once."""
        if self._objects.path("") is not None or len(known) <= _FEW:
            return {key: self._objects.look(self._key(key)) for key in known}
        folders = {key.rpartition("/")[0] for key in known}
        entries = {e.key: e for folder in folders for e in self._objects.list(self._key(folder))}
        return {key: entries.get(self._key(key)) for key in known}

    def _each(
        self, known: Mapping[str, Known], there: "Mapping[str, Entry | None]", *, again: bool
    ) -> list[bool]:
        def look(key: str) -> bool:
            return self._is_whole(key, known[key], there[key], again=again)

        if len(known) == 1:
            return [look(key) for key in known]
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(look, known))

    def _is_whole(self, key: str, known: Known, entry: "Entry | None", *, again: bool) -> bool:
        if entry is None or entry.size_bytes != known.size_bytes:
            return False
        path = self._objects.path(self._key(key))
        if path is not None:
            with translated(str(path)):
                return self._seen.is_whole(self._key(key), path, known.digest, again=again)
        mark = entry.etag or ""
        if not again and self._seen.knows(self._key(key), known.digest, mark):
            return True
        always = self._seen.verify == "always"
        if entry.size_bytes > WHOLE_BYTES and known.etag is not None and not again and not always:
            whole = entry.etag == known.etag
        else:
            found = self._objects.read_through(self._key(key))
            whole = found is not None and found[0] == known.digest
        if whole:
            self._seen.remember(self._key(key), known.digest, mark)
        return whole

    def _taken(self, key: str) -> Known:
        noted = self._noted.pop(key, None)
        path = self._objects.path(self._key(key))
        mark = mark_of(path) if path is not None and path.is_file() else None
        if noted is None:
            found = self._objects.read_through(self._key(key))
            if found is None:
                raise self.fault(key, lost=True)
            noted = Known(found[0], found[1].size_bytes, found[1].etag)
        mark = noted.etag if mark is None else mark
        if mark is not None:
            self._seen.remember(self._key(key), noted.digest, mark)
        return noted
