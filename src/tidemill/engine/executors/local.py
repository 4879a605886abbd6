"""Warm worker processes on this machine: started when first needed, kept for the next step and the next run."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tidemill.engine.orders import Order, Outcome

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_LOG_BYTES = 64 * 1024

Reported = tuple[float, float | None, str, str]


def threads() -> int:
    """How many threads the numeric libraries of a worker use: the cores it may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(slots=True)
class Worker:
    """One process, and the order it is at work on."""

    process: "subprocess.Popen[bytes]"
    connection: Connection
    log: Path
    task: object = None

    def stop(self) -> None:
        """End it; one that is amid a step is killed."""
        self.connection.close()
        if self.task is not None:
            self.process.kill()
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.unlink(missing_ok=True)


_idle: list[Worker] = []
_lock = threading.Lock()


class LocalExecutor:
    """Up to ``workers`` orders at once. Tasks are the caller's own objects, handed back with their outcome."""

    def __init__(self, workers: int) -> None:
        self._limit = max(1, workers)
        self._busy: list[Worker] = []

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
            worker = _take()
            worker.task = task
            try:
                worker.connection.send(order)
            except (BrokenPipeError, ConnectionResetError, OSError):
                # It died while it was idle: another one takes the order.
                worker.task = None
                worker.stop()
                continue
            self._busy.append(worker)
            return

    def collect(
        self, timeout_seconds: float | None, on_progress: Callable[[object, Reported], None]
    ) -> list[tuple[object, Outcome]]:
        """Wait until at least one order is finished, or the time is over."""
        finished: list[tuple[object, Outcome]] = []
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while self._busy and not finished:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = wait([w.connection for w in self._busy], left)
            if not ready:
                break
            for worker in [w for w in self._busy if w.connection in ready]:
                message = self._received(worker)
                if message[0] == "progress":
                    on_progress(worker.task, message[1])
                    continue
                finished.append((worker.task, message[1]))
                self._busy.remove(worker)
                worker.task = None
                if message[0] == "done":
                    with _lock:
                        _idle.append(worker)
                else:
                    worker.stop()
        return finished

    def _received(self, worker: Worker) -> tuple[str, Any]:
        try:
            return worker.connection.recv()
        except (EOFError, OSError):
            return "died", _died(worker)

    def abort(self) -> None:
        """Kill every worker that is amid a step."""
        for worker in self._busy:
            worker.stop()
        self._busy.clear()


def close() -> None:
    """End all idle workers."""
    with _lock:
        workers = list(_idle)
        _idle.clear()
    for worker in workers:
        worker.stop()


atexit.register(close)


def _take() -> Worker:
    with _lock:
        # The one used last has most loaded already.
        worker = _idle.pop() if _idle else None
    if worker is None:
        worker = _spawn()
    return worker


def _spawn() -> Worker:
    from tidemill.models.adapters import WORKER_ENVIRONMENT  # noqa: PLC0415 - a run of hits starts no worker

    ours, theirs = socket.socketpair()
    handle, log = tempfile.mkstemp(prefix="tidemill-step-", suffix=".log")
    os.close(handle)
    pinned = str(threads())
    environment = dict(WORKER_ENVIRONMENT) | dict(os.environ) | dict.fromkeys(_THREAD_VARIABLES, pinned)
    environment["PYTHONHASHSEED"] = "0"
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tidemill.engine.worker", str(theirs.fileno()), log],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            env=environment,
        )
    return Worker(process, Connection(ours.detach()), Path(log))


def _died(worker: Worker) -> Outcome:
    status = worker.process.wait()
    printed = worker.log.read_bytes()[-_LOG_BYTES:].decode("utf-8", "replace") if worker.log.exists() else ""
    killed = status < 0
    how = f"was killed by {signal.Signals(-status).name}" if killed else f"ended with status {status}"
    out_of_memory = killed and -status == signal.SIGKILL
    return Outcome(
        error={
            "code": "worker-died",
            "message": f"The worker process {how} amid the step.",
            "why": "Most often the machine ran out of memory."
            if out_of_memory
            else "The step, or a library it uses, ended the process.",
            "hint": "Run again: finished steps are kept. If it happens again, give the step less data at once."
            if out_of_memory
            else "Look at what it printed, in the details.",
            "details": {"printed": printed, "signal": signal.Signals(-status).name if killed else None},
        }
    )
