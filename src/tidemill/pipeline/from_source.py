"""Imports of a project's own modules, each time from their source.

Python keeps bytecode beside a module, and takes it for current by the source's size and whole second: of two edits
within one second, the first would be computed under the name of the second.
"""

import os
from collections.abc import Callable, Sequence
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from types import CodeType, ModuleType


class Loader(SourceFileLoader):
    """Reads and writes no bytecode.

    Args:
        before: Called with the file just before it is read.
    """

    def __init__(self, fullname: str, path: str, before: Callable[[str], None]) -> None:
        super().__init__(fullname, path)
        self._before = before

    def get_code(self, fullname: str) -> CodeType:
        """The file's code, compiled now."""
        path = self.get_filename(fullname)
        self._before(path)
        return self.source_to_code(self.get_data(path), path)


class Finder:
    """Finds the modules of one folder, on ``sys.meta_path``; packages that are installed below it are not its own.

    Args:
        folder: A whole path.
        installed: Whether a path belongs to an installed package.
        before: Called with each file just before it is read.
    """

    def __init__(self, folder: str, installed: Callable[[str], bool], before: Callable[[str], None]) -> None:
        self._folder = folder
        self._installed = installed
        self._before = before
        self._finders: dict[str, FileFinder] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module is; None where it is not of this folder, or has no file of its own."""
        del target
        for entry in (self._folder,) if path is None else path:
            if self._is_ours(entry):
                spec = self._finder(entry).find_spec(fullname)
                if spec is not None and spec.loader is not None:
                    return spec
        return None

    def invalidate_caches(self) -> None:
        """Look at the folders anew."""
        self._finders.clear()

    def _is_ours(self, entry: str) -> bool:
        inside = entry == self._folder or entry.startswith(self._folder + os.sep)
        return inside and not self._installed(entry + os.sep)

    def _finder(self, entry: str) -> FileFinder:
        if entry not in self._finders:

            def loader(fullname: str, file: str) -> Loader:
                return Loader(fullname, file, self._before)

            self._finders[entry] = FileFinder(
                entry,
                (ExtensionFileLoader, EXTENSION_SUFFIXES),
                (loader, SOURCE_SUFFIXES),  # pyright: ignore[reportArgumentType] - called as a loader's type is
            )
        return self._finders[entry]
