"""Columns side by side: bringing rows to a dataset's schema, and telling cells apart."""

from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
from tidemill.core.names import nearest
from tidemill.store.table import ID, PREDICTION, SYSTEM_COLUMNS, Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def system_schema(schema: "pa.Schema") -> "pa.Schema":
    """The schema of a new dataset with these columns: ``_id`` first, ``_prediction`` last."""
    import pyarrow as pa  # noqa: PLC0415

    own = [f for f in schema if f.name not in SYSTEM_COLUMNS]
    return pa.schema(
        [pa.field(ID, pa.uint64(), nullable=False), *own, pa.field(PREDICTION, pa.string())],
        metadata=schema.metadata,
    )


def arrange(table: Table, schema: "pa.Schema", dataset: str) -> Table:
    """``table`` with the columns of ``schema``, in its order and types.

    A missing ``_prediction`` column is filled with nulls; ``_id`` may be missing, and stays so.

    Raises:
        InvalidInput: ``columns-differ`` or ``value-does-not-fit``.
    """
    import pyarrow as pa  # noqa: PLC0415

    arrow = table.to_arrow()
    own = [n for n in schema.names if n not in SYSTEM_COLUMNS]
    have = [n for n in table.columns if n not in SYSTEM_COLUMNS]
    _same_columns(have, own, dataset)
    fields, arrays = [], []
    for field in schema:
        if field.name == ID and ID not in table.columns:
            continue
        if field.name not in table.columns:
            array: Any = pa.nulls(len(table), field.type)
        else:
            array = arrow.column(field.name)
        fields.append(field)
        arrays.append(_cast(array, field, dataset))
    return Table(pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=schema.metadata)))


def _same_columns(have: list[str], own: list[str], dataset: str) -> None:
    extra, lacking = [n for n in have if n not in own], [n for n in own if n not in have]
    if not extra and not lacking:
        return
    words: list[str] = []
    if extra:
        close = nearest(extra[0], lacking)
        words.append(
            f"has {_listed(extra)}, which the dataset does not" + (f" (is it '{close}'?)" if close else "")
        )
    if lacking:
        words.append(f"lacks {_listed(lacking)}")
    raise InvalidInput(
        f"The new data does not have the columns of dataset '{dataset}': it {'; it '.join(words)}.",
        why="The rows of a dataset have the same columns at every commit.",
        hint="Give the file the dataset's columns, or import it under another name.",
        code="columns-differ",
        details={"extra": extra, "lacking": lacking},
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{n}'" for n in names[:5])
    return f"column{'s' * (len(names) > 1)} {shown}" + (
        f" and {len(names) - 5} more" if len(names) > 5 else ""
    )


def _cast(array: Any, field: "pa.Field", dataset: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if array.type == field.type:
        return array
    both = pa.types.is_fixed_size_list(field.type) and pa.types.is_fixed_size_list(array.type)
    try:
        if both and array.type.list_size == field.type.list_size:
            return pa.chunked_array([_cast_tensor(c, field.type) for c in array.chunks], field.type)
        return array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(
            f"Column '{field.name}' of dataset '{dataset}' is {field.type}; the new values are "
            f"{array.type} and do not all fit.",
            why=str(error).splitlines()[0],
            hint="Correct those values, or import under another name.",
            code="value-does-not-fit",
            details={"column": field.name},
        ) from error


def _cast_tensor(array: Any, kind: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    size = kind.list_size
    inner = array.values[array.offset * size : (array.offset + len(array)) * size].cast(kind.value_type)
    mask = array.is_null() if array.null_count else None
    return pa.FixedSizeListArray.from_arrays(inner, type=kind, mask=mask)


def differs(old: "pa.ChunkedArray", new: "pa.ChunkedArray") -> "np.ndarray[Any, Any]":
    """Which rows of two equally long columns of one type differ; missing equals missing, NaN equals NaN."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    rows = len(old)
    if not rows:
        return np.zeros(0, bool)
    a, b = _one(old), _one(new)
    if pa.types.is_fixed_size_list(a.type):
        size = a.type.list_size
        outer = np.asarray(a.is_null()) != np.asarray(b.is_null())
        both = np.asarray(a.is_null()) & np.asarray(b.is_null())
        inner = differs(
            a.values[a.offset * size : (a.offset + rows) * size],
            b.values[b.offset * size : (b.offset + rows) * size],
        )
        return (outer | inner.reshape(rows, size).any(axis=1)) & ~both
    import pyarrow.compute as pc  # noqa: PLC0415

    lacks_a, lacks_b = np.asarray(a.is_null()), np.asarray(b.is_null())
    unequal = np.asarray(pc.not_equal(a, b).fill_null(pa.scalar(0).cast(pa.bool_())))
    if pa.types.is_floating(a.type):
        unequal &= ~(_is_nan(a) & _is_nan(b))
    return np.where(lacks_a | lacks_b, lacks_a != lacks_b, unequal)


def _is_nan(array: Any) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    return np.asarray(array.is_null(nan_is_null=True)) & ~np.asarray(array.is_null())


def _one(array: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
