"""What a predictor does with a component: columns of NumPy arrays in, columns out. No run, no store.

A table-form function without a ``served`` form goes through Arrow: right, but slower, and the served
image then needs what the function's annotation names.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.rowwise import apply_rows, apply_state, arguments_of
from tidemill.store.spelling import Spelling, TypedColumns, type_of

if TYPE_CHECKING:
    import pyarrow as pa

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
            code=codes.NOT_SERVABLE,
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
        (made,) = apply_rows(component, table, arguments_of(component, settings), proven=True)
    else:
        made = apply_state(component, table, settings, state, proven=True)
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
        if np.ma.isMaskedArray(array) and array.dtype.kind != "f" and np.ma.getmaskarray(array).any():
            row = int(np.argwhere(np.ma.getmaskarray(array))[0][0])
            raise InvalidInput(
                f"'{name}' of row {row} has a missing cell.",
                why=f"Stage '{component.short_name}' cannot compute with it.",
                hint="Send the whole value, or drop such rows in the pipeline before this step.",
                code=codes.MISSING_CELLS,
                details={"row": row, "field": name},
            )
    plain = [
        a.filled(np.nan) if np.ma.isMaskedArray(a) and a.dtype.kind == "f" else np.asarray(a) for a in arrays
    ]
    if component.kind == "row_step":
        made = component.function(*plain, **arguments_of(component, settings))
    else:
        made = component.instance(settings).apply(*plain, state)
    target = component.options.get("to") or component.columns[0]
    types = {n: t for n, t in getattr(columns, "types", {}).items() if n != target}
    return TypedColumns({**columns, target: made}, types)


def to_table(columns: Mapping[str, Any]) -> "Table":
    """Columns as a table: the types that they had in training; missing cells of a masked array become missing cells."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    from tidemill.store.table import ID, Table  # noqa: PLC0415

    rows = len(next(iter(columns.values()))) if columns else 0
    types: Mapping[str, str] = getattr(columns, "types", {})
    table = Table(pa.table({ID: np.asarray(columns.get(ROW, np.arange(rows)), np.uint64)}))
    for name, values in columns.items():
        if name == ROW:
            continue
        if name in types:
            table = table.with_column(name, Spelling(types[name]).arrow(values))
        elif values.dtype.kind == "O" or np.ma.isMaskedArray(values):
            cell = values.shape[1:]
            flat = _flat(values)
            if cell:
                flat = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(cell)))
            table = table.with_column(name, flat, shape=cell)
        else:
            table = table.with_column(name, values)
    return table


def _flat(values: Any) -> Any:
    """The cells of an array of objects, or of a masked one; a column of text is text also where all of it is missing."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    mask = np.ma.getmaskarray(values).reshape(-1)
    flat = np.ascontiguousarray(np.ma.getdata(values)).reshape(-1)
    if flat.dtype.kind != "O":
        return pa.array(flat, mask=mask)
    cells = [None if m else v for v, m in zip(flat, mask, strict=True)]
    return pa.array(cells, pa.string() if all(isinstance(v, str | None) for v in flat) else None)


def from_table(table: "Table") -> dict[str, Any]:
    """A table's columns; ``_row`` from its ``_id``."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    from tidemill.store.table import ID, SYSTEM_COLUMNS  # noqa: PLC0415

    found, types = dict[str, Any](), dict[str, str]()
    if ID in table.columns:
        found[ROW] = table.numpy(ID).astype(np.int64)
    for name in table.columns:
        if name in SYSTEM_COLUMNS:
            continue
        cells = table.to_arrow().column(name).combine_chunks()
        if isinstance(cells, pa.ChunkedArray):
            cells = cells.chunk(0) if cells.num_chunks else pa.array([], cells.type)
        spelled = type_of(cells.type)
        if spelled:
            found[name], types[name] = Spelling(spelled).cells(cells), spelled
            continue
        missing = table.missing(name)
        if not missing.any():
            found[name] = table.numpy(name)
            continue
        shape = table.shape_of(name)
        if shape:
            cells = cells.flatten()
        text = str(cells.type) in ("string", "large_string", "string_view", "null")
        filled = (
            ["" if v is None else v for v in cells.to_pylist()]
            if text
            else cells.fill_null(_zero(cells.type))
        )
        data: Any = np.empty(len(cells), dtype=object) if text else filled.to_numpy(zero_copy_only=False)  # pyright: ignore[reportAttributeAccessIssue]
        if text:
            data[:] = filled
        found[name] = np.ma.MaskedArray(data.reshape(len(table), *shape), missing)
    return TypedColumns(found, types)


def _zero(kind: "pa.DataType") -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.scalar(0).cast(kind)
