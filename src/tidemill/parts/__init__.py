"""Built-in components. ``from tidemill import parts``; each name loads its file when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.parts.clean import cast, drop_missing, keep_labels
    from tidemill.parts.labels import one_hot
    from tidemill.parts.scores import evaluate
    from tidemill.parts.splits import split

_HOMES = {
    "cast": "clean",
    "drop_missing": "clean",
    "evaluate": "scores",
    "keep_labels": "clean",
    "one_hot": "labels",
    "split": "splits",
}

__all__ = ["cast", "drop_missing", "evaluate", "keep_labels", "one_hot", "split"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tidemill.parts' has no attribute '{name}'")
    return getattr(import_module(f"tidemill.parts.{home}"), name)


def __dir__() -> list[str]:
    return __all__
