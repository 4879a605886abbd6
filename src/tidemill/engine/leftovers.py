"""What a step leaves running in its process: threads and child processes that the next step must not meet."""

import os
import threading
from concurrent.futures import thread as pools


def leftovers() -> str | None:
    """What is still running beside the main thread, in words; None where nothing is.

    Threads that end with their process (daemons), and those that a pool keeps, do no harm.
    """
    pooled = set(pools._threads_queues)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    threads = [
        t.name
        for t in threading.enumerate()
        if not t.daemon and t is not threading.main_thread() and t not in pooled
    ]
    if threads:
        return f"the thread {threads[0]}"
    return "a child process" if _has_child() else None


def _has_child() -> bool:
    if not hasattr(os, "waitid"):
        return False
    try:
        # A look only: whoever started a child reaps it.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
