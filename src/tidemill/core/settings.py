"""What ``tidemill.toml`` may say: one dataclass a table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tidemill.core.dataset_settings import CheckSettings, ReviewSettings
from tidemill.core.names import did_you_mean
from tidemill.core.wrong_setting import WrongSettingError, check_above_zero, check_ranges

_ANY = (0, math.inf)

FILE = "tidemill.toml"
DEFAULT_STORE = ".tidemill"


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a candidate must pass before it can become a release.

    Attributes:
        rules: Comparisons of a metric with a number, such as ``accuracy >= 0.87``.
        latency_ms: The predictor's median time for one row must stay under this; milliseconds.
        smoke: Whether the predictor must answer real sample rows as the pipeline did.
        max_drop: How much of each metric of the rules the candidate may lose against the running release, at the
            pessimistic end of the confidence interval; 0 to 1. Of metrics in the label's unit (``mae``, ``rmse``) it
            is a share of the error that always answering the median, or the mean, would have, but for labels far off the
            rest, and of no more than ten times the running release's error.
        confidence: Of that interval; 0 to 1.
        compare: Whether the candidate must be compared with the running release, and fails where it cannot be.
    """

    rules: tuple[str, ...] = ()
    latency_ms: float | None = None
    smoke: bool = True
    max_drop: float = 0.01
    confidence: float = 0.95
    compare: bool = True

    def __post_init__(self) -> None:
        check_ranges(self, latency_ms=_ANY, max_drop=(0, 1))
        if not 0 < self.confidence < 1:
            raise WrongSettingError("confidence", f"must be above 0 and below 1, not {self.confidence:g}")


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """One pipeline of the project.

    Attributes:
        file: Where it is defined, relative to the project folder.
        gate: What a model of it must pass.
    """

    file: str = "pipeline.py"
    gate: GateSettings = field(default_factory=GateSettings)


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """A place where a release runs.

    Attributes:
        after: The environment in which a release must have been live before it may enter this one.
        personal: Whether each machine has one of this name for itself; else it is shared: one release is wanted, and one machine
            serves it. Without it, the first environment of the file is personal, and the others are shared.
        host: Address to bind to.
        port: Port to bind to; 0 takes a free one.
        hosts: Names by which clients reach it, such as that of a proxy or a service, beside its address,
            ``localhost`` and the machine's own name; ``*`` is any name.
        origins: Sites whose pages may send requests from a browser, such as ``https://app.example``.
        keep_days: How many days a prediction stays in the log; one that has feedback stays longer. None keeps all.
        keep_bytes: How large the log may become before the oldest predictions without feedback leave it.
        no_auth: Whether everybody who reaches it may ask, without a token; each start warns where that is more than
            this machine.
        tls_cert: A file with the certificate that the server shows, relative to the project folder; with ``tls_key``,
            it speaks HTTPS. Taken anew when it changes.
        tls_key: A file with the certificate's key, likewise.
        trusted_proxies: Addresses or networks of proxies before the server, such as ``10.0.0.0/8``: what they say of a
            request (``X-Forwarded-Host``, ``X-Forwarded-Proto``) is believed, of nobody else.
    """

    after: str | None = None
    personal: bool | None = None
    host: str = "127.0.0.1"
    port: int = 0
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    keep_days: float | None = None
    keep_bytes: int | None = None
    no_auth: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    trusted_proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_ranges(self, port=(0, 65_535))
        check_above_zero(self, "keep_days", "keep_bytes")


@dataclass(frozen=True, slots=True)
class TriggerSettings:
    """What starts a run without a person: a merge into a branch of a dataset.

    Attributes:
        dataset: ``name@branch``; a merge into it fires.
        pipeline: The pipeline to run, by its name under ``pipelines``.
        deploy: The environment that gets the new release when its gate passes; None for none.
    """

    dataset: str
    pipeline: str
    deploy: str | None = None


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Another store that datasets are pushed to and pulled from.

    Attributes:
        store: Its address: a folder, relative to the project folder, or ``s3://bucket/prefix``.
    """

    store: str


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What a server refuses before it costs too much.

    Attributes:
        body_bytes: Of one request's body; more is answered with 413.
        request_rows: Rows in one request.
        body_seconds: How long a client may take to send a body; a slower one is answered with 408.
        drain_seconds: How long a server that was replaced may take to answer what it had accepted.
        head_bytes: Of the head of one request: its line and its headers; more is answered with 431.
        head_seconds: How long a client may take to send a head; a slower one is answered with 408.
        idle_seconds: How long a connection may be open without a request.
    """

    body_bytes: int = 16 * 1024 * 1024
    request_rows: int = 10_000
    body_seconds: float = 60.0
    drain_seconds: float = 10.0
    head_bytes: int = 64 * 1024
    head_seconds: float = 20.0
    idle_seconds: float = 75.0

    def __post_init__(self) -> None:
        check_ranges(self, drain_seconds=_ANY)
        check_above_zero(self, *("body_bytes", "request_rows", "body_seconds"))
        check_above_zero(self, *("head_bytes", "head_seconds", "idle_seconds"))


@dataclass(frozen=True, slots=True)
class LabellingSettings:
    """How rows are given to people who label them.

    Attributes:
        lease_seconds: How long a row is somebody's; then others may have it.
    """

    lease_seconds: float = 300.0

    def __post_init__(self) -> None:
        check_above_zero(self, "lease_seconds")


def _default_environments() -> dict[str, EnvironmentSettings]:
    return {
        "dev": EnvironmentSettings(),
        "test": EnvironmentSettings(after="dev"),
        "staging": EnvironmentSettings(after="test"),
        "prod": EnvironmentSettings(after="staging"),
    }


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """How files are read.

    Attributes:
        missing: Words that mean a missing cell in every CSV and TSV file, beside the empty cell, such as ``NA``.
    """

    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything ``tidemill.toml`` may say.

    Attributes:
        store: Address of the store: a folder, relative to the project's, or ``s3://bucket/prefix``.
        catalog: Address of the store's catalog, ``postgresql://user@host/database``, which a store in S3 needs.
            None is a file in the store's folder. The password is in ``PGPASSWORD`` or ``~/.pgpass``, not here.
        author: Who is named on commits, releases and promotions; None takes the login name.
        workers: Worker processes a run may use; 0 is as many as there are cores.
        executor: Who computes the steps of a run: ``local`` (warm workers), ``process`` (a fresh process for each),
            or one that an installed package brings.
        verify: When what is read from the store is held against its SHA-256: ``never``, ``first`` (once on this machine, and
            again when it changed), or ``always`` (once in each process).
        pipelines: By name.
        environments: By name, in the order in which they are listed.
        triggers: By name.
        reviews: By dataset; one that is not named asks for no review.
        remotes: Other stores, by name; ``origin`` is meant where none is named.
        checks: By dataset.
        limits: Of every server.
        labelling: Of every queue.
        imports: Of every import.
    """

    store: str = DEFAULT_STORE
    # From the environment it may have a password in it.
    catalog: str | None = field(default=None, repr=False)
    author: str | None = None
    workers: int = 0
    executor: str = "local"
    verify: Literal["never", "first", "always"] = "first"
    pipelines: dict[str, PipelineSettings] = field(default_factory=dict)
    environments: dict[str, EnvironmentSettings] = field(default_factory=_default_environments)
    triggers: dict[str, TriggerSettings] = field(default_factory=dict)
    reviews: dict[str, ReviewSettings] = field(default_factory=dict)
    remotes: dict[str, RemoteSettings] = field(default_factory=dict)
    checks: dict[str, CheckSettings] = field(default_factory=dict)
    limits: LimitSettings = field(default_factory=LimitSettings)
    labelling: LabellingSettings = field(default_factory=LabellingSettings)
    imports: ImportSettings = field(default_factory=ImportSettings)

    def __post_init__(self) -> None:
        check_ranges(self, workers=_ANY)
        for name, place in self.environments.items():
            _check_known(f"environments.{name}.after", place.after, self.environments)
            self._check_way(name)
        for name, trigger in self.triggers.items():
            _check_known(f"triggers.{name}.deploy", trigger.deploy, self.environments)
            if self.pipelines:
                _check_known(f"triggers.{name}.pipeline", trigger.pipeline, self.pipelines)

    def _check_way(self, name: str) -> None:
        way = [name]
        while (before := self.environments[way[-1]].after) is not None:
            if before in way:
                circle = " after ".join([*way[way.index(before) :], before])
                raise WrongSettingError(f"environments.{name}.after", f"goes in a circle: {circle}")
            _check_known(f"environments.{way[-1]}.after", before, self.environments)
            way.append(before)


def _check_known(setting: str, name: str | None, known: Mapping[str, object]) -> None:
    if name is not None and name not in known:
        hint = did_you_mean(name, known)
        raise WrongSettingError(setting, f"names '{name}', which the file does not have", hint)
