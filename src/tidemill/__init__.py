"""Tidemill: the whole AI delivery loop on one store. ``import tidemill as tm``.

Every name loads its room when it is first used, so that the import itself costs nothing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.evaluation.report import Report
    from tidemill.models.trained import TrainedModel
    from tidemill.notebook.options import RunOptions
    from tidemill.notebook.project import Project, run
    from tidemill.notebook.project import open_project as open  # noqa: A004 - read as tm.open()
    from tidemill.pipeline.components import check, row_step, step, trainer, transform
    from tidemill.pipeline.control import at_exit, each, when
    from tidemill.pipeline.dataset import Dataset, dataset
    from tidemill.pipeline.digests import digest_of
    from tidemill.pipeline.model import Model, model
    from tidemill.pipeline.outcome import RunOutcome
    from tidemill.pipeline.pipelines import pipeline
    from tidemill.pipeline.progress import progress, scratch
    from tidemill.pipeline.resources import resources
    from tidemill.pipeline.secret import Secret, secret
    from tidemill.store.table import Table

__version__ = "0.1.0"

_HOMES = {
    "Model": "tidemill.pipeline.model",
    "Project": "tidemill.notebook.project",
    "RunOptions": "tidemill.notebook.options",
    "open": "tidemill.notebook.project",
    "run": "tidemill.notebook.project",
    "Report": "tidemill.evaluation.report",
    "TrainedModel": "tidemill.models.trained",
    "model": "tidemill.pipeline.model",
    "check": "tidemill.pipeline.components",
    "row_step": "tidemill.pipeline.components",
    "step": "tidemill.pipeline.components",
    "trainer": "tidemill.pipeline.components",
    "transform": "tidemill.pipeline.components",
    "at_exit": "tidemill.pipeline.control",
    "each": "tidemill.pipeline.control",
    "when": "tidemill.pipeline.control",
    "RunOutcome": "tidemill.pipeline.outcome",
    "Dataset": "tidemill.pipeline.dataset",
    "dataset": "tidemill.pipeline.dataset",
    "pipeline": "tidemill.pipeline.pipelines",
    "digest_of": "tidemill.pipeline.digests",
    "progress": "tidemill.pipeline.progress",
    "scratch": "tidemill.pipeline.progress",
    "resources": "tidemill.pipeline.resources",
    "Secret": "tidemill.pipeline.secret",
    "secret": "tidemill.pipeline.secret",
    "Table": "tidemill.store.table",
}
"""Where each public name lives."""

__all__ = [
    "Dataset",
    "Model",
    "Project",
    "Report",
    "RunOptions",
    "RunOutcome",
    "Secret",
    "Table",
    "TrainedModel",
    "at_exit",
    "check",
    "dataset",
    "digest_of",
    "each",
    "model",
    "open",
    "pipeline",
    "progress",
    "resources",
    "row_step",
    "run",
    "scratch",
    "secret",
    "step",
    "trainer",
    "transform",
    "when",
]


class _Namespace(ModuleType):
    """A module in which a public name wins over a room of the same name.

    The import system puts ``tidemill.pipeline``, the folder, where ``tm.pipeline``, the decorator, must be.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Namespace


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tidemill' has no attribute '{name}'")
    value = getattr(import_module(home), "open_project" if name == "open" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
