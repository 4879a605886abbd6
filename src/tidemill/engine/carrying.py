"""One order in a process that is ours: what the step prints, how far it is, and the memory it takes are told."""

import os
import threading
import time
from collections.abc import Callable

from tidemill.core.events import Progress
from tidemill.engine.capture import Capture
from tidemill.engine.orders import Order, Outcome
from tidemill.engine.peak import Peak

_REPORT_SECONDS = 0.05


def carry_out(order: Order, capture: Capture, tell: Callable[[Progress], None]) -> Outcome:
    """Carry out an order in an empty working directory of its own."""
    from tidemill.core.errors import InvalidInput  # noqa: PLC0415
    from tidemill.engine import failures  # noqa: PLC0415
    from tidemill.engine.execute import execute  # noqa: PLC0415 - after the process is connected
    from tidemill.engine.secrecy import Secrecy  # noqa: PLC0415
    from tidemill.pipeline.progress import reporter  # noqa: PLC0415

    try:
        secrecy = Secrecy.of(order)
    except InvalidInput as error:
        return Outcome(error=failures.described(error, order))
    last, process, telling, is_over = 0.0, os.getpid(), threading.RLock(), False

    def report(progress: Progress) -> None:
        nonlocal last
        # A child that the step forked has the same way out, and no say in it.
        if os.getpid() != process:
            return
        # Threads of a step may tell too: one by one, and nothing once the step is over.
        with telling:
            now = time.monotonic()
            if not is_over and (now - last >= _REPORT_SECONDS or progress.done == progress.total):
                last = now
                tell(secrecy.mask_progress(progress))

    token = reporter.set(report)
    peak = Peak()
    capture.start()
    try:
        outcome = execute(order, own_process=True, secrecy=secrecy)
    finally:
        with telling:
            is_over = True
        printed = capture.stop(secrecy.mask_output)
        reporter.reset(token)
    outcome.peak_bytes = peak.bytes()
    if printed:
        outcome.log = _stored(order, printed)
    return outcome


def _stored(order: Order, printed: bytes) -> str | None:
    from tidemill.core.errors import StorageError  # noqa: PLC0415
    from tidemill.store.blobs import Blobs  # noqa: PLC0415

    try:
        return Blobs.at(order.blobs).put(printed)
    except StorageError:
        return None
