"""The identity of rows: ``_id`` from the user's key, or from content and occurrence where there is none.

What is hashed is ``core.identity.row`` and ``key_row``; this file turns Arrow columns into their cells,
many rows at a time. Content depends on the columns' types, so a dataset's column never changes its type.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.core.errors import InvalidInput
from tidemill.store.table import ID, SYSTEM_COLUMNS, Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_BATCH_ROWS = 8192


def with_ids(table: Table, key: Sequence[str] | None) -> Table:
    """``table`` with its ``_id`` column first.

    Args:
        table: Rows without ``_id``.
        key: The columns that identify a row; None takes the whole content, and counts equal rows.

    Raises:
        InvalidInput: ``duplicate-key``, ``missing-key``, or ``id-collision``: two different rows got one
            64-bit identity (expected once in about 4 billion rows).
        NotFound: ``column-not-found``, when a key column is not there.
    """
    import pyarrow as pa  # noqa: PLC0415

    ids = key_ids(table, key) if key else content_ids(table)
    arrow = table.to_arrow()
    field = pa.field(ID, pa.uint64(), nullable=False)
    return Table(arrow.add_column(0, field, pa.array(ids, pa.uint64())))


def content_ids(table: Table) -> "np.ndarray[Any, Any]":
    """Each row's ``_id`` from its content, and which of its equals it is."""
    import numpy as np  # noqa: PLC0415

    ids = np.fromiter((identity.row(c, 0) for c in cells(table)), np.uint64, len(table))
    for first, later in _repeated(ids):
        again = list(cells(table.take([first, *later])))
        for occurrence, (row, content) in enumerate(zip(later, again[1:], strict=True), start=1):
            if content != again[0]:
                raise _collision(first, row)
            ids[row] = identity.row(content, occurrence)
    for first, later in _repeated(ids):
        raise _collision(first, later[0])
    return ids


def key_ids(table: Table, key: Sequence[str]) -> "np.ndarray[Any, Any]":
    """Each row's ``_id`` from the cells of its key columns."""
    import numpy as np  # noqa: PLC0415

    columns = table.select(key).to_arrow()
    for name in key:
        lacking = columns.column(name).is_null(nan_is_null=True)
        if columns.column(name).null_count or lacking.index(True).as_py() >= 0:
            row = lacking.index(True).as_py()
            raise InvalidInput(
                f"Row {row + 1} has no value in key column '{name}'.",
                why="A row without its key has no identity.",
                hint="Fill the cell, or choose other key columns.",
                code="missing-key",
                details={"row": row + 1, "column": name},
            )
    pairs = list(zip(*(columns.column(name).to_pylist() for name in key), strict=True))
    plain = [[_plain(c) for c in pair] for pair in pairs]
    ids = np.fromiter((identity.key_row(c) for c in plain), np.uint64, len(table))
    for first, later in _repeated(ids):
        if pairs[first] != pairs[later[0]]:
            raise _collision(first, later[0])
        shown = ", ".join(f"{n}={v!r}" for n, v in zip(key, pairs[first], strict=True))
        raise InvalidInput(
            f"Rows {first + 1} and {later[0] + 1} have the same key: {shown}.",
            why="A key must name one row.",
            hint="Remove one of them, or add a column to the key.",
            code="duplicate-key",
            details={"rows": [first + 1, later[0] + 1], "key": list(key)},
        )
    return ids


def cells(table: Table) -> Iterator[list[identity.Value]]:
    """Each row's content as ``core.identity.row`` takes it.

    The bytes of all fixed-width cells, in column order, missing ones as zeros; which of these are missing,
    as bits, or None when none is; then each text or binary cell. System columns are not content.
    """
    arrow = table.to_arrow().select([c for c in table.columns if c not in SYSTEM_COLUMNS])
    for batch in arrow.to_batches(max_chunksize=_BATCH_ROWS):
        yield from _batch_cells(batch)


def _batch_cells(batch: "pa.RecordBatch") -> Iterator[list[identity.Value]]:
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    rows = batch.num_rows
    data: list[np.ndarray[Any, Any]] = []
    missing: list[np.ndarray[Any, Any]] = []
    texts: list[list[str | bytes | None]] = []
    for array in batch.columns:
        if pa.types.is_null(array.type):
            texts.append([None] * rows)
        elif _is_text(array.type):
            texts.append(array.to_pylist())
        else:
            values, absent = _fixed(array)
            data.append(np.ascontiguousarray(values).view(np.uint8).reshape(rows, -1))
            missing.append(absent)
    packed = np.concatenate(data, axis=1) if data else np.zeros((rows, 0), np.uint8)
    absent = np.concatenate(missing, axis=1) if missing else np.zeros((rows, 0), bool)
    some: Any = absent.any(axis=1)
    bits = np.packbits(absent, axis=1)
    width = packed.shape[1]
    flat = packed.tobytes()
    for row in range(rows):
        content = flat[row * width : (row + 1) * width]
        yield [content, bits[row].tobytes() if some[row] else None, *(column[row] for column in texts)]


def _fixed(array: Any) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Values (rows x cells) with zeros where missing, and which are missing, of a fixed-width column."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    rows, size, outer = len(array), 1, None
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        outer = np.asarray(array.is_null()).reshape(rows, 1) if array.null_count else None
        array = array.values[array.offset * size : (array.offset + rows) * size]
    if pa.types.is_temporal(array.type):
        array = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    absent = np.zeros((rows, size), bool)
    if array.null_count:
        absent = np.asarray(array.is_null()).reshape(rows, size)
        array = array.fill_null(pa.scalar(0).cast(array.type))
    values = array.to_numpy(zero_copy_only=False).reshape(rows, size)
    if outer is not None:
        absent = absent | outer
        values = np.where(outer, np.zeros((), values.dtype), values)
    if values.dtype.kind == "f":
        # One NaN for all NaNs, as in core.identity.
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values)
    return values.astype(values.dtype.newbyteorder("<"), copy=False), absent


def _is_text(kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def _plain(cell: object) -> identity.Value:
    """A key's cell as a value that has an identity; a date or time by its ISO text."""
    if cell is None or isinstance(cell, (bool, int, float, str, bytes)):
        return cell
    return str(cell)


def _repeated(ids: "np.ndarray[Any, Any]") -> list[tuple[int, list[int]]]:
    """For each id that occurs more than once: its first row, and the later ones in order."""
    import numpy as np  # noqa: PLC0415

    order = np.argsort(ids, kind="stable")
    same = ids[order][1:] == ids[order][:-1]
    if not same.any():
        return []
    groups: dict[int, list[int]] = {}
    for at in np.flatnonzero(same):
        groups.setdefault(int(ids[order[at]]), [int(order[at])]).append(int(order[at + 1]))
    return sorted((rows[0], rows[1:]) for rows in groups.values())


def _collision(one: int, other: int) -> InvalidInput:
    return InvalidInput(
        f"Rows {one + 1} and {other + 1} differ but have the same 64-bit identity.",
        why="That happens by chance about once in four billion rows.",
        hint="Import with key columns, or leave one of the two rows out.",
        code="id-collision",
        details={"rows": [one + 1, other + 1]},
    )
