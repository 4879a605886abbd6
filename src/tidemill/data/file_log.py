"""A dataset's log: which refs it had from when on, and which files were written for them, each with its SHA-256.

Whoever changes the refs first writes an entry, and then names it in the refs that take the old ones' place. So what a
killed writer left is an entry that no refs lead to. An entry's own name has the SHA-256 of its bytes, so that from the
refs on everything is held against a digest.

Entry N takes over the lines of the entries before it that it makes needless, as a Fenwick tree does: of N entries
about log2(N) have all lines, and a line is written again about log2(N) times.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import StorageError
from tidemill.core.names import Digest
from tidemill.store import damage

if TYPE_CHECKING:
    from tidemill.store.objects import Objects

FOLDER = "_tidemill/log"
LAYOUT = 1
_FEW = 16
"""To look for more keys than this costs more than to take all lines apart."""
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
        lines: A line for each file: key, SHA-256, size, ETag.
    """

    name: str
    rest: str | None
    refs: Mapping[str, Any]
    lines: bytes

    @property
    def number(self) -> int:
        """Its place in the log, from 1 on."""
        return number_of(self.name)

    def to_bytes(self) -> bytes:
        """As it is stored."""
        head = {"layout": LAYOUT, "number": self.number, "rest": self.rest, "refs": self.refs}
        return json.dumps(head).encode() + b"\n" + self.lines


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
        if self._lines is None and len(keys) <= _FEW:
            there = {key: line for key in keys if (line := self._line(key)) is not None}
        else:
            every = self._by_key()
            there = {key: every[key] for key in keys if key in every}
        # A long history has many lines, and a commit asks for few: only these are taken apart.
        return dict(map(_parsed, there.values()))

    def with_entry(self, refs: Mapping[str, Any], files: Mapping[str, Known]) -> "FileLog":
        """The log with one entry more."""
        number = self.entries[0].number + 1 if self.entries else 1
        since = number - (number & -number)
        own = [entry for entry in self.entries if entry.number > since]
        rest = self.entries[len(own) :]
        lines = b"".join([_written(files), *(entry.lines for entry in own)])
        return FileLog([_entry(number, rest[0].name if rest else None, refs, lines), *rest])

    def only(self, refs: Mapping[str, Any], keys: Collection[str]) -> "FileLog":
        """The log with one entry more, which has all there is to say of these files, and nothing of others."""
        number = self.entries[0].number + 1 if self.entries else 1
        return FileLog([_entry(number, None, refs, _written(self.find(keys)))])

    def _by_key(self) -> dict[str, bytes]:
        if self._lines is None:
            # Of a file that is named twice, the newest line holds.
            lines = (line for entry in reversed(self.entries) for line in reversed(entry.lines.splitlines()))
            self._lines = {line[: line.index(b" ")].decode(): line for line in lines}
        return self._lines

    def _line(self, key: str) -> bytes | None:
        start = f"{key} ".encode()
        for entry in self.entries:
            at = 0 if entry.lines.startswith(start) else entry.lines.find(b"\n" + start) + 1
            if at or entry.lines.startswith(start):
                return entry.lines[at : entry.lines.index(b"\n", at)]
        return None


def number_of(name: str) -> int:
    """The number of the entry of this name."""
    return int(name.partition("-")[0])


def parsed(name: str, data: bytes) -> Entry:
    """The entry that these bytes are.

    Raises:
        StorageError: ``store-too-new``.
        ValueError: When they are others than its name says.
    """
    if hashlib.sha256(data).hexdigest() != name.partition("-")[2]:
        raise ValueError("its bytes are others than its name says")
    head, _, lines = data.partition(b"\n")
    body = json.loads(head)
    if int(body["layout"]) > LAYOUT:
        raise StorageError(
            f"The log entry {name} has layout {body['layout']}; this Tidemill knows up to {LAYOUT}.",
            why="A newer Tidemill wrote it.",
            hint="Type 'pip install --upgrade tidemill'.",
            code="store-too-new",
        )
    return Entry(name, body["rest"], body["refs"], lines)


def read(objects: "Objects", prefix: str, head: str, kept: Path | None) -> FileLog:
    """The log that leads back from an entry.

    Args:
        objects: The store's.
        prefix: The table's.
        head: The entry's name.
        kept: Where this machine keeps entries of a remote log.

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
        with damage.reading(f"The log entry {name} in {objects.address}/{prefix}", hint):
            found.append(parsed(name, _bytes(objects, f"{prefix}/{FOLDER}/{name}", kept)))
        name = found[-1].rest
    return FileLog(found)


def whole_entries(objects: "Objects", prefix: str) -> Iterator[Entry]:
    """The entries that are whole, whatever the refs say, newest first."""
    keys = (entry.key for entry in objects.list(f"{prefix}/{FOLDER}"))
    for name in sorted((key.rpartition("/")[2] for key in keys), key=number_of, reverse=True):
        found = objects.get(f"{prefix}/{FOLDER}/{name}")
        try:
            if found is not None:
                yield parsed(name, found[0])
        except ValueError:
            continue


def _bytes(objects: "Objects", key: str, kept: Path | None) -> bytes:
    if kept is None:
        found = objects.get(key)
    else:
        path = kept / key.rpartition("/")[2]
        if path.is_file():
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == path.name.partition("-")[2]:
                return data
        found = objects.get(key)
        if found is not None:
            keep(kept, path.name, found[0])
    if found is None:
        raise FileNotFoundError("it is gone")
    return found[0]


def keep(kept: Path, name: str, data: bytes) -> None:
    """Have an entry of a remote log at hand."""
    try:
        kept.mkdir(parents=True, exist_ok=True)
        (kept / name).write_bytes(data)
    except OSError:
        return


def _entry(number: int, rest: str | None, refs: Mapping[str, Any], lines: bytes) -> Entry:
    data = Entry(str(number), rest, refs, lines).to_bytes()
    return Entry(f"{number:08}-{hashlib.sha256(data).hexdigest()}", rest, refs, lines)


def _written(files: Mapping[str, Known]) -> bytes:
    return b"".join(
        f"{key} {known.digest.removeprefix('sha256:')} {known.size_bytes} {known.etag or _NO_ETAG}\n".encode()
        for key, known in sorted(files.items())
    )


def _parsed(line: bytes) -> tuple[str, Known]:
    key, digest, size, etag = line.decode().split(" ", 3)
    return key, Known(Digest(f"sha256:{digest}"), int(size), None if etag == _NO_ETAG else etag)
