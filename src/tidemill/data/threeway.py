"""Three-way merge of rows that are lined up by ``_id``: what two states make of one, cell by cell. Pure.

Not the search for the base, and no reading beyond the rows asked for. What cannot be told is marked, not
decided: the result of merging two bases, in doubt where they contradict, is a base again; the result of
merging two branches, in doubt, is a list of conflicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import Conflict
from tidemill.data.casting import cast_column
from tidemill.data.columns import differs
from tidemill.data.snapshot import Snapshot
from tidemill.store.table import ID, PREDICTION

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class Rows:
    """The rows with certain ``_id``s at one point of history: a place for each id, whether its row is there or not.

    Attributes:
        ids: uint64, ascending.
        table: A row an id, without ``_id``; nothing where there is no row.
        there: Whether the row is there; bool, one an id.
        contested: Rows of which it cannot be said whether they are there.
        unknown: Column to the rows whose cell cannot be told; columns without such are left out.
        lacking: The columns that there are none of at that point.
    """

    ids: "np.ndarray[Any, Any]"
    table: "pa.Table"
    there: "np.ndarray[Any, Any]"
    contested: "np.ndarray[Any, Any]"
    unknown: "dict[str, np.ndarray[Any, Any]]" = field(default_factory=dict)
    lacking: frozenset[str] = frozenset()

    def doubt(self, column: str) -> "np.ndarray[Any, Any]":
        """The rows whose cell in a column cannot be told."""
        import numpy as np  # noqa: PLC0415

        return self.unknown.get(column, np.zeros(len(self.ids), bool))


def read_rows(snapshot: Snapshot, ids: "np.ndarray[Any, Any]", fields: "Sequence[pa.Field]") -> Rows:
    """The rows with these ``_id``s (ascending) at a commit, in columns of these types.

    A column that the commit does not have is missing in each row. So is an ``_id`` that it does not have.

    Raises:
        Conflict: ``schema-conflict``, when a cell does not fit the type that its column has on the other side.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    present = [f.name for f in fields if f.name in snapshot.schema.names]
    found = snapshot.read([ID, *present], ids=ids).to_arrow()
    have = found.column(ID).to_numpy()
    order = np.argsort(have)
    place = np.searchsorted(have, ids, sorter=order)
    place[place == len(have)] = 0
    there = have[order[place]] == ids if len(have) else np.zeros(len(ids), bool)
    index = pa.array(order[place] if len(have) else np.zeros(len(ids), np.int64), mask=~there)
    columns = [
        _in_type(found.column(f.name).take(index), f, snapshot)
        if f.name in present
        else pa.chunked_array([pa.nulls(len(ids), f.type)])
        for f in fields
    ]
    table = pa.Table.from_arrays(
        columns, schema=pa.schema([pa.field(f.name, f.type, metadata=f.metadata) for f in fields])
    )
    lacking = frozenset(f.name for f in fields if f.name not in present)
    return Rows(ids, table, there, np.zeros(len(ids), bool), lacking=lacking)


def _in_type(column: Any, field: "pa.Field", snapshot: Snapshot) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    try:
        return cast_column(column, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Conflict(
            f"Column '{field.name}' is {field.type} on one side; a cell of commit {snapshot.commit.id}, where it "
            f"is {column.type}, does not fit.",
            why=str(error).splitlines()[0],
            hint="Import the column's data anew on one side, as the other has it, and merge again.",
            code=codes.SCHEMA_CONFLICT,
            details={"columns": [field.name]},
        ) from error


def merge_rows(base: Rows, ours: Rows, theirs: Rows) -> Rows:
    """What two states make of one. All three are lined up by the same ids, in the same columns.

    A cell that one side changed is taken from it. A cell that both changed alike is that; changed apart, it is
    in doubt, and so is one that only the sides' difference is known of. A row that one side removed is gone,
    unless the other changed it: then the whole row is contested.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    both = ours.there & theirs.there
    only_ours, only_theirs = ours.there & ~theirs.there, theirs.there & ~ours.there
    ours_moved, theirs_moved = np.zeros(len(both), bool), np.zeros(len(both), bool)
    unknown: dict[str, np.ndarray[Any, Any]] = {}
    take_theirs: dict[str, np.ndarray[Any, Any]] = {}
    for name in ours.table.column_names:
        old, mine, other = (r.table.column(name) for r in (base, ours, theirs))
        # A new row has no prediction before its first; of all other cells it says what they are.
        no_base = base.contested | base.doubt(name) | (~base.there & (name != PREDICTION))
        # A side without the column says nothing of its cells.
        mine_moved = (differs(old, mine) | no_base | ours.doubt(name)) & (name not in ours.lacking)
        other_moved = (differs(old, other) | no_base | theirs.doubt(name)) & (name not in theirs.lacking)
        apart = differs(mine, other)
        doubt = both & (ours.doubt(name) | theirs.doubt(name) | (apart & mine_moved & other_moved))
        doubt |= (only_ours & ours.doubt(name)) | (only_theirs & theirs.doubt(name))
        if doubt.any():
            unknown[name] = doubt
        take_theirs[name] = both & ~doubt & apart & ~mine_moved
        ours_moved |= mine_moved
        theirs_moved |= other_moved
    removed = base.there & ((only_ours & ~ours_moved) | (only_theirs & ~theirs_moved))
    contested = (
        ours.contested
        | theirs.contested
        | ((only_ours | only_theirs) & (base.contested | (base.there & ~removed)))
    )
    there = (ours.there | theirs.there) & ~removed & ~contested
    columns: list[Any] = []
    rows = np.arange(len(both))
    for name in ours.table.column_names:
        index = rows + np.where(take_theirs[name] | only_theirs, len(both), 0)
        chunks = [*ours.table.column(name).chunks, *theirs.table.column(name).chunks]
        columns.append(pa.chunked_array(chunks, ours.table.schema.field(name).type).take(pa.array(index)))
    table = pa.Table.from_arrays(columns, schema=ours.table.schema)
    left = {n: m & ~contested for n, m in unknown.items()}
    return Rows(ours.ids, table, there, contested, left, ours.lacking & theirs.lacking)
