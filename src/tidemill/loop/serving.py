"""Serving: an environment's server is a process of its own; whoever serves follows it, and does what is wanted from elsewhere."""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import Failed, StorageError, TidemillError
from tidemill.core.events import Note, Sink, silent
from tidemill.loop import wishing
from tidemill.loop.workspace import Workspace

_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves an environment. It is a process of its own; ``wait`` follows it to its end.

    Attributes:
        started: Whether this call started it; else it ran before, and is another's to stop.
        taken_over: From which machine this call took it over, and why; None where it did not.
        not_ready: Why a server that ran before answers no prediction, an error as JSON; None where it does.
    """

    environment: str
    release: str
    number: int
    address: str
    pid: int
    workspace: Workspace
    warnings: list[str]
    started: bool = True
    taken_over: str | None = None
    not_ready: dict[str, Any] | None = None

    def wait(self, sink: Sink = silent) -> None:
        """Return when nothing serves the environment any more; a release that takes over is followed.

        Every few seconds it looks what is wanted from elsewhere, and carries that out. Where another machine takes the
        environment over, the server here ends. While the store is away, it goes on.

        Args:
            sink: Told what was wanted and what came of it, and when the store is away.

        Raises:
            Failed: ``server-died``, when it was killed or crashed.
        """
        from tidemill.release import servers  # noqa: PLC0415
        from tidemill.release.lookouts import EVERY_SECONDS  # noqa: PLC0415

        pid, store = self.pid, self.workspace.store
        looked, away = -EVERY_SECONDS, None
        while True:
            while _is_running(pid):
                if store.is_shared and self._is_here and time.monotonic() - looked > EVERY_SECONDS:
                    away = self._look(sink, away)
                    looked = time.monotonic()
                time.sleep(_POLL_SECONDS)
            # Before anything asks for a server, which clears what a dead one left.
            is_dead = servers.died(store, self.environment, pid)
            running = servers.status(store, self.environment)
            if running is None and is_dead:
                raise Failed(
                    f"The server of '{self.environment}', process {pid}, was killed, or crashed.",
                    why=f"Its log is {store.environments_folder / f'{self.environment}.log'}.",
                    hint=f"Type 'tidemill serve {self.environment}' to bring it back.",
                    code=codes.SERVER_DIED,
                )
            if running is None:
                if not self._is_here:
                    self.warnings.append(self._gone())
                return
            pid = running.pid

    def stop(self) -> None:
        """Stop the server, which may come back: what is wanted of the environment stays wanted."""
        from tidemill.release import environments as places  # noqa: PLC0415
        from tidemill.release import servers  # noqa: PLC0415

        ws = self.workspace
        if not self._is_here:
            # Its socket has moved along; its process has not.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            return
        if servers.status(ws.store, self.environment) is None:
            # It was killed: that is no stop.
            return
        try:
            with ws.store.catalog.database.hasty():
                places.stop(
                    ws.store,
                    ws.settings,
                    environment=self.environment,
                    author=ws.project.author,
                    reason=f"'tidemill serve {self.environment}' ended",
                )
        except StorageError:
            # The catalog is away: what was started here ends all the same.
            servers.stop(ws.store, self.environment)

    def leave(self) -> None:
        """Record that nobody looks here any more what is wanted."""
        from tidemill.release import lookouts, servers  # noqa: PLC0415

        store = self.workspace.store
        if store.is_shared and self._is_here:
            with suppress(TidemillError), store.catalog.database.hasty():
                running = servers.status(store, self.environment)
                lookouts.looked(store, self.environment, running, ended=True)

    @property
    def _is_here(self) -> bool:
        """Whether the folder is where it was: one that was moved away is not made again at its old place."""
        return self.workspace.store.environments_folder.is_dir()

    def _gone(self) -> str:
        return (
            f"{self.environment}'s folder {self.workspace.folder} was moved or removed, and its server has ended. "
            f"Type 'tidemill serve {self.environment}' in the folder that it is now."
        )

    def _look(self, sink: Sink, away: str | None) -> str | None:
        """Look once; the code of the error for which nothing could be seen or done, which is told once."""
        from tidemill.release import environments as places  # noqa: PLC0415
        from tidemill.release import lookouts, servers, wishes  # noqa: PLC0415
        from tidemill.release.carrying_out import carry_out  # noqa: PLC0415

        ws, store = self.workspace, self.workspace.store
        try:
            # It is seen at the next look: meanwhile the server may end, or somebody may end this.
            with store.catalog.database.hasty():
                told = places.end_if_taken_over(store, ws.settings, self.environment)
                if told is not None:
                    self.warnings.append(told)
                    return None
                if store.catalog.is_older:
                    return None
                lookouts.looked(store, self.environment, servers.status(store, self.environment))
                if not wishes.wanted(store, self.environment):
                    return self._seen_again(sink, away)
            if carry_out(store, ws.settings, self.environment, ws.project.author, sink) is not None:
                lookouts.looked(store, self.environment, servers.status(store, self.environment))
        except TidemillError as error:
            if error.code not in (away, codes.LOCK_TIMEOUT):
                sink(
                    Note(
                        f"{self.environment} goes on; what is wanted of it cannot be seen or done now: {error.message}"
                    )
                )
            return error.code
        return self._seen_again(sink, away)

    def _seen_again(self, sink: Sink, away: str | None) -> None:
        if away not in (None, codes.LOCK_TIMEOUT):
            sink(Note(f"{self.environment}: what is wanted of it can be seen and done again."))


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
    from tidemill.release import addresses, settling, wishes  # noqa: PLC0415
    from tidemill.release import environments as places  # noqa: PLC0415

    author = ws.project.author
    wishing.end_taken_over(ws, environment)
    carried = settling.carry_along(ws.store, ws.settings, author)
    kept = addresses.kept_port(ws.store, environment)
    taken, before = None, places.status(ws.store, environment)
    if take_over is not None:
        taken = places.take_over(
            ws.store,
            ws.settings,
            environment=environment,
            author=author,
            reason=take_over,
            told=told,
            sink=sink,
        )
    running = places.serve_again(
        ws.store, ws.settings, environment=environment, author=author, told=told, sink=sink
    )
    wishes.serve_instead(ws.store, environment, author)
    warnings = [carried] if carried else []
    warnings += [f"Warning: {w}" for w in addresses.warnings(ws.settings, environment, running.told)]
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
        taken_over=taken.reason if taken else None,
        not_ready=running.not_ready,
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
