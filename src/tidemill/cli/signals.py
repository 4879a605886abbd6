"""What ends a command from outside: once cleanly, twice at once."""

import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LAST_SECONDS = 1.0
"""What the second signal leaves for ending by itself."""
_INTERRUPTED = 130
_SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def ending_is_interrupt() -> Generator[None]:
    """Inside the block, SIGTERM and a closed terminal do what Ctrl-C does, so that there is one way to end.

    The second of them ends the process also where it is in a library that does not come back to Python.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Who ignores a signal (nohup) wants it ignored.
    ending = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in ending}
    for number in before:
        signal.signal(number, _interrupt)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    told = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading, ending), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(told)
        os.close(writing)
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise KeyboardInterrupt


def _watch(reading: int, ending: list[signal.Signals]) -> None:
    """Count the signals, whatever the main thread is doing; until the block is left."""
    seen = 0
    while number := os.read(reading, 1):
        seen += number[0] in ending
        if seen == 2:
            time.sleep(_LAST_SECONDS)
            with suppress(OSError, ValueError):
                if sys.stderr.isatty():
                    os.write(sys.stderr.fileno(), _SHOW_CURSOR.encode())
            os._exit(_INTERRUPTED)
    os.close(reading)
