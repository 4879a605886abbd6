"""In this process, at once: for components that no other process can import, such as a notebook's."""

import contextlib
import io
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any, NoReturn

from tidemill.core.errors import InvalidInput
from tidemill.core.events import Progress
from tidemill.engine import failures
from tidemill.engine.execute import execute
from tidemill.engine.orders import Order, Outcome
from tidemill.engine.secrecy import Secrecy
from tidemill.pipeline.component import Component
from tidemill.pipeline.progress import reporter
from tidemill.store.blobs import Blobs

_AGAIN_SECONDS = 0.2


class _TimeIsOver(BaseException):
    """Raised amid a step; no ``except Exception`` of the step's stops it."""


def run_inline(
    order: Order,
    component: Component[..., Any],
    on_progress: Callable[[Progress], None],
) -> Outcome:
    """Carry out an order here. What Python prints is captured; what C prints is not.

    A step whose time is over is ended where it next comes back to Python. In another thread than the main one it
    cannot be ended; then it fails when it is done.
    """
    try:
        secrecy = Secrecy.of(order)
    except InvalidInput as error:
        return Outcome(error=failures.described(error, order))

    printed = io.StringIO()
    token = reporter.set(lambda progress: on_progress(secrecy.mask_progress(progress)))
    began, ended, outcome = time.monotonic(), False, Outcome()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                with _alarm(order.timeout_seconds):
                    outcome = execute(order, component, secrecy=secrecy)
            except _TimeIsOver:
                ended = True
    finally:
        reporter.reset(token)
    if order.timeout_seconds is not None and time.monotonic() - began >= order.timeout_seconds:
        error = failures.timed_out(order, secrecy.mask(printed.getvalue()), ended=ended)
        outcome = Outcome(error=error, seconds=outcome.seconds)
    if text := secrecy.mask(printed.getvalue()):
        outcome.log = Blobs.at(order.blobs).put(text.encode())
    return outcome


@contextlib.contextmanager
def _alarm(seconds: float | None) -> Generator[None]:
    """Inside the block, ``_TimeIsOver`` is raised after so many seconds, where that can be done."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    with _quiet_finalizers():
        before = signal.signal(signal.SIGALRM, _end)
        # Again and again: what is raised amid a finalizer is lost.
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
        try:
            yield
        finally:
            while signal.getsignal(signal.SIGALRM) is _end:
                with contextlib.suppress(_TimeIsOver):
                    signal.setitimer(signal.ITIMER_REAL, 0.0)
                    signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _quiet_finalizers() -> Generator[None]:
    """Inside the block, Python does not print of a ``_TimeIsOver`` that it drops amid a finalizer."""
    before = sys.unraisablehook

    def hook(dropped: "sys.UnraisableHookArgs") -> None:
        if dropped.exc_type is not _TimeIsOver:
            before(dropped)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _end(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise _TimeIsOver
