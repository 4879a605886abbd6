"""Processes of this machine that are no children of this one: whether they have ended, and ending them."""

import os
import select
import signal
import time
from contextlib import suppress

_POLL_SECONDS = 0.02
_KILL_SECONDS = 5.0


def ends(pid: int | None, *, within_seconds: float) -> bool:
    """Whether a process has ended, or does so in time; also one that nobody has waited for yet. None: it has."""
    if pid is None or pid == os.getpid():
        return True
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):
        return _ends_by_asking(pid, within_seconds)
    try:
        return bool(select.select([handle], [], [], within_seconds)[0])
    finally:
        os.close(handle)


def end(pid: int | None) -> None:
    """End a process that hangs, at once."""
    if not ends(pid, within_seconds=0.0) and pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        ends(pid, within_seconds=_KILL_SECONDS)


def _ends_by_asking(pid: int, within_seconds: float) -> bool:
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
