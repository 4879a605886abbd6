"""Versioned tables on Lance: commits, branches, tags, diffs, merges, and the way in.

Importing this loads nothing; each name loads its file when it is first used, and Lance with the first dataset.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.data.commits import Changes, Commit
    from tidemill.data.conflicts import Choice, Choices, Clash, Side, Value
    from tidemill.data.datasets import Dataset, Datasets
    from tidemill.data.difference import Cell, Diff
    from tidemill.data.heads import head_token
    from tidemill.data.importing import Imported, import_csv, import_files, import_rows
    from tidemill.data.merge import Merged
    from tidemill.data.proposal import Guard, Proposal
    from tidemill.data.snapshot import Fragment, Snapshot
    from tidemill.data.sources.layout import Tensor

_HOMES = {
    "Cell": "difference",
    "Changes": "commits",
    "Choice": "conflicts",
    "Choices": "conflicts",
    "Clash": "conflicts",
    "Commit": "commits",
    "Dataset": "datasets",
    "Datasets": "datasets",
    "Diff": "difference",
    "Fragment": "snapshot",
    "Guard": "proposal",
    "Imported": "importing",
    "Merged": "merge",
    "Proposal": "proposal",
    "Side": "conflicts",
    "Snapshot": "snapshot",
    "Tensor": "sources.layout",
    "Value": "conflicts",
    "head_token": "heads",
    "import_csv": "importing",
    "import_files": "importing",
    "import_rows": "importing",
}

__all__ = [
    "Cell",
    "Changes",
    "Choice",
    "Choices",
    "Clash",
    "Commit",
    "Dataset",
    "Datasets",
    "Diff",
    "Fragment",
    "Guard",
    "Imported",
    "Merged",
    "Proposal",
    "Side",
    "Snapshot",
    "Tensor",
    "Value",
    "head_token",
    "import_csv",
    "import_files",
    "import_rows",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tidemill.data' has no attribute '{name}'")
    return getattr(import_module(f"tidemill.data.{home}"), name)


def __dir__() -> list[str]:
    return __all__
