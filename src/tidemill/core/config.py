"""The settings: ``tidemill.toml``, overridden by ``TIDEMILL_*``. The only file that reads the environment.

``docs/tidemill.schema.json`` is generated from these dataclasses by ``schema()``.
"""

import dataclasses
import getpass
import os
import re
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tidemill.core.dataset_settings import CheckSettings, ReviewSettings, WrongSettingError
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.names import nearest

FILE = "tidemill.toml"
DEFAULT_STORE = ".tidemill"
_S3_OPTIONS = (
    "access_key_id",
    "secret_access_key",
    "session_token",
    "role_arn",
    "role_session_name",
    "web_identity_token_file",
    "container_credentials_relative_uri",
    "container_credentials_full_uri",
)


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a candidate must pass before it can become a release.

    Attributes:
        rules: Comparisons of a metric with a number, such as ``accuracy >= 0.87``.
        latency_ms: The predictor's median time for one row must stay under this; milliseconds.
        smoke: Whether the predictor must answer real sample rows as the pipeline did.
        max_drop: How much of the gate's metric the candidate may lose against the running release, at the
            pessimistic end of the confidence interval; 0 to 1.
        confidence: Of that interval; 0 to 1.
    """

    rules: tuple[str, ...] = ()
    latency_ms: float | None = None
    smoke: bool = True
    max_drop: float = 0.01
    confidence: float = 0.95


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
        host: Address to bind to.
        port: Port to bind to; 0 takes a free one.
    """

    after: str | None = None
    host: str = "127.0.0.1"
    port: int = 0


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
    """

    body_bytes: int = 16 * 1024 * 1024
    request_rows: int = 10_000
    body_seconds: float = 60.0
    drain_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class LabellingSettings:
    """How rows are given to people who label them.

    Attributes:
        lease_seconds: How long a row is somebody's; then others may have it.
    """

    lease_seconds: float = 300.0


def _default_environments() -> dict[str, EnvironmentSettings]:
    return {
        "dev": EnvironmentSettings(),
        "test": EnvironmentSettings(after="dev"),
        "staging": EnvironmentSettings(after="test"),
        "prod": EnvironmentSettings(after="staging"),
    }


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything ``tidemill.toml`` may say.

    Attributes:
        store: Address of the store: a folder, relative to the project's, or ``s3://bucket/prefix``.
        catalog: Address of the store's catalog, ``postgresql://user@host/database``, which a store in S3 needs.
            None is a file in the store's folder. The password is in ``PGPASSWORD`` or ``~/.pgpass``, not here.
        author: Who is named on commits, releases and promotions; None takes the login name.
        workers: Worker processes a run may use; 0 is as many as there are cores.
        pipelines: By name.
        environments: By name, in the order in which they are listed.
        triggers: By name.
        reviews: By dataset; one that is not named asks for no review.
        remotes: Other stores, by name; ``origin`` is meant where none is named.
        checks: By dataset.
        limits: Of every server.
        labelling: Of every queue.
    """

    store: str = DEFAULT_STORE
    # From the environment it may have a password in it.
    catalog: str | None = field(default=None, repr=False)
    author: str | None = None
    workers: int = 0
    pipelines: dict[str, PipelineSettings] = field(default_factory=dict)
    environments: dict[str, EnvironmentSettings] = field(default_factory=_default_environments)
    triggers: dict[str, TriggerSettings] = field(default_factory=dict)
    reviews: dict[str, ReviewSettings] = field(default_factory=dict)
    remotes: dict[str, RemoteSettings] = field(default_factory=dict)
    checks: dict[str, CheckSettings] = field(default_factory=dict)
    limits: LimitSettings = field(default_factory=LimitSettings)
    labelling: LabellingSettings = field(default_factory=LabellingSettings)


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with its settings: what every use case starts from."""

    folder: Path
    settings: Settings

    @property
    def store_address(self) -> str:
        """Where the store is: a whole path, or ``s3://bucket/prefix``."""
        address = self.settings.store
        return address if "://" in address else str((self.folder / address).resolve())

    @property
    def local_folder(self) -> Path:
        """Where this machine keeps what belongs to it alone, beside a store that is not a folder."""
        return self.folder / DEFAULT_STORE

    @property
    def author(self) -> str:
        """The name that commits and releases carry."""
        return self.settings.author or _login_name()

    @property
    def workers(self) -> int:
        """Worker processes a run may use, at least 1."""
        return self.settings.workers or os.cpu_count() or 1


def find_project(start: Path | None = None) -> Project:
    """The project that ``start`` (default: the working directory) lies in.

    Raises:
        NotFound: ``project-not-found``, when no folder upward holds a ``tidemill.toml``.
        InvalidInput: ``invalid-settings``, when the file or a variable is wrong.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file() or (folder / DEFAULT_STORE).is_dir():
            return load_project(folder)
    raise NotFound(
        f"There is no Tidemill project in {here}.",
        why=f"Neither it nor a folder above it holds a {FILE} or a {DEFAULT_STORE}.",
        hint="Type 'tidemill init' here, or 'tidemill demo' to see a whole one.",
        code="project-not-found",
    )


def load_project(folder: Path) -> Project:
    """The project in exactly this folder; without a ``tidemill.toml``, one with default settings."""
    file = folder / FILE
    raw: dict[str, Any] = {}
    if file.is_file():
        try:
            raw = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"{file} is not valid TOML: {error}.", code="invalid-settings", hint="Correct that line."
            ) from error
    if _has_password(raw.get("catalog")):
        raise InvalidInput(
            f"{file.name}: 'catalog' has a password in it.",
            why="The file is read by everybody who has the project.",
            hint="Take it out; put it into PGPASSWORD or ~/.pgpass, or the whole address into TIDEMILL_CATALOG.",
            code="password-in-settings",
        )
    for name in ("store", "catalog", "author", "workers"):
        text = os.environ.get(f"TIDEMILL_{name.upper()}")
        if text:
            raw[name] = int(text) if name == "workers" and text.isdecimal() else text
    return Project(folder.resolve(), _read(Settings, raw, file.name, ""))


def with_references(text: str) -> str:
    """``text`` with each ``${NAME}`` replaced by what the environment variable of that name holds.

    Raises:
        NotFound: ``variable-not-set``.
    """

    def value(found: "re.Match[str]") -> str:
        said = os.environ.get(found[1])
        if said is None:
            raise NotFound(
                f"The environment variable {found[1]} is not set.",
                why=f"'${{{found[1]}}}' stands for its value.",
                hint=f"Type 'export {found[1]}=...' first.",
                code="variable-not-set",
            )
        return said

    return re.sub(r"\$\{(\w+)\}", value, text)


def cache_folder() -> Path:
    """The user's cache folder for downloads (``XDG_CACHE_HOME``, else ``~/.cache``)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tidemill"


def s3_options() -> dict[str, str]:
    """How to reach S3: what the usual ``AWS_*`` variables say, by the names that its client takes."""
    named = {
        "endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        **{name: (f"AWS_{name.upper()}",) for name in _S3_OPTIONS},
    }
    said = {name: next(filter(None, map(os.environ.get, texts)), None) for name, texts in named.items()}
    return {"region": "us-east-1"} | {name: text for name, text in said.items() if text}


def choose_backends() -> None:
    """Let Keras take JAX where nobody has said otherwise, here as in every worker; before Keras is imported."""
    os.environ.setdefault("KERAS_BACKEND", "jax")


def _has_password(address: object) -> bool:
    if not isinstance(address, str):
        return False
    parts = urlsplit(address)
    return parts.password is not None or "password" in parse_qs(parts.query)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _read(kind: type[Any], raw: object, file: str, path: str) -> Any:
    """``raw`` as dataclass ``kind``; every complaint names the setting by its dotted path."""
    if not isinstance(raw, dict):
        raise _wrong(file, path, "a table", raw)
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}
    for name in raw:
        if name not in known:
            close = nearest(str(name), known)
            raise InvalidInput(
                f"{file} has a setting '{_join(path, str(name))}' that Tidemill does not know.",
                hint=f"Did you mean '{_join(path, close)}'?" if close else f"Known are: {', '.join(known)}.",
                code="invalid-settings",
            )
    values = {n: _value(hints[n], v, file, _join(path, n)) for n, v in raw.items()}
    for name, spec in known.items():
        no_default = spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        if no_default and name not in values:
            raise InvalidInput(
                f"{file} does not say '{_join(path, name)}'.", hint="Add it.", code="invalid-settings"
            )
    try:
        return kind(**values)
    except WrongSettingError as error:
        raise InvalidInput(
            f"{file}: '{_join(path, error.name)}' {error.reason}.",
            hint="Correct that setting.",
            code="invalid-settings",
        ) from error


def _value(hint: Any, raw: object, file: str, path: str) -> object:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [a for a in arguments if a is not type(None)]
        if len(kinds) == 1:
            return _value(kinds[0], raw, file, path)
        if type(raw) not in kinds:
            raise _wrong(file, path, "text, a number, or true or false", raw)
        return raw
    if dataclasses.is_dataclass(hint):
        return _read(typing.cast("type[Any]", hint), raw, file, path)
    if origin is dict:
        if not isinstance(raw, dict):
            raise _wrong(file, path, "a table", raw)
        return {str(n): _value(arguments[1], v, file, _join(path, str(n))) for n, v in raw.items()}
    if origin is tuple:
        if not isinstance(raw, list):
            raise _wrong(file, path, "a list", raw)
        return tuple(_value(arguments[0], v, file, f"{path}[{i}]") for i, v in enumerate(raw))
    if hint is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if type(raw) is not hint:
        raise _wrong(
            file,
            path,
            {int: "a whole number", float: "a number", bool: "true or false"}.get(hint, "text"),
            raw,
        )
    return raw


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _wrong(file: str, path: str, wanted: str, got: object) -> InvalidInput:
    return InvalidInput(
        f"{file}: '{path}' must be {wanted}, not {got!r}.",
        hint="Correct that setting.",
        code="invalid-settings",
    )


def schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of ``tidemill.toml``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FILE,
        **_schema(Settings),
    }


def _schema(hint: Any) -> dict[str, object]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [_schema(a) for a in arguments if a is not type(None)]
        return kinds[0] if len(kinds) == 1 else {"type": [k["type"] for k in kinds]}
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        fields = dataclasses.fields(hint)
        required = [
            f.name
            for f in fields
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        ]
        body: dict[str, object] = {
            "type": "object",
            "description": (hint.__doc__ or "").strip().splitlines()[0],
            "additionalProperties": False,
            "properties": {f.name: _schema(hints[f.name]) for f in fields},
        }
        return body | ({"required": required} if required else {})
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    return {"type": {str: "string", int: "integer", float: "number", bool: "boolean"}[hint]}
