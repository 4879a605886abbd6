"""What a step prints, from Python or from C: this process's output goes to a file, of which the end is kept."""

import io
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

LOG_BYTES = 1024 * 1024
"""How much of what a step printed is kept: the end."""
_FILE_BYTES = 64 * LOG_BYTES
"""How large the file may become before its beginning goes. A step that prints without end fills no disk."""
_LOOK_SECONDS = 0.2


class Capture:
    """Points the output of this process at a file, for good.

    A file, not a pipe: code in C that prints into a full pipe holds the interpreter's lock, and whoever would
    empty the pipe waits for that lock.

    Args:
        descriptor: Of the file, open for reading and appending; it is emptied for each step.
    """

    def __init__(self, descriptor: int) -> None:
        self._file = descriptor
        self._gone = 0
        self._printing = threading.Event()
        self._point()
        threading.Thread(target=self._watch, daemon=True).start()

    def start(self) -> None:
        """A step begins."""
        # To empty an empty file is written to the disk too.
        if os.fstat(self._file).st_size:
            os.ftruncate(self._file, 0)
        self._gone = 0
        self._printing.set()

    def stop(self, mask: Callable[[bytes, bool], bytes]) -> bytes:
        """A step is over; the end of what it printed, as ``mask`` leaves it: told whether its beginning is missing."""
        self._printing.clear()
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, ValueError, OSError):
                stream.flush()
        # A step may have closed or replaced them.
        self._point()
        size = os.fstat(self._file).st_size
        if not size:
            return b""
        printed = os.pread(self._file, LOG_BYTES, max(0, size - LOG_BYTES))
        left_out = self._gone + size - len(printed)
        printed = mask(printed, left_out > 0)
        if not left_out:
            return printed
        note = f"({left_out} bytes before these are left out)\n".encode()
        return note + printed[len(note) :]

    def _point(self) -> None:
        for number in (1, 2):
            os.dup2(self._file, number)
        # Lines in the order in which they were printed, whoever printed them.
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(
                io.FileIO(number, "w", closefd=False), "utf-8", "backslashreplace", line_buffering=True
            )
            for number in (1, 2)
        )

    def _watch(self) -> None:
        while True:
            self._printing.wait()
            time.sleep(_LOOK_SECONDS)
            with suppress(OSError):
                size = os.fstat(self._file).st_size
                if size > _FILE_BYTES and self._printing.is_set():
                    # Whoever prints appends, so what comes next is written at the new end.
                    os.ftruncate(self._file, 0)
                    self._gone += size
