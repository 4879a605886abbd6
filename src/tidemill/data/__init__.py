"""Versioned tables on Lance: commits, branches, tags, diffs, merges, and the way in.

Importing this loads nothing; each name loads its file when it is first used, and Lance with the first dataset.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.data.checks.check import Function, check
    from tidemill.data.checks.outcome import Outcome
    from tidemill.data.commits import Changes, Commit
    from tidemill.data.conflicts import Choice, Choices, Clash, Side, Value
    from tidemill.data.dataset import Dataset
    from tidemill.data.datasets import Datasets
    from tidemill.data.difference import Cell, Diff
    from tidemill.data.digest import digest_again, digest_at_hand, digest_of
    from tidemill.data.file_rows import matching_in_file
    from tidemill.data.forgetting import (
        Matches,
        find,
        forget,
        own_texts,
        settle,
        settled,
        that_lost,
        unsettled,
    )
    from tidemill.data.heads import head_token
    from tidemill.data.importing import Imported, import_files, import_rows
    from tidemill.data.merge import Merged
    from tidemill.data.naming import names_itself
    from tidemill.data.old_versions import collect_of, unneeded
    from tidemill.data.proposal import Guard, Proposal
    from tidemill.data.refs import Tombstone, tombstones
    from tidemill.data.repairing import (
        Repaired,
        Wrong,
        begin_log,
        clear_for,
        is_older,
        let_pack,
        may_pack,
        remove_damaged_derived,
        repair,
        wrong_files,
    )
    from tidemill.data.sharing import Shared, fetch, forward, push
    from tidemill.data.snapshot import Fragment, Snapshot
    from tidemill.data.sources.layout import Tensor
    from tidemill.data.sweeping import Swept, collect
    from tidemill.data.transfer import Moved
    from tidemill.data.turns import holding

_HOMES = {
    "Function": "checks.check",
    "Outcome": "checks.outcome",
    "check": "checks.check",
    "Cell": "difference",
    "Changes": "commits",
    "Choice": "conflicts",
    "Choices": "conflicts",
    "Clash": "conflicts",
    "Commit": "commits",
    "Dataset": "dataset",
    "Datasets": "datasets",
    "Diff": "difference",
    "Fragment": "snapshot",
    "Guard": "proposal",
    "Imported": "importing",
    "Matches": "forgetting",
    "Merged": "merge",
    "Moved": "transfer",
    "Proposal": "proposal",
    "Repaired": "repairing",
    "Shared": "sharing",
    "Side": "conflicts",
    "Snapshot": "snapshot",
    "Tensor": "sources.layout",
    "Tombstone": "refs",
    "Value": "conflicts",
    "Wrong": "repairing",
    "begin_log": "repairing",
    "clear_for": "repairing",
    "Swept": "sweeping",
    "collect": "sweeping",
    "collect_of": "old_versions",
    "digest_again": "digest",
    "digest_at_hand": "digest",
    "digest_of": "digest",
    "fetch": "sharing",
    "find": "forgetting",
    "forget": "forgetting",
    "forward": "sharing",
    "head_token": "heads",
    "holding": "turns",
    "import_files": "importing",
    "import_rows": "importing",
    "is_older": "repairing",
    "let_pack": "repairing",
    "may_pack": "repairing",
    "matching_in_file": "file_rows",
    "names_itself": "naming",
    "own_texts": "forgetting",
    "push": "sharing",
    "remove_damaged_derived": "repairing",
    "repair": "repairing",
    "settle": "forgetting",
    "settled": "forgetting",
    "that_lost": "forgetting",
    "tombstones": "refs",
    "unsettled": "forgetting",
    "unneeded": "old_versions",
    "wrong_files": "repairing",
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
    "Function",
    "Guard",
    "Imported",
    "Matches",
    "Merged",
    "Moved",
    "Outcome",
    "Proposal",
    "Repaired",
    "Shared",
    "Side",
    "Snapshot",
    "Swept",
    "Tensor",
    "Tombstone",
    "Value",
    "Wrong",
    "begin_log",
    "check",
    "clear_for",
    "collect",
    "collect_of",
    "digest_again",
    "digest_at_hand",
    "digest_of",
    "fetch",
    "find",
    "forget",
    "forward",
    "head_token",
    "holding",
    "import_files",
    "import_rows",
    "is_older",
    "let_pack",
    "matching_in_file",
    "may_pack",
    "names_itself",
    "own_texts",
    "push",
    "remove_damaged_derived",
    "repair",
    "settle",
    "settled",
    "that_lost",
    "tombstones",
    "unneeded",
    "unsettled",
    "wrong_files",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tidemill.data' has no attribute '{name}'")
    return getattr(import_module(f"tidemill.data.{home}"), name)


def __dir__() -> list[str]:
    return __all__
