"""One server in another's place: started beside it, asked what is known, and only then swapped in.

Decides nothing about records: ``environments`` does.
"""

import dataclasses
import http.client
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tidemill.core import codes
from tidemill.core.errors import Conflict, Failed, TidemillError
from tidemill.core.events import Note, Sink
from tidemill.core.settings import Settings
from tidemill.models import sample
from tidemill.models.agreement import Measure
from tidemill.release import addresses, bundle
from tidemill.serve import client
from tidemill.serve.client import Standby, Status
from tidemill.serve.control import socket_file
from tidemill.serve.options import Keep
from tidemill.store.catalog import records
from tidemill.store.open import Store

if TYPE_CHECKING:
    import numpy as np

    Columns = Mapping[str, np.ndarray[Any, Any]]

__all__ = ["Status", "replace", "status", "stop"]

_ROWS_A_REQUEST = 8
_ANSWER_SECONDS = 60.0
_LAST_LINES = 10
_ORPHAN_SECONDS = 60.0
_POLL_SECONDS = 0.02
_LOOK = "Read the server's log, in the store's folder 'environments'."


def replace(
    store: Store,
    settings: Settings,
    release: records.Release,
    environment: str,
    sink: Sink,
    told: Mapping[str, Any] | None = None,
) -> Status:
    """Let ``release`` answer the environment's requests, in place of what does, if anything.

    Args:
        store: The store.
        settings: The project's settings.
        release: Which.
        environment: Which environment.
        sink: Told what happens.
        told: What holds in place of the environment's settings.

    Returns:
        What the new server says of itself.

    Raises:
        Failed: ``deployment-failed``, with the server's last words; what ran before still does.
        NotAllowed: ``tokens-needed``, before anything was started; so too
        StorageError: ``release-damaged``.
    """
    before = status(store, environment)
    # A server that was told something at its start hands that on: a promotion moves it nowhere else.
    told = {**(before.told if before else {}), **(told or {})}
    place = addresses.place_of(settings, environment, told)
    addresses.check(store, environment, place, told)
    folder = bundle.unpack(store, release, store.environments_folder / "bundles")
    log = store.environments_folder / f"{environment}.log"
    began_at = log.stat().st_size if log.exists() else 0
    try:
        with client.start_standby(
            bundle=folder,
            name=release.name,
            release=release.digest,
            number=release.number,
            environment=environment,
            folder=store.environments_folder,
            host=place.host,
            port=told["port"] if "port" in told else addresses.port(store, environment, place, before),
            hosts=place.hosts,
            origins=place.origins,
            no_auth=place.no_auth,
            tls=addresses.tls(place),
            proxies=place.trusted_proxies,
            limits=settings.limits,
            keep=Keep(place.keep_days, place.keep_bytes),
            told=told,
        ) as standby:
            checked = _check(standby, folder, settings)
            sink(Note(f"{environment}: release {release.number} answers {checked} sample rows as it must"))
            live = standby.take_over()
            addresses.keep_port(store, environment, place, live.address)
            return live
    except TidemillError as error:
        raise _failed(release, environment, error, _last_lines(log, began_at)) from error


def status(store: Store, environment: str) -> Status | None:
    """What the environment's server says of itself; None where none runs."""
    return client.status(store.environments_folder, environment)


def running(store: Store) -> list[Status]:
    """Every server that answers here, also of environments that the settings do not name, and beside a live one."""
    return running_in(store.environments_folder)


def running_in(folder: Path) -> list[Status]:
    """The same of another store's folder ``environments`` on this machine."""
    return [told for told in client.servers(folder) if not told.standby]


def died(store: Store, environment: str, pid: int) -> bool:
    """Whether a server's process that is gone did not end by itself: then it would have taken its socket's name away."""
    return socket_file(store.environments_folder, environment, pid).exists()


def stop(store: Store, environment: str) -> bool:
    """Let the environment's server finish what it has and end. Whether one was running."""
    return client.stop(store.environments_folder, environment) is not None


def refuse_other_options(settings: Settings, running: Status, told: Mapping[str, Any]) -> None:
    """Refuse options of ``serve`` that the server that runs does not have.

    Raises:
        Conflict: ``served-already``, naming it.
    """
    wanted = addresses.place_of(settings, running.environment, {**running.told, **told})
    runs = addresses.place_of(settings, running.environment, running.told)
    # Port 0 is any port, also the one that it has.
    runs = dataclasses.replace(runs, port=(wanted.port and urlsplit(running.address).port) or 0)
    other = [name for name in told if getattr(wanted, name) != getattr(runs, name)]
    if not other:
        return
    raise Conflict(
        f"{running.environment} is served already by process {running.pid} at {running.address}; stop it first.",
        why=f"It was started with another {', '.join(other)}.",
        hint=f"Type 'tidemill stop {running.environment}', then the same again.",
        code=codes.SERVED_ALREADY,
        details={"pid": running.pid, "address": running.address, "differs": other},
    )


def wait_for_orphans(store: Store, environment: str) -> None:
    """Return when no standby of a dead promoter is left: each ends by itself, or takes over, soon.

    The environment's lock is held, so every standby that is found is such an orphan.

    Raises:
        Failed: ``server-unreachable``, when one does neither.
    """
    folder, deadline = store.environments_folder, time.monotonic() + _ORPHAN_SECONDS
    while left := [s for s in client.servers(folder) if s.environment == environment and s.standby]:
        if time.monotonic() > deadline:
            raise Failed(
                f"A server of '{environment}' that was never finished does not end (process {left[0].pid}).",
                hint="End that process, then run the same command again.",
                code=codes.SERVER_UNREACHABLE,
            )
        time.sleep(_POLL_SECONDS)


def _check(standby: Standby, folder: Path, settings: Settings) -> int:
    """Ask the standby the predictor's sample rows over HTTP; returns how many it answered as it must."""
    columns, expected = sample.read(folder)
    rows = len(next(iter(columns.values())))
    if not rows:
        # All of them were forgotten; that it answers at all was looked at before.
        return 0
    size = min(_ROWS_A_REQUEST, settings.limits.request_rows)
    answers: list[dict[str, Any]] = []
    token = standby.token()
    for start in range(0, rows, size):
        asked = {name: values[start : start + size].tolist() for name, values in columns.items()}
        cells = [dict(zip(asked, row, strict=True)) for row in zip(*asked.values(), strict=True)]
        answers += _post(standby.address, "/predict", {"rows": cells}, token)["predictions"]
    found = Measure.read(folder).compare(_as_columns(answers), expected, rows)
    if found.agree != rows:
        raise Failed(
            f"The new server answered {rows - found.agree} of {rows} sample rows otherwise than the pipeline did.",
            why=found.error or f"Greatest difference {found.max_difference:.3g}.",
            hint="Look whether this machine has the versions of the release's environment lock.",
            code=codes.WRONG_ANSWERS,
        )
    return rows


def _post(address: str, path: str, body: dict[str, Any], token: str) -> dict[str, Any]:
    parts = urlsplit(address)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_ANSWER_SECONDS)
    try:
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
    except OSError as error:
        raise Failed(
            f"The new server did not answer {path}: {error}.", hint=_LOOK, code=codes.NO_ANSWER
        ) from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        text = content[:500].decode("utf-8", "replace")
        raise Failed(
            f"The new server answered {path} with status {answer.status}: {text}",
            hint=_LOOK,
            code=codes.NO_ANSWER,
        )
    return json.loads(content)


def _as_columns(answers: list[dict[str, Any]]) -> "Columns":
    import numpy as np  # noqa: PLC0415

    columns: dict[str, np.ndarray[Any, Any]] = {}
    for name in ("label", "value", "probabilities"):
        if name not in answers[0]:
            continue
        cells = [answer[name] for answer in answers]
        columns[name] = np.array([list(c.values()) if isinstance(c, dict) else c for c in cells])
    return columns


def _failed(release: records.Release, environment: str, error: TidemillError, words: list[str]) -> Failed:
    # An error in words, or the same last words in it, has said all that the log does.
    known = "error" in error.details or error.code == codes.SERVER_NOT_STARTED
    said = "" if known else "\n".join(words)
    return Failed(
        f"Release {release.number} of '{release.name}' could not enter '{environment}': {error.message}",
        why="\n".join(filter(None, [error.why, said and f"The server's last words:\n{said}"])) or None,
        hint=error.hint or "What ran there before still does.",
        code=codes.DEPLOYMENT_FAILED,
        details={
            "environment": environment,
            "release": release.number,
            "error": error.to_json(),
            "log": words,
        },
    )


def _last_lines(log: Path, began_at: int) -> list[str]:
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(began_at)
        return file.read().decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
