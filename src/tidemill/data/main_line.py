"""Which commit of ``main`` has which number: a record a commit, so that to find an old one not all of history is walked.

Derived, and believed from a commit on that whoever looks has reached on the branch itself: records are written in the
order of their numbers, each as what the next one comes from. What is found is read as a commit, and has to be it.
"""

import contextlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from tidemill.data.commits import Commit
from tidemill.data.refs import Ref

_RECORD = struct.Struct("<Q6s")


class MainLine:
    """The commits of one dataset's ``main`` by number.

    Args:
        path: Where they are kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, number: int) -> Ref | None:
        """The commit with a number, as it was when somebody looked; None when nobody did."""
        try:
            with self._path.open("rb") as file:
                file.seek((number - 1) * _RECORD.size)
                data = file.read(_RECORD.size)
        except OSError:
            return None
        if len(data) != _RECORD.size:
            return None
        version, digits = _RECORD.unpack(data)
        return Ref(digits.hex(), version)

    def number_of(self, commit_id: str) -> int | None:
        """The number of the commit of an id, as far as somebody looked."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return None
        digits = bytes.fromhex(commit_id)
        at = data.find(digits)
        while at >= 0 and (at + len(digits)) % _RECORD.size:
            at = data.find(digits, at + 1)
        return (at + len(digits)) // _RECORD.size if at >= 0 else None

    def add(self, commit: Commit, parent: Ref | None) -> None:
        """Keep a commit that was just made, where what it was made of is kept."""
        if parent is None or self.get(commit.number - 1) == parent:
            self.put([commit])

    def put(self, commits: Sequence[Commit]) -> None:
        """Keep the newest commits, one after the other; what they come from is kept already."""
        data = b"".join(_RECORD.pack(c.version, bytes.fromhex(c.id)) for c in commits)
        # Where nothing may be written, they are looked for each time.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                start = (commits[0].number - 1) * _RECORD.size
                os.pwrite(handle, data, start)
                os.ftruncate(handle, start + len(data))
            finally:
                os.close(handle)
