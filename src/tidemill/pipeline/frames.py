"""A table in the form that a function's annotation asks for, and back."""

import contextlib
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import Failed, InvalidInput
from tidemill.core.figures import counted
from tidemill.store.pandas_frames.frames import METADATA, metadata_of, pack, unpack, without
from tidemill.store.pandas_frames.integers import loses_integers
from tidemill.store.pandas_frames.labels import NotKept

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tidemill.pipeline.annotations import Form
    from tidemill.store.table import Table


def to_form(
    table: "Table", form: "Form", *, step: str, parameter: str, ids: bool = False, identified: bool = True
) -> Any:
    """``table`` as a Polars, pandas or Arrow frame, an array, or as it is; without Tidemill's own columns.

    Args:
        table: The rows as they are stored.
        form: What the function asks for.
        step: Whose function it is, for errors.
        parameter: Which of its parameters takes it.
        ids: Whether the identity of the rows is a column, ``_id``, in a form that cannot carry it otherwise.
        identified: Whether the function may know which rows they are at all.

    Raises:
        InvalidInput: ``not-one-column``, when an array is asked for and the table has several columns.
    """
    from tidemill.store.table import ID, SYSTEM_COLUMNS  # noqa: PLC0415

    table = table.apart()
    if not identified:
        table = table.anonymous()
    if form == "pandas":
        return table.to_pandas()
    if form not in ("table", "any"):
        table = table.with_columns(without(table.to_arrow()))
    if ids and table.ids is not None:
        whole = table.whole()
        table = whole.select([c for c in whole.columns if c == ID or c not in SYSTEM_COLUMNS])
    if form == "polars":
        return table.to_polars()
    if form == "arrow":
        return table.to_arrow()
    if form == "numpy":
        columns = [c for c in table.columns if c not in SYSTEM_COLUMNS]
        if len(columns) != 1:
            raise InvalidInput(
                f"'{parameter}' of step '{step}' is annotated as an array, but its table has "
                f"{counted(len(columns), 'column')}: {', '.join(columns)}.",
                why="One array holds one column.",
                hint="Annotate it tm.Table and take the columns you want by table.numpy(name); or, in a "
                "row_step, say columns=.",
                code=codes.NOT_ONE_COLUMN,
            )
        return table.numpy_with_nan(columns[0])
    return table


def to_table(frame: Any, *, step: str, output: str = "result", with_index: bool = True) -> "Table":
    """A frame that a step returned, as a table that the same frame is read from again.

    Args:
        frame: What was returned.
        step: Which step, for errors.
        output: Which of its results, for errors.
        with_index: Whether the index of a pandas frame is kept; if not, it is the identity of the rows.

    Raises:
        Failed: ``table-not-kept``, for one that another frame would be read from.
        InvalidInput: ``not-a-table``, ``missing-cells``.
    """
    from tidemill.store.table import Table  # noqa: PLC0415

    home = type(frame).__module__.partition(".")[0]
    try:
        if home == "pandas":
            return Table(pack(frame, with_index=with_index))
        return (
            _from_polars(frame)
            if home == "polars"
            else _from_arrow(frame if isinstance(frame, Table) else Table.of(frame))
        )
    except NotKept as error:
        raise Failed(
            f"Step '{step}' returned a {type(frame).__module__.partition('.')[0]} table as '{output}' with "
            f"{error.what}, which has no place in the store.",
            why="A later step must get the same table, of the same types, whether it was computed just now or long ago.",
            hint=error.hint,
            code=codes.TABLE_NOT_KEPT,
            details={"step": step, "output": output, "part": error.what},
        ) from None


def _from_polars(frame: Any) -> "Table":
    import polars as pl  # noqa: PLC0415

    from tidemill.store.table import Table  # noqa: PLC0415

    for name, kind in frame.schema.items():
        if "Object" in str(kind):
            raise NotKept(f"column '{name}' (Object)", "Give the column a type: .cast(pl.String), for one.")
    back, table = pl.Schema(), None
    # Polars and Arrow have many words for a type that one of them has not.
    with contextlib.suppress(Exception):
        table = Table.of(frame)
        back = Table(table.to_arrow().slice(0, 0)).to_polars().schema
    for name, kind in frame.schema.items():
        if back.get(name) != kind:
            raise NotKept(
                f"column '{name}' ({kind})",
                "Give the column a type that Arrow has: .cast(pl.Int64), for one.",
            )
    assert table is not None
    return table


def _from_arrow(table: "Table") -> "Table":
    arrow = table.to_arrow()
    if len(set(table.columns)) < len(table.columns):
        twice = next(n for n in table.columns if table.columns.count(n) > 1)
        raise NotKept(f"two columns of the name '{twice}'", "Give each column a name of its own.")
    if arrow.num_rows and not arrow.num_columns:
        raise NotKept(f"{arrow.num_rows} rows without a column", "Give it a column, or return its length.")
    return table


def with_types_of(made: "Table", like: "Table", rows: "np.ndarray[Any, Any] | None") -> "Table":
    """A table from a pandas frame, in the types that it had before pandas.

    pandas has no word for some types: missing whole numbers become floats, dates objects, tensors lists. A column that
    the function left as it was given comes from ``like``, so that it is what it was; one that the function changed is
    what the function made of it.

    Args:
        made: The table that was returned.
        like: The table that the function was given.
        rows: For each row of ``made``, its place in ``like``; None where that is not known.
    """
    from tidemill.store.table import Table  # noqa: PLC0415

    arrow, before = made.to_arrow(), like.to_arrow()
    restored: list[str] = []
    for at, field in enumerate(arrow.schema):
        place = before.schema.get_field_index(field.name)
        if place < 0 or (field.type == before.schema.field(place).type and not field.metadata):
            known = before.schema.field(place) if place >= 0 else None
            if known is not None and known.metadata and not field.metadata:
                arrow = arrow.set_column(at, known, arrow.column(at))
            if known is not None and loses_integers(before.column(place)):
                # The nullable type is how it was given, not what the function says of it.
                restored.append(field.name)
            continue
        known = before.schema.field(place)
        # Text is the same text in either of Arrow's types, changed or not: a look at the cells would say nothing.
        is_text = _is_text(field.type) and _is_text(known.type)
        column = None if rows is None or is_text else _untouched(arrow, before, field.name, rows)
        if column is None:
            column = _cast(arrow.column(at), known.type, before.column(place))
        if column is not None:
            arrow = arrow.set_column(at, known, column)
            restored.append(field.name)
    return Table(_without_words(arrow, restored))


def _untouched(arrow: "pa.Table", before: "pa.Table", name: str, rows: "np.ndarray[Any, Any]") -> Any:
    """The column of ``before`` at these rows, where pandas has the same cells in both; else None."""
    from tidemill.store.pandas_frames.sameness import same_series  # noqa: PLC0415

    given = before.select([name])
    if len(rows) != given.num_rows or (rows[1:] <= rows[:-1]).any():
        given = given.take(rows)
    here: Any = unpack(arrow.select([name]))[name]
    there: Any = unpack(given)[name]
    return given.column(0) if same_series(here, there) else None


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _cast(column: "pa.ChunkedArray", known: "pa.DataType", before: "pa.ChunkedArray") -> Any:
    """A column that was changed in the type that it had, if pandas only loosened that; else None."""
    import pyarrow as pa  # noqa: PLC0415

    types, now = pa.types, column.type

    loosened = (
        types.is_null(now)
        or (types.is_floating(now) and types.is_integer(known) and before.null_count > 0)
        or (types.is_list(now) and types.is_fixed_size_list(known) and now.value_type == known.value_type)  # pyright: ignore[reportAttributeAccessIssue]
        or (_is_text(now) and _is_text(known))
        or (types.is_dictionary(now) and types.is_dictionary(known))
    )
    if not loosened:
        return None
    try:
        return column.cast(known)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _without_words(arrow: "pa.Table", names: "list[str]") -> "pa.Table":
    """``arrow`` without what is said of these columns in pandas: their types say it."""
    import json  # noqa: PLC0415

    meta = metadata_of(arrow)
    if meta is None or not names:
        return arrow
    special = {n: s for n, s in meta.get("special", {}).items() if n not in names}
    meta = {**{k: v for k, v in meta.items() if k != "special"}, **({"special": special} if special else {})}
    rest = {k: v for k, v in arrow.schema.metadata.items() if k != METADATA}
    if meta:
        rest[METADATA] = json.dumps(meta).encode()
    return arrow.replace_schema_metadata(rest or None)
