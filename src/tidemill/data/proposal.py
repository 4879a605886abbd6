"""A commit that is written but not yet there: what a guard may look at, and refuse by raising an error."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from tidemill.data.commits import Changes
from tidemill.data.snapshot import Snapshot
from tidemill.store.table import Table


@dataclass(frozen=True)
class Proposal:
    """What a branch is about to become.

    Attributes:
        dataset: Its name.
        branch: The branch that would move.
        parent: The branch's present head; None when the dataset is being made.
        result: The dataset as it would be; read from it only what is needed.
        changes: The counts.
    """

    dataset: str
    branch: str
    parent: Snapshot | None
    result: Snapshot
    changes: Changes

    @cached_property
    def incoming(self) -> Table:
        """The rows that this commit writes, whole: the added and the changed ones."""
        import pyarrow as pa  # noqa: PLC0415

        there = {f.digest for f in self.parent.fragments()} if self.parent else set()
        new = [f.read().to_arrow() for f in self.result.fragments() if f.digest not in there]
        return Table(pa.concat_tables([self.result.schema.empty_table(), *new]))


Guard = Callable[[Proposal], None]
"""Called before a commit becomes visible, whatever makes it; an error that it raises refuses the commit."""
