"""A table in the form that a function's annotation asks for, and back."""

from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput

if TYPE_CHECKING:
    from tidemill.pipeline.annotations import Form
    from tidemill.store.table import Table


def to_form(table: "Table", form: "Form", *, step: str, parameter: str) -> Any:
    """``table`` as a Polars, pandas or Arrow frame, an array, or as it is.

    Raises:
        InvalidInput: ``not-one-column``, when an array is asked for and the table has several columns.
    """
    if form == "polars":
        return table.to_polars()
    if form == "pandas":
        return table.to_pandas()
    if form == "arrow":
        return table.to_arrow()
    if form == "numpy":
        from tidemill.store.table import SYSTEM_COLUMNS  # noqa: PLC0415

        columns = [c for c in table.columns if c not in SYSTEM_COLUMNS]
        if len(columns) != 1:
            raise InvalidInput(
                f"'{parameter}' of step '{step}' is annotated as an array, but its table has "
                f"{len(columns)} columns: {', '.join(columns)}.",
                why="One array holds one column.",
                hint="Annotate it tm.Table and take the columns you want by table.numpy(name); or, in a "
                "row_step, say columns=.",
                code="not-one-column",
            )
        return table.numpy(columns[0])
    return table


def from_frame(frame: Any, like: "Table") -> "Table":
    """A returned frame as a table; a column whose type a detour through pandas loosened gets its own again."""
    from tidemill.store.table import Table  # noqa: PLC0415

    table = Table.of(frame)
    if type(frame).__module__.partition(".")[0] != "pandas":
        return table
    import pyarrow as pa  # noqa: PLC0415

    arrow, before = table.to_arrow(), like.to_arrow().schema
    for at, field in enumerate(arrow.schema):
        known = before.field(field.name) if field.name in before.names else None
        if known is None or known.type == field.type:
            continue
        try:
            arrow = arrow.set_column(at, known, arrow.column(at).cast(known.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
    return Table(arrow)
