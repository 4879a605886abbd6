"""In this process, at once: for components that no other process can import, such as a notebook's."""

import contextlib
import io
from collections.abc import Callable
from typing import Any

from tidemill.engine.execute import execute
from tidemill.engine.orders import Order, Outcome
from tidemill.pipeline.component import Component
from tidemill.pipeline.progress import reporter
from tidemill.store.blobs import Blobs


def run_inline(
    order: Order,
    component: Component[..., Any],
    on_progress: Callable[[tuple[float, float | None, str, str]], None],
) -> Outcome:
    """Carry out an order here. What Python prints is captured; what C prints is not."""
    printed = io.StringIO()
    token = reporter.set(lambda *report: on_progress(report))
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            outcome = execute(order, component)
    finally:
        reporter.reset(token)
    if text := printed.getvalue():
        outcome.log = Blobs.at(order.blobs).put(text.encode())
    return outcome
