"""Environments: a release goes in, another comes out, and at every moment one of them answers.

What serves is what the running server says, not what the catalog says: a promotion that was killed half-way
is settled by the next command (``recover``).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from tidemill.core.clock import new_id, now, stamp
from tidemill.core.errors import Conflict, NotAllowed, NotFound, TidemillError
from tidemill.core.events import Sink, silent
from tidemill.core.settings import Settings
from tidemill.release import bundle, servers
from tidemill.release.history import check_order, current, environment_settings, history, previous
from tidemill.release.servers import Status
from tidemill.store.catalog import records
from tidemill.store.open import Store

__all__ = [
    "current",
    "history",
    "promote",
    "recover",
    "rollback",
    "running",
    "serve_again",
    "status",
    "stop",
]


def promote(
    store: Store,
    settings: Settings,
    *,
    release: records.Release,
    environment: str,
    author: str,
    reason: str = "promoted",
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
        _settle(store, environment)
        check_order(store, settings, release, environment)
        live = current(store, environment)
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
        _settle(store, environment)
        before = previous(store, environment)
        if before is None:
            raise NotAllowed(
                f"There is nothing to roll '{environment}' back to.",
                why="No other release has been live there before the current one.",
                hint=f"Type 'tidemill promote latest {environment}' to bring another release there.",
                code="nothing-to-roll-back-to",
            )
        release = bundle.find(store, before.release_name, before.release_number)
        return _deploy(store, settings, release, environment, author, reason, sink)


def recover(store: Store, settings: Settings) -> list[records.Deployment]:
    """Settle what killed commands left half done, in every environment that nobody works on now.

    Returns:
        The deployments whose status was put right.
    """
    settled: list[records.Deployment] = []
    for environment in settings.environments:
        with suppress(Conflict), store.locks.hold(_lock(environment), timeout_seconds=0):
            settled += _settle(store, environment)
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
        Failed: ``deployment-failed``.
    """
    environment_settings(settings, environment)
    with store.locks.hold(_lock(environment)):
        _settle(store, environment)
        running = servers.status(store, environment)
        return running or _start_current(store, settings, environment, sink, told)


def stop(store: Store, settings: Settings, *, environment: str) -> bool:
    """Let the environment's server finish what it has and end; ``serve_again`` brings it back.

    Returns:
        Whether one was running.
    """
    if all(told.environment != environment for told in servers.running(store)):
        environment_settings(settings, environment)
    with store.locks.hold(_lock(environment)):
        _settle(store, environment)
        return servers.stop(store, environment)


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
) -> records.Deployment:
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
    )
    with store.catalog.write() as write:
        write.add(deployment)
    try:
        servers.replace(store, settings, release, environment, sink)
    except BaseException as error:
        # Whatever went wrong, and whenever: what answers now decides which record is live.
        _settle(store, environment)
        with store.catalog.read() as read:
            deployment = read.find(records.Deployment, {"id": deployment.id})[0]
        if deployment.status == "live" and isinstance(error, TidemillError):
            return deployment
        raise
    _settle(store, environment)
    return replace(deployment, status="live")


def _start_current(
    store: Store,
    settings: Settings,
    environment: str,
    sink: Sink,
    told: Mapping[str, Any] | None = None,
) -> Status:
    live = current(store, environment)
    if live is None:
        raise NotFound(
            f"No release has entered '{environment}' yet.",
            hint=f"Type 'tidemill promote latest {environment}' to bring one there.",
            code="nothing-deployed",
        )
    release = bundle.find(store, live.release_name, live.release_number)
    return servers.replace(store, settings, release, environment, sink, told)


def _settle(store: Store, environment: str) -> list[records.Deployment]:
    """Make the catalog agree with what the environment's server answers. The environment's lock is held.

    A deployment that was starting is live if it is what answers, and has failed otherwise. Where nothing
    answers (after a reboot) the live one stays live: it is what should run.
    """
    all_of_it = history(store, environment)
    if any(deployment.status == "starting" for deployment in all_of_it):
        # Its standby may be about to take over: only then is it decided.
        servers.wait_for_orphans(store, environment)
    running = servers.status(store, environment)
    matches = [] if running is None else [d for d in all_of_it if d.release_digest == running.release]
    open_matches = [d for d in matches if d.status in ("starting", "live")]
    serving = open_matches[0] if open_matches else None
    settled: list[records.Deployment] = []
    moment = stamp(now())
    for deployment in all_of_it:
        if deployment.status == "starting" and deployment is not serving:
            settled.append(replace(deployment, status="failed", finished_at=moment))
        elif deployment.status == "live" and matches and deployment is not serving:
            settled.append(replace(deployment, status="retired", finished_at=moment))
    if serving is not None and serving.status == "starting":
        settled.append(replace(serving, status="live"))
    elif serving is None and matches:
        # A server took over after its promotion had been given up: history gets a line, none is rewritten.
        again = replace(matches[0], id=new_id(), status="live", started_at=moment, finished_at=None)
        settled.append(replace(again, reason="found answering, after its promotion was cut off"))
    if settled:
        with store.catalog.write() as write:
            write.put(*settled)
    return settled
