"""Rows of a dataset that an earlier commit had as they are: in which chunks of its table they lie."""

import itertools
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tidemill.engine import tables
from tidemill.engine.content import content_of
from tidemill.engine.orders import Chunk, Ref

if TYPE_CHECKING:
    import numpy as np

    from tidemill.data import Commit, Diff
    from tidemill.store.open import Store
    from tidemill.store.table import Table

    Array = np.ndarray[Any, Any]

_LOOKED_AT = 1000
"""Commits: as far back one is looked for whose table is known."""
_AT_ONCE = 50


class Earlier:
    """What the nearest commit before a snapshot has of it.

    Args:
        store: The store.
        snapshot: The rows that are read.
        table_of: Of some commits, the first whose table is known, and the table.
    """

    def __init__(
        self,
        store: "Store",
        snapshot: Any,
        table_of: "Callable[[Sequence[Commit]], tuple[Commit, Ref] | None]",
    ) -> None:
        self._store = store
        self._snapshot = snapshot
        self._table_of = table_of

    def split(self, fragment: Any) -> "tuple[list[Chunk], Table | None]":
        """The rows of a fragment: those that there were before, as parts of chunks; and the others, to be read now.

        Returns:
            The chunks; and the rows, None for none.
        """
        ids = fragment.ids()
        old = ids[~tables.is_in(ids, self._new)] if self._found else ids[:0]
        if not len(old):
            return [], fragment.read()
        import numpy as np  # noqa: PLC0415

        keep = np.sort(old)
        made = [tables.narrowed(self._store.blobs, chunk, keep) for chunk in self._chunks]
        made = [chunk for chunk in made if chunk["rows"]]
        if sum(chunk["rows"] for chunk in made) != len(old):
            return [], fragment.read()
        return made, fragment.read().filter(~tables.is_in(ids, keep)) if len(old) < len(ids) else None

    @cached_property
    def _found(self) -> "tuple[Ref, Diff] | None":
        """The table of the nearest commit before that has one, and what differs from there."""
        from tidemill.data.difference import Diff  # noqa: PLC0415 - only a run with a dataset needs it
        from tidemill.data.history import History  # noqa: PLC0415
        from tidemill.data.snapshot import Snapshot  # noqa: PLC0415

        past = itertools.islice(History(self._snapshot.table).before(self._snapshot.commit), _LOOKED_AT)
        while commits := list(itertools.islice(past, _AT_ONCE)):
            known = self._table_of(commits)
            if known is not None:
                commit, table = known
                before = Snapshot(self._snapshot.table, commit)
                if not before.schema.equals(self._snapshot.schema, check_metadata=True):
                    return None
                return table, Diff(before, self._snapshot)
        return None

    @cached_property
    def _new(self) -> "Array":
        """The ``_id``s of the rows that it had not, or not as they are; ascending."""
        import numpy as np  # noqa: PLC0415

        assert self._found
        _, apart = self._found
        return np.union1d(apart.added, apart.changed)

    @cached_property
    def _chunks(self) -> list[Chunk]:
        assert self._found
        table, _ = self._found
        return content_of(self._store.blobs, table)["chunks"]
