"""Where and how an environment is served: as its settings say, as `serve` was told in their place, at the port it keeps."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.files import write_text
from tidemill.core.settings import EnvironmentSettings, Settings
from tidemill.edge import access, sockets
from tidemill.edge.guard import Guard
from tidemill.edge.tls import Tls
from tidemill.edge.token_file import token_file
from tidemill.release.history import environment_settings
from tidemill.serve.client import Status
from tidemill.store.open import Store


def place_of(settings: Settings, environment: str, told: Mapping[str, Any]) -> EnvironmentSettings:
    """An environment's settings, with what was told in their place.

    Raises:
        NotFound: ``environment-not-found``.
        InvalidInput: ``tls-not-usable``, where there is one of a certificate and its key.
    """
    # What a running server says of itself came through JSON, which has no tuples.
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    place = dataclasses.replace(environment_settings(settings, environment), **given)
    if (place.tls_cert is None) != (place.tls_key is None):
        raise InvalidInput(
            f"'{environment}' has one of 'tls_cert' and 'tls_key', and not the other.",
            hint="Give both, the certificate's file and its key's.",
            code=codes.TLS_NOT_USABLE,
        )
    return place


def check(store: Store, environment: str, place: EnvironmentSettings, told: Mapping[str, Any]) -> None:
    """Refuse what a server would be refused at its start.

    Raises:
        NotAllowed: ``tokens-needed``.
        InvalidInput: ``tls-not-usable``, ``invalid-proxy``.
        Failed: ``too-few-open-files``: what is started here may open no more than this process.
    """
    sockets.most_connections()
    Guard(proxies=place.trusted_proxies)
    files = tls(place)
    if files is not None:
        Tls(Path(files[0]), Path(files[1]))
    access.check_start(
        environment,
        beyond_loopback=sockets.beyond_loopback(place.host),
        off=place.no_auth,
        file=token_file(store.environments_folder, environment),
        told=told,
    )


def tls(place: EnvironmentSettings) -> tuple[str, str] | None:
    """The files of a certificate and its key; None for plain HTTP."""
    return None if place.tls_cert is None or place.tls_key is None else (place.tls_cert, place.tls_key)


def warnings(settings: Settings, environment: str, told: Mapping[str, Any]) -> list[str]:
    """What whoever starts an environment's server should know."""
    place = place_of(settings, environment, told)
    return access.warnings(
        environment,
        beyond_loopback=sockets.beyond_loopback(place.host),
        off=place.no_auth,
        in_clear=place.tls_cert is None and not place.trusted_proxies,
    )


def port(store: Store, environment: str, place: EnvironmentSettings, running: Status | None) -> int:
    """The port to listen on; 0 for a free one, or that of the server that runs.

    Where the settings name none, it is the one that was chosen first, as long as nobody else has it.
    """
    if place.port or running is not None:
        return place.port
    kept = kept_port(store, environment)
    return kept if kept and sockets.is_free(place.host, kept) else 0


def kept_port(store: Store, environment: str) -> int:
    """The port that was chosen for an environment; 0 before that."""
    try:
        return int((store.environments_folder / f"{environment}.port").read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def keep_port(store: Store, environment: str, place: EnvironmentSettings, address: str) -> None:
    """Remember the port that was chosen, where the settings name none."""
    chosen = urlsplit(address).port or 0
    if not place.port and chosen != kept_port(store, environment):
        write_text(store.environments_folder / f"{environment}.port", f"{chosen}\n")
