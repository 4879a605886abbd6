"""Orders between a run and its executor: those that wait for a worker or for their next attempt, and those that are back."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from tidemill.core import events
from tidemill.engine.attempts import Attempt
from tidemill.engine.executors.bounded import Bounded
from tidemill.engine.orders import Outcome
from tidemill.pipeline.resources import Resources


class Dispatch:
    """Gives orders to an executor as there are workers and room for them."""

    def __init__(self, executor: Bounded, sink: events.Sink) -> None:
        self._executor = executor
        self._sink = sink
        self._waiting: deque[Attempt] = deque()

    @property
    def free(self) -> int:
        """How many more orders would begin now, as far as workers go."""
        return max(0, self._executor.free - len(self._waiting))

    def chosen(self, wanted: Sequence[Resources]) -> list[bool]:
        """Which of these there would be room for now, after the orders that wait already."""
        waiting = [a.order.resources for a in self._waiting]
        return self._executor.chosen([*waiting, *wanted])[len(waiting) :]

    def add(self, attempt: Attempt) -> None:
        """Have an order begun when it is due and there is room."""
        self._waiting.append(attempt)

    def begin(self) -> None:
        """Begin what is due and has room."""
        due = [a for a in self._waiting if not a.wait_seconds]
        room = self._executor.chosen([a.order.resources for a in due])
        for attempt, has_room in zip(due, room, strict=True):
            if not self._executor.free:
                break
            if has_room:
                self._waiting.remove(attempt)
                self._executor.start(attempt.order, attempt)

    def collect(self, timeout_seconds: float | None) -> list[tuple[Attempt, Outcome]]:
        """Wait until an order has ended, one that pauses is due, or the time is over."""
        pauses = [a.wait_seconds for a in self._waiting if a.wait_seconds]
        if pauses:
            timeout_seconds = min(pauses) if timeout_seconds is None else min(timeout_seconds, *pauses)
        finished: list[tuple[Attempt, Outcome]] = []
        for task, outcome in self._executor.collect(timeout_seconds, self.progress):
            assert isinstance(task, Attempt)
            finished.append((task, outcome))
        if not finished and not self._executor.busy and timeout_seconds is not None:
            time.sleep(timeout_seconds)
        return finished

    def again(self, attempt: Attempt, outcome: Outcome) -> Attempt | None:
        """The attempt after one that failed; None where it went well, or is not to be tried again."""
        following = None if outcome.error is None else attempt.next(outcome.error)
        if following is not None and outcome.error is not None:
            job, why = attempt.job, outcome.error["message"]
            self._sink(
                events.Note(f"Step '{job.node.name}' is tried again (attempt {following.number}): {why}")
            )
            job.attempts = max(job.attempts, following.number)
        return following

    def drop(self) -> None:
        """Orders that nobody has begun are not begun."""
        for waiting in self._waiting:
            waiting.job.pending -= 1
        self._waiting.clear()

    def progress(self, task: object, progress: events.Progress) -> None:
        """Tell how far an attempt is."""
        assert isinstance(task, Attempt)
        step, label = task.job.node.name, progress.label
        self._sink(replace(progress, label=f"{step}: {label}" if label else step))
