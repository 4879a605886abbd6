"""Each order in a fresh process that gets nothing but the order's JSON, and reaches the store by itself.

Slow, by the time that Python and a framework take to start. It is what any executor far away must be: the port is
held by it.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait

from tidemill.core.errors import InvalidInput
from tidemill.core.events import Progress
from tidemill.engine import wire
from tidemill.engine.executors.child import Child, end, patience
from tidemill.engine.orders import Order, Outcome

_PIECE_BYTES = 64 * 1024
_WAIT_SECONDS = 3600.0


@dataclass(slots=True)
class _Errand:
    """One process and its order.

    Attributes:
        answers: The descriptor that it answers on.
        line: What came of an answer that is not whole yet.
        is_over: Whether no more answers can come; that the process has ended is told by itself.
    """

    child: Child
    task: object
    answers: int
    line: bytearray = field(default_factory=bytearray)
    is_over: bool = False


class ProcessExecutor:
    """Up to ``workers`` orders at once, each in a process of its own."""

    def __init__(self, workers: int) -> None:
        self._limit = max(1, workers)
        self._errands: list[_Errand] = []

    @property
    def is_here(self) -> bool:
        """Always."""
        return True

    @property
    def free(self) -> int:
        """How many more orders can be started now."""
        return self._limit - len(self._errands)

    @property
    def busy(self) -> bool:
        """Whether any order is being carried out."""
        return bool(self._errands)

    def start(self, order: Order, task: object) -> None:
        """Begin an order; one must be free."""
        answers, theirs = os.pipe()
        try:
            with tempfile.TemporaryFile() as sent:
                sent.write(wire.order_to_json(order))
                sent.seek(0)
                child = Child(
                    "tidemill.engine.one_order",
                    [order.blobs.local],
                    environment=order.environment,
                    stdin=sent,
                    stdout=theirs,
                )
        except BaseException:
            os.close(answers)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(answers, False)
        child.order = order
        self._errands.append(_Errand(child, task, answers))

    def collect(
        self, timeout_seconds: float | None, on_progress: Callable[[object, Progress], None]
    ) -> list[tuple[object, Outcome]]:
        """Wait until at least one order is finished, or the time is over."""
        finished: list[tuple[object, Outcome]] = []
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while self._errands and not finished:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            for errand in self._told(left):
                outcome = _answered(errand, on_progress)
                if outcome is not None:
                    finished.append((errand.task, outcome))
                    self._errands.remove(errand)
                    _stop([errand])
            for errand in list(self._errands):
                if (outcome := errand.child.excess()) is not None:
                    finished.append((errand.task, outcome))
                    self._errands.remove(errand)
                    _stop([errand])
            if left == 0.0:
                break
        return finished

    def cancel(self, task: object) -> str:
        """Kill the process that has the task's order."""
        errand = next(e for e in self._errands if e.task is task)
        self._errands.remove(errand)
        printed = errand.child.last_words()
        _stop([errand])
        return printed

    def abort(self) -> None:
        """Kill every process."""
        errands, self._errands = self._errands, []
        _stop(errands)

    def _told(self, timeout_seconds: float | None) -> list[_Errand]:
        """Those that have an answer, or have ended."""
        sentinels = [e.child.sentinel for e in self._errands if e.child.sentinel is not None]
        seconds = patience([e.child for e in self._errands], timeout_seconds, _WAIT_SECONDS)
        ready = wait([*(e.answers for e in self._errands if not e.is_over), *sentinels], seconds)
        return [
            e
            for e in self._errands
            if e.answers in ready or e.child.sentinel in ready or (not sentinels and e.child.has_ended)
        ]


def _answered(errand: _Errand, on_progress: Callable[[object, Progress], None]) -> Outcome | None:
    """What it says now; None while it has not ended."""
    # Looked at before the pipe, so that a last answer is not missed.
    ended = errand.child.has_ended
    while (piece := _read(errand.answers)) is not None:
        if not piece:
            errand.is_over = True
            break
        errand.line += piece
        *lines, rest = errand.line.split(b"\n")
        errand.line = rest
        for line in map(bytes, lines):
            progress = wire.progress_from_json(line)
            if progress is None:
                return _outcome(line)
            on_progress(errand.task, progress)
        if not ended:
            # Who talks without end keeps nobody here.
            break
    return errand.child.died() if ended else None


def _read(descriptor: int) -> bytes | None:
    """What can be read now: None where nothing can, empty where nothing will come any more."""
    try:
        return os.read(descriptor, _PIECE_BYTES)
    except BlockingIOError:
        return None


def _outcome(line: bytes) -> Outcome:
    try:
        return wire.outcome_from_json(line)
    except InvalidInput as error:
        return Outcome(error=error.to_json())


def _stop(errands: list[_Errand]) -> None:
    for errand in errands:
        os.close(errand.answers)
    end([e.child for e in errands])
