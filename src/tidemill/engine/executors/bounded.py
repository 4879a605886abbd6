"""Any executor, bounded: by the time that each order may take, and by what this machine has for them at once."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from tidemill.core.errors import TidemillError
from tidemill.core.events import Progress
from tidemill.engine import failures, machine
from tidemill.engine.executors.adapters import Make
from tidemill.engine.executors.port import Executor
from tidemill.engine.machine import Machine
from tidemill.engine.orders import Order, Outcome
from tidemill.engine.room import Room
from tidemill.engine.secrecy import missing
from tidemill.pipeline.graph import Node
from tidemill.pipeline.resources import Resources
from tidemill.pipeline.secret import secrets_in

_NONE = Resources()


@dataclass(frozen=True, slots=True)
class _Underway:
    """An order that was started.

    Attributes:
        gpus: Those that it has for itself, by name.
        ends: When its time is over, by ``time.monotonic``; None: never.
    """

    order: Order
    task: object
    gpus: tuple[str, ...]
    ends: float | None


class Bounded:
    """An executor, made when it is first needed, that starts what there is room for and ends what takes too long.

    Room is this machine's: an executor elsewhere keeps its own, and is given what the orders say.
    """

    def __init__(self, make: Make, workers: int) -> None:
        self._make = make
        self._workers = workers
        self._made: Executor | None = None
        self._room: Room | None = None
        self._here: Machine | None = None
        self._underway: list[_Underway] = []

    @property
    def free(self) -> int:
        """How many more orders can be started now, as far as workers go."""
        return self._workers if self._made is None else self._made.free

    @property
    def busy(self) -> bool:
        """Whether any order is being carried out."""
        return self._made is not None and self._made.busy

    def lacking(self, nodes: Iterable[Node]) -> TidemillError | None:
        """Why the first of these that this machine could never carry out cannot be; None where all can."""
        for node in nodes:
            there = self._machine_of(node)
            error = None if there is None else failures.lacking(node, there)
            if error is None and secrets_in(node.settings) and self._is_here(node):
                error = missing(node)
            if error is not None:
                return error
        return None

    def at_once(self, node: Node, count: int) -> int:
        """How many of ``count`` orders of a node there would be room for, were nothing else carried out."""
        there = self._machine_of(node)
        return count if there is None else max(1, sum(Room(there).chosen([node.resources] * count)))

    def chosen(self, waiting: Sequence[Resources]) -> list[bool]:
        """Which of those that wait, in order, there is room for now."""
        if self._room is None and any(w != _NONE for w in waiting) and self._executor().is_here:
            self._room = Room(self._machine())
            for each in self._underway:
                self._room.take(each.order.resources)
        return [True] * len(waiting) if self._room is None else self._room.chosen(waiting)

    def start(self, order: Order, task: object) -> None:
        """Begin an order, and its time; there must be a worker and room for it."""
        executor = self._executor()
        gpus: tuple[str, ...] = ()
        if self._room is not None:
            gpus = self._room.take(order.resources)
        if gpus:
            order = replace(order, environment={**order.environment, "CUDA_VISIBLE_DEVICES": ",".join(gpus)})
        ends = None if order.timeout_seconds is None else time.monotonic() + order.timeout_seconds
        self._underway.append(_Underway(order, task, gpus, ends))
        executor.start(order, task)

    def collect(
        self, timeout_seconds: float | None, on_progress: Callable[[object, Progress], None]
    ) -> list[tuple[object, Outcome]]:
        """Wait until an order has ended or its time is over, or the time to wait is."""
        executor = self._made
        if executor is None:
            return []
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            finished = executor.collect(self._patience(deadline), on_progress)
            for task, _ in finished:
                self._leave(task)
            finished += self._overdue()
            if finished or not executor.busy or (deadline is not None and time.monotonic() >= deadline):
                return finished

    def cancel(self, task: object) -> str:
        """End a task's order now."""
        self._leave(task)
        return self._executor().cancel(task)

    def abort(self) -> None:
        """End every order now."""
        for each in list(self._underway):
            self._leave(each.task)
        if self._made is not None:
            self._made.abort()

    def _executor(self) -> Executor:
        if self._made is None:
            self._made = self._make(self._workers)
        return self._made

    def _machine(self) -> Machine:
        self._here = self._here or machine.here()
        return self._here

    def _machine_of(self, node: Node) -> Machine | None:
        """The machine that a node which needs something is carried out on; None where that is not known."""
        return self._machine() if node.resources != _NONE and self._is_here(node) else None

    def _is_here(self, node: Node) -> bool:
        is_importable = node.component is not None and node.component.importable
        return not is_importable or self._executor().is_here

    def _leave(self, task: object) -> None:
        each = next(u for u in self._underway if u.task is task)
        self._underway.remove(each)
        if self._room is not None:
            self._room.leave(each.order.resources, each.gpus)

    def _patience(self, deadline: float | None) -> float | None:
        """How long the next thing may be waited for."""
        moments = [u.ends for u in self._underway if u.ends is not None]
        moments += [] if deadline is None else [deadline]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _overdue(self) -> list[tuple[object, Outcome]]:
        now = time.monotonic()
        over = [u for u in self._underway if u.ends is not None and u.ends <= now]
        return [(u.task, Outcome(error=failures.timed_out(u.order, self.cancel(u.task)))) for u in over]
