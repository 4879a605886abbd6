"""Versioned tables on Lance: commits, branches, tags, diffs, merges, and the way in from CSV.

Importing this loads nothing; each name loads its file when it is first used, and Lance with the first dataset.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.data.commits import Changes, Commit
    from tidemill.data.csv_import import Imported, import_csv
    from tidemill.data.csv_layout import Tensor
    from tidemill.data.datasets import Dataset, Datasets
    from tidemill.data.difference import Cell, Diff
    from tidemill.data.heads import head_token
    from tidemill.data.merge import Merged
    from tidemill.data.proposal import Guard, Proposal
    from tidemill.data.snapshot import Fragment, Snapshot

_HOMES = {
    "Cell": "difference",
    "Changes": "commits",
    "Commit": "commits",
    "Dataset": "datasets",
    "Datasets": "datasets",
    "Diff": "difference",
    "Fragment": "snapshot",
    "Guard": "proposal",
    "Imported": "csv_import",
    "Merged": "merge",
    "Proposal": "proposal",
    "Snapshot": "snapshot",
    "Tensor": "csv_layout",
    "head_token": "heads",
    "import_csv": "csv_import",
}

__all__ = [
    "Cell",
    "Changes",
    "Commit",
    "Dataset",
    "Datasets",
    "Diff",
    "Fragment",
    "Guard",
    "Imported",
    "Merged",
    "Proposal",
    "Snapshot",
    "Tensor",
    "head_token",
    "import_csv",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tidemill.data' has no attribute '{name}'")
    return getattr(import_module(f"tidemill.data.{home}"), name)


def __dir__() -> list[str]:
    return __all__
