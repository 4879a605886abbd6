"""Deployment: promote a release, roll back, serve an environment, see what runs where."""

import dataclasses
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import Failed, Interrupted, TidemillError
from tidemill.core.events import Sink, silent
from tidemill.loop import judging
from tidemill.loop.releases import find_release
from tidemill.loop.unreadable import error_of_one
from tidemill.loop.views import DeploymentView, EnvironmentView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.release.servers import Status
    from tidemill.serve.client import OwnAccess
    from tidemill.store.catalog import records

_POLL_SECONDS = 0.2
_ASK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves an environment. It is a process of its own; ``wait`` follows it to its end.

    Attributes:
        started: Whether this call started it; else it ran before, and is another's to stop.
    """

    environment: str
    release: str
    number: int
    address: str
    pid: int
    workspace: Workspace
    warnings: list[str]
    started: bool = True

    def wait(self) -> None:
        """Return when nothing serves the environment any more; a release that takes over is followed.

        Where another machine takes the environment over, the server here ends. While the store is away, it goes on.

        Raises:
            Failed: ``server-died``, when it was killed or crashed.
        """
        from tidemill.release import servers  # noqa: PLC0415

        pid, asked = self.pid, time.monotonic()
        while True:
            while _is_running(pid):
                time.sleep(_POLL_SECONDS)
                if self.workspace.store.is_shared and time.monotonic() - asked > _ASK_SECONDS:
                    self._end_if_taken_over()
                    asked = time.monotonic()
            # Before anything asks for a server, which clears what a dead one left.
            is_dead = servers.died(self.workspace.store, self.environment, pid)
            running = status(self.workspace, self.environment)
            if running is None and is_dead:
                raise Failed(
                    f"The server of '{self.environment}', process {pid}, was killed, or crashed.",
                    why=f"Its log is {self.workspace.store.environments_folder / f'{self.environment}.log'}.",
                    hint=f"Type 'tidemill serve {self.environment}' to bring it back.",
                    code="server-died",
                )
            if running is None:
                return
            pid = running.pid

    def _end_if_taken_over(self) -> None:
        from tidemill.release import environments as places  # noqa: PLC0415

        with suppress(TidemillError):
            told = places.end_if_taken_over(self.workspace.store, self.workspace.settings, self.environment)
            if told is not None:
                self.warnings.append(told)


def promote(
    ws: Workspace, release: str, environment: str, reason: str | None = None, *, sink: Sink = silent
) -> DeploymentView:
    """Let a release take over an environment, after it was checked there with real requests.

    Where another release went live since the gate judged this one, the view's notes say so.

    Raises:
        NotFound: ``release-not-found``, ``environment-not-found``.
        NotAllowed: ``promotion-order``.
        Failed: ``deployment-failed``; what ran before still does.
    """
    from tidemill.release import environments as places  # noqa: PLC0415

    started = time.perf_counter()
    before = _live(ws, environment)
    found = find_release(ws, release)
    note = judging.unjudged_against(ws, found)
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
    return dataclasses.replace(view, notes=[*([note] if note else []), *view.notes])


def rollback(
    ws: Workspace, environment: str, reason: str | None = None, *, sink: Sink = silent
) -> DeploymentView:
    """Bring back the release that was live in an environment before the current one.

    Raises:
        NotAllowed: ``nothing-to-roll-back-to``.
        Failed: ``deployment-failed``; what ran before still does.
    """
    from tidemill.release import environments as places  # noqa: PLC0415

    started = time.perf_counter()
    before = _live(ws, environment)
    deployment = places.rollback(
        ws.store,
        ws.settings,
        environment=environment,
        author=ws.project.author,
        reason=reason or "rolled back",
        sink=sink,
    )
    return _view(ws, deployment, before, started)


def environments(ws: Workspace) -> list[EnvironmentView]:
    """Every environment: its release, whether it runs and where, and how much it has answered."""
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.release.place import here  # noqa: PLC0415

    if not ws.store.catalog.is_older:
        places.recover(ws.store, ws.settings)
    found: list[EnvironmentView] = []
    seen: set[int] = set()
    for name in ws.settings.environments:
        live = _live(ws, name)
        running = places.status(ws.store, name)
        elsewhere = live is not None and live.place is not None and not here(ws.store).serves(live)
        found.append(
            EnvironmentView(
                name,
                live.release_name if live else None,
                live.release_number if live else None,
                running.address if running else None,
                running is not None,
                *_counted(ws, name, f"served by {live.machine}" if live and elsewhere else None),
            )
        )
        seen |= {running.pid} if running else set()
    for other in places.running(ws.store):
        if other.pid not in seen:
            odd = (
                f"a second server, process {other.pid}: 'tidemill stop {other.environment}' ends both"
                if other.environment in ws.settings.environments
                else "not in tidemill.toml"
            )
            found.append(
                EnvironmentView(
                    other.environment,
                    other.name,
                    other.number,
                    other.address,
                    True,  # noqa: FBT003 - it runs
                    *_counted(ws, other.environment, odd),
                )
            )
    return found


def serve(
    ws: Workspace,
    environment: str,
    *,
    told: Mapping[str, Any] | None = None,
    take_over: str | None = None,
    sink: Sink = silent,
) -> Serving:
    """Start the current release of an environment, or find it running.

    Args:
        ws: The project.
        environment: Which.
        told: What holds in place of the environment's settings, by their names: ``host``, ``port``, ``no_auth``.
        take_over: Why this machine serves it from now on, where another one does; None refuses that.
        sink: Told what happens.

    Raises:
        NotFound: ``environment-not-found``, ``nothing-deployed``.
        Conflict: ``served-elsewhere``.
        NotAllowed: ``tokens-needed``.
        Failed: ``deployment-failed``.
    """
    from tidemill.release import addresses  # noqa: PLC0415
    from tidemill.release import environments as places  # noqa: PLC0415

    kept = addresses.kept_port(ws.store, environment)
    if take_over is not None:
        author = ws.project.author
        places.take_over(
            ws.store,
            ws.settings,
            environment=environment,
            author=author,
            reason=take_over,
            told=told,
            sink=sink,
        )
    before = places.status(ws.store, environment)
    running = places.serve_again(ws.store, ws.settings, environment=environment, told=told, sink=sink)
    warnings = [f"Warning: {w}" for w in addresses.warnings(ws.settings, environment, running.told)]
    if kept and not ws.settings.environments[environment].port and "port" not in (told or {}):
        warnings += _moved(environment, kept, running.address)
    return Serving(
        environment,
        running.name,
        running.number,
        running.address,
        running.pid,
        ws,
        warnings,
        started=before is None or before.pid != running.pid,
    )


def status(ws: Workspace, environment: str) -> "Status | None":
    """What an environment's server says of itself; None where none runs."""
    from tidemill.release import environments as places  # noqa: PLC0415

    return places.status(ws.store, environment)


def stop(ws: Workspace, environment: str) -> bool:
    """Let an environment's server finish what it has and end. Whether one was running."""
    from tidemill.release import environments as places  # noqa: PLC0415

    return places.stop(ws.store, ws.settings, environment=environment)


def address_of(ws: Workspace, environment: str) -> str:
    """Where an environment answers.

    Raises:
        NotFound: ``environment-not-found``.
        Interrupted: ``not-serving``, when nothing runs there.
    """
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.release.history import environment_settings  # noqa: PLC0415

    environment_settings(ws.settings, environment)
    running = places.status(ws.store, environment)
    if running is None and not _has_release(ws, environment):
        raise Interrupted(
            f"Environment '{environment}' has no release, so nothing answers there.",
            hint=f"Give it one: type 'tidemill promote latest {environment}'; 'tidemill release create RUN' makes a "
            "release of a run.",
            code="not-serving",
        )
    if running is None:
        raise Interrupted(
            f"Nothing serves '{environment}' now.",
            hint=f"Type 'tidemill serve {environment}' in another terminal.",
            code="not-serving",
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
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        return bool(read.find(records.Deployment, {"status": "live", "environment": environment}))


def was_live(ws: Workspace, release: str, environment: str, since: str) -> bool:
    """Whether a release, by its digest, went live in an environment at this ``core.clock.stamp`` or later."""
    from tidemill.release.history import served  # noqa: PLC0415

    return any(d.release_digest == release and d.started_at >= since for d in served(ws.store, environment))


def deployments(ws: Workspace, environment: str) -> "list[records.Deployment]":
    """What ran in an environment, newest first: who brought it there, from where and why.

    Raises:
        NotFound: ``environment-not-found``.
    """
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.release.history import environment_settings  # noqa: PLC0415

    environment_settings(ws.settings, environment)
    return places.seen(ws.store, ws.settings, environment)


def _counted(
    ws: Workspace, environment: str, note: str | None
) -> tuple[int | None, str | None, dict[str, Any] | None]:
    """The last facts of an environment's view: how many predictions, the note, and why its log cannot be read."""
    try:
        return predictions_in(ws, environment), note, None
    except TidemillError as error:
        return None, note, error_of_one(error)


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


def _moved(environment: str, kept: int, address: str) -> list[str]:
    if address.endswith(f":{kept}"):
        return []
    return [
        f"Warning: another program has {environment}'s port {kept}; from now on {environment} is at {address}."
    ]


def _is_running(pid: int) -> bool:
    with suppress(ChildProcessError):
        # A child that has ended stays in the process table until it is waited for.
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
