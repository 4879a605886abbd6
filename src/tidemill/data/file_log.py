"""A dataset's log: which refs it had from when on, and which files were written for them, each with its SHA-256.

Whoever changes the refs first writes an entry, and then names it in the refs that take the old ones' place. So what a
killed writer left is an entry that no refs lead to. An entry's own name has the SHA-256 of its bytes, so that from the
refs on everything is held against a digest.

A new entry takes over the lines of the last ones that are not larger than it is, as a binary counter does: about log2(N) entries
have all lines of N, and a line is written again about as often. The lines of an entry are in order, and a
file that was read through once is mapped: to look for a few keys reads little of it, however long the history.
"""

import hashlib
import json
import mmap
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.core.names import Digest, digest_of_hex, hex_of
from tidemill.store import damage
from tidemill.store.seen import Seen, mark_of

if TYPE_CHECKING:
    from tidemill.store.objects import Objects

FOLDER = "_tidemill/log"
LAYOUT = 2
"""Of an entry whose refs name packs: who knows none would restore the refs without them."""
_WITHOUT_PACKS = 1
_FEW = 64
_FEW_UNORDERED = 16
"""To look for more keys than this costs more than to take all lines apart."""
_DROPPED_SHARE = 4
"""An entry is written again for what is to be dropped where that is one part in so many of its lines."""
_NO_ETAG = "-"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a file since it was written.

    Attributes:
        digest: Of its bytes.
        size_bytes: How many.
        etag: What the bucket called them; None in a folder.
    """

    digest: Digest
    size_bytes: int
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log.

    Attributes:
        name: Its number, and the SHA-256 of its bytes.
        rest: The entry that the log goes on with; None where this one has all that is left.
        refs: The body of the refs that it was written for.
        data: Its bytes, mapped where they lie in a file.
        start: Where in them its lines begin, one for each file: key, SHA-256, size, ETag.
        ordered: Whether they ascend, each key once; those of an older Tidemill do not.
    """

    name: str
    rest: str | None
    refs: Mapping[str, Any]
    data: bytes | mmap.mmap
    start: int
    ordered: bool

    @property
    def number(self) -> int:
        """Its place in the log, from 1 on."""
        return number_of(self.name)

    @property
    def lines(self) -> bytes:
        """Its lines."""
        return self.data[self.start :]

    def line(self, key: bytes) -> bytes | None:
        """The line of a file; None where it has none."""
        return self._in_order(key) if self.ordered else self._anywhere(key)

    @property
    def size_bytes(self) -> int:
        """Of its lines."""
        return len(self.data) - self.start

    def has(self, keys: Collection[str]) -> bool:
        """Whether it has a line of one of these files."""
        return any(self.line(key.encode()) is not None for key in keys)

    def _in_order(self, key: bytes) -> bytes | None:
        data, low, high = self.data, self.start, len(self.data)
        while low < high:
            middle = (low + high) // 2
            start = max(data.rfind(b"\n", low, middle) + 1, low)
            end = data.find(b"\n", middle, high)
            line = data[start:end]
            own = line[: line.index(b" ")]
            if own == key:
                return line
            if own < key:
                low = end + 1
            else:
                high = start
        return None

    def _anywhere(self, key: bytes) -> bytes | None:
        # A line's end is before each, also before the first: the head's.
        at = self.data.find(b"\n" + key + b" ", self.start - 1) + 1
        return self.data[at : self.data.find(b"\n", at)] if at else None


class FileLog:
    """The log as it leads back from one entry.

    Args:
        entries: Newest first.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        self._lines: dict[str, bytes] | None = None

    @property
    def keys(self) -> frozenset[str]:
        """Under which keys below the table's prefix its entries lie."""
        return frozenset(f"{FOLDER}/{entry.name}" for entry in self.entries)

    def files(self) -> dict[str, Known]:
        """Every file, by its key below the table's prefix."""
        return dict(map(_parsed, self._by_key().values()))

    def find(self, keys: Collection[str]) -> dict[str, Known]:
        """Those of these files that it has."""
        few = _FEW if all(entry.ordered for entry in self.entries) else _FEW_UNORDERED
        if self._lines is None and len(keys) <= few:
            there = {key: line for key in keys if (line := self._line(key.encode())) is not None}
        else:
            every = self._by_key()
            there = {key: every[key] for key in keys if key in every}
        # A long history has many lines, and a commit asks for few: only these are taken apart.
        return dict(map(_parsed, there.values()))

    def with_entry(
        self, refs: Mapping[str, Any], files: Mapping[str, Known], gone: Collection[str] = ()
    ) -> "FileLog":
        """The log with one entry more.

        Args:
            refs: The body of the refs.
            files: Which are new.
            gone: The keys of files that it is not to have any more: what has them is taken over by the new entry.
        """
        lines = list(_written(files))
        size, count = sum(map(len, lines)) + len(lines), 0
        for entry in self.entries:
            if entry.size_bytes * 2 > size * 3:
                break
            size, count = size + entry.size_bytes, count + 1
        last = max((at for at, entry in enumerate(self.entries) if entry.has(gone)), default=-1)
        count = max(count, last + 1)
        own, rest = self.entries[:count], self.entries[count:]
        lines += [line for entry in own for line in entry.lines.splitlines()]
        without = {key.encode() for key in gone}
        return FileLog([_entry(self._next, rest[0].name if rest else None, refs, lines, without), *rest])

    def cheap_to_drop(self, keys: set[str] | frozenset[str]) -> set[str]:
        """Those of these files that the log can let go of without writing much again that stays."""
        left, done = set(keys), set[str]()
        dropped = size = 0
        for entry in self.entries:
            size += entry.size_bytes
            lines = {key: line for key in left if (line := entry.line(key.encode())) is not None}
            dropped += sum(len(line) + 1 for line in lines.values())
            left -= lines.keys()
            if dropped * _DROPPED_SHARE >= size:
                done = set(keys) - left
        return done | left

    def only(self, refs: Mapping[str, Any], keys: Collection[str]) -> "FileLog":
        """The log with one entry more, which has all there is to say of these files, and nothing of others."""
        return FileLog([_entry(self._next, None, refs, _written(self.find(keys)))])

    @property
    def _next(self) -> int:
        return self.entries[0].number + 1 if self.entries else 1

    def _by_key(self) -> dict[str, bytes]:
        if self._lines is None:
            # Of a file that is named twice, the newest line holds.
            lines = (line for entry in reversed(self.entries) for line in reversed(entry.lines.splitlines()))
            self._lines = {line[: line.index(b" ")].decode(): line for line in lines}
        return self._lines

    def _line(self, key: bytes) -> bytes | None:
        return next((line for entry in self.entries if (line := entry.line(key)) is not None), None)


def number_of(name: str) -> int:
    """The number of the entry of this name."""
    return int(name.partition("-")[0])


def digest_in(name: str) -> Digest:
    """The SHA-256 of the bytes of the entry of this name."""
    return digest_of_hex(name.partition("-")[2])


def parsed(name: str, data: bytes | mmap.mmap) -> Entry:
    """The entry that these bytes are, which are what its name says.

    Raises:
        StorageError: ``store-too-new``.
    """
    end = data.find(b"\n")
    body = json.loads(data[:end])
    if int(body["layout"]) > LAYOUT:
        raise damage.too_new(f"The log entry {name} has layout {body['layout']}", LAYOUT)
    return Entry(name, body["rest"], body["refs"], data, end + 1, bool(body.get("ordered")))


def read(objects: "Objects", prefix: str, head: str, kept: Path | None, seen: Seen) -> FileLog:
    """The log that leads back from an entry.

    Args:
        objects: The store's.
        prefix: The table's.
        head: The entry's name.
        kept: Where this machine keeps entries of a remote log.
        seen: What this machine has looked at.

    Raises:
        StorageError: ``store-damaged``.
    """
    found: list[Entry] = []
    name: str | None = head
    dataset = prefix.rpartition("/")[2].removesuffix(".lance")
    hint = (
        f"Type 'tidemill data repair {dataset}', with '--from ADDRESS' where another store has the dataset: "
        "files whose digest only this entry has are taken as they are."
    )
    while name is not None:
        with damage.reading(f"The log entry {name} in {objects.address}/{prefix}", hint, objects.address):
            found.append(parsed(name, _bytes(objects, prefix, name, kept, seen)))
        name = found[-1].rest
    return FileLog(found)


def whole_entries(objects: "Objects", prefix: str) -> Iterator[Entry]:
    """The entries that are whole, whatever the refs say, newest first."""
    keys = (entry.key for entry in objects.list(f"{prefix}/{FOLDER}"))
    for name in sorted((key.rpartition("/")[2] for key in keys), key=number_of, reverse=True):
        found = objects.get(f"{prefix}/{FOLDER}/{name}")
        try:
            if found is not None and _is_whole(name, found[0]):
                yield parsed(name, found[0])
        except ValueError:
            continue


def keep(
    objects: "Objects", prefix: str, name: str, data: bytes | mmap.mmap, kept: Path | None, seen: Seen
) -> None:
    """Have an entry at hand that was just written, or read from a remote log: it need not be looked at again."""
    path = _path(objects, prefix, name, kept)
    try:
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        seen.remember(_seen_as(prefix, name, kept), digest_in(name), mark_of(path))
    except OSError:
        return


def _bytes(objects: "Objects", prefix: str, name: str, kept: Path | None, seen: Seen) -> bytes | mmap.mmap:
    path = _path(objects, prefix, name, kept)
    try:
        if seen.is_whole(_seen_as(prefix, name, kept), path, digest_in(name)):
            with path.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        pass
    found = objects.get(f"{prefix}/{FOLDER}/{name}")
    if found is None:
        raise FileNotFoundError("it is gone")
    if not _is_whole(name, found[0]):
        raise ValueError("its bytes are others than its name says")
    if kept is not None:
        keep(objects, prefix, name, found[0], kept, seen)
    return found[0]


def _path(objects: "Objects", prefix: str, name: str, kept: Path | None) -> Path:
    own = objects.path(f"{prefix}/{FOLDER}/{name}")
    path = own if kept is None else kept / name
    assert path is not None, "entries of a remote log are kept on this machine"
    return path


def _seen_as(prefix: str, name: str, kept: Path | None) -> str:
    return f"{prefix}/{FOLDER if kept is None else 'log'}/{name}"


def _is_whole(name: str, data: bytes) -> bool:
    return identity.blob(data) == digest_in(name)


def _entry(
    number: int,
    rest: str | None,
    refs: Mapping[str, Any],
    lines: Iterable[bytes],
    without: Collection[bytes] = (),
) -> Entry:
    """An entry with these lines but for some keys'; the first holds where a key is there twice."""
    layout = LAYOUT if "packs" in refs else _WITHOUT_PACKS
    head = {"layout": layout, "number": number, "rest": rest, "refs": refs, "ordered": True}
    start = json.dumps(head).encode() + b"\n"
    by_key: dict[bytes, bytes] = {}
    for line in lines:
        by_key.setdefault(line[: line.index(b" ")], line)
    for key in without:
        by_key.pop(key, None)
    data = start + b"".join(by_key[key] + b"\n" for key in sorted(by_key))
    name = f"{number:08}-{hashlib.sha256(data).hexdigest()}"
    return Entry(name, rest, refs, data, len(start), ordered=True)


def _written(files: Mapping[str, Known]) -> Iterator[bytes]:
    for key, known in files.items():
        digest = hex_of(known.digest)
        yield f"{key} {digest} {known.size_bytes} {known.etag or _NO_ETAG}".encode()


def _parsed(line: bytes) -> tuple[str, Known]:
    key, digest, size, etag = line.decode().split(" ", 3)
    return key, Known(digest_of_hex(digest), int(size), None if etag == _NO_ETAG else etag)
