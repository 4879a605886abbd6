"""A process for one order, which knows nothing else: its JSON comes in, lines of JSON go out, and it ends.

``python -m tidemill.engine.one_order LOCAL < ORDER > ANSWERS``: ``LOCAL`` is the folder where this machine keeps
copies of a remote store's files. Each answer is a line; those that begin with ``[`` say how far the step is, the
last one is the outcome. What the step prints goes where errors go, which must be a file.
"""

import os
import select
import sys
import threading
from pathlib import Path

from tidemill.core.errors import TidemillError
from tidemill.engine import ending, wire
from tidemill.engine.capture import Capture
from tidemill.engine.carrying import carry_out
from tidemill.engine.executors import environment
from tidemill.engine.orders import Outcome


def main(local: Path) -> None:
    """Answer the order that stands at the input."""
    answers = os.dup(1)
    threading.Thread(target=_watch, args=(answers,), daemon=True).start()
    capture = Capture(os.dup(2))
    try:
        order = wire.order_from_json(sys.stdin.buffer.read(), local)
        outcome = environment.difference(order) or carry_out(
            order, capture, lambda report: _write(answers, wire.progress_to_json(report))
        )
        line = wire.outcome_to_json(outcome)
    except TidemillError as error:
        line = wire.outcome_to_json(Outcome(error=error.to_json()))
    _write(answers, line)


def _watch(answers: int) -> None:
    """When nobody can read the answers any more, ends the process and what its step started."""
    gone = select.poll()
    gone.register(answers, 0)
    if any(event & select.POLLERR for _, event in gone.poll()):
        ending.now()


def _write(descriptor: int, line: bytes) -> None:
    view = memoryview(line + b"\n")
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    ending.with_the_end_of(lambda: main(Path(sys.argv[1])))
