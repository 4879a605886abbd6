"""A worker process: takes orders from its parent over a pipe, one at a time, until the pipe closes.

Started with ``spawn`` semantics (a fresh interpreter), never forked: frameworks with threads do not survive
a fork.
"""

import io
import os
import queue
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tidemill.engine.orders import Order, Outcome
from tidemill.engine.peak import Peak

_LOG_BYTES = 1024 * 1024
_REPORT_SECONDS = 0.05


def main(descriptor: int, log: str) -> None:
    """Serve orders from the connection on ``descriptor``; what steps print goes to ``log``."""
    # Ctrl-C in a terminal reaches the whole process group: the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(descriptor)
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, orders), daemon=True).start()
    capture = _Capture(Path(log))
    while True:
        order = orders.get()
        outcome = _carry_out(connection, order, capture)
        connection.send(("done", outcome))


def _listen(connection: Connection, orders: "queue.SimpleQueue[Order]") -> None:
    """Hands orders to the main thread; when the parent is gone, ends the process even amid a step."""
    try:
        while True:
            orders.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)


def _carry_out(connection: Connection, order: Order, capture: "_Capture") -> Outcome:
    from tidemill.engine.execute import execute  # noqa: PLC0415 - after the process is connected
    from tidemill.pipeline.progress import reporter  # noqa: PLC0415

    last = 0.0

    def report(done: float, total: float | None, label: str, unit: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _REPORT_SECONDS or done == total:
            last = now
            connection.send(("progress", (done, total, label, unit)))

    token = reporter.set(report)
    peak = Peak()
    capture.start()
    try:
        outcome = execute(order)
    finally:
        printed = capture.stop()
        reporter.reset(token)
    outcome.peak_bytes = peak.bytes()
    if printed:
        outcome.log = _stored(order, printed)
    return outcome


def _stored(order: Order, printed: bytes) -> str | None:
    from tidemill.core.errors import StorageError  # noqa: PLC0415
    from tidemill.store.blobs import Blobs  # noqa: PLC0415

    try:
        return Blobs.at(order.blobs).put(printed)
    except StorageError:
        return None


class _Capture:
    """Takes what a step prints, from Python or from C, by pointing the process's output at a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        for descriptor in (1, 2):
            os.dup2(self._file.fileno(), descriptor)
        # Lines in the order in which they were printed, whoever printed them.
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(line_buffering=True)

    def start(self) -> None:
        self._file.seek(0)
        self._file.truncate()

    def stop(self) -> bytes:
        sys.stdout.flush()
        sys.stderr.flush()
        size = self._file.tell()
        if not size:
            return b""
        self._file.seek(max(0, size - _LOG_BYTES))
        return self._file.read(_LOG_BYTES)


def _arguments() -> Any:
    return int(sys.argv[1]), sys.argv[2]


if __name__ == "__main__":
    main(*_arguments())
