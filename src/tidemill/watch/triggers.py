"""Triggers: which of them something fires, and that each cause is answered exactly once, even over a crash.

A firing is recorded as owed before the branch moves, by a process that holds the claim on it until it has answered or
has dropped it. So what is owed and claimed by nobody is left by a process that died: before the branch moved, and then
it is dropped, or after that, and then it is answered.
"""

from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from tidemill.core.clock import now, stamp
from tidemill.core.errors import Conflict
from tidemill.core.names import Reference
from tidemill.core.settings import Settings, TriggerSettings
from tidemill.store.catalog import records
from tidemill.store.open import Store

_MAIN = "main"


class Claim:
    """The right of one process to answer a firing; it ends with ``settle``, ``close`` or the process.

    Attributes:
        firing: The record. ``firing.run`` names a run that an earlier, dead claim had begun.
    """

    def __init__(self, firing: records.Firing, held: ExitStack) -> None:
        self.firing = firing
        self._held = held

    def close(self) -> None:
        """Give the right back; what is not settled by then may be claimed again."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def fired_by_merge(settings: Settings, dataset: str, branch: str) -> list[tuple[str, TriggerSettings]]:
    """The triggers, by name, that a merge into ``branch`` of ``dataset`` fires."""
    return [
        (name, trigger)
        for name, trigger in sorted(settings.triggers.items())
        if _watches(trigger, dataset, branch)
    ]


def owe(store: Store, trigger: str, cause: str, *, dataset: str, branch: str) -> Claim:
    """Record the firing of ``trigger`` by a commit that is about to land, and claim it.

    Args:
        store: The store.
        trigger: Its name.
        cause: The commit's id, which no other attempt to make it has.
        dataset: Of the commit.
        branch: Where it is to land.

    Raises:
        Conflict: ``lock-timeout``.
    """
    with ExitStack() as held:
        held.enter_context(store.locks.hold(_lock(trigger, cause)))
        firing = records.Firing(trigger, cause, None, None, stamp(now()), dataset, branch)
        with store.catalog.write() as write:
            write.add(firing)
        return Claim(firing, held.pop_all())


def claim(store: Store, trigger: str, cause: str) -> Claim | None:
    """Take up a firing that was left, if nobody is at it.

    Returns:
        The claim, to be settled or dropped; None when it is settled or gone, or a living process holds it. A claim
        whose process died before it settled is taken up again: its lock went with it.
    """
    with ExitStack() as held:
        try:
            held.enter_context(store.locks.hold(_lock(trigger, cause), timeout_seconds=0))
        except Conflict:
            return None
        with store.catalog.read() as read:
            firing = read.first(records.Firing, {"trigger": trigger, "cause": cause})
        if firing is None or firing.outcome is not None:
            return None
        return Claim(firing, held.pop_all())


def began(store: Store, claim: Claim, run: str) -> None:
    """Record the run that answers the claim, so that whoever takes it up after a crash can go on with it."""
    _change(store, claim, run=run)


def settle(store: Store, claim: Claim, *, outcome: str, run: str | None = None) -> records.Firing:
    """Record what came of it (``released 2``, ``gate-not-passed``), for good, and end the claim."""
    _change(store, claim, run=run or claim.firing.run, outcome=outcome)
    claim.close()
    return claim.firing


def drop(store: Store, claim: Claim) -> None:
    """Take the record back of a firing whose commit did not land, and end the claim."""
    with store.catalog.write() as write:
        write.remove(records.Firing, {"trigger": claim.firing.trigger, "cause": claim.firing.cause})
    claim.close()


def firings(store: Store, trigger: str | None = None) -> list[records.Firing]:
    """What fired, newest first."""
    with store.catalog.read() as read:
        return read.find(records.Firing, {"trigger": trigger} if trigger else None, order=("-fired_at",))


def unsettled(store: Store) -> list[records.Firing]:
    """Firings without an outcome, oldest first: at work in another process, or left by one that died."""
    with store.catalog.read() as read:
        return read.find(records.Firing, {"outcome": None}, order=("fired_at", "trigger"))


def is_claimed(store: Store, firing: records.Firing) -> bool:
    """Whether a living process is at it."""
    return store.locks.is_held(_lock(firing.trigger, firing.cause))


def _lock(trigger: str, cause: str) -> str:
    return f"firing-{trigger}-{cause}"


def _watches(trigger: TriggerSettings, dataset: str, branch: str) -> bool:
    watched = Reference.parse(trigger.dataset)
    return watched.name == dataset and (watched.at or _MAIN) == branch


def _change(store: Store, claim: Claim, **values: str | None) -> None:
    # Put, not changed: a record that went while a restart of the server let go of the claim is there again.
    claim.firing = replace(claim.firing, **values)
    with store.catalog.write() as write:
        write.put(claim.firing)
