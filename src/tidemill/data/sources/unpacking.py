"""A file's bytes in order, unpacked, and watched: that they are whole, UTF-8, and that nobody writes to them."""

import codecs
import io
import os
import time
import weakref
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, TypeVar

from tidemill.core import codes
from tidemill.core.errors import Conflict, InvalidInput, NotFound, StorageError

_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
"""How packed bytes begin."""
_LET_GO_SECONDS = 5.0
"""How long a thread that reads ahead is waited for: of a pipe that nobody writes to, it would be for ever."""
T = TypeVar("T")


def packing(path: Path) -> str | None:
    """How a file is packed, by its first bytes; None for not at all."""
    start = first_bytes(path, 4)
    return next((name for magic, name in _PACKED.items() if start.startswith(magic)), None)


def first_bytes(path: Path, count: int) -> bytes:
    """The beginning of a file.

    Raises:
        NotFound: ``file-not-found``.
        InvalidInput: ``not-a-file``.
        StorageError: When it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> Exception:
    """What the system says of a file, for a person."""
    if isinstance(error, FileNotFoundError):
        return NotFound(f"There is no file {path}.", hint="Check the path.", code=codes.FILE_NOT_FOUND)
    if isinstance(error, IsADirectoryError):
        return InvalidInput(
            f"{path} is a folder, not a file.", hint="Name a file in it.", code=codes.NOT_A_FILE
        )
    return StorageError(
        f"Cannot read {path}: {error.strerror or error}.",
        hint="Check the disk and the rights of that file.",
        code=codes.STORAGE,
    )


class Unpacked(io.RawIOBase):
    """The bytes of one file, for one reading.

    A reader in C cannot be told why its input ends. So what is wrong with the bytes ends them, and is raised by
    ``check``, which whoever reads calls at the end and when the reader complains.

    Args:
        path: The file.
        before: What ``identity`` gave when the file was first opened; None for this being the first time.
        text: Whether the bytes must be UTF-8.
        watch: Is given all bytes as they are read.

    Attributes:
        quotes: Double quotes so far: of a CSV file, an even number at its end.
    """

    def __init__(
        self,
        path: Path,
        before: tuple[int, ...] | None = None,
        *,
        text: bool = True,
        watch: Callable[[bytes], None] | None = None,
    ) -> None:
        super().__init__()
        self._path = path
        try:
            self._raw = path.open("rb", buffering=0)
        except OSError as error:
            raise unreadable(path, error) from error
        self.identity = _identity(os.fstat(self._raw.fileno()))
        self._before = before or self.identity
        self.size_bytes: int = self.identity[0]
        self._packing = packing(path)
        self._bytes: Any = _inflated(self._raw, self._packing) if self._packing else self._raw
        self._decode = codecs.getincrementaldecoder("utf-8")() if text else None
        self._watch = watch
        self._fault: Exception | None = None
        self._stopped = False
        self._lines = 0
        self.quotes = 0
        self._line_start = b""
        self._last = b""

    @property
    def packed(self) -> bool:
        """Whether the file's bytes are packed."""
        return self._packing is not None

    @property
    def done_bytes(self) -> int:
        """How much of the file was read."""
        return self._raw.tell()

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; none at the end, and once something is wrong."""
        if self._fault is not None or self._stopped:
            return b""
        try:
            data: bytes = self._bytes.read(size) or b""
        except OSError as error:
            self._fault = self._cut_short(str(error)) if self._packing else unreadable(self._path, error)
            return b""
        if self._decode is not None:
            data = self._checked(data)
        if self._watch is not None:
            self._watch(data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        """The next bytes, into a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def stop(self) -> None:
        """Have no more read by who reads ahead."""
        self._stopped = True

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._bytes.close()
            self._raw.close()
        super().close()

    def check(self) -> None:
        """Raise what is wrong with the bytes that were read.

        Raises:
            Conflict: ``file-changed``.
            InvalidInput: ``truncated-file``.
            NotUtf8: With its place.
            StorageError: When the file could not be read.
        """
        try:
            now = _identity(self._path.stat())
        except OSError as error:
            raise unreadable(self._path, error) from error
        if now != self._before:
            raise Conflict(
                f"{self._path.name} changed while it was read: it had {self._before[0]} bytes at first and "
                f"{now[0]} at the end, {self._lines + 1} lines in.",
                why="Another program is writing it, so what was read may be neither the old nor the new file.",
                hint="Wait for that program to end, then run the same command again.",
                code=codes.FILE_CHANGED,
                details={"file": self._path.name, "line": self._lines + 1, "column": 1},
            )
        if self._fault is not None:
            raise self._fault

    def _checked(self, data: bytes) -> bytes:
        assert self._decode is not None
        pending = self._decode.getstate()[0]
        if pending or not data or not data.isascii():
            try:
                self._decode.decode(data, final=not data)
            except UnicodeDecodeError as error:
                # The decoder counts from the bytes it had kept of a character that was cut in two.
                at = max(error.start - len(pending), 0)
                whole = self._line_start + data[:at] if at else self._line_start
                start = max(whole.rfind(b"\n"), whole.rfind(b"\r")) + 1
                line = self._lines + self._ends(data[:at]) + 1
                bad = pending[:1] if error.start < len(pending) else data[at : at + 1]
                before = whole[start:]
                if error.start < len(pending):
                    before = before[: len(before) - len(pending)]
                self._fault = NotUtf8(line, before, bad[0])
                return b""
        self._lines += self._ends(data)
        self.quotes += data.count(b'"')
        end = max(data.rfind(b"\n"), data.rfind(b"\r"))
        self._last = data[-1:] or self._last
        # Only the start of an open line is kept: to name the column where a byte is wrong.
        self._line_start = data[end + 1 :] if end >= 0 else self._line_start + data
        return data

    def _ends(self, data: bytes) -> int:
        """How many lines end in the next bytes: at a line feed, at a carriage return, or at both together."""
        count = data.count(b"\n")
        if b"\r" in data:
            count += data.count(b"\r") - data.count(b"\r\n")
        return count - (self._last == b"\r" and data[:1] == b"\n")

    def _cut_short(self, why: str) -> InvalidInput:
        return InvalidInput(
            f"{self._path.name}, line {self._lines + 1}: the {self._packing} data ends or breaks here.",
            why=why,
            hint="The file was not copied or written to its end: get it again.",
            code=codes.TRUNCATED_FILE,
            details={"file": self._path.name, "line": self._lines + 1},
        )


def read_ahead(data: Unpacked, reader_of: Callable[[io.RawIOBase], Iterable[T]]) -> Generator[T]:
    """What a reader of Arrow gives that reads ahead in threads of its own; it ends when they have let go of the file.

    Such a thread drops its reference to the file after the reader has given its last batch or its error. If it asks for
    Python's lock for that while the process ends, it is ended amid a destructor, and the process with it ("terminate called
    without an active exception"). And what the file counted is read after this, when nothing changes it any more.

    Args:
        data: The file.
        reader_of: Makes the reader of it. It must be a function in C: a frame of Python, kept by an error, would keep the file.
    """
    lent = _Lent(data)
    held = weakref.ref(lent)
    opened = [lent]
    del lent
    try:
        yield from reader_of(opened.pop())
    finally:
        data.stop()
        deadline = time.monotonic() + _LET_GO_SECONDS
        while held() is not None and time.monotonic() < deadline:
            time.sleep(0.0005)


class _Lent(io.RawIOBase):
    """A file as a reader in C holds it: nobody else holds this object."""

    def __init__(self, data: Unpacked) -> None:
        super().__init__()
        self._data = data

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._data.read(size)


class NotUtf8(Exception):
    """A byte that is not UTF-8: its line, what stands before it in that line, and itself."""

    def __init__(self, line: int, before: bytes, byte: int) -> None:
        super().__init__(line, before, byte)
        self.line = line
        self.before = before
        self.byte = byte

    def error(self, file: str, column: str) -> InvalidInput:
        """For a person."""
        at = len(self.before) + 1
        return InvalidInput(
            f"{file}, line {self.line}, column {column!r}: byte 0x{self.byte:02x} (byte {at} of the line) "
            "is not UTF-8.",
            hint="Save the file as UTF-8; from Latin-1 or Windows: 'iconv -f cp1252 -t utf-8 OLD > NEW'.",
            code=codes.NOT_UTF8,
            details={"file": file, "line": self.line, "column": column, "byte": at},
        )


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


def _inflated(raw: Any, kind: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.CompressedInputStream(pa.PythonFile(raw, "r"), kind)
