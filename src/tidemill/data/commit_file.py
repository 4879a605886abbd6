"""What a dataset's commits say, as it was read before: a line a commit, so that a long history is one short read.

Derived from the table's transactions, and only appended to. A line has a digest of itself, and is believed only by who
knows the id that the commit must have: in another life of the dataset, the same version may have been another commit.
"""

import contextlib
import hashlib
from pathlib import Path

from tidemill.data.commits import PROPERTY

_DIGITS = 16


class CommitFile:
    """The commits of one dataset by version.

    Args:
        path: Where they are kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[str, str] | None = None

    def get(self, version: int) -> dict[str, str] | None:
        """The properties of a version, as they were read once; None when they were not."""
        if self._lines is None:
            self._lines = self._read()
        digest, _, body = self._lines.get(str(version), "").partition(" ")
        # A process that was killed as it wrote left a part of a line, and the next one behind it.
        return {PROPERTY: body} if body and digest == _digest(body) else None

    def put(self, version: int, stored: dict[str, str]) -> None:
        """Keep a version's properties."""
        line = f"{version} {_digest(stored[PROPERTY])} {stored[PROPERTY]}\n"
        # Where nothing may be written, they are read from the table each time.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)

    def _read(self) -> dict[str, str]:
        try:
            text = self._path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return {}
        return {version: body for version, _, body in (line.partition(" ") for line in text.split("\n"))}


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:_DIGITS]
