"""Modules as files: which belong to the project, and where one that is not imported lies."""

import importlib.util
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path

from tidemill.pipeline import load
from tidemill.pipeline.load import installed

_PARTS = "tidemill.parts"


def is_project(module: str | None, file: str | None) -> bool:
    """Whether a module's code counts as the user's: built-in parts do, the rest of Tidemill has a version."""
    if module is None or module == "builtins":
        return False
    if module == "tidemill" or module.startswith("tidemill."):
        return module == _PARTS or module.startswith(_PARTS + ".")
    if module == "__main__":
        return True
    return file is not None and file.endswith(".py") and not installed(file)


def is_project_file(path: str, module: str) -> bool:
    """Whether a file of that path lies in the project: in its folder or beside ``module``, from there or from here."""
    home = file_of(module)
    roots = {os.path.realpath(f) for f in (load.folder(), os.path.dirname(home) if home else None) if f}  # noqa: PTH120
    for start in (*roots, os.getcwd()):  # noqa: PTH109
        # Of ``f"{FOLDER}/x.sh"`` the end alone is known.
        for end in {path, path.lstrip("/")}:
            file = os.path.realpath(os.path.join(start, end))  # noqa: PTH118
            is_file = os.path.isfile(file) and not installed(file)  # noqa: PTH113
            if is_file and any(file.startswith(root + os.sep) for root in roots):
                return True
    return False


def is_function(function: types.FunctionType) -> bool:
    """Whether a function's code counts as the user's; what was made of a text belongs to who says so, or to nobody else."""
    module, file = function.__module__, function.__code__.co_filename
    if is_project(module, file):
        return True
    if not file.startswith("<") or file.startswith("<frozen "):
        return False
    return module not in sys.modules or is_project(module, home_of(module))


def home_of(module: str | None) -> str | None:
    """The file of a loaded module."""
    return getattr(sys.modules.get(module or ""), "__file__", None)


def file_of(name: str) -> str | None:
    """The file of a module, which need not be imported, and is not imported here."""
    if name in sys.modules:
        return home_of(name)
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return spec.origin
    # The rest is found on disk: asking the import system would import the parent.
    for base in spec.submodule_search_locations or ():
        plain = Path(base, *rest)
        for candidate in (plain.with_suffix(".py"), plain / "__init__.py"):
            if candidate.is_file():
                return str(candidate)
    return None


def within(package: str) -> Iterator[str]:
    """The modules in a package on disk, and those of the packages in it."""
    file = file_of(package)
    if file is None or not file.endswith("__init__.py"):
        return
    folder = Path(file).parent
    for found in sorted(folder.rglob("*.py")):
        parts = found.relative_to(folder).with_suffix("").parts
        if all(part.isidentifier() for part in parts):
            yield ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def named(kind: str, text: str) -> Iterator[str]:
    """The modules that a lookup of ``lookups`` names; none where it names something else."""
    if kind == "module":
        yield text
    elif kind == "package":
        yield from (text, *within(text))
    elif kind == "dotted":
        # Which part of it is the last module cannot be known without importing it.
        parts = text.replace(":", ".").split(".")
        yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


def absolute(name: str, level: int, package: str) -> str:
    """What an import statement in ``package`` names."""
    if not level:
        return name
    parts = package.split(".")
    base = parts[: len(parts) - level + 1]
    return ".".join([*base, name] if name else base)


def parents(name: str) -> Iterator[str]:
    """The packages that Python imports before a module: ``a``, ``a.b`` for ``a.b.c``."""
    parts = name.split(".")
    for count in range(1, len(parts)):
        yield ".".join(parts[:count])
