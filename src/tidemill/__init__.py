"""Tidemill: the whole AI delivery loop on one store. ``import tidemill as tm``.

Every name loads its room when it is first used, so that the import itself costs nothing.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from tidemill.core.facade import facade

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
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Namespace

__getattr__, __dir__ = facade(
    __name__,
    {
        "evaluation.report": "Report",
        "models.trained": "TrainedModel",
        "notebook.options": "RunOptions",
        "notebook.project": "Project, run, open_project as open",
        "pipeline.components": "check, row_step, step, trainer, transform",
        "pipeline.control": "at_exit, each, when",
        "pipeline.dataset": "Dataset, dataset",
        "pipeline.digests": "digest_of",
        "pipeline.model": "Model, model",
        "pipeline.outcome": "RunOutcome",
        "pipeline.pipelines": "pipeline",
        "pipeline.progress": "progress, scratch",
        "pipeline.resources": "resources",
        "pipeline.secret": "Secret, secret",
        "store.table": "Table",
    },
)
