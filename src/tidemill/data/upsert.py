"""What whole rows change in a snapshot, batch by batch: which rows leave, which come. Pure reading."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data.columns import conform, differs
from tidemill.data.commits import Changes
from tidemill.data.schema_change import SchemaChange
from tidemill.data.snapshot import Snapshot
from tidemill.store.table import ID, PREDICTION, SYSTEM_COLUMNS, Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Plan:
    """A change of a snapshot, ready to be committed.

    Attributes:
        gone: Fragment number to the physical offsets of the rows that leave.
        rows: Whole rows that come; None for none, or when they are written already.
        changes: The counts.
        columns: What becomes of the columns; ``rows`` have those that come of it.
    """

    changes: Changes
    gone: "dict[int, np.ndarray[Any, Any]]" = field(default_factory=dict)
    rows: "pa.Table | None" = None
    columns: SchemaChange = field(default_factory=SchemaChange)


class Upsert:
    """What it takes for a snapshot to hold rows that come in batches; each ``_id`` once in all of them.

    Args:
        snapshot: The present rows.
        schema: The columns that the rows come in, and that the snapshot's rows will have.
        kept: Columns that a row keeps as they are there, if its ``_id`` is there.
        key: The key columns, to tell a collision of identities from a changed row.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        schema: "pa.Schema",
        *,
        kept: Collection[str] = (),
        key: Sequence[str] | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._schema = schema
        self._kept = kept
        self._key = key or ()
        self._leaves_known = {*schema.names} - {*SYSTEM_COLUMNS} <= {*kept}
        self._ids: list[np.ndarray[Any, Any]] = []
        self._moved: list[np.ndarray[Any, Any]] = []
        self._added = 0

    def put(self, batch: Table) -> "pa.Table":
        """Take a batch; what of it is to be written: its new rows, and those with a cell that differs.

        A row's ``_prediction`` that is missing does not erase one that is there.

        Raises:
            InvalidInput: ``id-collision``.
        """
        import pyarrow as pa  # noqa: PLC0415

        ids, arrow = batch.numpy(ID), batch.to_arrow()
        self._ids.append(ids)
        known = self._snapshot.has(ids)
        added = arrow.filter(pa.array(~known))
        self._added += added.num_rows
        if self._leaves_known or not known.any():
            return added
        changed = self._changed(arrow.filter(pa.array(known)).sort_by(ID))
        self._moved.append(changed.column(ID).to_numpy())
        return pa.concat_tables([changed, added])

    def plan(self, *, replace: bool) -> Plan:
        """What all batches came to.

        Args:
            replace: Also remove the rows that no batch had.
        """
        import numpy as np  # noqa: PLC0415

        none = np.zeros(0, np.uint64)
        moved = np.concatenate([none, *self._moved])
        removed = np.setdiff1d(self._snapshot.ids(), np.concatenate([none, *self._ids])) if replace else none
        return Plan(
            Changes(self._added, len(moved), len(removed)),
            self._snapshot.locate(np.concatenate([moved, removed])),
        )

    def _changed(self, new: "pa.Table") -> "pa.Table":
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        ids = new.column(ID).to_numpy()
        old = conform(self._snapshot.read(ids=ids).to_arrow().sort_by(ID), self._schema)
        new = _keep_predictions(old, new)
        apart = np.zeros(new.num_rows, bool)
        for at, name in enumerate(new.column_names):
            if name in self._kept:
                new = new.set_column(at, new.schema.field(at), old.column(name))
                continue
            here = differs(old.column(name), new.column(name))
            if name in self._key and here.any():
                raise _key_collision(self._snapshot, int(ids[here.argmax()]))
            apart |= here
        return new.filter(pa.array(apart))


def _keep_predictions(old: "pa.Table", new: "pa.Table") -> "pa.Table":
    import pyarrow.compute as pc  # noqa: PLC0415

    at = new.schema.get_field_index(PREDICTION)
    return new.set_column(at, new.schema.field(at), pc.coalesce(new.column(at), old.column(PREDICTION)))


def _key_collision(snapshot: Snapshot, row: int) -> InvalidInput:
    return InvalidInput(
        f"A row of the new data and one of dataset '{snapshot.dataset}' have different keys but the same "
        f"64-bit identity, {row}.",
        why="That happens by chance about once in four billion rows.",
        hint="Change the key of the new row.",
        code=codes.ID_COLLISION,
    )
