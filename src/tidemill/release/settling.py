"""Settling: the record of a place's own deployments is made to agree with what answers there.

Only a process of the place that serves does it, since nobody else sees what answers. Nothing that was recorded is written over:
what became of a deployment is added.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.clock import new_id, now, stamp
from tidemill.core.errors import Conflict, Failed
from tidemill.core.settings import Settings
from tidemill.release import servers
from tidemill.release.history import changed, history, is_personal, live_of, standing
from tidemill.release.place import here
from tidemill.store.catalog import records
from tidemill.store.faults import put_off
from tidemill.store.open import Store

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Transaction


def lock(environment: str) -> str:
    """The name of the lock that is held by whoever changes what an environment serves."""
    return f"environment-{environment}"


def recover(store: Store, settings: Settings, author: str) -> list[records.Deployment]:
    """Settle what killed commands of this place left half done, in every environment that nobody works on now.

    Returns:
        The deployments of which something was added.
    """
    settled: list[records.Deployment] = []
    for environment in settings.environments:
        # One whose server hangs is no reason not to look at the others.
        with suppress(Conflict, Failed), store.locks.hold(lock(environment), timeout_seconds=0):
            settled += settle(store, settings, environment, author)
    return settled


def settle(
    store: Store, settings: Settings, environment: str, author: str, *, failed: str | None = None
) -> list[records.Deployment]:
    """Make the catalog agree with what the environment's server answers here. The environment's lock is held.

    A deployment that was starting is live if it is what answers, and has failed otherwise. Where nothing
    answers (after a reboot) the live one stays live: it is what should run.

    Args:
        store: The store.
        settings: The project's.
        environment: Which.
        author: Whose command it is.
        failed: Why one that was starting did not come to answer; None: its promotion was cut off.

    Returns:
        The deployments of which something was added, as they are now.
    """
    own = _own(store, environment)
    if any(deployment.status == "starting" for deployment in own):
        # Its standby may be about to take over: only then is it decided.
        servers.wait_for_orphans(store, environment)
    running = servers.status(store, environment)
    matches = [] if running is None else [d for d in own if d.release_digest == running.release]
    serving = next((d for d in matches if d.status in ("starting", "live")), None)
    found = None
    if serving is None and matches and not is_elsewhere(store, live_of(seen(store, settings, environment))):
        # A server took over after its promotion had been given up: history gets a line, none is rewritten.
        found = replace(_found(store, matches[0]), author=author)
    changes: list[tuple[records.Deployment, records.DeploymentStatus, str]] = []
    for deployment in own:
        if deployment.status == "starting" and deployment is not serving:
            changes.append((deployment, "failed", failed or "its promotion was cut off"))
        elif deployment.status == "live" and matches and deployment is not serving:
            name = f"{matches[0].release_name}/{matches[0].release_number}"
            changes.append((deployment, "retired", f"{name} answers in its place"))
    if serving is not None and serving.status == "starting":
        changes.append((serving, "live", "it answers"))
    if not changes and found is None:
        return []
    settled: list[records.Deployment] = []
    # Whoever looks, or stops a server, does so on a full disk too.
    with put_off(), store.catalog.write() as write:
        settled = [change(write, store, d, status, author, reason) for d, status, reason in changes]
        if found is not None:
            settled.append(add(write, found))
    return settled


def add(write: "Transaction", deployment: records.Deployment) -> records.Deployment:
    """Record a deployment under the next number of its environment, which it gets."""
    greatest = write.greatest(records.Deployment, "number", {"environment": deployment.environment})
    numbered = replace(deployment, number=greatest + 1)
    write.add(numbered)
    return numbered


def change(
    write: "Transaction",
    store: Store,
    deployment: records.Deployment,
    status: records.ChangeStatus,
    author: str,
    reason: str,
    *,
    moves: bool = False,
    asked_from: str | None = None,
) -> records.Deployment:
    """Add what became of a deployment; with ``moves`` this place serves it from now on.

    Args:
        write: The catalog's.
        store: The store.
        deployment: Which.
        status: What became of it.
        author: Who made it so, or found it to be so.
        reason: Why.
        moves: Whether this place serves it from now on.
        asked_from: From where somebody asked for it who was not here.
    """
    own = here(store)
    before = write.greatest(records.DeploymentChange, "position", {"deployment": deployment.id})
    added = records.DeploymentChange(
        deployment=deployment.id,
        position=before + 1,
        environment=deployment.environment,
        status=status,
        author=author,
        machine=asked_from or own.machine,
        changed_at=stamp(now()),
        reason=reason,
        place=own.id if moves else None,
    )
    write.add(added)
    return changed(deployment, added)


def carry_along(store: Store, settings: Settings, author: str) -> str | None:
    """Let this folder serve what the one did that it was copied or moved from; recorded, so that it is said once.

    Returns:
        Sentences that say so, of the environments that the settings have, and of servers that still run in the other folder;
        None where nothing was to be taken over.
    """
    own = here(store)
    if not own.before:
        return None
    with store.catalog.read() as read:
        carried = [d for d in standing(read, None, "live", "starting") if d.place in own.before]
    if not carried:
        return None
    reason = f"its store was copied or moved to {own.machine}"
    # Where nothing can be written it is looked at all the same, and said when it can be.
    with put_off(), store.catalog.write() as write:
        for deployment in carried:
            change(write, store, deployment, deployment.status, author, reason, moves=True)
    names = list(
        dict.fromkeys(d.environment for d in reversed(carried) if d.environment in settings.environments)
    )
    said = [
        f"This store was copied or moved from {carried[0].machine}. What it served ({', '.join(names)}) is served from here now."
    ]
    before = None if own.came_from is None else own.came_from / store.environments_folder.name
    said += [
        f"The server in {own.came_from} goes on by itself at {told.address} (process {told.pid}); 'tidemill stop "
        f"{told.environment}' there ends it."
        for told in ([] if before is None else servers.running_in(before))
        if told.environment in names
    ]
    return " ".join(said) if names else None


def seen(store: Store, settings: Settings, environment: str) -> list[records.Deployment]:
    """The deployments of an environment, newest first; of a personal one those of this place."""
    every = history(store, environment)
    if not every or not is_personal(settings, environment):
        return every
    own = here(store)
    # What an older Tidemill recorded is anybody's to serve again.
    return [d for d in every if own.serves(d) or d.place is None]


def is_elsewhere(store: Store, live: records.Deployment | None) -> bool:
    """Whether another place serves this."""
    return live is not None and live.place is not None and not here(store).serves(live)


def taken_over(store: Store, deployments: Sequence[records.Deployment]) -> records.Deployment | None:
    """What is live, where another place has taken over what this one served; None otherwise.

    A folder that was moved has taken nothing over yet, and nobody has from it: what runs in it is what the record says.

    Args:
        store: The store.
        deployments: Of one environment, newest first.
    """
    live, own = live_of(deployments), here(store)
    if live is None or not is_elsewhere(store, live) or own.has_moved_with(live):
        return None
    own_ones = [d for d in deployments if own.serves(d) or own.has_moved_with(d)]
    # One that is starting may be this place's taking it back: whoever settles says so.
    return live if own_ones and all(d.status != "starting" for d in own_ones) else None


def refusal(store: Store, live: records.Deployment) -> Conflict:
    """That another place serves this, or this folder did before it was moved, and what to type: ``served-elsewhere``."""
    own, environment = here(store), live.environment
    details = {"environment": environment, "machine": live.machine}
    over = f"tidemill serve {environment} --take-over --reason"
    if own.has_moved_with(live):
        return Conflict(
            f"Environment '{environment}' is served by {live.machine}, and this folder was moved from there.",
            why=f"What it serves is not taken along by itself; this folder is {own.machine}.",
            hint=f"Type '{over} moved': it is served from here then, and a server that runs hands its address over.",
            code=codes.SERVED_ELSEWHERE,
            details={**details, "moved": True},
        )
    return Conflict(
        f"Environment '{environment}' is served by {live.machine}.",
        why=f"Release {live.release_number} of '{live.release_name}' went live there ({live.author}, {live.started_at[:16]}Z). "
        "Two machines that serve it would answer with different releases.",
        hint=f"Type it there; or let this one take over: '{over} TEXT'.",
        code=codes.SERVED_ELSEWHERE,
        details=details,
    )


def _own(store: Store, environment: str) -> Sequence[records.Deployment]:
    """The deployments that this place serves, newest first, and those of an older Tidemill that only it can know of."""
    every = history(store, environment)
    if not every:
        return []
    own = here(store)
    # It did not say where they were: in a folder's own records here, in a team's where a server answers.
    nameless = not store.is_shared or servers.status(store, environment) is not None
    return [d for d in every if own.serves(d) or (d.place is None and nameless)]


def _found(store: Store, deployment: records.Deployment) -> records.Deployment:
    own = here(store)
    return replace(
        deployment,
        id=new_id(),
        status="live",
        started_at=stamp(now()),
        finished_at=None,
        reason="found answering, after its promotion was cut off",
        place=own.id,
        machine=own.machine,
        kind="found",
        back_from=None,
        asked_from=None,
    )
