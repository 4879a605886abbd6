"""Files that were written outside the store and show rows, recorded so that rows forgotten later are found there.

A record is an object ``written/NAME.json`` of the store: where the file is and on which machine, its digest, and
which commits it shows. It holds no cell. Not a list of what is there now: people move and delete files.
"""

import csv
import hashlib
import json
import os
import socket
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

from tidemill.core import codes, files, identity
from tidemill.core.clock import now, stamp
from tidemill.core.errors import Conflict, StorageError, TidemillError
from tidemill.core.names import hex_of
from tidemill.store import damage
from tidemill.store.table import ID

if TYPE_CHECKING:
    from tidemill.store.open import Store

FOLDER = "written"
LAYOUT = 1
Kind = Literal[
    "refused rows",
    "conflicts",
    "suspects",
    "difference",
    "export",
    "profile",
    "review",
    "report",
    "comparison",
    "explanation",
]
_RESTORE = (
    "Put it back from a backup. Without one, remove it: then 'tidemill data forget' does not know of that file, "
    "which is a report or an export that shows rows."
)
_READ_ONLY = (codes.STORE_READ_ONLY, codes.ACCESS_DENIED)
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a dataset a file shows.

    Attributes:
        dataset: The dataset.
        commits: Ids of the commits whose rows may be in it.
        forgotten: How often rows of the dataset had been forgotten before it was read.
    """

    dataset: str
    commits: tuple[str, ...]
    forgotten: int


@dataclass(frozen=True, slots=True)
class Written:
    """The record of one file.

    Attributes:
        host: The machine that it was written on.
        path: Absolute.
        digests: SHA-256 of its bytes, in hex; two where it was being replaced when the process ended.
    """

    host: str
    path: str
    kind: Kind
    digests: tuple[str, ...]
    shown: tuple[Shown, ...]
    written_at: str

    @property
    def key(self) -> str:
        """Its key in the store: one for each place on each machine."""
        name = hashlib.sha256(json.dumps([self.host, self.path]).encode("utf-8", "surrogatepass")).hexdigest()
        return f"{FOLDER}/{name[:32]}.json"

    def to_bytes(self) -> bytes:
        """As it is stored."""
        body = {
            "layout": LAYOUT,
            "host": self.host,
            "path": self.path,
            "kind": self.kind,
            "digests": list(self.digests),
            "shown": [
                {"dataset": s.dataset, "commits": list(s.commits), "forgotten": s.forgotten}
                for s in self.shown
            ],
            "written_at": self.written_at,
        }
        return json.dumps(body, indent=1).encode() + b"\n"


def shown(store: "Store", dataset: str, commits: Iterable[str]) -> Shown:
    """What a file is about to show of a dataset; asked before its rows are read."""
    from tidemill.data import tombstones  # noqa: PLC0415

    return Shown(dataset, tuple(dict.fromkeys(commits)), len(tombstones(store.objects, dataset)))


def shown_by_runs(store: "Store", inputs: Iterable[dict[str, str]]) -> list[Shown]:
    """What a file is about to show of the datasets that runs read; ``inputs`` are those of their records."""
    read: dict[str, list[str]] = {}
    for each in inputs:
        for reference, commit in each.items():
            read.setdefault(reference.partition("@")[0], []).append(commit)
    return [shown(store, name, commits) for name, commits in read.items()]


@contextmanager
def writing(store: "Store", path: Path, kind: Kind, about: Sequence[Shown]) -> Generator[Path]:
    """A file to write, as ``files.replacing`` gives it, that is recorded before it takes its place.

    Where the store can only be read, the file is written all the same, and no record is kept.
    """
    with files.replacing(path) as part:
        place = os.path.realpath(path)
        if part == path:  # a device or a pipe: nothing stays there
            yield part
            return
        record = Written(socket.gethostname(), place, kind, (), tuple(about), stamp(now()))
        # Until the new file takes its place, the old one is there: a kill in between must not make it a stranger.
        old = _find(store, record.key) or replace(record, shown=())
        both = replace(old, kind=kind, shown=(*old.shown, *record.shown))
        _put(store, both)
        yield part
        _check_unforgotten(store, about)
        new = digest_of(part)
        _put(store, replace(both, digests=(*old.digests, new)))
    _put(store, replace(record, digests=(new,)))


def write_page(store: "Store", path: Path, kind: Kind, about: Sequence[Shown], text: str) -> None:
    """Write a page as UTF-8, and record it."""
    with writing(store, path, kind, about) as part:
        part.write_text(text, "utf-8", newline="")


def records(store: "Store") -> Iterator[Written]:
    """Every file that was recorded.

    Raises:
        StorageError: ``store-too-new``.
    """
    for entry in store.objects.list(FOLDER):
        found = store.objects.get(entry.key)
        if found is not None:
            yield _read(found[0], entry.key)


def record_cleared(store: "Store", written: Written, dataset: str, forgotten: int) -> None:
    """Write down that a file holds nothing of what had been forgotten of a dataset so far."""
    about = tuple(replace(s, forgotten=forgotten) if s.dataset == dataset else s for s in written.shown)
    store.objects.put(written.key, replace(written, shown=about).to_bytes())


def drop(store: "Store", written: Written) -> None:
    """Remove the record of a file."""
    store.objects.delete([written.key])


def rewrite(store: "Store", written: Written, lines: Iterable[bytes]) -> Written:
    """Put these lines in the place of a recorded file's; its record."""
    with files.replacing(Path(written.path)) as part:
        with part.open("wb") as file:
            file.writelines(lines)
        new = digest_of(part)
        store.objects.put(written.key, replace(written, digests=(*written.digests, new)).to_bytes())
    return replace(written, digests=(new,))


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    return hex_of(identity.file(path))


def lines_without(source: IO[bytes], ids: Collection[int]) -> Iterator[bytes]:
    """The records of a CSV file, byte for byte, less those whose ``_id`` is one of these.

    Raises:
        ValueError: When the file has no column ``_id``.
    """
    every = _csv_records(source)
    header = next(every, b"")
    at = _cells(header).index(ID)
    yield header
    for record in every:
        cells = _cells(record)
        if not (at < len(cells) and cells[at].isdecimal() and int(cells[at]) in ids):
            yield record


def _csv_records(source: IO[bytes]) -> Iterator[bytes]:
    """Lines, or several where a quoted cell has line ends in it."""
    held = b""
    for line in source:
        held += line
        if held.count(b'"') % 2 == 0:
            yield held
            held = b""
    if held:
        yield held


def _cells(record: bytes) -> list[str]:
    return next(csv.reader([record.decode("utf-8-sig", "replace")]), [])


def _find(store: "Store", key: str) -> Written | None:
    found = store.objects.get(key)
    return _read(found[0], key) if found else None


def _check_unforgotten(store: "Store", about: Sequence[Shown]) -> None:
    from tidemill.data import tombstones  # noqa: PLC0415

    for each in about:
        if len(tombstones(store.objects, each.dataset)) != each.forgotten:
            raise Conflict(
                f"Rows of dataset '{each.dataset}' were forgotten while this file was being written.",
                why="It would have them still. Nothing was written.",
                hint="Run the same command again.",
                code=codes.OBJECT_CHANGED,
            )


def _put(store: "Store", record: Written) -> None:
    try:
        store.objects.put(record.key, record.to_bytes())
    except TidemillError as error:
        if error.code not in _READ_ONLY:
            raise


def _read(content: bytes, key: str) -> Written:
    with damage.reading(f"The record {key} of a written file", _RESTORE):
        body: dict[str, Any] = json.loads(content)
        if body["layout"] > LAYOUT or body["kind"] not in get_args(Kind):
            raise StorageError(
                f"The record {key} of a written file is of a newer layout.",
                why="A newer Tidemill wrote it.",
                hint="Type 'pip install --upgrade tidemill'.",
                code=codes.STORE_TOO_NEW,
            )
        about = tuple(Shown(s["dataset"], tuple(s["commits"]), s["forgotten"]) for s in body["shown"])
        return Written(
            body["host"], body["path"], body["kind"], tuple(body["digests"]), about, body["written_at"]
        )


def remove_unfinished(place: Path) -> list[Path]:
    """Remove what processes that were killed left of the file at ``place``; these files."""
    gone: list[Path] = []
    with suppress(OSError):
        for part in place.parent.glob(files.part_name(place, "*")):
            process = part.name.split(".")[2]
            if not (process.isdecimal() and _is_alive(int(process))):
                part.unlink(missing_ok=True)
                gone.append(part)
    return gone


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return process != os.getpid()
