"""The Python files of a bundle, imported apart: two bundles in one process never see each other's modules.

Each bundle's ``code/`` becomes a package of its own in ``sys.modules``. Inside it ``import prepare`` finds
the bundle's ``prepare.py``, at import time and later; every other name is imported as always. A call of
``importlib.import_module`` with a name of the bundle is not redirected. Not a sandbox: the code runs with
all rights of the process.
"""

import builtins
import importlib
import importlib.abc
import importlib.machinery
import itertools
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NotFound, TidemillError

_numbers = itertools.count(1)


class IsolatedCode:
    """A folder of Python files under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._tops = _top_level_names(self.folder)
        self._package = f"tidemill_bundle_{next(_numbers)}"
        root = types.ModuleType(self._package, f"The code of the bundle in {folder}.")
        root.__path__ = [str(self.folder)]
        sys.modules[self._package] = root
        sys.meta_path.insert(0, _Finder(self._package, self._builtins()))

    def component(self, reference: str) -> Any:
        """The object ``module:qualname`` names, of this folder or else of an installed module.

        Raises:
            NotFound: ``component-not-found``.
            InvalidInput: ``code-not-importable``, when its module fails to import.
        """
        module_name, _, qualname = reference.partition(":")
        try:
            thing: Any = self.module(module_name)
        except TidemillError:
            raise
        except Exception as error:
            sought = (f"{module_name}.", f"{self._inside(module_name)}.")
            if isinstance(error, ModuleNotFoundError) and any(s.startswith(f"{error.name}.") for s in sought):
                raise self._not_found(reference) from error
            raise InvalidInput(
                f"The module '{module_name}' in {self.folder} cannot be imported: {error}.",
                why=f"Importing it raised {type(error).__name__}.",
                hint="Make the module importable with what is installed here.",
                code=codes.CODE_NOT_IMPORTABLE,
            ) from error
        for part in qualname.split("."):
            if not hasattr(thing, part):
                raise self._not_found(reference)
            thing = getattr(thing, part)
        return thing

    def module(self, name: str) -> types.ModuleType:
        """Import one module by the name that its own project calls it."""
        return importlib.import_module(self._inside(name) if self._holds(name) else name)

    def _inside(self, name: str) -> str:
        return f"{self._package}.{name}"

    def _holds(self, name: str) -> bool:
        """Whether the folder has this module; a package may be here in part, and its rest installed."""
        if name.partition(".")[0] not in self._tops:
            return False
        path = self.folder.joinpath(*name.split("."))
        return path.is_dir() or path.with_name(f"{path.name}.py").is_file()

    def _builtins(self) -> dict[str, Any]:
        def isolated_import(
            name: str,
            globals: Mapping[str, Any] | None = None,  # noqa: A002 - the names that __import__ has
            locals: Mapping[str, Any] | None = None,  # noqa: A002
            fromlist: Sequence[str] | None = (),
            level: int = 0,
        ) -> Any:
            if level or not self._holds(name):
                return builtins.__import__(name, globals, locals, fromlist or (), level)
            inside = self._inside(name)
            if fromlist:
                return builtins.__import__(inside, globals, locals, fromlist, 0)
            importlib.import_module(inside)
            return sys.modules[self._inside(name.partition(".")[0])]

        return {**vars(builtins), "__import__": isolated_import}

    def _not_found(self, reference: str) -> NotFound:
        return NotFound(
            f"There is no component '{reference}' in {self.folder}.",
            hint="Check that the file that defines it is among the bundle's code.",
            code=codes.COMPONENT_NOT_FOUND,
            details={"component": reference},
        )


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of one bundle and hands them the bundle's ``__import__``."""

    def __init__(self, package: str, own_builtins: dict[str, Any]) -> None:
        self._prefix = package + "."
        self._builtins = own_builtins

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del target
        if not fullname.startswith(self._prefix):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin is None:
            # A folder of modules.
            return spec
        if isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self._builtins)
            return spec
        raise ImportError(f"{spec.origin} is no source of Python, and nothing else of a bundle is run")


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, own_builtins: dict[str, Any]) -> None:
        super().__init__(fullname, path)
        self._builtins = own_builtins

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__builtins__"] = self._builtins
        super().exec_module(module)

    def get_code(self, fullname: str) -> types.CodeType:
        """The code of the source alone: what lies in a ``__pycache__`` is in no digest of a release."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write no ``__pycache__``: a bundle is immutable."""


def _top_level_names(folder: Path) -> frozenset[str]:
    if not folder.is_dir():
        return frozenset()
    files = {p.stem for p in folder.glob("*.py")}
    return frozenset(files | {p.name for p in folder.iterdir() if p.is_dir() and p.name.isidentifier()})
