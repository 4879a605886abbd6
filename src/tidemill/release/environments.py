"""Environments: a release goes in, another comes out, and at every moment one of them answers.

What serves is what the running server says, not what the catalog says: a promotion that was killed half-way is settled by the
next command of the place that serves it (``recover``). No other place settles it, which does not see what answers there.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidemill.core.clock import new_id, now, stamp
from tidemill.core.errors import Conflict, NotFound, TidemillError
from tidemill.core.events import Sink, silent
from tidemill.core.settings import Settings
from tidemill.release import bundle, servers
from tidemill.release.history import (
    PROMOTED,
    check_order,
    current,
    environment_settings,
    history,
    is_personal,
    live_of,
    nothing_before,
    previous,
)
from tidemill.release.place import here
from tidemill.release.servers import Status
from tidemill.store.catalog import records
from tidemill.store.faults import put_off
from tidemill.store.open import Store

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Transaction

__all__ = [
    "current",
    "end_if_taken_over",
    "history",
    "promote",
    "recover",
    "rollback",
    "running",
    "seen",
    "serve_again",
    "status",
    "stop",
    "take_over",
]


def promote(
    store: Store,
    settings: Settings,
    *,
    release: records.Release,
    environment: str,
    author: str,
    reason: str = PROMOTED,
    sink: Sink = silent,
) -> records.Deployment:
    """Let ``release`` take over ``environment``: started beside what runs, checked with real requests, swapped in.

    Returns:
        The deployment that is live now; where the release was live already, that one.

    Raises:
        NotFound: ``environment-not-found``.
        NotAllowed: ``promotion-order``, when it has not been live in the environment that comes before.
        Failed: ``deployment-failed``, with the new server's last words; what ran before still does.
        Conflict: ``lock-timeout``, when another promotion of the environment does not end.
    """
    environment_settings(settings, environment)
    with store.locks.hold(_lock(environment)):
        _settle(store, settings, environment)
        check_order(store, settings, release, environment)
        live = live_of(_seen(store, settings, environment))
        _refuse_elsewhere(store, environment, live)
        if live is not None and live.release_digest == release.digest:
            if servers.status(store, environment) is None:
                _start_current(store, settings, environment, sink)
            return live
        return _deploy(store, settings, release, environment, author, reason, sink)


def rollback(
    store: Store,
    settings: Settings,
    *,
    environment: str,
    author: str,
    reason: str = "rolled back",
    sink: Sink = silent,
) -> records.Deployment:
    """Bring back the release that was live before the current one.

    Raises:
        NotAllowed: ``nothing-to-roll-back-to``.
        Failed: ``deployment-failed``; what ran before still does.
    """
    environment_settings(settings, environment)
    with store.locks.hold(_lock(environment)):
        _settle(store, settings, environment)
        every = _seen(store, settings, environment)
        live = live_of(every)
        _refuse_elsewhere(store, environment, live)
        before = previous(every)
        if before is None:
            raise nothing_before(environment, every, live)
        release = bundle.find(store, before.release_name, before.release_number)
        number = live.number if live is not None else None
        return _deploy(store, settings, release, environment, author, reason, sink, back_from=number or 0)


def recover(store: Store, settings: Settings) -> list[records.Deployment]:
    """Settle what killed commands of this place left half done, in every environment that nobody works on now.

    Returns:
        The deployments whose status was put right.
    """
    settled: list[records.Deployment] = []
    for environment in settings.environments:
        with suppress(Conflict), store.locks.hold(_lock(environment), timeout_seconds=0):
            settled += _settle(store, settings, environment)
    return settled


def status(store: Store, environment: str) -> Status | None:
    """What the environment's running server says of itself; None where none runs."""
    return servers.status(store, environment)


def running(store: Store) -> list[Status]:
    """Every server that answers on this machine, also of environments that the settings do not name."""
    return servers.running(store)


def serve_again(
    store: Store,
    settings: Settings,
    *,
    environment: str,
    told: Mapping[str, Any] | None = None,
    sink: Sink = silent,
) -> Status:
    """Start the current release of an environment, if it does not run already (after a reboot, say).

    Args:
        store: The store.
        settings: The project's settings.
        environment: Which environment.
        told: What holds in place of the environment's settings: their names and values.
        sink: Told what happens.

    Raises:
        NotFound: ``nothing-deployed``, when no release has entered the environment.
        Conflict: ``served-already``, when a server runs that was told otherwise.
        Failed: ``deployment-failed``.
    """
    environment_settings(settings, environment)
    with store.locks.hold(_lock(environment)):
        _settle(store, settings, environment)
        _refuse_elsewhere(store, environment, live_of(_seen(store, settings, environment)))
        running = servers.status(store, environment)
        if running is not None:
            servers.refuse_other_options(settings, running, told or {})
        return running or _start_current(store, settings, environment, sink, told)


def take_over(
    store: Store,
    settings: Settings,
    *,
    environment: str,
    author: str,
    reason: str,
    told: Mapping[str, Any] | None = None,
    sink: Sink = silent,
) -> records.Deployment | None:
    """Let this place serve what another one does; recorded, with who and why.

    The other one's server is ended there, by the process that serves or by the next command.

    Returns:
        The deployment that is live here now; None where no other place served it.

    Raises:
        Failed: ``deployment-failed``; then the other place still serves it.
    """
    environment_settings(settings, environment)
    with store.locks.hold(_lock(environment)):
        _settle(store, settings, environment)
        live = live_of(_seen(store, settings, environment))
        if live is None or not _is_elsewhere(store, live):
            return None
        release = bundle.find(store, live.release_name, live.release_number)
        why = f"taken over from {live.machine}: {reason}"
        made = _deploy(store, settings, release, environment, author, why, sink, told=told)
        with store.catalog.write() as write:
            ended = {"status": "retired", "finished_at": stamp(now())}
            write.change(records.Deployment, {"id": live.id}, **ended)
        return made


def end_if_taken_over(store: Store, settings: Settings, environment: str) -> str | None:
    """End the server of this place if another one has taken its environment over; a sentence that says so.

    Raises:
        StorageError: While the store is away; then it goes on.
    """
    live = live_of(_seen(store, settings, environment))
    if live is None or not _is_elsewhere(store, live) or not servers.stop(store, environment):
        return None
    return f"{environment} is served by {live.machine} now ({live.reason}); the server here has ended."


def seen(store: Store, settings: Settings, environment: str) -> list[records.Deployment]:
    """The deployments of an environment, newest first; of a personal one those of this place."""
    return _seen(store, settings, environment)


def stop(store: Store, settings: Settings, *, environment: str) -> bool:
    """Let the environment's server finish what it has and end; ``serve_again`` brings it back.

    Returns:
        Whether one was running.
    """
    if all(told.environment != environment for told in servers.running(store)):
        environment_settings(settings, environment)
    with store.locks.hold(_lock(environment)):
        _settle(store, settings, environment)
        stopped = servers.stop(store, environment)
        if not stopped:
            # Whoever believes that this has stopped it is told where it goes on.
            _refuse_elsewhere(store, environment, live_of(_seen(store, settings, environment)))
        return stopped


def _lock(environment: str) -> str:
    return f"environment-{environment}"


def _deploy(
    store: Store,
    settings: Settings,
    release: records.Release,
    environment: str,
    author: str,
    reason: str,
    sink: Sink,
    back_from: int | None = None,
    told: Mapping[str, Any] | None = None,
) -> records.Deployment:
    own = here(store)
    deployment = records.Deployment(
        id=new_id(),
        environment=environment,
        release_name=release.name,
        release_number=release.number,
        release_digest=release.digest,
        status="starting",
        author=author,
        started_at=stamp(now()),
        finished_at=None,
        reason=reason,
        back_from=back_from,
        place=own.id,
        machine=own.machine,
    )
    with store.catalog.write() as write:
        deployment = replace(deployment, number=_next_number(write, environment))
        write.add(deployment)
    try:
        servers.replace(store, settings, release, environment, sink, told)
    except BaseException as error:
        # Whatever went wrong, and whenever: what answers now decides which record is live.
        _settle(store, settings, environment)
        with store.catalog.read() as read:
            deployment = read.find(records.Deployment, {"id": deployment.id})[0]
        if deployment.status == "live" and isinstance(error, TidemillError):
            return deployment
        raise
    _settle(store, settings, environment)
    return replace(deployment, status="live")


def _start_current(
    store: Store,
    settings: Settings,
    environment: str,
    sink: Sink,
    told: Mapping[str, Any] | None = None,
) -> Status:
    live = live_of(_seen(store, settings, environment))
    if live is None:
        raise NotFound(
            f"No release has entered '{environment}' yet.",
            hint=f"Type 'tidemill promote latest {environment}' to bring one there.",
            code="nothing-deployed",
        )
    release = bundle.find(store, live.release_name, live.release_number)
    return servers.replace(store, settings, release, environment, sink, told)


def _settle(store: Store, settings: Settings, environment: str) -> list[records.Deployment]:
    """Make the catalog agree with what the environment's server answers here. The environment's lock is held.

    A deployment that was starting is live if it is what answers, and has failed otherwise. Where nothing
    answers (after a reboot) the live one stays live: it is what should run.
    """
    all_of_it = _own(store, environment)
    if any(deployment.status == "starting" for deployment in all_of_it):
        # Its standby may be about to take over: only then is it decided.
        servers.wait_for_orphans(store, environment)
    running = servers.status(store, environment)
    matches = [] if running is None else [d for d in all_of_it if d.release_digest == running.release]
    open_matches = [d for d in matches if d.status in ("starting", "live")]
    serving = open_matches[0] if open_matches else None
    settled: list[records.Deployment] = []
    moment = stamp(now())
    known = {d.id for d in all_of_it}
    for deployment in all_of_it:
        if deployment.status == "starting" and deployment is not serving:
            settled.append(replace(deployment, status="failed", finished_at=moment))
        elif deployment.status == "live" and matches and deployment is not serving:
            settled.append(replace(deployment, status="retired", finished_at=moment))
    if serving is not None and serving.status == "starting":
        settled.append(replace(serving, status="live"))
    elif (
        serving is None and matches and not _is_elsewhere(store, live_of(_seen(store, settings, environment)))
    ):
        # A server took over after its promotion had been given up: history gets a line, none is rewritten.
        again = replace(matches[0], id=new_id(), status="live", started_at=moment, finished_at=None)
        settled.append(replace(again, reason="found answering, after its promotion was cut off"))
    if settled:
        # Whoever looks, or stops a server, does so on a full disk too.
        with put_off(), store.catalog.write() as write:
            settled = [
                replace(d, number=_next_number(write, environment)) if d.id not in known else d
                for d in settled
            ]
            write.put(*settled)
    return settled


def _next_number(write: "Transaction", environment: str) -> int:
    return write.greatest(records.Deployment, "number", {"environment": environment}) + 1


def _own(store: Store, environment: str) -> list[records.Deployment]:
    """The deployments that this place serves, newest first, and those of an older Tidemill that only it can know of."""
    every = history(store, environment)
    if not every:
        return []
    own = here(store)
    # It did not say where they were: in a folder's own records here, in a team's where a server answers.
    nameless = not store.is_shared or servers.status(store, environment) is not None
    return [d for d in every if own.serves(d) or (d.place is None and nameless)]


def _seen(store: Store, settings: Settings, environment: str) -> list[records.Deployment]:
    """The deployments of an environment, newest first; of a personal one those of this place."""
    every = history(store, environment)
    if not every or not is_personal(settings, environment):
        return every
    own = here(store)
    # What an older Tidemill recorded is anybody's to serve again.
    return [d for d in every if own.serves(d) or d.place is None]


def _is_elsewhere(store: Store, live: records.Deployment | None) -> bool:
    """Whether another place serves this."""
    return live is not None and live.place is not None and not here(store).serves(live)


def _refuse_elsewhere(store: Store, environment: str, live: records.Deployment | None) -> None:
    """Refuse to change what another place serves. What was served here until that took over ends.

    Raises:
        Conflict: ``served-elsewhere``, naming it.
    """
    if live is None or not _is_elsewhere(store, live):
        return
    servers.stop(store, environment)
    raise Conflict(
        f"Environment '{environment}' is served by {live.machine}.",
        why=f"Release {live.release_number} of '{live.release_name}' went live there ({live.author}, {live.started_at[:16]}Z). "
        "Two machines that serve it would answer with different releases.",
        hint=f"Type it there; or let this one take over: 'tidemill serve {environment} --take-over --reason TEXT'.",
        code="served-elsewhere",
        details={"environment": environment, "machine": live.machine},
    )
