"""The front of a package: names that are there without the files that define them, until one is asked for."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def facade(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package whose names each load their file when they are first used.

    Args:
        package: Its ``__name__``.
        homes: By file in the package, what would stand behind ``import``: ``"run, open_project as open"``.
    """
    found: dict[str, tuple[str, str]] = {}
    for home, names in homes.items():
        for name in names.split(", "):
            inner, _, outer = name.partition(" as ")
            found[outer or inner] = f"{package}.{home}", inner

    def load(name: str) -> Any:
        if name not in found:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        home, inner = found[name]
        value = vars(sys.modules[package])[name] = getattr(import_module(home), inner)
        return value

    return load, lambda: sorted({*vars(sys.modules[package]), *found})
