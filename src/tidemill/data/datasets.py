"""The datasets of a store: which there are, and one more or less."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.clock import now, stamp
from tidemill.core.errors import AlreadyExists, InvalidInput, NotFound, StorageError
from tidemill.core.names import check_name, did_you_mean
from tidemill.data.batches import Counted, opened
from tidemill.data.columns import arrange, system_schema
from tidemill.data.commits import Changes, Commit, from_properties, properties
from tidemill.data.dataset import Dataset
from tidemill.data.history import History, read_refs
from tidemill.data.identities import Identities
from tidemill.data.lance_table import LanceTable
from tidemill.data.proposal import Guard, Proposal
from tidemill.data.refs import MAIN, Refs
from tidemill.data.snapshot import Snapshot
from tidemill.data.turns import holding
from tidemill.store.table import KEY, Table

if TYPE_CHECKING:
    import pyarrow as pa

    from tidemill.store.open import Store


class Datasets:
    """The datasets of a store.

    Args:
        store: The store.
        author: Who is named on commits.
        guard: Looks at each commit before it becomes visible, and may refuse it.
    """

    def __init__(self, store: "Store", author: str, guard: Guard | None = None) -> None:
        self._store = store
        self._guard = guard
        self.author = author

    def guarded(self, guard: Guard) -> "Datasets":
        """The same datasets, where ``guard`` too looks at each commit, after whoever does already."""
        first = self._guard

        def both(proposal: Proposal) -> None:
            if first:
                first(proposal)
            guard(proposal)

        return Datasets(self._store, self.author, both)

    def names(self) -> list[str]:
        """Every dataset, sorted."""
        tops = {entry.key.split("/")[1] for entry in self._store.objects.list("datasets")}
        return sorted(n for top in tops if self.exists(n := top.removesuffix(".lance")))

    def exists(self, name: str) -> bool:
        """Whether there is a dataset of this name, though its refs may be damaged, or a newer Tidemill's."""
        try:
            return read_refs(self._table(name))[0] is not None
        except StorageError as error:
            if error.code not in (codes.STORE_DAMAGED, codes.STORE_TOO_NEW):
                raise
            return True

    def open(self, name: str) -> "Dataset":
        """The dataset of this name.

        Raises:
            NotFound: ``dataset-not-found``.
            InvalidInput: ``invalid-reference``, when a place in its history is named too.
        """
        if "@" in name:
            raise InvalidInput(
                f"'{name}' is a place in the history of a dataset, and here the dataset alone is named.",
                why="Which of its branches is meant is said beside it.",
                hint=f"Type '{name.partition('@')[0]}'.",
                code=codes.INVALID_REFERENCE,
            )
        if not self.exists(name):
            raise NotFound(
                f"There is no dataset '{name}'.",
                hint=did_you_mean(name, self.names(), f"Type 'tidemill data import {name} FILE.csv'."),
                code=codes.DATASET_NOT_FOUND,
            )
        return Dataset(self._store, self.author, self._table(name), self._guard)

    def create(
        self, name: str, table: "Table | Iterable[Table]", *, message: str, key: Sequence[str] | None = None
    ) -> tuple[Commit, Changes]:
        """A new dataset with these rows as commit 1.

        Args:
            name: Its name.
            table: The rows, or batches of them in the same columns, of which one at a time is in memory. Where
                they have no ``_id``, it comes from the key, or from content.
            message: What the commit is for.
            key: The columns that name a row; remembered by the dataset.

        Raises:
            AlreadyExists: ``dataset-exists``.
            InvalidInput: What ``identities.Identities`` raises.
        """
        check_name("dataset", name)
        first, batches = opened(table)
        identities = Identities(key)
        with holding(self._store, name):
            if self.exists(name):
                raise _taken(name)
            schema = system_schema(first.to_arrow().schema)
            if key:
                first.select(key)
                schema = schema.with_metadata(
                    {**(schema.metadata or {}), KEY: json.dumps(list(key)).encode()}
                )
            given = (arrange(identities.give(batch), schema, name) for batch in batches)
            return self._appear(name, schema, given, message)

    def _appear(
        self, name: str, schema: "pa.Schema", batches: Iterator[Table], message: str
    ) -> tuple[Commit, Changes]:
        table = self._table(name)
        tag = History(table).reserve()
        blank = table.create(schema)
        counted = Counted(batches)
        new = table.write(blank, (batch.to_arrow() for batch in counted))
        changes = Changes(added=counted.rows)
        stored = properties(
            name,
            branch=MAIN,
            parents=(),
            number=1,
            author=self.author,
            time=stamp(now()),
            message=message,
            rows=changes.added,
            changes=changes,
        )
        commit = from_properties(name, table.commit(blank, gone={}, new=new, properties=stored), stored)
        assert commit
        if self._guard:
            self._guard(Proposal(name, MAIN, None, Snapshot(table, commit), changes))
        if not History(table).begin(Refs({MAIN: commit.ref}), tag):
            raise _taken(name)
        table.main_line.add(commit, None)
        return commit, changes

    def remove(self, name: str) -> None:
        """Delete a dataset with all its history.

        Raises:
            NotFound: ``dataset-not-found``.
        """
        self.open(name)
        with holding(self._store, name):
            self._table(name).remove()

    def _table(self, name: str) -> LanceTable:
        return LanceTable(self._store, name)


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(
        f"There is a dataset '{name}' already.",
        hint=f"Type 'tidemill data log {name}' to look at it.",
        code=codes.DATASET_EXISTS,
    )
