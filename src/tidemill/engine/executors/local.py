"""Warm worker processes on this machine: started when first needed, kept for the next step and the next run."""

import atexit
import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core.events import Progress
from tidemill.engine.executors import memory
from tidemill.engine.executors.child import Child, end, patience
from tidemill.engine.line import Line
from tidemill.engine.orders import Order, Outcome
from tidemill.pipeline.secret import secrets_in

_WAIT_SECONDS = 3600.0
"""How long is waited at once: the system's call takes no longer than weeks."""
_LEAN = 0.25
"""The share of what an order may take that a worker may hold already."""


@dataclass(slots=True)
class Worker:
    """One process, and the order it is at work on.

    Attributes:
        environment: What the order that it was started for wanted.
        is_new: Whether it has finished no order yet.
    """

    child: Child
    line: Line
    environment: Mapping[str, str]
    task: object = None
    is_new: bool = True


_idle: list[Worker] = []
_lock = threading.Lock()


class LocalExecutor:
    """Up to ``workers`` orders at once, each in a worker process."""

    def __init__(self, workers: int) -> None:
        self._limit = max(1, workers)
        self._busy: list[Worker] = []

    @property
    def is_here(self) -> bool:
        """Always."""
        return True

    @property
    def free(self) -> int:
        """How many more orders can be started now."""
        return self._limit - len(self._busy)

    @property
    def busy(self) -> bool:
        """Whether any order is being carried out."""
        return bool(self._busy)

    def start(self, order: Order, task: object) -> None:
        """Give an order to a worker; one must be free."""
        while True:
            worker = _take(order)
            worker.task, worker.child.order = task, order
            try:
                worker.line.send(order)
            except OSError:
                if not worker.is_new:
                    # It died while it was idle: another one takes the order.
                    _stop([worker])
                    continue
                # One that dies at its start would do so again: its end is told as any other.
            self._busy.append(worker)
            return

    def collect(
        self, timeout_seconds: float | None, on_progress: Callable[[object, Progress], None]
    ) -> list[tuple[object, Outcome]]:
        """Wait until at least one order is finished, or the time is over."""
        finished: list[tuple[object, Outcome]] = []
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while self._busy and not finished:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            for worker in self._told(left):
                for kind, content in _heard(worker):
                    if kind == "progress":
                        on_progress(worker.task, content)
                        continue
                    finished.append((worker.task, content))
                    self._busy.remove(worker)
                    if kind == "done":
                        _keep(worker)
                    else:
                        _stop([worker])
                    break
            for worker in list(self._busy):
                if (outcome := worker.child.excess()) is not None:
                    finished.append((worker.task, outcome))
                    self._busy.remove(worker)
                    _stop([worker])
            if left == 0.0:
                break
        return finished

    def cancel(self, task: object) -> str:
        """Kill the worker that is at the task's order."""
        worker = next(w for w in self._busy if w.task is task)
        self._busy.remove(worker)
        printed = worker.child.last_words()
        _stop([worker])
        return printed

    def abort(self) -> None:
        """Kill every worker that is amid a step."""
        workers, self._busy = self._busy, []
        _stop(workers)

    def _told(self, timeout_seconds: float | None) -> list[Worker]:
        """The workers that have something to say, or have ended."""
        ready = select.poll()
        workers: dict[int, Worker] = {}
        for worker in self._busy:
            # A line that is over tells nothing more; that the process has ended is told by itself.
            line = None if worker.line.is_over else worker.line.fileno()
            for handle in (line, worker.child.sentinel):
                if handle is not None:
                    ready.register(handle, select.POLLIN)
                    workers[handle] = worker
        unwatched = [w for w in self._busy if w.child.sentinel is None]
        seconds = patience([w.child for w in self._busy], timeout_seconds, _WAIT_SECONDS)
        told = ready.poll(math.ceil(seconds * 1000))
        ended = [w for w in unwatched if w.child.has_ended]
        return list({id(w): w for w in [*(workers[handle] for handle, _ in told), *ended]}.values())


def _heard(worker: Worker) -> Iterator[tuple[str, Any]]:
    """What a worker says now; its end comes last."""
    # Looked at before its line, so that a last answer is not missed.
    ended = worker.child.has_ended
    yield from worker.line.heard(to_the_end=ended)
    if ended:
        yield "died", worker.child.died()


def close() -> None:
    """End all idle workers."""
    with _lock:
        workers = list(_idle)
        _idle.clear()
    _stop(workers)


atexit.register(close)


def _leave_to_parent() -> None:
    """In a forked process: the workers are its parent's, which would not get the answers that are read here."""
    global _lock  # noqa: PLW0603 - whoever held it is not in this process
    _lock = threading.Lock()
    for worker in _idle:
        worker.line.close()
        worker.child.disown()
    _idle.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


def _take(order: Order) -> Worker:
    while True:
        with _lock:
            # The one used last has most loaded already.
            fitting = [w for w in _idle if w.environment == order.environment and _knows(w, order)]
            worker = fitting[-1] if fitting else None
            if worker is not None:
                _idle.remove(worker)
        if worker is None:
            return _spawn(order.environment)
        if not worker.child.has_ended and _is_lean(worker, order):
            return worker
        _stop([worker])


def _knows(worker: Worker, order: Order) -> bool:
    """Whether a worker was started with the variables as they are now that hold the order's secrets."""
    names = [s.name for s in secrets_in(order.settings) if s.source == "env"]
    return all(worker.child.environ.get(name) == os.environ.get(name) for name in names)


def _is_lean(worker: Worker, order: Order) -> bool:
    """Whether what earlier steps left in a worker's memory is little beside what the order may take."""
    allowed = order.resources.memory_bytes
    if allowed is None:
        return True
    held = memory.of_group(worker.child.process.pid, allowed)
    return held is None or held <= allowed * _LEAN


def _keep(worker: Worker) -> None:
    worker.task, worker.is_new = None, False
    with _lock:
        _idle.append(worker)


def _stop(workers: list[Worker]) -> None:
    for worker in workers:
        worker.line.close()
    end([w.child for w in workers])


def _spawn(environment: Mapping[str, str]) -> Worker:
    ours, theirs = socket.socketpair()
    with theirs:
        child = Child(
            "tidemill.engine.worker",
            [str(theirs.fileno())],
            environment=environment,
            pass_fds=(theirs.fileno(),),
        )
    return Worker(child, Line(ours.detach()), environment)
