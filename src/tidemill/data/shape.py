"""A dataset's columns over time: what is remembered of them in the schema, and what incoming rows would make of them."""

import base64
import json
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import Conflict, InvalidInput
from tidemill.data.casting import cast_exactly
from tidemill.data.columns import differs
from tidemill.data.difference import Diff
from tidemill.data.schema_change import SchemaChange, refused, schema_change
from tidemill.data.snapshot import Snapshot
from tidemill.store.table import KEY, PREDICTION, SYSTEM_COLUMNS, Table

if TYPE_CHECKING:
    import pyarrow as pa

_IDENTITY = b"tidemill.identity"
"""The columns that rows were named by at first, and their types then; there once a column has changed."""


def key_of(schema: "pa.Schema") -> tuple[str, ...] | None:
    """The columns that name a row; None where content does."""
    stored = (schema.metadata or {}).get(KEY)
    return tuple(json.loads(stored)) if stored else None


def identity_of(schema: "pa.Schema") -> "pa.Schema":
    """The columns that rows are named by, in the types that they had first."""
    import pyarrow as pa  # noqa: PLC0415

    stored = (schema.metadata or {}).get(_IDENTITY)
    if stored:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
    names = key_of(schema) or [n for n in schema.names if n not in SYSTEM_COLUMNS]
    return pa.schema([schema.field(name) for name in names])


def change_for(snapshot: Snapshot, rows: Table, *, whole: bool, allowed: bool) -> SchemaChange:
    """What new rows would make of a snapshot's columns.

    A column whose new cells all fit the type that it has keeps it; where cells are still to come, that is told
    by their type alone.

    Args:
        snapshot: The present rows.
        rows: The new rows, or the first of them.
        whole: Whether that is all of them.
        allowed: Whether columns may change.

    Raises:
        InvalidInput: ``schema-change``, ``identity-column``, ``value-does-not-fit``.
    """
    arrow = rows.to_arrow()
    change = schema_change(snapshot.schema, arrow.schema)
    if not allowed:
        if change.added or change.dropped:
            raise refused(snapshot.dataset, change)
        return SchemaChange()
    retyped = tuple(
        (old, new)
        for old, new in change.retyped
        if not (_fits(arrow.column(new.name), old.type) if whole else _is_within(new.type, old.type))
    )
    _check_identity(snapshot, change)
    for old, new in retyped:
        _check_cells(snapshot, old, new)
    return SchemaChange(change.added, change.dropped, retyped)


def change_to_merge(base: Snapshot, ours: Snapshot, theirs: Snapshot) -> SchemaChange:
    """What became of the columns between a base and theirs, and has not become of ours.

    Raises:
        Conflict: ``schema-conflict``, when both changed a column in different ways, or theirs dropped one whose
            cells ours changed.
    """
    here, there = schema_change(base.schema, ours.schema), schema_change(base.schema, theirs.schema)
    wanted = schema_change(ours.schema, theirs.schema)
    retyped_here = {new.name for _, new in here.retyped}
    retyped_there = {new.name for _, new in there.retyped}
    gone_here, gone_there = ({f.name for f in change.dropped} for change in (here, there))
    both_added = {f.name for f in here.added} & {f.name for f in there.added}
    apart = {new.name for _, new in wanted.retyped}
    twice = (apart & (both_added | (retyped_here & retyped_there))) | (
        (gone_here & retyped_there) | (gone_there & retyped_here)
    )
    if gone_there and not twice:
        twice = {cell.column for cell in Diff(base, ours).cells()} & gone_there
    if twice:
        name = min(twice)
        raise Conflict(
            f"Column '{name}' of dataset '{ours.dataset}' was changed on both sides, in different ways.",
            why="Its type, whether it is there, and its cells must agree before rows can be merged.",
            hint="Import the column's data anew on one side, as the other has it, and merge again.",
            code=codes.SCHEMA_CONFLICT,
            details={"columns": sorted(twice)},
        )
    return SchemaChange(
        added=tuple(f for f in wanted.added if f.name not in gone_here),
        dropped=tuple(f for f in wanted.dropped if f.name in gone_there),
        retyped=tuple(pair for pair in wanted.retyped if pair[1].name in retyped_there),
    )


def changed(schema: "pa.Schema", change: SchemaChange) -> "pa.Schema":
    """A schema after a change: retyped columns stay where they are, added ones come last."""
    import pyarrow as pa  # noqa: PLC0415

    retyped = {old.name: new for old, new in change.retyped}
    dropped = {field.name for field in change.dropped}
    fields = [retyped.get(f.name, f) for f in schema if f.name not in {*dropped, PREDICTION}]
    stored = base64.b64encode(identity_of(schema).serialize().to_pybytes())
    order = [*fields, *change.added, schema.field(PREDICTION)]
    metadata = {**(schema.metadata or {}), _IDENTITY: stored}
    return pa.schema(order, metadata=metadata)


def _fits(column: Any, kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    try:
        for chunk in column.chunks:
            cast_exactly(chunk, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _is_within(kind: Any, other: Any) -> bool:
    """Whether every cell of a type fits another type."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_fixed_size_list(kind) and pa.types.is_fixed_size_list(other):
        return kind.list_size == other.list_size and _is_within(kind.value_type, other.value_type)
    try:
        wider = pa.unify_schemas(
            [pa.schema([("", kind)]), pa.schema([("", other)])], promote_options="permissive"
        )
    except pa.ArrowTypeError:
        return False
    return wider.field(0).type == other


def _check_identity(snapshot: Snapshot, change: SchemaChange) -> None:
    named_by = identity_of(snapshot.schema).names
    lost = [field.name for field in change.dropped if field.name in named_by]
    if lost:
        what = (
            "are its key"
            if key_of(snapshot.schema)
            else "has no key: the content of its columns names its rows"
        )
        raise InvalidInput(
            f"Column '{lost[0]}' of dataset '{snapshot.dataset}' cannot be dropped.",
            why=f"The dataset {what}, and without it two rows could become one.",
            hint="Import under another name, with a --key that is to stay.",
            code=codes.IDENTITY_COLUMN,
            details={"columns": lost},
        )


def _check_cells(snapshot: Snapshot, old: "pa.Field", new: "pa.Field") -> None:
    """That every cell which is there has the same value in the new type."""
    import pyarrow as pa  # noqa: PLC0415

    for fragment in snapshot.fragments():
        column = fragment.read([old.name]).to_arrow().column(0).combine_chunks()
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        try:
            lost = differs(array, cast_exactly(cast_exactly(array, new.type), old.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise _no_way(snapshot, old, new, str(error).splitlines()[0]) from error
        if lost.any():
            raise _no_way(snapshot, old, new, f"{array[int(lost.argmax())].as_py()!r} would become another.")


def _no_way(snapshot: Snapshot, old: "pa.Field", new: "pa.Field", why: str) -> InvalidInput:
    return InvalidInput(
        f"Column '{old.name}' of dataset '{snapshot.dataset}' cannot change from {old.type} to {new.type}: "
        "not all cells that are there fit.",
        why=why,
        hint="Give the new data a type that holds both, or import it under another name.",
        code=codes.VALUE_DOES_NOT_FIT,
        details={"column": old.name},
    )
