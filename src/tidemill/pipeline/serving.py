"""What a predictor does with a component: columns of NumPy arrays in, columns out. No run, no store.

A table-form function without a ``served`` form goes through Arrow: right, but slower, and the served
image then needs what the function's annotation names.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
from tidemill.pipeline.rowwise import apply_rows, apply_state, arguments_of

if TYPE_CHECKING:
    from tidemill.pipeline.component import Component
    from tidemill.store.table import Table

ROW = "_row"
"""Which row of the request each row is; travels with the columns, so that a dropped row is known."""


def serve(
    component: "Component[..., Any]",
    columns: Mapping[str, Any],
    settings: Mapping[str, Any],
    state: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Run a ``row_step`` or an applied transform on columns.

    Raises:
        InvalidInput: ``not-servable``, when the component is of another kind.
        Failed: As in a run.
    """
    if component.kind not in ("row_step", "transform"):
        raise InvalidInput(
            f"A {component.kind} cannot be a stage of a predictor.",
            hint="Make it a row_step or a transform.",
            code="not-servable",
        )
    served = component.options.get("served")
    if component.kind == "row_step" and served is not None:
        return dict(served(dict(columns), **arguments_of(component, settings)))
    if component.kind == "transform" and hasattr(component.function, "serve"):
        return dict(component.instance(settings).serve(dict(columns), state))
    if component.columns and not component.is_object:
        return _by_columns(component, columns, settings, state)
    table = to_table(columns)
    if component.kind == "row_step":
        (made,) = apply_rows(component, table, arguments_of(component, settings))
    else:
        made = apply_state(component, table, settings, state)
    return from_table(made)


def _by_columns(
    component: "Component[..., Any]",
    columns: Mapping[str, Any],
    settings: Mapping[str, Any],
    state: Mapping[str, Any] | None,
) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415

    arrays = [columns[c] for c in component.columns]
    for name, array in zip(component.columns, arrays, strict=True):
        if np.ma.isMaskedArray(array) and np.ma.getmaskarray(array).any():
            row = int(np.argwhere(np.ma.getmaskarray(array))[0][0])
            raise InvalidInput(
                f"'{name}' of row {row} has a missing cell.",
                why=f"Stage '{component.short_name}' cannot compute with it.",
                hint="Send the whole value, or drop such rows in the pipeline before this step.",
                code="missing-cells",
                details={"row": row, "field": name},
            )
    plain = [np.asarray(a) for a in arrays]
    if component.kind == "row_step":
        made = component.function(*plain, **arguments_of(component, settings))
    else:
        made = component.instance(settings).apply(*plain, state)
    return {**columns, component.options.get("to") or component.columns[0]: made}


def to_table(columns: Mapping[str, Any]) -> "Table":
    """Columns as a table; missing cells of a masked array become missing cells."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    from tidemill.store.table import ID, Table  # noqa: PLC0415

    rows = len(next(iter(columns.values()))) if columns else 0
    table = Table(pa.table({ID: np.asarray(columns.get(ROW, np.arange(rows)), np.uint64)}))
    for name, values in columns.items():
        if name == ROW:
            continue
        if not np.ma.isMaskedArray(values):
            table = table.with_column(name, values)
            continue
        cell = values.shape[1:]
        flat: Any = pa.array(
            np.ascontiguousarray(values.data).reshape(-1), mask=np.ma.getmaskarray(values).reshape(-1)
        )
        if cell:
            flat = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(cell)))
        table = table.with_column(name, flat, shape=cell)
    return table


def from_table(table: "Table") -> dict[str, Any]:
    """A table's columns; ``_row`` from its ``_id``."""
    import numpy as np  # noqa: PLC0415

    from tidemill.store.table import ID, SYSTEM_COLUMNS  # noqa: PLC0415

    found: dict[str, Any] = {}
    if ID in table.columns:
        found[ROW] = table.numpy(ID).astype(np.int64)
    for name in table.columns:
        if name in SYSTEM_COLUMNS:
            continue
        missing = table.missing(name)
        if not missing.any():
            found[name] = table.numpy(name)
            continue
        shape = table.shape_of(name)
        cells = table.to_arrow().column(name).combine_chunks()
        if shape:
            cells = cells.flatten()
        import pyarrow.compute as pc  # noqa: PLC0415

        text = str(cells.type) in ("string", "large_string", "string_view")
        filled = pc.fill_null(cells, "" if text else 0)  # pyright: ignore[reportAttributeAccessIssue]
        data = filled.to_numpy(zero_copy_only=False).reshape(len(table), *shape)
        found[name] = np.ma.MaskedArray(data, missing)
    return found
