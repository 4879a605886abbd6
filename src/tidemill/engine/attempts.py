"""Orders that are tried again: what may pass by itself (a network, a killed process), not what is wrong."""

import time
from dataclasses import dataclass, field
from typing import Any

from tidemill.core import codes
from tidemill.engine.job import Job
from tidemill.engine.orders import Order

_PASSING = (codes.STEP_FAILED, codes.WORKER_DIED, codes.STEP_TIMEOUT, codes.OUT_OF_MEMORY)
"""What may go well the next time. A wrong type, a failed check or a wrong input stays wrong."""
_AFTER_A_SIGNAL = 1
"""A process that was killed is nobody's fault, most often: its order is tried once more, unasked."""
_LONGEST_SECONDS = 300.0


@dataclass(slots=True, eq=False)
class Attempt:
    """An order on its way.

    Attributes:
        number: Which attempt this is, from 1.
        begins: When it may begin, by ``time.monotonic``.
    """

    job: Job
    order: Order
    number: int = 1
    begins: float = field(default_factory=time.monotonic)

    @property
    def wait_seconds(self) -> float:
        """How long until it may begin; 0.0 when it may now."""
        return max(0.0, self.begins - time.monotonic())

    def next(self, error: dict[str, Any]) -> "Attempt | None":
        """The attempt after this one failed; None where there is none."""
        component = self.job.node.component
        assert component is not None
        retries = int(component.options.get("retries") or 0)
        allowed = max(retries, _AFTER_A_SIGNAL) if error.get("details", {}).get("signal") else retries
        if error["code"] not in _PASSING or self.number > allowed:
            return None
        first = float(component.options.get("retry_seconds") or 0.0)
        pause = min(first * 2 ** (self.number - 1), _LONGEST_SECONDS)
        return Attempt(self.job, self.order, self.number + 1, time.monotonic() + pause)
