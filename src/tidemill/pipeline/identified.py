"""What a user's function returned, with the identity of its rows again."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import Failed, InvalidInput
from tidemill.core.figures import counted
from tidemill.core.kinds import type_name
from tidemill.pipeline import identity
from tidemill.pipeline.frames import to_table, with_types_of

if TYPE_CHECKING:
    import numpy as np

    from tidemill.pipeline.component import Component
    from tidemill.store.table import Table

_WAYS = (
    "Say ids=True in the decorator, and keep the column '_id' that the rows then have; or rows='new', where they are "
    "meant to be new rows; or take tm.Table or pandas, which keep it by themselves."
)


def identified(
    component: "Component[..., Any]",
    given: "Table",
    returned: Any,
    again: "Callable[[Table], Any] | None",
) -> "Table":
    """What a ``row_step`` or a transform returned, as it is stored: its rows are some of those that it was given.

    Args:
        component: Whose function it was.
        given: The rows that it was given, with their identity beside them.
        returned: What it returned.
        again: Calls it on other rows, to show that it keeps their order; None where that was shown before.

    Raises:
        Failed: ``not-row-wise``, ``table-not-kept``, ``step-returned-wrong-type``, ``reserved-column``.
    """
    import numpy as np  # noqa: PLC0415

    step, ids = component.short_name, given.ids
    is_new = component.options.get("rows") == "new" or ids is None
    is_pandas = _home(returned) == "pandas"
    if is_pandas:
        found = identity.ids_of(returned.index)
        made, _ = _parted(
            _as_table(step, returned, with_index=is_new and found is None), step, takes_ids=False
        )
        if is_new or ids is None:
            return with_types_of(made, given, None)
        if found is None and len(returned):
            raise _lost(component, f"with another index than '_id' ({_shown(returned.index)})")
    else:
        made = _as_table(step, returned)
        if made.whole() is not made and made.ids is None:
            return made.whole()
        made, found = _parted(made, step, takes_ids=bool(component.options.get("ids")))
        if is_new or ids is None:
            return made
        if found is None and component.options.get("ids") and len(made):
            raise _lost(component, "without the column '_id'")
    if found is None and len(made) == len(given) and len(given):
        shown = again is None or identity.is_in_order(given.to_arrow(), made.to_arrow())
        if not shown and not identity.is_kept(_as_call(step, again), given, made, made.to_arrow()):
            raise _lost(
                component, "of which nothing shows that its rows are in the order in which they were given"
            )
        return identity.attached(made, given, None)
    if found is None:
        if len(made):
            raise _lost(
                component, f"of {counted(len(made), 'row')} for {len(given)}, which do not say which they are"
            )
        # No row is left: then it is clear which ones.
        found = np.zeros(0, np.uint64)
    rows = identity.places(step, ids, found)
    made = with_types_of(made, given, rows) if is_pandas else made
    # Rows in their order, as many as were given, are all of them.
    return identity.attached(made, given, None if len(rows) == len(given) else rows)


def of_step(
    step: str, output: str, returned: Any, inputs: "Sequence[Table]", *, ids: bool
) -> "tuple[Table, bool]":
    """A table that a plain step returned, as it is stored, and whether its rows are new.

    They are not where the table says which they are (the index ``_id``, a ``tm.Table``, the column of ``ids=True``), or
    has as many rows as one of the inputs and is shown to have them in the same order.

    Raises:
        Failed: ``table-not-kept``, ``reserved-column``.
    """
    if _home(returned) == "pandas":
        found = identity.ids_of(returned.index)
        made = _parted(
            to_table(returned, step=step, output=output, with_index=found is None), step, takes_ids=ids
        )
        if made[1] is not None:
            found = made[1]
        return (made[0], _had(inputs)) if found is None else (identity.with_ids(made[0], found), False)
    whole = to_table(returned, step=step, output=output)
    if whole.whole() is not whole:
        return whole.whole(), whole.ids is None and _had(inputs)
    made, found = _parted(whole, step, takes_ids=ids)
    if found is not None:
        return identity.with_ids(made, found), False
    alike = [t for t in map(_apart, inputs) if t.ids is not None and len(t) == len(made) > 1]
    for is_same in (identity.shares, identity.equals):
        same = [t for t in alike if is_same(t.to_arrow(), made.to_arrow())]
        # Two inputs may have the same keys: then nothing says whose rows these are.
        if len(same) == 1:
            return identity.attached(made, same[0], None), False
    return made, _had(inputs)


def _apart(table: "Table") -> "Table":
    return table.apart()


def _had(inputs: "Sequence[Table]") -> bool:
    return any(table.apart().ids is not None for table in inputs)


def _parted(table: "Table", step: str, *, takes_ids: bool) -> "tuple[Table, np.ndarray[Any, Any] | None]":
    """The user's columns, and the identities that were beside or, with ``ids=True``, among them."""
    from tidemill.store.table import ID, SYSTEM_COLUMNS, Table  # noqa: PLC0415

    found = table.ids if table.apart() is table else None
    own = [c for c in table.columns if c in SYSTEM_COLUMNS]
    if own and takes_ids and own == [ID]:
        import pyarrow as pa  # noqa: PLC0415

        column = table.to_arrow().column(ID)
        if column.null_count or not pa.types.is_integer(column.type):
            raise Failed(
                f"Step '{step}' returned a column '{ID}' of the type {column.type} with {column.null_count} missing "
                "cells, which identifies no rows.",
                hint=f"Keep '{ID}' as it was given.",
                code=codes.RESERVED_COLUMN,
                details={"step": step, "column": ID},
            )
        found = table.select([ID]).to_arrow().column(0).cast(pa.uint64()).to_numpy()
    elif own:
        raise Failed(
            f"Step '{step}' returned a column '{own[0]}', a name that Tidemill keeps for itself.",
            why="It is the identity of rows, or the prediction that a row corrects, and no feature.",
            hint=f"Rename or drop the column '{own[0]}'; with ids=True in the decorator, '{ID}' says which rows they are.",
            code=codes.RESERVED_COLUMN,
            details={"step": step, "column": own[0]},
        )
    arrow = table.to_arrow()
    return Table(arrow.select([c for c in table.columns if c not in own]) if own else arrow), found


def _as_call(step: str, again: "Callable[[Table], Any] | None") -> "Callable[[Table], Table | None]":
    def call(rows: "Table") -> "Table | None":
        assert again is not None
        try:
            return to_table(again(rows), step=step)
        except Exception:  # noqa: BLE001 - a function that fails on fewer rows shows nothing
            return None

    return call


def _as_table(step: str, returned: Any, *, with_index: bool = True) -> "Table":
    try:
        return to_table(returned, step=step, with_index=with_index)
    except InvalidInput as error:
        if error.code != codes.NOT_A_TABLE:
            raise
        raise Failed(
            f"Step '{step}' must return a table, not a {type_name(returned)}.",
            hint="Correct what the function returns.",
            code=codes.STEP_RETURNED_WRONG_TYPE,
        ) from error


def _lost(component: "Component[..., Any]", what: str) -> Failed:
    line = identity.line_of(component.function if component.kind == "row_step" else component.function.apply)
    is_index = "index" in what
    return Failed(
        f"Step '{component.short_name}' returned a table {what} ({line}).",
        why="A row_step's rows keep their identity: by it only changed rows are computed again, and a row is split, "
        "judged and corrected.",
        hint="Keep the index: filter, sort and assign do; reset_index, merge and groupby do not. Say rows='new' in the "
        "decorator where the rows are meant to be new ones."
        if is_index
        else _WAYS,
        code=codes.NOT_ROW_WISE,
        details={"step": component.short_name, "line": line},
    )


def _shown(index: Any) -> str:
    names = [repr(n) for n in index.names if n is not None]
    return f"{type(index).__name__} {', '.join(names)}".strip()


def _home(value: Any) -> str:
    return type(value).__module__.partition(".")[0]
