"""The end of a process that carries out orders."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from tidemill.engine import workplace


def with_the_end_of(work: Callable[[], None]) -> NoReturn:
    """Do a process's work, and end the process with it, however the work ends.

    Python itself would wait for threads that a step has left, and whoever gave the order for the process's end.
    """
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - the process ends by it
        with suppress(Exception):
            traceback.print_exc()
            sys.stderr.flush()
    finally:
        with suppress(Exception):
            workplace.leave()
        os._exit(status)


def now() -> NoReturn:
    """End this process, and with it what its steps started."""
    workplace.leave()
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)
