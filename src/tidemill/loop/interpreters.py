"""A Python with the packages of a run: the one that is here, or one that ``uv`` makes.

What differs is installed into a new virtual environment, and what is equal is taken from this one, which lies
behind it: so nothing large is copied. Another version of Python shares nothing, and gets all packages anew.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import Failed, NeedsExtra
from tidemill.core.events import Note, Sink

if TYPE_CHECKING:
    from tidemill.engine.installed import Installed

_FOLDER = ".venv"
_OWN = "tidemill"
_WORDS = 2000


@dataclass(frozen=True, slots=True)
class Difference:
    """Something of an environment that was another then; None on the side that lacks it."""

    name: str
    then: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python to run in.

    Attributes:
        python: Its executable.
        variables: What its process must have in its environment.
        built: What was brought back for it; empty where the environment that is here is the run's.
        lacking: What is another than in the run all the same.
    """

    python: str
    variables: dict[str, str]
    built: tuple[Difference, ...]
    lacking: tuple[Difference, ...]


def differences(wanted: "Installed") -> tuple[list[Difference], list[Difference]]:
    """What is another here than it was: what can be installed, and what cannot.

    A package that is here and was not then is no difference: nothing of the run imports it.
    """
    from tidemill.engine.installed import here  # noqa: PLC0415

    now = here()
    beyond = [
        Difference("implementation", wanted.implementation, now.implementation),
        Difference("system", wanted.system, now.system),
        Difference("machine", wanted.machine, now.machine),
    ]
    found = [Difference("python", wanted.python, now.python)]
    for name, version in wanted.packages.items():
        # A checkout of Tidemill itself has a digest for a version: no registry has it.
        kept = name == _OWN and "+" in version
        (beyond if kept else found).append(Difference(name, version, now.packages.get(name)))
    return [d for d in found if d.then != d.now], [d for d in beyond if d.then != d.now]


def present() -> Interpreter:
    """The Python that is here, whatever a run had."""
    return Interpreter(sys.executable, {}, (), ())


def interpreter(wanted: "Installed", folder: Path, sink: Sink) -> Interpreter:
    """The Python for a run; made in ``folder`` where the one that is here will not do.

    Raises:
        NeedsExtra: ``uv-not-found``.
        Failed: ``environment-not-restored``, with what ``uv`` said.
    """
    changed, lacking = differences(wanted)
    if not changed:
        return Interpreter(sys.executable, wanted.variables, (), tuple(lacking))
    shown = ", ".join(f"{d.name} {d.then}" for d in changed[:5])
    more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
    sink(Note(f"Making an environment with {shown}{more}"))
    python = _made(wanted, changed, folder / _FOLDER)
    return Interpreter(str(python), wanted.variables, tuple(changed), tuple(lacking))


def _made(wanted: "Installed", changed: Sequence[Difference], target: Path) -> Path:
    uv = _uv()
    other_python = changed[0].name == "python"
    base = wanted.python if other_python else sys.executable
    _call([uv, "venv", "--quiet", "--python", base, str(target)])
    python = target / "bin" / "python"
    editable = _editable()
    pins = dict(wanted.packages) if other_python else {d.name: str(d.then) for d in changed}
    names = [n for n in pins if n not in editable and not (n == _OWN and "+" in pins[n])]
    if names:
        pinned = [f"{n}=={pins[n]}" for n in names]
        _call([uv, "pip", "install", "--quiet", "--no-deps", "--python", str(python), *pinned])
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    behind = _own_folders() if other_python else [p for p in sys.path if _is_installed(p)]
    lines = [f"import site; site.addsitedir({folder!r})" for folder in behind]
    (Path(_call(asked).strip()) / "_behind.pth").write_text("\n".join(lines) + "\n", "utf-8")
    return python


def _own_folders() -> list[str]:
    """Where a checkout of Tidemill is imported from; an installed one is installed again."""
    import tidemill  # noqa: PLC0415

    folder = str(Path(tidemill.__file__).parent.parent)
    return [] if _is_installed(folder) else [folder]


def _is_installed(folder: str) -> bool:
    return Path(folder).name in ("site-packages", "dist-packages")


def _editable() -> set[str]:
    """Distributions that are checkouts here: their code is in the run's copy, and no registry has it."""
    from tidemill.engine.installed import normal  # noqa: PLC0415

    found: set[str] = set()
    for distribution in metadata.distributions():
        text = distribution.read_text("direct_url.json")
        if text and json.loads(text).get("dir_info", {}).get("editable"):
            found.add(normal(distribution.name))
    return found


def _uv() -> str:
    try:
        # The package that brings the program knows where it is.
        return str(importlib.import_module("uv").find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise NeedsExtra(
            "The packages of this run are others than those here, and 'uv' is not there to install them.",
            hint="Type 'pip install uv', or install the versions by hand and try again.",
            code=codes.UV_NOT_FOUND,
        )
    return found


def _call(command: Sequence[str]) -> str:
    # What the user says of registries counts; what says which environment is active does not.
    environment = {n: v for n, v in os.environ.items() if n not in ("VIRTUAL_ENV", "PYTHONHOME")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise Failed(
            "The environment of the run could not be made again.",
            why=done.stderr.strip()[-_WORDS:] or f"{command[0]} ended with status {done.returncode}.",
            hint="A package may have left its registry, or the registry may be out of reach: look at what uv says.",
            code=codes.ENVIRONMENT_NOT_RESTORED,
        )
    return done.stdout
