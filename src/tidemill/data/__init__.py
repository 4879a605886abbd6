"""Versioned tables on Lance: commits, branches, tags, diffs, merges, and the way in.

Importing this loads nothing; each name loads its file when it is first used, and Lance with the first dataset.
"""

from typing import TYPE_CHECKING

from tidemill.core.facade import facade

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

__getattr__, __dir__ = facade(
    __name__,
    {
        "checks.check": "Function, check",
        "checks.outcome": "Outcome",
        "commits": "Changes, Commit",
        "conflicts": "Choice, Choices, Clash, Side, Value",
        "dataset": "Dataset",
        "datasets": "Datasets",
        "difference": "Cell, Diff",
        "digest": "digest_again, digest_at_hand, digest_of",
        "file_rows": "matching_in_file",
        "forgetting": "Matches, find, forget, own_texts, settle, settled, that_lost, unsettled",
        "heads": "head_token",
        "importing": "Imported, import_files, import_rows",
        "merge": "Merged",
        "naming": "names_itself",
        "old_versions": "collect_of, unneeded",
        "proposal": "Guard, Proposal",
        "refs": "Tombstone, tombstones",
        "repairing": "Repaired, Wrong, begin_log, clear_for, is_older, let_pack, may_pack, remove_damaged_derived, repair, wrong_files",
        "sharing": "Shared, fetch, forward, push",
        "snapshot": "Fragment, Snapshot",
        "sources.layout": "Tensor",
        "sweeping": "Swept, collect",
        "transfer": "Moved",
        "turns": "holding",
    },
)
