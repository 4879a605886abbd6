"""Triggers: which of them something fires, and that each cause is answered exactly once, even over a crash."""

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


def claim(store: Store, trigger: str, cause: str) -> Claim | None:
    """Take up the firing of ``trigger`` by ``cause`` (a commit), if nobody has answered it or is at it.

    Returns:
        The claim, to be settled; None when it is settled, or a living process holds it. A claim whose
        process died before it settled is taken up again: its lock went with it.
    """
    held = ExitStack()
    try:
        held.enter_context(store.locks.hold(f"firing-{trigger}-{cause}", timeout_seconds=0))
    except Conflict:
        return None
    with ExitStack() as undo:
        undo.callback(held.close)
        with store.catalog.write() as write:
            firing = write.first(records.Firing, {"trigger": trigger, "cause": cause})
            if firing is None:
                firing = records.Firing(trigger, cause, None, None, stamp(now()))
                write.add(firing)
        if firing.outcome is not None:
            return None
        undo.pop_all()
    return Claim(firing, held)


def began(store: Store, claim: Claim, run: str) -> None:
    """Record the run that answers the claim, so that whoever takes it up after a crash can go on with it."""
    _change(store, claim, run=run)


def settle(store: Store, claim: Claim, *, outcome: str, run: str | None = None) -> records.Firing:
    """Record what came of it (``released 2``, ``gate-not-passed``), for good, and end the claim."""
    _change(store, claim, run=run or claim.firing.run, outcome=outcome)
    claim.close()
    return claim.firing


def firings(store: Store, trigger: str | None = None) -> list[records.Firing]:
    """What fired, newest first."""
    with store.catalog.read() as read:
        return read.find(records.Firing, {"trigger": trigger} if trigger else None, order=("-fired_at",))


def unsettled(store: Store) -> list[records.Firing]:
    """Firings without an outcome, oldest first: at work in another process, or left by one that died."""
    return [firing for firing in reversed(firings(store)) if firing.outcome is None]


def _watches(trigger: TriggerSettings, dataset: str, branch: str) -> bool:
    watched = Reference.parse(trigger.dataset)
    return watched.name == dataset and (watched.at or _MAIN) == branch


def _change(store: Store, claim: Claim, **values: str | None) -> None:
    firing = claim.firing
    with store.catalog.write() as write:
        write.change(records.Firing, {"trigger": firing.trigger, "cause": firing.cause}, **values)
    claim.firing = replace(firing, **values)
