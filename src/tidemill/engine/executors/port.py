"""The port: what carries out orders, wherever it does so.

An order names everything that its step needs: the component in the project's code, the settings, the digests of
its inputs, the store, the environment. Inputs and results travel through the store, never through whoever gives
the orders. Neither an order nor its outcome assumes one machine, shared memory or Python's pickle: both have a
form in JSON (``engine.wire``).
"""

from collections.abc import Callable
from typing import Protocol

from tidemill.core.events import Progress
from tidemill.engine.orders import Order, Outcome


class Executor(Protocol):
    """Carries out orders, some at once. Used by one thread.

    What a step does to its process (raises, prints, is killed, leaves something running) is its outcome; it
    neither raises here nor reaches another order.
    """

    @property
    def is_here(self) -> bool:
        """Whether orders are carried out on this machine: then they share what it has."""
        ...

    @property
    def free(self) -> int:
        """How many more orders can be started now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether any order is being carried out."""
        ...

    def start(self, order: Order, task: object) -> None:
        """Begin an order; one must be free. ``task`` is the caller's, and comes back with the outcome."""
        ...

    def collect(
        self, timeout_seconds: float | None, on_progress: Callable[[object, Progress], None]
    ) -> list[tuple[object, Outcome]]:
        """Wait until an order has ended, or the time (None: without end) is over.

        Returns:
            Each task whose order has ended, with the outcome. Each order ends once, however it ends.
        """
        ...

    def cancel(self, task: object) -> str:
        """End a task's order now, and whatever its step started. It is not collected.

        Returns:
            The end of what the step printed, as far as that is known.
        """
        ...

    def abort(self) -> None:
        """End every order now, and whatever its step started; none of them is collected."""
        ...
