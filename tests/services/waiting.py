"""Waiting for what another process does."""

import time
from collections.abc import Callable

WATCHDOG_SECONDS = 180.0
"""Long enough for a machine that does ten other things: whoever waits longer waits for what will never come."""


def until(happened: Callable[[], bool], what: str = "it did not happen") -> None:
    """Wait until it happened; a test that waits longer than the watchdog has failed, saying ``what``."""
    deadline = time.monotonic() + WATCHDOG_SECONDS
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
