"""Starting servers and speaking with them over their control sockets: what promotes, stops and asks them.

Not for predictions: those go over HTTP (``http_client``).
"""

import dataclasses
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tidemill.core import codes, errors
from tidemill.core.codes import ErrorCode
from tidemill.core.errors import Failed, TidemillError
from tidemill.core.settings import LimitSettings
from tidemill.serve import control
from tidemill.serve.options import Keep

_ASK_SECONDS = 10.0
_LAST_WORDS_BYTES = 4096
_started: list[subprocess.Popen[bytes]] = []
"""Servers that this process started and that outlive the call: looked after, so that no zombie stays."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a server says of itself.

    Attributes:
        environment: Whose requests it answers.
        name: The model's name in the protocol.
        release: Digest of its release.
        number: Its release's number.
        address: ``http://host:port``; a private one while it is a standby.
        pid: Its process.
        started_at: When it started (``clock.stamp``).
        standby: Whether it has not taken over yet.
        in_flight: Requests that it answers just now.
        told: What holds for it in place of the environment's settings.
        not_ready: Why it answers no prediction, an error as JSON; None where it does.
        not_renewed: Why its certificate is not the one that its files hold now, likewise; None where it is, or there is none.
    """

    environment: str
    name: str
    release: str
    number: int
    address: str
    pid: int
    started_at: str
    standby: bool
    in_flight: int
    told: dict[str, Any] = field(default_factory=dict[str, Any])
    not_ready: dict[str, Any] | None = None
    not_renewed: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class OwnAccess:
    """What this user's commands need to ask a server.

    Attributes:
        token: It takes it as long as it, or a successor, runs.
        certificate: That it shows, as PEM; None where it speaks plain HTTP.
    """

    token: str = field(repr=False)
    certificate: str | None


class Standby:
    """A server beside the live one, on a private port, ready to be asked and to take over.

    It ends by itself if this process ends. As a context manager it is abandoned at the end, unless it has
    taken over.

    Attributes:
        status: What it said when it was ready; ``status.address`` is where to send checks.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], status: Status, folder: Path, drain_seconds: float
    ) -> None:
        self.status = status
        self._drain_seconds = drain_seconds
        self._process = process
        self._folder = folder
        self._live = False

    @property
    def address(self) -> str:
        """Its private address."""
        return self.status.address

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def token(self) -> str:
        """A token that it takes."""
        return _access(self._folder, self.status.environment, self.pid).token

    def take_over(self, *, timeout_seconds: float = 60.0) -> Status:
        """Let it become the live server: it takes the live one's listening socket, or binds its own address.

        Args:
            timeout_seconds: How long that may take, beside the time in which the live one answers what it has.

        Returns:
            Its status as the live server.

        Raises:
            Conflict: ``port-taken``.
            Failed: ``take-over-failed``; what was live before still is.
        """
        file = control.socket_file(self._folder, self.status.environment, self.pid)
        reply = _ask(file, "take_over", timeout_seconds + self._drain_seconds)
        if reply is None or "error" in reply:
            raise _error(reply, f"The new server of '{self.status.environment}' could not take over.")
        self._live = True
        self._let_go()
        return _status(reply)

    def abandon(self) -> None:
        """End it. After it has taken over this does nothing, also where its word of that did not arrive."""
        if self._live or self._is_live():
            return
        self._let_go()
        try:
            self._process.wait(_ASK_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.abandon()

    def _is_live(self) -> bool:
        try:
            told = status(self._folder, self.status.environment)
        except Failed:
            return False
        self._live = told is not None and told.pid == self.pid
        if self._live:
            self._let_go()
        return self._live

    def _let_go(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def start_standby(
    *,
    bundle: Path,
    name: str,
    release: str,
    number: int,
    environment: str,
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    no_auth: bool = False,
    tls: tuple[str | Path, str | Path] | None = None,
    proxies: Sequence[str] = (),
    limits: LimitSettings | None = None,
    keep: Keep | None = None,
    told: Mapping[str, Any] | None = None,
    timeout_seconds: float = 120.0,
) -> Standby:
    """Start a server beside whatever is live in an environment, and wait until it answers.

    Args:
        bundle: The predictor's folder.
        name: The model's name in the protocol.
        release: The release's digest.
        number: Its number.
        environment: Whose requests it will answer.
        folder: Where the environments' control sockets, logs and predictions are.
        host: Where it will listen if it finds no live server to take the socket from, or one elsewhere.
        port: Likewise; 0 for wherever the live server listens, or else a free one.
        hosts: Names by which clients reach it.
        origins: Sites whose pages may send requests.
        no_auth: Whether everybody is let in, with no token.
        tls: The files of its certificate and key; None for plain HTTP.
        proxies: Whose ``X-Forwarded-*`` is believed.
        limits: What it refuses.
        keep: Which predictions stay in its log. Default: all.
        told: What of this is not as the environment's settings say; a successor may keep it.
        timeout_seconds: How long its start may take.

    Raises:
        Failed: ``server-not-started``, with its last words; or the error that it ended with.
    """
    limits = limits or LimitSettings()
    folder.mkdir(parents=True, exist_ok=True)
    _reap()
    command = [
        *(sys.executable, "-P", "-m", "tidemill.serve", "--standby"),
        *("--bundle", str(bundle.absolute()), "--name", name, "--release", release, "--number", str(number)),
        *("--environment", environment, "--folder", str(folder.absolute())),
        *(word for name in hosts for word in ("--reached-as", name)),
        *(word for site in origins for word in ("--origin", site)),
        *(["--no-auth"] if no_auth else []),
        *(["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])] if tls else []),
        *(word for address in proxies for word in ("--trusted-proxy", address)),
        *(["--told", json.dumps(dict(told))] if told else []),
        *("--host", host, "--port", str(port), "--limits", json.dumps(dataclasses.asdict(limits))),
        *(() if keep is None or keep.days is None else ("--keep-days", str(keep.days))),
        *(() if keep is None or keep.size is None else ("--keep-bytes", str(keep.size))),
    ]
    words = folder / f"{environment}.log"
    with words.open("ab") as log:
        offset = log.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
    _started.append(process)
    reply = _first_line(process, timeout_seconds)
    if reply is None or "error" in reply:
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        process.kill()
        process.wait()
        raise _error(
            reply,
            f"The server of release {number} for '{environment}' did not start.",
            code=codes.SERVER_NOT_STARTED,
            why=_last_words(words, offset),
        )
    return Standby(process, _status(reply), folder, limits.drain_seconds)


def status(folder: Path, environment: str) -> Status | None:
    """What the live server of an environment says of itself; None where none is live.

    Raises:
        Failed: ``server-unreachable``, when its process is there and does not answer.
    """
    _reap()
    reply = _ask(control.socket_file(folder, environment), "status", _ASK_SECONDS)
    return None if reply is None or "error" in reply else _status(reply)


def servers(folder: Path) -> list[Status]:
    """Every server of this folder that answers, of whatever environment: the live ones, and others."""
    _reap()
    found: list[Status] = []
    for environment, pid in control.own_sockets(folder):
        try:
            reply = _ask(control.socket_file(folder, environment, pid), "status", _ASK_SECONDS)
        except Failed:
            continue
        # 'prod.1.sock' may be the name of environment 'prod.1'.
        if reply is not None and (reply.get("environment"), reply.get("pid")) == (environment, pid):
            found.append(_status(reply))
    # A server of an earlier version has no name but the environment's.
    known = {told.environment for told in found}
    for name in {file.name.removesuffix(".sock") for file in folder.glob("*.sock")} - known:
        try:
            told = status(folder, name)
        except Failed:
            continue
        if told is not None and told.pid not in {f.pid for f in found}:
            found.append(told)
    return found


def own_access(folder: Path, environment: str) -> OwnAccess:
    """What this user's commands need to ask the live server of an environment.

    Raises:
        Failed: ``server-unreachable``.
    """
    return _access(folder, environment)


def read_tokens(folder: Path, environment: str) -> None:
    """Let the live server of an environment, if there is one, take the tokens as they are now.

    Raises:
        Failed: ``server-unreachable``; it does so by itself within a second or two.
    """
    _ask(control.socket_file(folder, environment), "read_tokens", _ASK_SECONDS)


def stop(folder: Path, environment: str, *, timeout_seconds: float = 60.0) -> Status | None:
    """Let the live server of an environment, and what else answers beside it, answer what it has and end.

    Returns:
        What the live one said last, or else another; None where none ran.

    Raises:
        Failed: ``server-unreachable``, when one does not end in time.
    """
    said = _stop(control.socket_file(folder, environment), timeout_seconds)
    for other in servers(folder):
        if other.environment == environment:
            last = _stop(control.socket_file(folder, environment, other.pid), timeout_seconds)
            said = said or last
    return said


def _stop(file: Path, timeout_seconds: float) -> Status | None:
    channel = control.connect(file, timeout_seconds=timeout_seconds)
    if channel is None:
        return None
    try:
        channel.send({"verb": "stop"})
        reply = channel.receive()
        channel.wait_for_end()
    except ConnectionError:
        return None
    except OSError as error:
        raise _unreachable(file, error) from error
    finally:
        channel.close()
        _reap()
    return None if reply is None else _status(reply)


def _access(folder: Path, environment: str, pid: int | None = None) -> OwnAccess:
    reply = _ask(control.socket_file(folder, environment, pid), "access", _ASK_SECONDS) or {}
    # A server of an earlier version knows no such verb, and asks for no token.
    return OwnAccess(str(reply.get("token", "")), reply.get("certificate"))


def _ask(file: Path, verb: str, timeout_seconds: float) -> dict[str, Any] | None:
    channel = control.connect(file, timeout_seconds=timeout_seconds)
    if channel is None:
        return None
    try:
        channel.send({"verb": verb, "protocol": control.PROTOCOL})
        return channel.receive()
    except ConnectionError:
        return None
    except OSError as error:
        raise _unreachable(file, error) from error
    finally:
        channel.close()


def _first_line(process: subprocess.Popen[bytes], timeout_seconds: float) -> dict[str, Any] | None:
    assert process.stdout is not None
    deadline, line = time.monotonic() + timeout_seconds, b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            return None
        piece = os.read(process.stdout.fileno(), 4096)
        if not piece:
            return None
        line += piece
    # What user code printed while it was imported may stand before the line that is meant.
    last = line.strip().rpartition(b"\n")[2]
    try:
        found = json.loads(last)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _status(reply: dict[str, Any]) -> Status:
    # A server of an earlier version says less.
    return Status(**{name: reply[name] for name in Status.__dataclass_fields__ if name in reply})


def _error(
    reply: dict[str, Any] | None,
    message: str,
    *,
    code: ErrorCode = codes.TAKE_OVER_FAILED,
    why: str | None = None,
) -> TidemillError:
    """The error that a server ended with, as its own class where it has one."""
    body = (reply or {}).get("error") or {}
    given: str | None = body.get("code")
    kind = errors.Conflict if given in (codes.PORT_TAKEN, codes.LOCK_TIMEOUT) else Failed
    if not given:
        return Failed(
            message,
            why=why or "It ended without a word.",
            hint="Read the server's log, in the store's folder 'environments'.",
            code=code,
        )
    return kind(
        f"{message} {body['message']}",
        why=body.get("why") or why,
        hint=body.get("hint"),
        code=ErrorCode(given) if kind is not Failed else code,
        details={**body.get("details", {}), "error": given},
    )


def _last_words(file: Path, offset: int) -> str | None:
    with file.open("rb") as log:
        log.seek(max(offset, file.stat().st_size - _LAST_WORDS_BYTES))
        return log.read().decode("utf-8", "replace").strip() or None


def _unreachable(file: Path, error: OSError) -> Failed:
    return Failed(
        f"The server behind {file} does not answer: {error}.",
        hint="Look whether its process still runs; end it if it hangs.",
        code=codes.SERVER_UNREACHABLE,
    )


def _reap() -> None:
    _started[:] = [process for process in _started if process.poll() is None]
