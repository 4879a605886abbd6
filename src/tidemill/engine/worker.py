"""A worker process: takes orders from its parent over a pipe, one at a time, until the pipe closes.

Started with ``spawn`` semantics (a fresh interpreter), never forked: frameworks with threads do not survive
a fork.
"""

import os
import select
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pickle import PicklingError
from typing import NoReturn

from tidemill.engine import workplace
from tidemill.engine.capture import Capture
from tidemill.engine.carrying import carry_out
from tidemill.engine.leftovers import leftovers


def main(descriptor: int) -> None:
    """Serve orders from the connection on ``descriptor``; what steps print goes where errors go."""
    # What Ctrl-C means is for the parent to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(descriptor)
    threading.Thread(target=_watch, args=(descriptor,), daemon=True).start()
    capture = Capture(os.dup(2))
    while True:
        try:
            order = connection.recv()
        except (EOFError, OSError):
            _end()
        outcome = carry_out(order, capture, lambda report: connection.send(("progress", report)))
        # A worker that is still busy with something of that step is not given another.
        word = "done" if leftovers() is None else "last"
        try:
            connection.send((word, outcome))
        except (TypeError, AttributeError, ValueError, RecursionError, PicklingError) as error:
            # Nothing of it was written: it is made bytes before.
            from tidemill.engine import failures  # noqa: PLC0415 - a worker is there before the engine is
            from tidemill.engine.orders import Outcome  # noqa: PLC0415

            connection.send((word, Outcome(error=failures.not_sent(order, error))))


def _watch(descriptor: int) -> None:
    """When the parent is gone, ends the process, even amid a step."""
    gone = select.poll()
    # Nothing but its end: orders are the main thread's, and do not wake this one.
    gone.register(descriptor, 0)
    gone.poll()
    _end()


def _end() -> NoReturn:
    """End this process, and with it what its steps started."""
    workplace.leave()
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
