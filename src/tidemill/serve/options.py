"""What a server process is told when it starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.core.settings import LimitSettings


@dataclass(frozen=True, slots=True)
class Keep:
    """What a log keeps.

    Attributes:
        days: How old a prediction may be; None for any age.
        size: How many bytes the log may take; None for any number. Records with feedback stay beyond it.
    """

    days: float | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What a server is told when it starts.

    Attributes:
        bundle: The predictor's folder.
        name: The model's name in the protocol.
        release: The release's digest.
        number: Its number.
        environment: Whose requests it answers.
        folder: Where the environment's control socket and log are.
        host: Address to bind to, where no server is live there.
        port: Port, likewise.
        hosts: Names by which clients reach it, beside those that ``edge.guard`` knows.
        origins: Sites whose pages may send requests.
        no_auth: Whether everybody is let in, with no token.
        tls: The files of its certificate and key; None for plain HTTP.
        proxies: Whose ``X-Forwarded-*`` is believed.
        limits: What it refuses.
        keep: Which predictions stay in its log.
        told: What holds in place of the environment's settings, for whoever starts its successor.
        standby: Whether to wait, on a private port, until it is told to take over.
    """

    bundle: Path
    name: str
    release: str
    number: int
    environment: str
    folder: Path
    host: str
    port: int
    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    no_auth: bool
    tls: tuple[Path, Path] | None
    proxies: tuple[str, ...]
    limits: LimitSettings
    keep: Keep
    told: Mapping[str, Any]
    standby: bool
