"""A server's own log: one JSON object a line on standard error, whatever a client sends."""

import io
import json
import logging
import sys
import threading
import traceback
from typing import Any

from tidemill.core.clock import now, stamp


def report(event: str, **facts: object) -> None:
    """Write one line."""
    line = json.dumps({"time": stamp(now()), "event": event, **facts}, default=str)
    where: Any = sys.__stderr__
    # One write, so that those of several threads do not meet within a line.
    where.write(line + "\n")
    where.flush()


def report_all() -> None:
    """Make lines of what others write too: of what a step prints, a library logs or warns of, a thread dies of.

    For a process that is a server and nothing else.
    """
    logging.basicConfig(handlers=[_Records()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    threading.excepthook = lambda died: _died(died.exc_value)
    sys.excepthook = lambda _, error, __: _died(error)
    sys.stdout = sys.stderr = _Printed()


class _Records(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, Any] = {
            "logger": record.name,
            "level": record.levelname,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            facts["trace"] = traceback.format_exception(record.exc_info[1])
        report("logged", **facts)


class _Printed(io.TextIOBase):
    """Standard output and error of the code that a server runs: each line that is whole is one of the log."""

    def __init__(self) -> None:
        self._parts = threading.local()

    def write(self, text: str, /) -> int:
        *whole, self._parts.rest = (getattr(self._parts, "rest", "") + text).split("\n")
        for line in whole:
            report("printed", text=line)
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Of standard error, for code in C."""
        return 2


def _died(error: BaseException | None) -> None:
    report("bug", error=repr(error), trace=traceback.format_exception(error) if error else [])
