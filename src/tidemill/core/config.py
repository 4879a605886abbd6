"""The project: its folder, and its settings as overridden by ``TIDEMILL_*``. The only file that reads the environment."""

import getpass
import os
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.settings import DEFAULT_STORE, FILE, Settings
from tidemill.core.settings_file import read

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
        code=codes.PROJECT_NOT_FOUND,
    )


def load_project(folder: Path) -> Project:
    """The project in exactly this folder; without a ``tidemill.toml``, one with default settings."""
    file = folder / FILE
    raw: dict[str, Any] = {}
    if file.is_file():
        try:
            raw = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput(
                f"{file} is not valid TOML: {error}.", code=codes.INVALID_SETTINGS, hint="Correct that line."
            ) from error
    if _has_password(raw.get("catalog")):
        raise InvalidInput(
            f"{file.name}: 'catalog' has a password in it.",
            why="The file is read by everybody who has the project.",
            hint="Take it out; put it into PGPASSWORD or ~/.pgpass, or the whole address into TIDEMILL_CATALOG.",
            code=codes.PASSWORD_IN_SETTINGS,
        )
    for name in ("store", "catalog", "author", "workers", "executor", "verify"):
        text = os.environ.get(f"TIDEMILL_{name.upper()}")
        if text:
            raw[name] = int(text) if name == "workers" and text.isdecimal() else text
    return Project(folder.resolve(), _with_paths(read(Settings, raw, file.name), folder.resolve()))


def _with_paths(settings: Settings, folder: Path) -> Settings:
    """The settings with whole paths in place of those that are relative to the project folder."""
    places = {
        name: replace(
            place,
            tls_cert=place.tls_cert and str(folder / place.tls_cert),
            tls_key=place.tls_key and str(folder / place.tls_key),
        )
        for name, place in settings.environments.items()
    }
    return replace(settings, environments=places)


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
                code=codes.VARIABLE_NOT_SET,
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


def choose_verify(when: str) -> None:
    """Let this process and those that it starts hold what they read against its digest ``never``, ``first`` or ``always``."""
    os.environ["TIDEMILL_VERIFY"] = when


BACKENDS = {"KERAS_BACKEND": "jax"}
"""Variables that a process must have before a framework is imported, unless they are set already."""


def backends() -> dict[str, str]:
    """What the process's variables say of the frameworks, or would."""
    return {name: os.environ.get(name, text) for name, text in BACKENDS.items()}


def choose_backends() -> None:
    """Let Keras take JAX where nobody has said otherwise, here as in every worker; before Keras is imported."""
    os.environ.update(backends())


def _has_password(address: object) -> bool:
    if not isinstance(address, str):
        return False
    parts = urlsplit(address)
    return parts.password is not None or any("password" in name.lower() for name in parse_qs(parts.query))


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
