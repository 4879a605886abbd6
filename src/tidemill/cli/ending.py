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
    interpreter's lock is ended amid its destructors, and aborts the process after all was done and said.
    """
    with suppress(BaseException):
        threading._shutdown()  # noqa: SLF001 # pyright: ignore[reportAttributeAccessIssue] - what Python itself calls first
    with suppress(BaseException):
        atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(status)
