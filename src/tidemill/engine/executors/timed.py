"""Any executor, with the time that each order may take: what takes longer is cancelled."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tidemill.engine import failures
from tidemill.engine.executors.port import Executor, Reported
from tidemill.engine.orders import Order, Outcome


@dataclass(frozen=True, slots=True)
class _Clock:
    """An order whose time is limited; ``ends`` by ``time.monotonic``."""

    order: Order
    task: object
    ends: float


class Timed:
    """An executor that ends an order when its time is over; its outcome is then ``step-timeout``."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._clocks: list[_Clock] = []

    @property
    def free(self) -> int:
        """How many more orders can be started now."""
        return self._executor.free

    @property
    def busy(self) -> bool:
        """Whether any order is being carried out."""
        return self._executor.busy

    def start(self, order: Order, task: object) -> None:
        """Begin an order, and its time."""
        self._executor.start(order, task)
        if order.timeout_seconds is not None:
            self._clocks.append(_Clock(order, task, time.monotonic() + order.timeout_seconds))

    def collect(
        self, timeout_seconds: float | None, on_progress: Callable[[object, Reported], None]
    ) -> list[tuple[object, Outcome]]:
        """Wait until an order has ended or its time is over, or the time to wait is."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            finished = self._executor.collect(self._patience(deadline), on_progress)
            ended = [task for task, _ in finished]
            self._clocks = [c for c in self._clocks if not any(c.task is task for task in ended)]
            finished += self._overdue()
            if finished or not self.busy or (deadline is not None and time.monotonic() >= deadline):
                return finished

    def cancel(self, task: object) -> str:
        """End a task's order now."""
        self._clocks = [c for c in self._clocks if c.task is not task]
        return self._executor.cancel(task)

    def abort(self) -> None:
        """End every order now."""
        self._clocks.clear()
        self._executor.abort()

    def _patience(self, deadline: float | None) -> float | None:
        """How long the next thing may be waited for."""
        moments = [c.ends for c in self._clocks] + ([] if deadline is None else [deadline])
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _overdue(self) -> list[tuple[object, Outcome]]:
        now = time.monotonic()
        over = [c for c in self._clocks if c.ends <= now]
        return [(c.task, Outcome(error=failures.timed_out(c.order, self.cancel(c.task)))) for c in over]
