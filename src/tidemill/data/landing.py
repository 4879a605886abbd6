"""How a commit lands: its rows are written, a guard looks at it, and the branch moves to it; or none of that shows."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from tidemill.core import codes
from tidemill.core.clock import now, stamp
from tidemill.core.errors import Conflict, StorageError
from tidemill.data.commits import Commit, from_properties, properties
from tidemill.data.compaction import compacted, moved
from tidemill.data.history import History
from tidemill.data.lance_table import LanceTable
from tidemill.data.packing import pack_as_it_grows
from tidemill.data.proposal import Guard, Proposal
from tidemill.data.refs import MAIN, Refs
from tidemill.data.shape import changed
from tidemill.data.snapshot import Snapshot
from tidemill.data.turns import holding
from tidemill.data.upsert import Plan

if TYPE_CHECKING:
    from tidemill.store.open import Store

T = TypeVar("T")


class _MovedError(Exception):
    """Another process moved the branch since its head was read; what was planned is to be planned again."""


class Landing:
    """Where the commits of one dataset land on its branches.

    Args:
        store: The store, whose lock a writer holds.
        author: Who is named on commits.
        table: Where rows are written.
        history: The dataset's, whose branches move.
        guard: Looks at each commit before it becomes visible, and may refuse it.
    """

    def __init__(
        self, store: "Store", author: str, table: LanceTable, history: History, guard: Guard | None
    ) -> None:
        self._store = store
        self._author = author
        self._table = table
        self._history = history
        self._guard = guard

    def in_turn(self, change: Callable[[], T], *, once: bool = False) -> T:
        """Make a change; again from the beginning, while others move the same branch, unless it works only once.

        The lock spares two writers that trouble. It is not what keeps them from losing a commit.
        """
        with holding(self._store, self._table.dataset):
            while True:
                try:
                    return change()
                except _MovedError:
                    if once:
                        raise Conflict(
                            f"Another process changed dataset '{self._table.dataset}' meanwhile.",
                            hint="Run the same command again.",
                            code=codes.OBJECT_CHANGED,
                        ) from None

    def apply(self, plan: Plan, head: Commit, branch: str, parents: Sequence[Commit], message: str) -> Commit:
        """Write what was planned for a branch's head, have it looked at, and move the branch."""
        base, schema = head.version, Snapshot(self._table, head).schema
        if plan.columns:
            base = self._table.reshape(base, plan.columns, changed(schema, plan.columns))
        new = self._table.write(base, [] if plan.rows is None else [plan.rows])
        return self.land(plan, head, branch, parents, message, base=base, new=new)

    def land(
        self,
        plan: Plan,
        head: Commit,
        branch: str,
        parents: Sequence[Commit],
        message: str,
        *,
        base: int,
        new: Sequence[Any],
    ) -> Commit:
        """Make the commit whose rows are written, have it looked at, and move the branch.

        Args:
            plan: What leaves, and the counts.
            head: The branch's head.
            branch: The branch.
            parents: Of the commit.
            message: Of the commit.
            base: The version to make it on: the head's, or one with the head's rows in other columns.
            new: The fragments that come.

        Raises:
            _MovedError: When the branch's head is another one by then; what was written is garbage.
        """
        stored = properties(
            self._table.dataset,
            branch=branch,
            parents=[parent.ref for parent in parents],
            number=head.number + 1,
            author=self._author,
            time=stamp(now()),
            message=message,
            rows=head.rows + plan.changes.added - plan.changes.removed,
            changes=plan.changes,
        )
        on, gone = compacted(self._table, head, base), plan.gone
        if on != base:
            gone = moved(self._table, gone, base, on)
        version = self._table.commit(on, gone=gone, new=new, properties=stored)
        commit = from_properties(self._table.dataset, version, stored)
        assert commit
        if self._guard:
            # Where files were put together for this commit, what it brings is told from these.
            former = head if on == base else replace(head, version=on)
            before, after = Snapshot(self._table, former), Snapshot(self._table, commit)
            self._guard(Proposal(self._table.dataset, branch, before, after, plan.changes))

        def with_commit(refs: Refs) -> Refs:
            if refs.branches.get(branch) != head.ref:
                raise _MovedError
            return refs.with_branch(branch, commit.ref)

        self._history.made(commit, stored)
        self._history.change(with_commit)
        if branch == MAIN:
            self._table.main_line.add(commit, head.ref)
        # The commit is made: what ails older ones is for who reads them, or for `doctor`; another may pack them just now.
        with contextlib.suppress(StorageError, Conflict):
            pack_as_it_grows(self._table, self._history, commit)
        return commit
