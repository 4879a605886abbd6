"""The versions of installed packages that a step's code reaches, as parts of its cache key."""

import functools
import hashlib
import importlib.util
import sys
from importlib import metadata
from pathlib import Path

import tidemill
from tidemill.pipeline.load import installed

_KNOWN = {
    "sklearn": "scikit-learn",
    "lance": "pylance",
    "PIL": "pillow",
    "yaml": "PyYAML",
    "cv2": "opencv-python",
    "skimage": "scikit-image",
    "dateutil": "python-dateutil",
    "bs4": "beautifulsoup4",
}
"""Import names whose distribution is called otherwise; saves reading every installed distribution."""
_BESIDE = {"keras": ("jax", "jaxlib"), "flax": ("jax", "jaxlib"), "jax": ("jaxlib",)}
"""Packages that do the work behind an interface, so that their version matters as much."""
_ROOMS = ("pipeline", "engine", "models", "evaluation", "store")
"""The rooms of Tidemill whose code can change what a step yields."""


def python_version() -> str:
    """Major and minor: what decides how code is compiled."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def versions_of(top: str) -> dict[str, str]:
    """Distribution names and versions behind a top-level import name; empty for the standard library."""
    if top in sys.stdlib_module_names or top in ("builtins", "__main__"):
        return {}
    if top == "tidemill":
        return {"tidemill": tidemill_version()}
    found: dict[str, str] = {}
    for name in (top, *_BESIDE.get(top, ())):
        found.update(_versions(name))
    return found


def top_of(file: str) -> str | None:
    """The import name of the installed package that a file belongs to."""
    parts = Path(file).parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts[:-1]:
            return parts[parts.index(folder) + 1].partition(".")[0]
    return None


@functools.cache
def _versions(top: str) -> dict[str, str]:
    name = _KNOWN.get(top, top)
    try:
        return {name: metadata.version(name)}
    except metadata.PackageNotFoundError:
        pass
    owners = sorted(set(_owners().get(top, ())))
    return {n: metadata.version(n) for n in owners} if owners else _unversioned(top)


def _unversioned(top: str) -> dict[str, str]:
    """A package that was installed by hand, or compiled in the project: its files stand for a version."""
    spec = importlib.util.find_spec(top) if top.isidentifier() else None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return {}
    if spec.origin.endswith(".py") and not installed(spec.origin):
        return {}
    first = Path(spec.origin)
    files = sorted(first.parent.rglob("*.py")) if spec.submodule_search_locations else [first]
    hasher = hashlib.sha256()
    for file in files:
        hasher.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return {top: f"files {hasher.hexdigest()[:12]}"}


@functools.cache
def _owners() -> "dict[str, list[str]]":
    return dict(metadata.packages_distributions())


@functools.cache
def tidemill_version() -> str:
    """Tidemill's version; in a source checkout, with a digest of the code that results depend on."""
    folder = Path(tidemill.__file__).parent
    if installed(str(folder / "__init__.py")):
        return tidemill.__version__
    hasher = hashlib.sha256()
    for room in _ROOMS:
        for file in sorted((folder / room).rglob("*.py")):
            hasher.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return f"{tidemill.__version__}+{hasher.hexdigest()[:12]}"
