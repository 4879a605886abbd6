"""The end of the process ``tidemill``."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn


def leave(status: int) -> NoReturn:
    """End the process when what was begun in Python is over: threads that are no daemons, and exit handlers.

    Python's own end goes on to take the interpreter down, while threads of libraries run. One that then asks for the
    interpreter's lock is ended amid its destructors, and aborts the process after all was done and said. Only where a
    profiler or a debugger looks on is it left to Python, since it goes on after the program's end.
    """
    if _is_watched():
        raise SystemExit(status)
    with suppress(BaseException):
        threading._shutdown()  # noqa: SLF001 # pyright: ignore[reportAttributeAccessIssue] - what Python itself calls first
    with suppress(BaseException):
        atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(status)


def _is_watched() -> bool:
    monitoring = getattr(sys, "monitoring", None)
    tools = [monitoring.get_tool(number) for number in range(6)] if monitoring is not None else []
    return sys.gettrace() is not None or sys.getprofile() is not None or any(tools)
