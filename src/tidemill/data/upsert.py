"""What a set of whole rows changes in a snapshot: which rows leave, which come. Pure reading."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
from tidemill.data.columns import differs
from tidemill.data.commits import Changes
from tidemill.data.snapshot import Snapshot
from tidemill.store.table import ID, PREDICTION, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Plan:
    """A change of a snapshot, ready to be committed.

    Attributes:
        gone: Fragment number to the physical offsets of the rows that leave.
        rows: Whole rows that come; None for none.
        changes: The counts.
    """

    changes: Changes
    gone: "dict[int, np.ndarray[Any, Any]]" = field(default_factory=dict)
    rows: "pa.Table | None" = None


def plan_upsert(
    snapshot: Snapshot,
    incoming: Table,
    *,
    keep_known: bool,
    replace: bool,
    key: "Sequence[str] | None" = None,
) -> Plan:
    """What it takes for ``snapshot`` to hold ``incoming``.

    Args:
        snapshot: The present rows.
        incoming: Rows in the snapshot's schema, with ``_id``. A row's ``_prediction`` that is missing does
            not erase one that is there.
        keep_known: Leave a row whose ``_id`` is there as it is.
        replace: Remove the rows that ``incoming`` does not have.
        key: The key columns, to tell a collision of identities from a changed row.

    Raises:
        InvalidInput: ``duplicate-id`` or ``id-collision``.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    ids = incoming.numpy(ID)
    _check_unique(ids)
    known = snapshot.has(ids)
    moved = np.zeros(0, np.uint64)
    arrow = incoming.to_arrow()
    changed = arrow.slice(0, 0)
    if known.any() and not keep_known:
        old = _ordered(snapshot.read(ids=ids[known]).to_arrow())
        new = _ordered(arrow.filter(pa.array(known)))
        new = _keep_predictions(old, new)
        apart = np.zeros(new.num_rows, bool)
        for name in new.column_names:
            here = differs(old.column(name), new.column(name))
            if key and name in key and here.any():
                raise _key_collision(snapshot, new.column(ID)[int(np.flatnonzero(here)[0])].as_py())
            apart |= here
        changed = new.filter(pa.array(apart))
        moved = changed[ID].to_numpy()
    added = arrow.filter(pa.array(~known))
    removed = np.setdiff1d(snapshot.ids(), ids) if replace else np.zeros(0, np.uint64)
    return Plan(
        Changes(added.num_rows, len(moved), len(removed)),
        snapshot.locate(np.concatenate([moved, removed])),
        pa.concat_tables([changed, added]).combine_chunks(),
    )


def _ordered(arrow: "pa.Table") -> "pa.Table":
    return arrow.sort_by(ID)


def _keep_predictions(old: "pa.Table", new: "pa.Table") -> "pa.Table":
    import pyarrow.compute as pc  # noqa: PLC0415

    at = new.schema.get_field_index(PREDICTION)
    return new.set_column(at, new.schema.field(at), pc.coalesce(new.column(at), old.column(PREDICTION)))


def _check_unique(ids: "np.ndarray[Any, Any]") -> None:
    import numpy as np  # noqa: PLC0415

    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        twice = int(values[counts > 1][0])
        rows = (np.flatnonzero(ids == twice)[:2] + 1).tolist()
        raise InvalidInput(
            f"Rows {rows[0]} and {rows[1]} have the same _id, {twice}.",
            why="An _id names one row.",
            hint="Remove one of the two rows.",
            code="duplicate-id",
            details={"rows": rows},
        )


def _key_collision(snapshot: Snapshot, row: int) -> InvalidInput:
    return InvalidInput(
        f"A row of the new data and one of dataset '{snapshot.dataset}' have different keys but the same "
        f"64-bit identity, {row}.",
        why="That happens by chance about once in four billion rows.",
        hint="Change the key of the new row.",
        code="id-collision",
    )
