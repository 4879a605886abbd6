"""What is installed where a run is planned: Python, every distribution with its version, and what of the process counts.

A step's key names the packages that its code reaches; this is all there is, so that it can be installed again.
"""

import functools
import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tidemill.core import identity
from tidemill.core.config import backends
from tidemill.core.names import Digest
from tidemill.engine import packages
from tidemill.engine.content import canonical

_LAYOUT = 1
_INFO = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)(?:-py\d.*)?\.(?:dist|egg)-info")


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment.

    Attributes:
        python: The whole version, such as ``3.11.7``.
        implementation: ``CPython``.
        system: ``Linux``, ``Darwin``.
        machine: The processor's kind, such as ``x86_64``.
        variables: What the process's own variables say of a framework, by name.
        packages: Each distribution, by its one spelling, to its version.
    """

    python: str
    implementation: str
    system: str
    machine: str
    variables: dict[str, str]
    packages: dict[str, str]

    @property
    def image(self) -> bytes:
        """The blob that says it."""
        return canonical({"layout": _LAYOUT, **asdict(self)})

    @property
    def digest(self) -> Digest:
        """Of ``image``: what the run's record names."""
        return identity.blob(self.image)


def here() -> Installed:
    """The environment of this process."""
    folders = tuple((p, _modified(p)) for p in dict.fromkeys(sys.path))
    return Installed(
        platform.python_version(),
        platform.python_implementation(),
        platform.system(),
        platform.machine(),
        backends(),
        _distributions(folders) | {"tidemill": packages.tidemill_version()},
    )


def from_image(image: bytes) -> Installed:
    """What ``image`` gave."""
    told = json.loads(image)
    del told["layout"]
    return Installed(**told)


def normal(name: str) -> str:
    """A distribution's name in the one spelling that compares (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.lru_cache(maxsize=8)
def _distributions(folders: tuple[tuple[str, int], ...]) -> dict[str, str]:
    """By the names of their folders: reading the metadata of each takes a hundred times as long."""
    found: dict[str, str] = {}
    for folder, _ in folders:
        for name, version in _listed(Path(folder)):
            # Of two, the one that Python would find.
            found.setdefault(name, version)
    return dict(sorted(found.items()))


def _listed(folder: Path) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return
    for name in names:
        if match := _INFO.fullmatch(name):
            yield normal(match["name"]), match["version"]


def _modified(folder: str) -> int:
    try:
        return Path(folder or ".").stat().st_mtime_ns
    except OSError:
        return 0
