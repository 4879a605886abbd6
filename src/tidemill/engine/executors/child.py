"""A Python process of ours, with all that its steps start: it is told apart from others by its process group."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.engine import failures
from tidemill.engine.executors import memory
from tidemill.engine.orders import Order, Outcome
from tidemill.engine.secrecy import NOTHING, Secrecy
from tidemill.store.blobs import Blobs

_WORDS_BYTES = 64 * 1024
LOOK_SECONDS = 0.5
"""How often a process is looked at where nothing tells that it has ended."""
WATCH_SECONDS = 0.1
"""How often the memory of a process is looked at whose order says how much it may take."""
_END_SECONDS = 0.5
"""How long what a step started may take to clear up after itself, once its process is gone."""


class Child:
    """A process that runs a module of Tidemill; what it and its steps print goes to a file without a name.

    Attributes:
        order: What it works on, or worked on last: when it is ended, what it has left unfinished in the store is removed.
        environ: The variables that it was started with.
        sentinel: A descriptor that can be waited for, until the process has ended; None where the system has
            none. (Its pipes do not tell: a child of a step may hold them open.)
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdin: "int | IO[bytes]" = subprocess.DEVNULL,
        stdout: int | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.environ = {**os.environ, **environment}
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as the process
        # Whoever prints does so at the end, also after the file was emptied.
        fcntl.fcntl(self._log, fcntl.F_SETFL, fcntl.fcntl(self._log, fcntl.F_GETFL) | os.O_APPEND)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=stdin,
            stdout=self._log if stdout is None else stdout,
            stderr=self._log,
            pass_fds=pass_fds,
            env=self.environ,
            # A session of its own: a step that asks its terminal would be stopped, as whatever runs in its background is.
            start_new_session=True,
        )
        self.order: Order | None = None
        self.sentinel = os.pidfd_open(self.process.pid) if hasattr(os, "pidfd_open") else None

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone; what its steps started may be there still."""
        return self.process.poll() is not None

    def died(self) -> Outcome:
        """What became of a step whose process ended without an answer."""
        status = self.process.wait()
        killed = status < 0
        how = f"was killed by {signal.Signals(-status).name}" if killed else f"ended with status {status}"
        out_of_memory = killed and -status == signal.SIGKILL
        return Outcome(
            error={
                "code": codes.WORKER_DIED,
                "message": f"The worker process {how} amid the step.",
                "why": "Most often the machine ran out of memory."
                if out_of_memory
                else "The step, or a library it uses, ended the process.",
                "hint": "Run again: finished steps are kept. If it happens again, give the step less data at once."
                if out_of_memory
                else "Look at what it printed, in the details.",
                "details": {
                    "printed": self.last_words(),
                    "signal": signal.Signals(-status).name if killed else None,
                },
            }
        )

    @property
    def is_watched(self) -> bool:
        """Whether its order says how much memory it may take."""
        return self.order is not None and self.order.resources.memory_bytes is not None

    def excess(self) -> Outcome | None:
        """The outcome of an order that takes more memory than it may; None while it does not."""
        if self.order is None or self.order.resources.memory_bytes is None:
            return None
        allowed = self.order.resources.memory_bytes
        used = memory.of_group(self.process.pid, allowed)
        if used is None or used <= allowed:
            return None
        return Outcome(error=failures.out_of_memory(self.order, used, self.last_words()), peak_bytes=used)

    def last_words(self) -> str:
        """The end of what it and its steps printed and have not told otherwise, without the order's secrets."""
        size = os.fstat(self._log.fileno()).st_size
        printed = os.pread(self._log.fileno(), _WORDS_BYTES, max(0, size - _WORDS_BYTES))
        try:
            secrecy = Secrecy.of(self.order, self.environ) if self.order is not None else NOTHING
        except InvalidInput:
            return "(left out: the secrets that it may hold cannot be read any more)"
        return secrecy.mask_output(printed, True).decode("utf-8", "replace")  # noqa: FBT003

    def signal_group(self, number: int) -> bool:
        """Signal the process and all that it started; whether anything of it was there."""
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def disown(self) -> None:
        """Let go of a process that is another one's child, whose copy this is."""
        self.process.returncode = 0
        self.close()

    def close(self) -> None:
        """Let go of what belongs to a process that has ended."""
        self._log.close()
        if self.sentinel is not None:
            os.close(self.sentinel)


def patience(children: Sequence[Child], timeout_seconds: float | None, at_most: float) -> float:
    """How long news of these may be waited for before they must be looked at, in seconds."""
    looks = [WATCH_SECONDS for c in children if c.is_watched]
    looks += [LOOK_SECONDS for c in children if c.sentinel is None]
    return min([at_most, *looks, *([] if timeout_seconds is None else [timeout_seconds])])


def end(children: Sequence[Child]) -> None:
    """Kill processes, and what their steps started.

    That gets a moment to clear up: the trackers of ``multiprocessing`` and ``joblib`` remove shared memory then.
    Who interrupts that moment (a second Ctrl-C) ends them at once.
    """
    for child in children:
        with suppress(ProcessLookupError):
            child.process.kill()
        child.signal_group(signal.SIGTERM)
    left = list(children)
    try:
        for child in children:
            child.process.wait()
        deadline = time.monotonic() + _END_SECONDS
        left = [c for c in children if c.signal_group(0)]
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = [c for c in left if c.signal_group(0)]
    finally:
        for child in left:
            child.signal_group(signal.SIGKILL)
    for child in children:
        if child.order is not None:
            Blobs.at(child.order.blobs).remove_unfinished_of(child.process.pid)
        child.close()
