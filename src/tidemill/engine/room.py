"""Which steps this machine has room for at once. Plain sums of what steps say that they need; nothing is measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tidemill.engine.machine import Machine
from tidemill.pipeline.resources import Resources

_EPSILON = 1e-9


@dataclass(slots=True)
class Room:
    """What a machine has, and what of it is taken.

    A step that does not say how many CPUs it needs counts as one beside those that do; among themselves such steps
    are limited by the number of workers alone.

    Attributes:
        gpus: Those that are free, by name.
    """

    machine: Machine
    gpus: tuple[str, ...] = field(init=False)
    _taken: list[Resources] = field(default_factory=list[Resources])

    def __post_init__(self) -> None:
        self.gpus = self.machine.gpus

    def lacking(self, wanted: Resources) -> frozenset[str]:
        """What there is not enough of for this one now; empty where there is room for it.

        There is room for one alone, whatever it wants: whether it can be carried out at all is asked elsewhere.
        """
        if not self._taken:
            return frozenset()
        found: set[str] = set()
        if wanted.cpu is not None or any(t.cpu is not None for t in self._taken):
            used = sum(t.cpu or 1.0 for t in self._taken)
            if used + (wanted.cpu or 1.0) > self.machine.cpus + _EPSILON:
                found.add("cpu")
        memory = sum(t.memory_bytes or 0 for t in self._taken)
        if wanted.memory_bytes is not None and memory + wanted.memory_bytes > self.machine.memory_bytes:
            found.add("memory")
        if wanted.gpu > len(self.gpus):
            found.add("gpu")
        return frozenset(found)

    def take(self, wanted: Resources) -> tuple[str, ...]:
        """Take what a step needs; the GPUs that are its own."""
        self._taken.append(wanted)
        own, self.gpus = self.gpus[: wanted.gpu], self.gpus[wanted.gpu :]
        return own

    def leave(self, wanted: Resources, own: tuple[str, ...]) -> None:
        """Give back what a step had."""
        self._taken.remove(wanted)
        self.gpus = tuple(sorted((*self.gpus, *own)))

    def chosen(self, waiting: Sequence[Resources]) -> list[bool]:
        """Which of those that wait, in order, may begin now.

        The first that there is no room for is not overtaken: of what it lacks, those behind it get nothing.
        """
        trial = Room(self.machine, list(self._taken))
        trial.gpus = self.gpus
        kept: frozenset[str] | None = None
        made: list[bool] = []
        for wanted in waiting:
            lacking = trial.lacking(wanted)
            may = not lacking and not (kept and kept & _needs(wanted))
            if may:
                trial.take(wanted)
            elif kept is None:
                kept = lacking
            made.append(may)
        return made


def _needs(wanted: Resources) -> frozenset[str]:
    memory = {"memory"} if wanted.memory_bytes is not None else set[str]()
    return frozenset({"cpu"} | memory | ({"gpu"} if wanted.gpu else set[str]()))
