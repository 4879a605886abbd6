"""Environments: a release goes in, another comes out, and at every moment one of them answers.

What serves is what the running server says, not what the catalog says: a promotion that was killed half-way is settled by the
next command of the place that serves it (``settling``). What is typed elsewhere is a wish (``wishes``), which that place carries
out (``carrying_out``).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tidemill.core import codes
from tidemill.core.clock import new_id, now, stamp
from tidemill.core.errors import Conflict, Failed, NotFound, TidemillError
from tidemill.core.events import Sink, silent
from tidemill.core.settings import Settings
from tidemill.release import bundle, servers, settling, wishes
from tidemill.release.history import (
    PROMOTED,
    check_order,
    current,
    environment_settings,
    history,
    is_stopped,
    live_of,
    nothing_before,
    previous,
)
from tidemill.release.place import here
from tidemill.release.servers import Status
from tidemill.release.settling import lock, recover, seen, settle
from tidemill.store.catalog import records
from tidemill.store.faults import put_off
from tidemill.store.open import Store

__all__ = [
    "Asked",
    "bring_back",
    "bring_in",
    "current",
    "end_if_taken_over",
    "ended",
    "history",
    "note_stop",
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


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a deployment, and why.

    Attributes:
        asked_from: From where, if not at the place that serves: ``host:/folder``.
        wish: The number of the wish that it carries out.
    """

    author: str
    reason: str
    asked_from: str | None = None
    wish: int | None = None


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
    with store.locks.hold(lock(environment)):
        settle(store, settings, environment, author)
        made = bring_in(store, settings, release, environment, Asked(author, reason), sink)
        wishes.give_way(store, environment, author, f"release {release.name}/{release.number} was promoted")
        return made


def bring_in(
    store: Store, settings: Settings, release: records.Release, environment: str, asked: Asked, sink: Sink
) -> records.Deployment:
    """Let ``release`` take over, as ``promote`` does. The environment's lock is held, and its record settled."""
    check_order(store, settings, release, environment)
    live = live_of(seen(store, settings, environment))
    _refuse_elsewhere(store, live)
    if live is not None and live.release_digest == release.digest:
        if servers.status(store, environment) is None:
            _start_current(store, settings, environment, asked.author, sink)
        return live
    return _deploy(store, settings, release, environment, asked, sink, kind="promotion")


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
    with store.locks.hold(lock(environment)):
        settle(store, settings, environment, author)
        made = bring_back(store, settings, environment, Asked(author, reason), sink)
        wishes.give_way(
            store, environment, author, f"it was rolled back to {made.release_name}/{made.release_number}"
        )
        return made


def bring_back(
    store: Store, settings: Settings, environment: str, asked: Asked, sink: Sink
) -> records.Deployment:
    """Bring back what was live before, as ``rollback`` does. The environment's lock is held, and its record settled."""
    every = seen(store, settings, environment)
    live = live_of(every)
    _refuse_elsewhere(store, live)
    before = previous(every)
    if before is None:
        raise nothing_before(environment, every, live)
    release = bundle.find(store, before.release_name, before.release_number)
    number = (live.number if live is not None else None) or 0
    return _deploy(store, settings, release, environment, asked, sink, kind="rollback", back_from=number)


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
    author: str,
    told: Mapping[str, Any] | None = None,
    sink: Sink = silent,
) -> Status:
    """Start the current release of an environment, if it does not run already (after a reboot, say).

    Args:
        store: The store.
        settings: The project's settings.
        environment: Which environment.
        author: Who starts it.
        told: What holds in place of the environment's settings: their names and values.
        sink: Told what happens.

    Raises:
        NotFound: ``nothing-deployed``, when no release has entered the environment.
        Conflict: ``served-already``, when a server runs that was told otherwise.
        Failed: ``deployment-failed``.
    """
    environment_settings(settings, environment)
    with store.locks.hold(lock(environment)):
        settle(store, settings, environment, author)
        _refuse_elsewhere(store, live_of(seen(store, settings, environment)))
        running = servers.status(store, environment)
        if running is not None:
            servers.refuse_other_options(settings, running, told or {})
        return running or _start_current(store, settings, environment, author, sink, told)


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
    with store.locks.hold(lock(environment)):
        settle(store, settings, environment, author)
        live = live_of(seen(store, settings, environment))
        if live is None or not settling.is_elsewhere(store, live):
            return None
        release = bundle.find(store, live.release_name, live.release_number)
        why = f"taken over from {live.machine}: {reason}"
        asked = Asked(author, why)
        made = _deploy(store, settings, release, environment, asked, sink, kind="take-over", told=told)
        with store.catalog.write() as write:
            settling.change(write, store, live, "retired", author, f"{made.machine} took over: {reason}")
        return made


def end_if_taken_over(store: Store, settings: Settings, environment: str) -> str | None:
    """End the server of this place if another one has taken its environment over; a sentence that says so.

    Raises:
        StorageError: While the store is away, or cannot be read; then it goes on.
        Conflict: ``lock-timeout``, while another process changes the environment; it is to be tried again.
    """
    if settling.taken_over(store, seen(store, settings, environment)) is None:
        return None
    # Whoever takes it back just now has started a server that the record does not know as live yet.
    with store.locks.hold(lock(environment), timeout_seconds=0):
        every = seen(store, settings, environment)
        live = settling.taken_over(store, every)
        if live is None or not servers.stop(store, environment):
            return None
    # Other releases may have gone live there since.
    over = next((d for d in every if d.kind == "take-over" and d.place == live.place), live)
    return f"{environment} is served by {live.machine} now ({over.reason}); the server here has ended."


def stop(store: Store, settings: Settings, *, environment: str, author: str, reason: str = "stopped") -> bool:
    """Let the environment's server finish what it has and end; ``serve_again`` brings it back. Recorded, with who and why.

    Returns:
        Whether one was running.

    Raises:
        Conflict: ``served-elsewhere``, where none runs here, and another place serves it.
    """
    if all(told.environment != environment for told in servers.running(store)):
        environment_settings(settings, environment)
    with store.locks.hold(lock(environment)):
        settle(store, settings, environment, author)
        stopped = servers.stop(store, environment)
        if stopped:
            note_stop(store, settings, environment, Asked(author, reason))
        else:
            live = live_of(seen(store, settings, environment))
            # Whoever believes that this has stopped it is told where it goes on.
            _refuse_elsewhere(store, live)
            if live is not None and not is_stopped(store, live):
                # It has ended by itself: from now on nobody expects it.
                note_stop(store, settings, environment, Asked(author, reason))
        return stopped


def ended(store: Store, settings: Settings, environment: str) -> Failed | None:
    """That nothing answers here though a release is live, and nobody has stopped it: ``server-ended``, as an error to show.

    None also while somebody changes the environment, and of a catalog of an older Tidemill, which does not say who stopped what.
    """
    if store.catalog.is_older:
        return None
    with suppress(Conflict), store.locks.hold(lock(environment), timeout_seconds=0):
        live = live_of(seen(store, settings, environment))
        if live is None or is_stopped(store, live) or servers.status(store, environment) is not None:
            return None
        return Failed(
            f"No server answers, though release {live.release_name}/{live.release_number} is live and nobody stopped it.",
            why="Its server was killed or has crashed, the machine was started anew, or the store was copied or moved here.",
            hint=f"Type 'tidemill serve {environment}' to bring it back, or 'tidemill stop {environment}' if it should not run.",
            code=codes.SERVER_ENDED,
            details={"environment": environment},
        )
    return None


def note_stop(store: Store, settings: Settings, environment: str, asked: Asked) -> None:
    """Record that what this place serves was stopped. The environment's lock is held."""
    live = live_of(seen(store, settings, environment))
    is_anothers = settling.is_elsewhere(store, live) and not (live and here(store).has_moved_with(live))
    if live is None or is_anothers or store.catalog.is_older:
        return
    # A server is stopped on a full disk too.
    with put_off(), store.catalog.write() as write:
        settling.change(
            write, store, live, "stopped", asked.author, asked.reason, asked_from=asked.asked_from
        )


def _deploy(
    store: Store,
    settings: Settings,
    release: records.Release,
    environment: str,
    asked: Asked,
    sink: Sink,
    *,
    kind: records.DeploymentKind,
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
        author=asked.author,
        started_at=stamp(now()),
        finished_at=None,
        reason=asked.reason,
        back_from=back_from,
        place=own.id,
        machine=own.machine,
        kind=kind,
        asked_from=asked.asked_from,
        wish=asked.wish,
    )
    with store.catalog.write() as write:
        deployment = settling.add(write, deployment)
    try:
        servers.replace(store, settings, release, environment, sink, told)
    except BaseException as error:
        # Whatever went wrong, and whenever: what answers now decides which record is live.
        failed = error.message if isinstance(error, TidemillError) else None
        settle(store, settings, environment, asked.author, failed=failed)
        made = _now(store, deployment)
        if made.status == "live" and isinstance(error, TidemillError):
            return made
        raise
    settle(store, settings, environment, asked.author)
    return _now(store, deployment)


def _now(store: Store, deployment: records.Deployment) -> records.Deployment:
    return next(d for d in history(store, deployment.environment) if d.id == deployment.id)


def _start_current(
    store: Store,
    settings: Settings,
    environment: str,
    author: str,
    sink: Sink,
    told: Mapping[str, Any] | None = None,
) -> Status:
    live = live_of(seen(store, settings, environment))
    if live is None:
        raise NotFound(
            f"No release has entered '{environment}' yet.",
            hint=f"Type 'tidemill promote latest {environment}' to bring one there.",
            code=codes.NOTHING_DEPLOYED,
        )
    release = bundle.find(store, live.release_name, live.release_number)
    running = servers.replace(store, settings, release, environment, sink, told)
    if not store.catalog.is_older and is_stopped(store, live):
        with put_off(), store.catalog.write() as write:
            settling.change(write, store, live, "live", author, "it is served again")
    return running


def _refuse_elsewhere(store: Store, live: records.Deployment | None) -> None:
    """Refuse to change what another place serves.

    Raises:
        Conflict: ``served-elsewhere``, naming it.
    """
    if live is not None and settling.is_elsewhere(store, live):
        raise settling.refusal(store, live)
