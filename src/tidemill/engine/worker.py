"""A worker process: takes orders from its parent over a pipe, one at a time, until the pipe closes.

Started with ``spawn`` semantics (a fresh interpreter), never forked: frameworks with threads do not survive
a fork.
"""

import os
import select
import signal
import sys
import threading
from pickle import PicklingError

from tidemill.engine import ending
from tidemill.engine.capture import Capture
from tidemill.engine.carrying import carry_out
from tidemill.engine.leftovers import leftovers
from tidemill.engine.line import Line


def main(descriptor: int) -> None:
    """Serve orders from the socket ``descriptor``; what steps print goes where errors go."""
    # What Ctrl-C means is for the parent to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # No program that a step starts has a part in it.
    os.set_inheritable(descriptor, False)  # noqa: FBT003
    line = Line(descriptor)
    threading.Thread(target=_watch, args=(descriptor,), daemon=True).start()
    capture = Capture(os.dup(2))
    while True:
        try:
            order = line.receive()
        except (EOFError, OSError):
            ending.now()
        outcome = carry_out(order, capture, lambda report: line.send(("progress", report)))
        # A worker that is still busy with something of that step is not given another.
        word = "done" if leftovers() is None else "last"
        try:
            line.send((word, outcome))
        except (TypeError, AttributeError, ValueError, RecursionError, PicklingError) as error:
            # Nothing of it was written: it is made bytes before.
            from tidemill.engine import failures  # noqa: PLC0415 - a worker is there before the engine is
            from tidemill.engine.orders import Outcome  # noqa: PLC0415

            line.send((word, Outcome(error=failures.not_sent(order, error))))


def _watch(descriptor: int) -> None:
    """When the parent is gone, ends the process, even amid a step."""
    gone = select.poll()
    # Nothing but its end: orders are the main thread's, and do not wake this one.
    gone.register(descriptor, 0)
    gone.poll()
    ending.now()


if __name__ == "__main__":
    ending.with_the_end_of(lambda: main(int(sys.argv[1])))
