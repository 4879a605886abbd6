"""Deployment: promote a release, roll back, stop, and find what answers."""

import dataclasses
import time
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import Interrupted
from tidemill.core.events import Sink, silent
from tidemill.loop import judging, wishing
from tidemill.loop.releases import find_release
from tidemill.loop.views import DeploymentView, StopView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.release.servers import Status
    from tidemill.serve.client import OwnAccess
    from tidemill.store.catalog import records


def promote(
    ws: Workspace, release: str, environment: str, reason: str | None = None, *, sink: Sink = silent
) -> DeploymentView:
    """Let a release take over an environment, after it was checked there with real requests.

    Where another release went live since the gate judged this one, the view's notes say so. Where another place serves the
    environment, the release is wanted there (``wishing``), and the view's status is ``wanted`` until it is live.

    Raises:
        NotFound: ``release-not-found``, ``environment-not-found``.
        NotAllowed: ``promotion-order``.
        Failed: ``deployment-failed``; what ran before still does.
        Conflict: ``wish-replaced``.
    """
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.release.history import environment_settings  # noqa: PLC0415

    started = time.perf_counter()
    environment_settings(ws.settings, environment)
    found = find_release(ws, release)
    note, carried = judging.unjudged_against(ws, found), _carried(ws)
    if (there := wishing.elsewhere(ws, environment)) is not None:
        view = wishing.promote(ws, found, there, reason or "promoted", sink)
        return dataclasses.replace(view, notes=[*([note] if note else []), *view.notes])
    before = _live(ws, environment)
    deployment = places.promote(
        ws.store,
        ws.settings,
        release=found,
        environment=environment,
        author=ws.project.author,
        reason=reason or "promoted",
        sink=sink,
    )
    view = _view(ws, deployment, before, started)
    return dataclasses.replace(view, notes=[*carried, *([note] if note else []), *view.notes])


def rollback(
    ws: Workspace, environment: str, reason: str | None = None, *, sink: Sink = silent
) -> DeploymentView:
    """Bring back the release that was live in an environment before the current one.

    Raises:
        NotAllowed: ``nothing-to-roll-back-to``.
        Failed: ``deployment-failed``; what ran before still does.
        Conflict: ``wish-replaced``, where another place serves it, and something else was typed meanwhile.
    """
    from tidemill.release import environments as places  # noqa: PLC0415

    started, carried = time.perf_counter(), _carried(ws)
    if (there := wishing.elsewhere(ws, environment)) is not None:
        return wishing.rollback(ws, there, reason or "rolled back", sink)
    before = _live(ws, environment)
    deployment = places.rollback(
        ws.store,
        ws.settings,
        environment=environment,
        author=ws.project.author,
        reason=reason or "rolled back",
        sink=sink,
    )
    view = _view(ws, deployment, before, started)
    return dataclasses.replace(view, notes=[*carried, *view.notes])


def status(ws: Workspace, environment: str) -> "Status | None":
    """What an environment's server says of itself; None where none runs."""
    from tidemill.release import environments as places  # noqa: PLC0415

    return places.status(ws.store, environment)


def stop(ws: Workspace, environment: str, reason: str | None = None, *, sink: Sink = silent) -> StopView:
    """Let an environment's server finish what it has and end. Where another place serves it, that is wanted there.

    Raises:
        NotFound: ``environment-not-found``.
        Failed: What it failed with there.
        Conflict: ``wish-replaced``.
    """
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.release import wishes  # noqa: PLC0415

    carried = _carried(ws)
    wishing.end_taken_over(ws, environment)
    if places.status(ws.store, environment) is None:
        there = wishing.elsewhere(ws, environment)
        if there is not None:
            return wishing.stop(ws, there, reason or "stopped", sink)
    author = ws.project.author
    stopped = places.stop(
        ws.store, ws.settings, environment=environment, author=author, reason=reason or "stopped"
    )
    if ws.store.is_shared:
        wishes.give_way(ws.store, environment, author, "it was stopped")
    return StopView(environment, stopped, wanted=False, machine=None, notes=carried)


def address_of(ws: Workspace, environment: str) -> str:
    """Where an environment answers.

    Raises:
        NotFound: ``environment-not-found``.
        Interrupted: ``not-serving``, when nothing runs there.
    """
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.release.history import environment_settings  # noqa: PLC0415

    environment_settings(ws.settings, environment)
    wishing.end_taken_over(ws, environment)
    running = places.status(ws.store, environment)
    if running is None and not _has_release(ws, environment):
        raise Interrupted(
            f"Environment '{environment}' has no release, so nothing answers there.",
            hint=f"Give it one: type 'tidemill promote latest {environment}'; 'tidemill release create RUN' makes a "
            "release of a run.",
            code=codes.NOT_SERVING,
        )
    there = wishing.elsewhere(ws, environment) if running is None else None
    if there is not None:
        raise Interrupted(
            f"'{environment}' is served by {there.machine}, and not here.",
            why="The commands ask what answers on this machine; the log of predictions is there too.",
            hint="Type it there, or ask its address over HTTP; 'tidemill status' shows it.",
            code=codes.NOT_SERVING,
        )
    if running is None:
        raise Interrupted(
            f"Nothing serves '{environment}' now.",
            hint=f"Type 'tidemill serve {environment}' in another terminal.",
            code=codes.NOT_SERVING,
        )
    return running.address


def own_access(ws: Workspace, environment: str) -> "OwnAccess":
    """What this machine's own commands ask with, from the server itself: nothing of it is kept."""
    from tidemill.serve import client  # noqa: PLC0415

    return client.own_access(ws.store.environments_folder, environment)


def _live(ws: Workspace, environment: str) -> "records.Deployment | None":
    """What is live in an environment, of a personal one here."""
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.release.history import live_of  # noqa: PLC0415

    return live_of(places.seen(ws.store, ws.settings, environment))


def _has_release(ws: Workspace, environment: str) -> bool:
    from tidemill.release.history import current  # noqa: PLC0415

    return current(ws.store, environment) is not None


def was_live(ws: Workspace, release: str, environment: str, since: str) -> bool:
    """Whether a release, by its digest, went live in an environment at this ``core.clock.stamp`` or later."""
    from tidemill.release.history import served  # noqa: PLC0415

    return any(d.release_digest == release and d.started_at >= since for d in served(ws.store, environment))


def predictions_in(ws: Workspace, environment: str) -> int:
    """How many predictions an environment has logged."""
    from tidemill.serve.log_reader import LogReader  # noqa: PLC0415

    file = ws.store.environments_folder / f"{environment}.predictions.db"
    if not file.exists():
        return 0
    with LogReader(file) as reader:
        return reader.count()


def _view(
    ws: Workspace, deployment: "records.Deployment", before: "records.Deployment | None", started: float
) -> DeploymentView:
    from tidemill.release import addresses  # noqa: PLC0415
    from tidemill.release import environments as places  # noqa: PLC0415

    running: Status | None = places.status(ws.store, deployment.environment)
    replaced = (
        before.release_number if before and before.release_digest != deployment.release_digest else None
    )
    return DeploymentView(
        deployment.environment,
        deployment.release_name,
        deployment.release_number,
        deployment.release_digest,
        running.address if running else None,
        deployment.status,
        replaced,
        time.perf_counter() - started,
        [
            f"Warning: {w}"
            for w in addresses.warnings(ws.settings, deployment.environment, running.told if running else {})
        ],
    )


def _carried(ws: Workspace) -> list[str]:
    """What is said once of a store in a folder that was copied or moved."""
    from tidemill.release.settling import carry_along  # noqa: PLC0415

    said = carry_along(ws.store, ws.settings, ws.project.author)
    return [said] if said else []
