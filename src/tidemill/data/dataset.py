"""One dataset: its history, its branches, its changes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NotAllowed
from tidemill.data.bases import merge_bases
from tidemill.data.batches import opened
from tidemill.data.blame import blame, with_authors
from tidemill.data.columns import arrange
from tidemill.data.commits import Changes, Commit
from tidemill.data.conflicts import SHOWN, Choices, Clash, check_choices, unresolved
from tidemill.data.difference import Diff
from tidemill.data.history import History
from tidemill.data.identities import Identities
from tidemill.data.lance_table import LanceTable
from tidemill.data.landing import Landing
from tidemill.data.merge import Merge, Merged
from tidemill.data.proposal import Guard
from tidemill.data.refs import MAIN, Ref, Refs, check_free
from tidemill.data.revert import parent_to_return_to
from tidemill.data.revisions import resolve
from tidemill.data.shape import change_for, changed, identity_of, key_of
from tidemill.data.snapshot import Snapshot
from tidemill.data.upsert import Plan, Upsert
from tidemill.store.table import ID, Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tidemill.store.open import Store


class Dataset:
    """One dataset: a table with history."""

    def __init__(self, store: "Store", author: str, table: LanceTable, guard: Guard | None) -> None:
        self._table = table
        self._history = History(table)
        self._landing = Landing(store, author, table, self._history, guard)
        self.name = table.dataset

    def __repr__(self) -> str:
        return f"Dataset({self.name!r})"

    @property
    def key(self) -> tuple[str, ...] | None:
        """The columns that name a row; None where content does."""
        return key_of(self.schema)

    @property
    def schema(self) -> "pa.Schema":
        """The columns' types on ``main``, system columns too."""
        return self.snapshot().schema

    def head(self, branch: str = MAIN) -> Commit:
        """The newest commit of a branch.

        Raises:
            NotFound: ``branch-not-found``.
        """
        return self._history.head(branch)

    def resolve(self, at: str | None = None) -> Commit:
        """The commit that is meant; what may be typed is told by ``revisions.resolve``.

        Raises:
            NotFound: ``commit-not-found``.
            InvalidInput: ``ambiguous-commit``, ``invalid-time``.
        """
        return resolve(self._history, at)

    def log(self, at: str | None = None, limit: int | None = None) -> list[Commit]:
        """The commits that led to ``at``, by first parents, newest first."""
        found: list[Commit] = []
        for commit in self._history.walk(self.resolve(at)):
            if limit is not None and len(found) >= limit:
                break
            found.append(commit)
        return found

    def ancestry(self, at: str | None = None) -> Iterator[Commit]:
        """The commits that led to ``at`` by all parents, newest first."""
        start = self.resolve(at)
        waiting = {start.version: start}
        while waiting:
            # A child has a later version than its parents.
            commit = waiting.pop(max(waiting))
            yield commit
            waiting |= {parent.version: parent for parent in self._history.parents(commit)}

    def leads_to(self, commit: str) -> bool:
        """Whether a branch or a tag leads to the commit of this id: what did not land is there, and no history."""
        return any(c.id == commit for c in self._history.walk_all(self._history.refs()))

    def branches(self) -> dict[str, Commit]:
        """Each branch's newest commit."""
        branches = self._history.refs().branches
        return {name: self._history.at(branches[name]) for name in (MAIN, *sorted({*branches} - {MAIN}))}

    def fetched(self) -> dict[str, Commit]:
        """The branches of other stores as they were fetched, by ``REMOTE/BRANCH``."""
        return {name: self._history.at(ref) for name, ref in sorted(self._history.refs().remotes.items())}

    def tags(self) -> dict[str, Commit]:
        """Each tag's commit."""
        return {name: self._history.at(ref) for name, ref in sorted(self._history.refs().tags.items())}

    def branch(self, name: str, at: str | None = None) -> Commit:
        """Make a branch; the commit that it starts with.

        Raises:
            AlreadyExists: ``branch-exists`` or ``tag-exists``.
            InvalidInput: ``invalid-name``.
        """
        return self._named(at, lambda refs, ref: refs.with_branch(name, ref), "branch", name)

    def delete_branch(self, name: str) -> None:
        """Delete a branch. Its commits stay, by id, by tag, and in what they were merged into.

        Raises:
            NotFound: ``branch-not-found``.
            NotAllowed: ``branch-in-use``, when it is ``main``.
        """
        if name == MAIN:
            raise NotAllowed(
                "Branch 'main' cannot be deleted.",
                hint="Delete another branch, or the whole dataset.",
                code=codes.BRANCH_IN_USE,
            )
        self._history.head(name)
        self._history.change(lambda refs: refs.with_branch(name, None))

    def tag(self, name: str, at: str | None = None) -> Commit:
        """Name a commit, for good.

        Raises:
            AlreadyExists: ``tag-exists`` or ``branch-exists``.
            InvalidInput: ``invalid-name``.
        """
        return self._named(at, lambda refs, ref: refs.with_tag(name, ref), "tag", name)

    def snapshot(self, at: str | None = None) -> Snapshot:
        """The dataset at a commit, to be read."""
        return Snapshot(self._table, self.resolve(at))

    def commit(
        self,
        table: "Table | Iterable[Table]",
        *,
        branch: str = MAIN,
        message: str,
        key: Sequence[str] | None = None,
        replace: bool = False,
        allow_schema_change: bool = False,
        left_out: "set[int] | None" = None,
    ) -> tuple[Commit, Changes]:
        """Put whole rows on a branch: a new ``_id`` is added, a known one changed where a cell differs.

        Rows with an ``_id`` column are what it says. Others get it from the dataset's key; without one,
        from the content of its first columns, so that a row that is there already keeps what it has in these.

        Args:
            table: The rows, or batches of them in the same columns, of which one at a time is in memory.
                Without ``_prediction``, a row keeps what it has there.
            branch: The branch, which must be there.
            message: What the commit is for.
            key: Must be the dataset's own, if given.
            replace: Also remove every row that ``table`` does not have.
            allow_schema_change: Let columns come, go and change their type, as the rows have it.
            left_out: Gets the ``_id`` of each row that is not taken since it was forgotten.

        Returns:
            The new commit and the counts; the branch's present head and zeros, when nothing differs.

        Raises:
            NotFound: ``branch-not-found``.
            Conflict: ``object-changed``, when another process moved the branch while batches were taken.
            InvalidInput: ``schema-change``, ``identity-column``, ``value-does-not-fit``, ``key-differs``, and
                what ``identities.Identities`` raises.
        """
        own = self._check_key(key)
        first, batches = opened(table)

        def put() -> tuple[Commit, Changes]:
            head = self._history.head(branch)
            snapshot = Snapshot(self._table, head)
            whole = isinstance(table, Table)
            change = change_for(snapshot, first, whole=whole, allowed=allow_schema_change)
            schema = changed(snapshot.schema, change) if change else snapshot.schema
            named_by = identity_of(schema)
            kept = () if own or ID in first.columns else named_by.names
            identities = Identities(own, named_by)
            upsert = Upsert(snapshot, schema, kept=kept, key=own)
            rows = (
                upsert.put(
                    self._remembered(
                        arrange(identities.give(arrange(batch, schema, self.name)), schema, self.name),
                        left_out,
                    )
                )
                for batch in batches
            )
            base = self._table.reshape(head.version, change, schema) if change else head.version
            new = self._table.write(base, rows)
            plan = upsert.plan(replace=replace)
            if not plan.changes and not change:
                return head, plan.changes
            return self._landing.land(plan, head, branch, (head,), message, base=base, new=new), plan.changes

        return self._landing.in_turn(put, once=not isinstance(table, Table))

    def ids_of(self, keys: Table) -> "np.ndarray[Any, Any]":
        """The ``_id`` of the rows with these keys; uint64. Each key once.

        Raises:
            InvalidInput: ``missing-key``, ``duplicate-key``, ``id-collision``.
        """
        return Identities(self.key, identity_of(self.schema)).ids(keys)

    def is_forgotten(self, ids: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Which of these ``_id`` are of rows that were forgotten: bool, one for each."""
        import numpy as np  # noqa: PLC0415

        return np.isin(ids, self.forgotten())

    def forgotten(self) -> "np.ndarray[Any, Any]":
        """The ``_id`` of every row that was forgotten; uint64."""
        import numpy as np  # noqa: PLC0415

        return np.array([i for t in self._history.refs().forgotten for i in t.ids], np.uint64)

    def diff(self, a: str | None, b: str | None) -> Diff:
        """What differs from ``a`` to ``b``."""
        return Diff(self.snapshot(a), self.snapshot(b))

    def base(self, one: str, other: str) -> Commit:
        """The newest commit that two both come from."""
        return self._history.merge_bases(self.resolve(one), self.resolve(other))[0]

    def blame(
        self, at: str | None, cells: "Mapping[str | None, np.ndarray[Any, Any]]"
    ) -> dict[str | None, dict[int, Commit]]:
        """The commit that last changed each of these cells; see ``blame.blame``."""
        return blame(self._history, self._open_at, self.resolve(at), cells)

    def conflicts(self, source: str, *, into: str = MAIN) -> list[Clash]:
        """What a merge could not decide, with who did it on either side; nothing is changed."""
        theirs, ours = self.resolve(source), self._history.head(into)
        clashes = self._merge(ours, theirs).clashes
        return with_authors(clashes, self._history, self._open_at, ours, theirs)

    def merge(
        self, source: str, *, into: str = MAIN, message: str | None = None, choices: Choices | None = None
    ) -> Merged:
        """Bring what ``source`` changed since the two parted into a branch: a commit with two parents.

        Args:
            source: A branch, tag or commit.
            into: The branch.
            message: Of the merge commit.
            choices: What a person says to conflicts.

        Raises:
            Conflict: ``merge-conflict``, with the first 20 in its details, or ``unrelated-datasets``; then
                nothing is changed.
            NotFound: ``commit-not-found``, ``branch-not-found``.
            InvalidInput: What ``conflicts.check_choices`` raises, and ``unknown-choice``.
        """

        def brought() -> Merged:
            theirs, ours = self.resolve(source), self._history.head(into)
            merge = self._merge(ours, theirs)
            if merge.nothing_to_bring:
                return Merged(ours, Changes(), already=True, fast_forward=False)
            plan = self._decided(merge, choices or Choices(), (source, into))
            text = message or f"Merge {source} into {into}"
            commit = self._landing.apply(plan, ours, into, (ours, theirs), text)
            return Merged(commit, plan.changes, already=False, fast_forward=merge.fast_forward)

        return self._landing.in_turn(brought)

    def revert(
        self, at: str, *, branch: str = MAIN, message: str | None = None, choices: Choices | None = None
    ) -> Merged:
        """Undo what one commit changed: a new commit on a branch. What came after it stays.

        Raises:
            Conflict: ``merge-conflict``: what it changed was changed again; then nothing is changed.
            NotFound: ``commit-not-found``, ``branch-not-found``.
            InvalidInput: ``cannot-revert``, of a merge, of the first commit, or of what the branch does not
                come from; and what ``merge`` raises.
        """

        def undo() -> Merged:
            undone, ours = self.resolve(at), self._history.head(branch)
            before = parent_to_return_to(self._history, undone, ours, branch)
            merge = Merge(self._history, self._open_at, [undone], ours, before)
            plan = self._decided(merge, choices or Choices(), (f"before {undone.id}", branch))
            if not (plan.changes or plan.columns):
                return Merged(ours, plan.changes, already=True, fast_forward=False)
            text = message or f"Revert {undone.id}: {undone.message}"
            commit = self._landing.apply(plan, ours, branch, (ours,), text)
            return Merged(commit, plan.changes, already=False, fast_forward=merge.fast_forward)

        return self._landing.in_turn(undo)

    def _named(self, at: str | None, put: Callable[[Refs, Ref], Refs], kind: str, name: str) -> Commit:
        """Give a commit a name, while nobody sweeps it away or makes it again elsewhere."""

        def give() -> Commit:
            commit = self.resolve(at)

            def named(refs: Refs) -> Refs:
                check_free(self.name, kind, name, refs)
                return put(refs, commit.ref)

            self._history.change(named)
            return commit

        return self._landing.in_turn(give)

    def _open_at(self, commit: Commit) -> Snapshot:
        return Snapshot(self._table, commit)

    def _merge(self, ours: Commit, theirs: Commit) -> Merge:
        bases = merge_bases(self._history, ours, theirs)
        return Merge(self._history, self._open_at, bases, ours, theirs)

    def _decided(self, merge: Merge, choices: Choices, names: tuple[str, str]) -> Plan:
        check_choices(choices, merge.clashes, merge.columns)
        left = [c for c in merge.clashes if choices.of(c) is None]
        if left:
            first = with_authors(left[:SHOWN], self._history, self._open_at, merge.ours, merge.theirs)
            raise unresolved([*first, *left[SHOWN:]], choices, names)
        return merge.plan(choices)

    def _remembered(self, rows: Table, left_out: "set[int] | None") -> Table:
        """These rows without the ones that were forgotten: importing an old file again does not bring them back."""
        forgotten = self.is_forgotten(rows.numpy(ID))
        if left_out is not None:
            left_out.update(rows.numpy(ID)[forgotten].tolist())
        return rows.filter(~forgotten) if forgotten.any() else rows

    def _check_key(self, key: Sequence[str] | None) -> tuple[str, ...] | None:
        own = self.key
        if key is not None and tuple(key) != (own or ()):
            raise InvalidInput(
                f"Dataset '{self.name}' has "
                + (f"the key {', '.join(own)}" if own else "no key: content names its rows")
                + f"; it cannot be given {', '.join(key)}.",
                why="With another key the same row would get another identity.",
                hint="Leave the key out, or import under another name.",
                code=codes.KEY_DIFFERS,
            )
        return own
