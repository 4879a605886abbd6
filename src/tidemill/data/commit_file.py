"""What a dataset's commits say, as it was read before: a line a commit, so that a long history is one short read.

Derived from the table's transactions, and only appended to. A line has a digest of itself, and is believed only by who
knows the id that the commit must have: in another life of the dataset, the same version may have been another commit.
"""

import contextlib
import hashlib
import os
from functools import cached_property
from pathlib import Path

from tidemill.data.commits import PROPERTY

_DIGITS = 16
_LAST_BYTES = 64 * 1024
"""The newest commits lie there: to look a head up, not all of a long history is read."""
_FEW = 8
"""To look for more older commits than this costs more than to take all lines apart."""


class CommitFile:
    """The commits of one dataset by version.

    Args:
        path: Where they are kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked = 0

    def get(self, version: int) -> dict[str, str] | None:
        """The properties of a version, as they were read once; None when they were not."""
        number = str(version).encode()
        return _whole(self._recent.get(number) or self._older(number))

    def at_hand(self, version: int) -> dict[str, str] | None:
        """The same of a version that was read not long ago; None, too, when all that is kept would have to be read for few."""
        number = str(version).encode()
        recent = self._recent.get(number)
        if recent is None:
            self._asked += 1
        return _whole(recent or (self._every.get(number, b"") if self._asked > _FEW else b""))

    @cached_property
    def _recent(self) -> dict[bytes, bytes]:
        return _by_version(self._read(_LAST_BYTES), part=True)

    def version_of(self, commit_id: str) -> int | None:
        """The one version that was read as the commit of this id, which may be another by now; None for none or several."""
        data, own = self._read(), f'"id": "{commit_id}"'.encode()
        found: set[int] = set()
        at = data.find(own)
        while at >= 0:
            start = data.rfind(b"\n", 0, at) + 1
            number = data[start : data.find(b" ", start)]
            found |= {int(number)} if number.isdigit() else set()
            at = data.find(own, at + 1)
        return found.pop() if len(found) == 1 else None

    def put(self, version: int, stored: dict[str, str]) -> None:
        """Keep a version's properties."""
        line = f"{version} {_digest(stored[PROPERTY])} {stored[PROPERTY]}\n"
        # Where nothing may be written, they are read from the table each time.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)

    def _older(self, number: bytes) -> bytes:
        """What the newest line of a version says; empty where there is none."""
        if self._asked > _FEW:
            return self._every.get(number, b"")
        data, own = self._read(), number + b" "
        at = data.rfind(b"\n" + own) + 1
        return data[at : data.find(b"\n", at)].partition(b" ")[2] if data.startswith(own, at) else b""

    @cached_property
    def _every(self) -> dict[bytes, bytes]:
        return _by_version(self._read())

    def _read(self, last: int | None = None) -> bytes:
        """All of it; its end alone, where only the last bytes are asked for."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - last, 0) if last is not None else 0)
                return file.read()
        except OSError:
            return b""


def _whole(line: bytes) -> dict[str, str] | None:
    digest, _, body = line.decode("utf-8", "replace").partition(" ")
    # A process that was killed as it wrote left a part of a line, and the next one behind it.
    return {PROPERTY: body} if body and digest == _digest(body) else None


def _by_version(data: bytes, *, part: bool = False) -> dict[bytes, bytes]:
    """What each version's newest line says; the first may be a part of one."""
    lines = data.split(b"\n")[part and len(data) >= _LAST_BYTES :]
    return {number: body for number, _, body in (line.partition(b" ") for line in lines)}


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:_DIGITS]
