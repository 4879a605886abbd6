"""What ran where: the deployments of an environment, and what they say about what may go there next.

It only grows: a deployment is recorded once, and what becomes of it is added as a change.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import NotAllowed, NotFound
from tidemill.core.names import did_you_mean, listed
from tidemill.core.settings import EnvironmentSettings, Settings
from tidemill.store.catalog import records
from tidemill.store.open import Store

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Transaction

PROMOTED = "promoted"
"""The reason of a promotion for which nobody gave another one."""
_SERVED: tuple[records.DeploymentStatus, ...] = ("live", "retired")


def environment_settings(settings: Settings, environment: str) -> EnvironmentSettings:
    """The settings of an environment.

    Raises:
        NotFound: ``environment-not-found``.
    """
    if environment in settings.environments:
        return settings.environments[environment]
    raise NotFound(
        f"There is no environment '{environment}'.",
        hint=did_you_mean(
            environment, settings.environments, f"tidemill.toml has: {listed(settings.environments)}."
        ),
        code=codes.ENVIRONMENT_NOT_FOUND,
    )


def history(store: Store, environment: str) -> list[records.Deployment]:
    """Every deployment of an environment as it is now, newest first, failed ones too."""
    with store.catalog.read() as read:
        return standing(read, environment)


def standing(
    read: "Transaction", environment: str | None = None, *status: records.DeploymentStatus
) -> list[records.Deployment]:
    """The deployments with what became of them, newest first.

    Args:
        read: The catalog's.
        environment: Of which environment; None: of all.
        status: Only those that have one of these now.
    """
    where = {} if environment is None else {"environment": environment}
    changes: dict[str, list[records.DeploymentChange]] = {}
    for change in read.find(records.DeploymentChange, where, order=("position",)):
        changes.setdefault(change.deployment, []).append(change)
    found = (
        functools.reduce(changed, changes.get(d.id, ()), d) for d in read.find(records.Deployment, where)
    )
    return in_order(d for d in found if not status or d.status in status)


def changed(deployment: records.Deployment, change: records.DeploymentChange) -> records.Deployment:
    """A deployment after a change of it; one that was stopped is what should run as before."""
    if change.status == "stopped":
        return deployment
    is_over = change.status in ("retired", "failed")
    moved = {} if change.place is None else {"place": change.place, "machine": change.machine}
    return replace(
        deployment, status=change.status, finished_at=change.changed_at if is_over else None, **moved
    )


def is_stopped(store: Store, deployment: records.Deployment) -> bool:
    """Whether the last thing that became of a deployment is that somebody stopped it."""
    with store.catalog.read() as read:
        last = read.first(records.DeploymentChange, {"deployment": deployment.id}, order=("-position",))
    return last is not None and last.status == "stopped"


def in_order(deployments: Iterable[records.Deployment]) -> list[records.Deployment]:
    """Newest first: by their numbers, and those of an older Tidemill, which have none, by their times before them."""
    return sorted(deployments, key=lambda d: (d.number or 0, d.started_at, d.id), reverse=True)


def is_personal(settings: Settings, environment: str) -> bool:
    """Whether each place has an environment of this name for itself, as the settings say; else the first one, where work begins."""
    known = settings.environments.get(environment)
    if known is not None and known.personal is not None:
        return known.personal
    return environment == next(iter(settings.environments), None)


def served(store: Store, environment: str) -> list[records.Deployment]:
    """The deployments of an environment that were live, newest first."""
    return [d for d in history(store, environment) if d.status in _SERVED]


def current(store: Store, environment: str) -> records.Deployment | None:
    """The deployment that went live last in an environment, of those that are live; None before the first."""
    return live_of(history(store, environment))


def live_of(deployments: Sequence[records.Deployment]) -> records.Deployment | None:
    """The first of these that is live."""
    return next((d for d in deployments if d.status == "live"), None)


def previous(deployments: Sequence[records.Deployment]) -> records.Deployment | None:
    """The deployment that a rollback goes back to; None where there is none.

    It is the newest one whose release is neither live nor was rolled back from since the last promotion. So two rollbacks go
    back two releases, not to and fro.

    Args:
        deployments: Newest first.
    """
    entries = [d for d in reversed(deployments) if d.status in _SERVED]
    by_number: dict[int | None, records.Deployment] = {d.number: d for d in entries if d.number}
    stack: list[str] = []
    taken_off: set[str] = set()
    for at, entry in enumerate(entries):
        digest = entry.release_digest
        # An older Tidemill recorded only a reason: what it does not call promoted, and lies beneath, was rolled back to.
        beneath = len(stack) > 1 and stack[-2] == digest
        unsaid = entry.number is None and entry.reason != PROMOTED
        if at and (entry.back_from is not None or (unsaid and beneath)):
            taken_off.add(by_number.get(entry.back_from, entries[at - 1]).release_digest)
        elif entry.kind not in ("take-over", "found"):
            # What another machine took over, or what answered all the same, is no promotion.
            taken_off = set()
        if beneath:
            stack.pop()
        elif not stack or stack[-1] != digest:
            stack.append(digest)
    if not entries:
        return None
    out = taken_off | {entries[-1].release_digest}
    return next((d for d in reversed(entries) if d.release_digest not in out), None)


def nothing_before(
    environment: str, every: Sequence[records.Deployment], live: records.Deployment | None
) -> NotAllowed:
    """That a rollback has nowhere to go, and why: ``nothing-to-roll-back-to``."""
    others = [
        d for d in every if d.status == "retired" and (not live or d.release_digest != live.release_digest)
    ]
    which = f"{others[0].release_name}/{others[0].release_number}" if others else "latest"
    return NotAllowed(
        f"There is nothing to roll '{environment}' back to.",
        why="Every other release that was live there was rolled back from since the last promotion."
        if others
        else "No other release has been live there.",
        hint=f"Type 'tidemill promote {which} {environment}' to bring another release there.",
        code=codes.NOTHING_TO_ROLL_BACK_TO,
    )


def check_order(store: Store, settings: Settings, release: records.Release, environment: str) -> None:
    """Whether ``release`` has been live where it must have been before it may enter ``environment``.

    Raises:
        NotAllowed: ``promotion-order``, naming the command that comes first.
    """
    after = environment_settings(settings, environment).after
    if after is None:
        return
    environment_settings(settings, after)
    if any(d.release_digest == release.digest for d in served(store, after)):
        return
    raise NotAllowed(
        f"Release {release.number} of '{release.name}' cannot enter '{environment}' yet.",
        why=f"It must have been live in '{after}' first.",
        hint=f"Type 'tidemill promote {release.name}/{release.number} {after}'.",
        code=codes.PROMOTION_ORDER,
        details={"release": release.number, "environment": environment, "after": after},
    )
