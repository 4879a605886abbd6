"""Versioned tables on Lance: commits, branches, tags, diffs, merges, and the way in from CSV.

Importing this loads neither Lance nor Arrow; the first use of a dataset does.
"""

from tidemill.data.commits import Changes, Commit
from tidemill.data.csv_import import Imported, import_csv
from tidemill.data.csv_layout import Tensor
from tidemill.data.datasets import Dataset, Datasets
from tidemill.data.difference import Cell, Diff
from tidemill.data.heads import head_token
from tidemill.data.merge import Merged
from tidemill.data.snapshot import Fragment, Snapshot

__all__ = [
    "Cell",
    "Changes",
    "Commit",
    "Dataset",
    "Datasets",
    "Diff",
    "Fragment",
    "Imported",
    "Merged",
    "Snapshot",
    "Tensor",
    "head_token",
    "import_csv",
]
