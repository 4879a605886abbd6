"""What a dataset's commits say, as it was read before: a line a commit, so that a long history is one short read.

Derived from the table's transactions, and only appended to. A line has a digest of itself, and is believed only by who
knows the id that the commit must have: in another life of the dataset, the same version may have been another commit.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from tidemill.data.commits import PROPERTY

_DIGITS = 16
_LAST_BYTES = 64 * 1024
"""The newest commits lie there: to look a head up, not all of a long history is read."""


class CommitFile:
    """The commits of one dataset by version.

    Args:
        path: Where they are kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[str, str] | None = None
        self._last: dict[str, str] | None = None

    def get(self, version: int) -> dict[str, str] | None:
        """The properties of a version, as they were read once; None when they were not."""
        if self._last is None:
            self._last = self._read(_LAST_BYTES)
        line = self._last.get(str(version)) or self._all().get(str(version), "")
        digest, _, body = line.partition(" ")
        # A process that was killed as it wrote left a part of a line, and the next one behind it.
        return {PROPERTY: body} if body and digest == _digest(body) else None

    def version_of(self, commit_id: str) -> int | None:
        """The one version that was read as the commit of this id, which may be another by now; None for none or several."""
        own = f'"id": "{commit_id}"'
        found = [version for version, line in self._all().items() if own in line and version.isdecimal()]
        return int(found[0]) if len(found) == 1 else None

    def put(self, version: int, stored: dict[str, str]) -> None:
        """Keep a version's properties."""
        line = f"{version} {_digest(stored[PROPERTY])} {stored[PROPERTY]}\n"
        # Where nothing may be written, they are read from the table each time.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)

    def _all(self) -> dict[str, str]:
        if self._lines is None:
            self._lines = self._read()
        return self._lines

    def _read(self, last: int | None = None) -> dict[str, str]:
        """What each version says; of its end alone, where only the last bytes are asked for."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = max(size - last, 0) if last is not None else 0
                file.seek(start)
                text = file.read().decode("utf-8", "replace" if start else "strict")
        except (OSError, UnicodeDecodeError):
            return {}
        lines = text.split("\n")
        # The first may be a part of one.
        return {version: body for version, _, body in (line.partition(" ") for line in lines[bool(start) :])}


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:_DIGITS]
