"""The datasets of a store, and one dataset: its history, its branches, its changes."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidemill.core.clock import now, stamp
from tidemill.core.errors import AlreadyExists, InvalidInput, NotAllowed, NotFound
from tidemill.core.names import check_name, nearest
from tidemill.data.columns import arrange, system_schema
from tidemill.data.commits import Changes, Commit, properties
from tidemill.data.difference import Diff
from tidemill.data.history import History
from tidemill.data.identities import with_ids
from tidemill.data.lance_table import MAIN, LanceTable
from tidemill.data.merge import Merged, plan_merge
from tidemill.data.snapshot import Snapshot
from tidemill.data.upsert import Plan, plan_upsert
from tidemill.store.table import ID, Table

if TYPE_CHECKING:
    import pyarrow as pa

    from tidemill.store.open import Store

KEY = b"tidemill.key"
"""The schema's metadata that holds a dataset's key columns (JSON)."""


class Datasets:
    """The datasets of a store.

    Args:
        store: The store.
        author: Who is named on commits.
    """

    def __init__(self, store: "Store", author: str) -> None:
        self._store = store
        self.author = author

    def names(self) -> list[str]:
        """Every dataset, sorted."""
        folder = self._store.datasets_folder
        return sorted(p.stem for p in folder.glob("*.lance") if LanceTable(p).exists())

    def exists(self, name: str) -> bool:
        """Whether there is a dataset of this name."""
        return self._table(name).exists()

    def open(self, name: str) -> "Dataset":
        """The dataset of this name.

        Raises:
            NotFound: ``dataset-not-found``.
        """
        if not self.exists(name):
            close = nearest(name, self.names())
            raise NotFound(
                f"There is no dataset '{name}'.",
                hint=f"Did you mean '{close}'?" if close else f"Type 'tidemill data import {name} FILE.csv'.",
                code="dataset-not-found",
            )
        return Dataset(self._store, self.author, name, self._table(name))

    def create(
        self, name: str, table: Table, *, message: str, key: Sequence[str] | None = None
    ) -> tuple[Commit, Changes]:
        """A new dataset with these rows as commit 1.

        Args:
            name: Its name.
            table: The rows; where they have no ``_id``, it comes from the key, or from content.
            message: What the commit is for.
            key: The columns that name a row; remembered by the dataset.

        Raises:
            AlreadyExists: ``dataset-exists``.
            InvalidInput: What ``identities.with_ids`` raises.
        """
        import pyarrow as pa  # noqa: PLC0415

        check_name("dataset", name)
        rows = table if ID in table.columns else with_ids(table, key)
        schema = system_schema(rows.to_arrow().schema)
        if key:
            schema = schema.with_metadata({**(schema.metadata or {}), KEY: json.dumps(list(key)).encode()})
        arranged = arrange(rows, schema, name)
        empty = arranged.to_arrow().slice(0, 0)
        changes = Changes(added=len(rows))
        target = self._table(name)
        with self._store.locks.hold(lock_name(name)):
            if target.exists():
                raise AlreadyExists(
                    f"There is a dataset '{name}' already.",
                    hint=f"Type 'tidemill data log {name}' to look at it.",
                    code="dataset-exists",
                )
            stored = properties(
                name,
                branch=MAIN,
                parents=(),
                number=1,
                author=self.author,
                time=stamp(now()),
                message=message,
                rows=len(rows),
                changes=changes,
            )
            target.create(pa.concat_tables([empty, arranged.to_arrow()]), stored)
        return self.open(name).resolve(), changes

    def remove(self, name: str) -> None:
        """Delete a dataset with all its history.

        Raises:
            NotFound: ``dataset-not-found``.
        """
        self.open(name)
        with self._store.locks.hold(lock_name(name)):
            self._table(name).remove()

    def _table(self, name: str) -> LanceTable:
        return LanceTable(self._store.datasets_folder / f"{name}.lance")


class Dataset:
    """One dataset: a table with history."""

    def __init__(self, store: "Store", author: str, name: str, table: LanceTable) -> None:
        self._store = store
        self._author = author
        self._table = table
        self._history = History(name, table)
        self.name = name

    def __repr__(self) -> str:
        return f"Dataset({self.name!r})"

    @property
    def key(self) -> tuple[str, ...] | None:
        """The columns that name a row; None where content does."""
        stored = (self.schema.metadata or {}).get(KEY)
        return tuple(json.loads(stored)) if stored else None

    @property
    def schema(self) -> "pa.Schema":
        """The columns' types, system columns too; the same at every commit."""
        return self._table.open().schema

    def head(self, branch: str = MAIN) -> Commit:
        """The newest commit of a branch.

        Raises:
            NotFound: ``branch-not-found``.
        """
        return self._history.head(branch)

    def resolve(self, at: str | None = None) -> Commit:
        """The commit that a branch, a tag, a number of ``main``, or 4 or more digits of an id names.

        Raises:
            NotFound: ``commit-not-found``.
            InvalidInput: ``ambiguous-commit``.
        """
        return self._history.resolve(at)

    def log(self, at: str | None = None, limit: int | None = None) -> list[Commit]:
        """The commits that led to ``at``, by first parents, newest first."""
        found: list[Commit] = []
        for commit in self._history.walk(self.resolve(at)):
            if limit is not None and len(found) >= limit:
                break
            found.append(commit)
        return found

    def branches(self) -> dict[str, Commit]:
        """Each branch's newest commit."""
        return {name: self._history.head(name) for name in (MAIN, *sorted(self._table.branches()))}

    def tags(self) -> dict[str, Commit]:
        """Each tag's commit."""
        return {name: self._history.resolve(name) for name in sorted(self._table.tags())}

    def branch(self, name: str, at: str | None = None) -> Commit:
        """Make a branch; the commit that it starts with.

        Raises:
            AlreadyExists: ``branch-exists`` or ``tag-exists``.
            InvalidInput: ``invalid-name``.
        """
        start = self.resolve(at)
        with self._locked():
            self._check_free("branch", name)
            self._table.create_branch(name, start.version)
        return start

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
                code="branch-in-use",
            )
        with self._locked():
            self._history.head(name)
            self._table.delete_branch(name)

    def tag(self, name: str, at: str | None = None) -> Commit:
        """Name a commit, for good.

        Raises:
            AlreadyExists: ``tag-exists`` or ``branch-exists``.
            InvalidInput: ``invalid-name``.
        """
        commit = self.resolve(at)
        with self._locked():
            self._check_free("tag", name)
            self._table.create_tag(name, commit.version)
        return commit

    def snapshot(self, at: str | None = None) -> Snapshot:
        """The dataset at a commit, to be read."""
        return Snapshot(self._table, self.resolve(at))

    def commit(
        self,
        table: Table,
        *,
        branch: str = MAIN,
        message: str,
        key: Sequence[str] | None = None,
        replace: bool = False,
    ) -> tuple[Commit, Changes]:
        """Put whole rows on a branch: a new ``_id`` is added, a known one changed where a cell differs.

        Rows with an ``_id`` column are what it says. Others get it from the dataset's key; without one,
        from their content, so that a row that is there already is left alone.

        Args:
            table: The rows. Without ``_prediction``, a row keeps what it has there.
            branch: The branch, which must be there.
            message: What the commit is for.
            key: Must be the dataset's own, if given.
            replace: Also remove every row that ``table`` does not have.

        Returns:
            The new commit and the counts; the branch's present head and zeros, when nothing differs.

        Raises:
            NotFound: ``branch-not-found``.
            InvalidInput: ``columns-differ``, ``value-does-not-fit``, ``key-differs``, ``duplicate-id``, and
                what ``identities.with_ids`` raises.
        """
        own = self._check_key(key)
        known = ID in table.columns
        schema = self.schema
        arranged = arrange(table, schema, self.name)
        rows = arranged if known else arrange(with_ids(arranged, own), schema, self.name)
        with self._locked():
            head = self._history.head(branch)
            plan = plan_upsert(
                Snapshot(self._table, head),
                rows,
                keep_known=not known and own is None,
                replace=replace,
                key=own,
            )
            if not plan.changes:
                return head, plan.changes
            return self._apply(plan, head, branch, (head.id,), message), plan.changes

    def diff(self, a: str | None, b: str | None) -> Diff:
        """What differs from ``a`` to ``b``."""
        return Diff(self.snapshot(a), self.snapshot(b))

    def merge(self, source: str, *, into: str = MAIN, message: str | None = None) -> Merged:
        """Bring what ``source`` changed since the two parted into a branch: a commit with two parents.

        Args:
            source: A branch, tag or commit.
            into: The branch.
            message: Of the merge commit.

        Raises:
            Conflict: ``merge-conflict``, with the first 20 in its details; then nothing is changed.
            NotFound: ``commit-not-found``, ``branch-not-found``.
        """
        with self._locked():
            theirs, ours = self.resolve(source), self._history.head(into)
            base = self._history.merge_base(ours, theirs)
            fast_forward = base.id == ours.id
            plan = plan_merge(*(Snapshot(self._table, c) for c in (base, ours, theirs)), names=(source, into))
            if plan is None:
                return Merged(ours, Changes(), already=True, fast_forward=False)
            text = message or f"Merge {source} into {into}"
            commit = self._apply(plan, ours, into, (ours.id, theirs.id), text)
            return Merged(commit, plan.changes, already=False, fast_forward=fast_forward)

    def _apply(self, plan: Plan, head: Commit, branch: str, parents: tuple[str, ...], message: str) -> Commit:
        stored = properties(
            self.name,
            branch=branch,
            parents=parents,
            number=head.number + 1,
            author=self._author,
            time=stamp(now()),
            message=message,
            rows=head.rows + plan.changes.added - plan.changes.removed,
            changes=plan.changes,
        )
        self._table.commit(head.version, gone=plan.gone, rows=plan.rows, properties=stored)
        return self._history.head(branch)

    def _check_key(self, key: Sequence[str] | None) -> tuple[str, ...] | None:
        own = self.key
        if key is not None and tuple(key) != (own or ()):
            raise InvalidInput(
                f"Dataset '{self.name}' has "
                + (f"the key {', '.join(own)}" if own else "no key: content names its rows")
                + f"; it cannot be given {', '.join(key)}.",
                why="With another key the same row would get another identity.",
                hint="Leave the key out, or import under another name.",
                code="key-differs",
            )
        return own

    def _check_free(self, kind: str, name: str) -> None:
        check_name(kind, name)
        if name.isdecimal():
            raise InvalidInput(
                f"'{name}' cannot name a {kind}: a plain number names a commit.",
                hint=f"Try 'v{name}'.",
                code="invalid-name",
            )
        for there, names in (("branch", (MAIN, *self._table.branches())), ("tag", self._table.tags())):
            if name in names:
                raise AlreadyExists(
                    f"Dataset '{self.name}' has a {there} '{name}' already.",
                    hint="Take another name.",
                    code=f"{there}-exists",
                )

    def _locked(self):  # noqa: ANN202 - a context manager of the store's own type
        return self._store.locks.hold(lock_name(self.name))


def lock_name(dataset: str) -> str:
    """The store's lock that a writer of a dataset holds."""
    return f"dataset-{dataset}"
