"""Which row is which, through a user's function that does not see it.

pandas carries the identity of rows as the index ``_id``, ``tm.Table`` beside its columns. Polars, Arrow and tables made
of them carry none: as many rows in the same order keep theirs, and that it is the same order is shown, never assumed.
"""

import ast
import inspect
import math
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from tidemill.core import codes
from tidemill.core.errors import Failed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tidemill.store.table import Table

_TRIED_ROWS = 16
_TRIED_COLUMNS = 8


def is_in_order(given: "pa.Table", made: "pa.Table") -> bool:
    """Whether it is shown that the rows of ``made`` are those of ``given`` in their order; both have as many."""
    return given.num_rows < 2 or shares(given, made) or equals(given, made)


def shares(given: "pa.Table", made: "pa.Table") -> bool:
    """Whether a column lies in the same memory in both: what sorts or picks rows writes all of them anew."""
    return any(_is_shared(given.column(n), made.column(n)) for n in _in_both(given, made))


def equals(given: "pa.Table", made: "pa.Table") -> bool:
    """Whether columns have equal cells in both that no two rows have in common."""
    equal = [n for n in _in_both(given, made) if _is_equal(given.column(n), made.column(n))]
    return bool(equal) and _tells_apart(given, equal)


def _in_both(given: "pa.Table", made: "pa.Table") -> "list[str]":
    return [n for n in made.column_names if n in set(given.column_names)]


def is_kept(
    call: "Callable[[Table], Table | None]", given: "Table", made: "Table", columns: "pa.Table"
) -> bool:
    """Whether some rows, given to the function in another order or alone, come back as they did among all.

    A function that treats each row by itself gives them so; one that sorts, turns round or shuffles does not. Rows
    alone are asked for since what turns the rows round does so in any number of them.

    Args:
        call: Calls the function on other rows.
        given: The rows that the function was given.
        made: What it made of them.
        columns: The columns of ``made``.
    """
    import numpy as np  # noqa: PLC0415

    some = _tried(columns)
    expected = columns.take(some)
    if not _is_telling(expected):
        return columns.num_rows == 1 or not _is_telling(columns)
    for places in (np.roll(some[::-1], 1), some[:1], some[-1:]):
        again = call(given.take(places))
        if again is None or len(again) != len(places) or again.columns != made.columns:
            return False
        if not _are_close(columns.take(places), again.to_arrow(), like=expected):
            return False
    return True


def line_of(function: Any) -> str:
    """The line of a function's one ``return``, as ``file.py:12``; of its definition where it has several."""
    plain = inspect.unwrap(function)
    try:
        lines, start = inspect.getsourcelines(plain)
        file = inspect.getsourcefile(plain) or ""
    except (OSError, TypeError):
        return str(getattr(plain, "__qualname__", plain))
    try:
        tree = ast.parse(textwrap.dedent("".join(lines)))
        returns = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Return)]
    except SyntaxError:
        returns = []
    line = start + returns[0] - 1 if len(returns) == 1 else start
    return f"{file.rpartition('/')[2]}:{line}"


def ids_of(index: Any) -> "np.ndarray[Any, Any] | None":
    """The identities that a pandas frame's index holds; None where it is another index."""
    import numpy as np  # noqa: PLC0415

    from tidemill.store.table import ID  # noqa: PLC0415

    if index.nlevels != 1 or index.name != ID or getattr(index.dtype, "kind", "") not in "iu":
        return None
    if len(index) and int(index.min()) < 0:
        return None
    return np.asarray(index.to_numpy(), dtype=np.uint64)


def attached(made: "Table", given: "Table", rows: "np.ndarray[Any, Any] | None") -> "Table":
    """``made`` with the identities of these rows of ``given``; of all, in their order, where ``rows`` is None."""
    own = given.apart()
    return (own if rows is None else own.take(rows)).with_columns(made.to_arrow()).whole()


def with_ids(made: "Table", ids: "np.ndarray[Any, Any]") -> "Table":
    """``made`` with these identities."""
    import pyarrow as pa  # noqa: PLC0415

    from tidemill.store.table import ID, Table  # noqa: PLC0415

    return Table(made.to_arrow(), pa.table({ID: pa.array(ids, pa.uint64())}), (ID,)).whole()


def places(step: str, old: "np.ndarray[Any, Any]", new: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Where each of the rows ``new`` is among ``old``: some of them, in their order.

    Raises:
        Failed: ``not-row-wise``.
    """
    import numpy as np  # noqa: PLC0415

    if len(old) == len(new) and bool((old == new).all()):
        return np.arange(len(old))
    if len(np.unique(old)) < len(old):
        # A table that a step made may have a row several times: its occurrences are told apart by their number.
        old, new = _numbered(old, new)
    sorted_by = np.argsort(old, kind="stable")
    found = np.searchsorted(old, new, sorter=sorted_by)
    inside = found < len(old)
    rows = sorted_by[np.where(inside, found, 0)] if len(old) else np.zeros(len(new), np.int64)
    known = inside & (old[rows] == new) if len(old) else np.zeros(len(new), bool)
    if not known.all() or (np.diff(rows) <= 0).any():
        what = "rows that it did not get" if not known.all() else "its rows in another order, or twice"
        raise Failed(
            f"Step '{step}' returned {what}.",
            why="A row_step may change or drop rows; it never adds, repeats or reorders them.",
            hint="Use @tm.step for what needs the whole table; rows='new' says that the rows are meant to be new ones.",
            code=codes.NOT_ROW_WISE,
            details={"step": step},
        )
    return rows


def _numbered(
    old: "np.ndarray[Any, Any]", new: "np.ndarray[Any, Any]"
) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    import numpy as np  # noqa: PLC0415

    codes = np.unique(np.concatenate([old, new]), return_inverse=True)[1].astype(np.int64)
    parts: list[np.ndarray[Any, Any]] = []
    for part in (codes[: len(old)], codes[len(old) :]):
        order = np.argsort(part, kind="stable")
        ranked = part[order]
        starts = np.r_[True, ranked[1:] != ranked[:-1]] if len(ranked) else np.zeros(0, bool)
        first = np.maximum.accumulate(np.where(starts, np.arange(len(ranked)), 0))
        number = np.empty(len(part), np.int64)
        number[order] = np.arange(len(ranked)) - first
        parts.append(part * (len(codes) + 1) + number)
    return parts[0], parts[1]


def _is_shared(one: "pa.ChunkedArray", other: "pa.ChunkedArray") -> bool:
    """Whether all that a column is made of lies where the other's does: values, offsets, what is missing."""
    if one.type != other.type or one.num_chunks != other.num_chunks:
        return False
    for a, b in zip(one.chunks, other.chunks, strict=True):
        if len(a) != len(b) or a.offset != b.offset:
            return False
        here, there = ([None if x is None else x.address for x in c.buffers()] for c in (a, b))
        if here != there or not any(here):
            return False
    return True


def _is_equal(one: "pa.ChunkedArray", other: "pa.ChunkedArray") -> bool:
    import pyarrow as pa  # noqa: PLC0415

    if one.type != other.type:
        try:
            one = one.cast(other.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            return False
    return one.equals(other)


def _tells_apart(table: "pa.Table", names: "list[str]") -> bool:
    """Whether no two rows have the same cells in these columns."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        groups = table.select(names).group_by(names, use_threads=False).aggregate([])
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        flat = [n for n in names if not pa.types.is_nested(table.schema.field(n).type)]
        return len(flat) < len(names) and bool(flat) and _tells_apart(table, flat)
    return groups.num_rows == table.num_rows


def _tried(columns: "pa.Table") -> "np.ndarray[Any, Any]":
    """Which rows are given once more: some from everywhere, and the ones with the rarest cells.

    Without these, a column in which few rows differ from all others would look the same in any order.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    rows = np.linspace(0, columns.num_rows - 1, min(_TRIED_ROWS, columns.num_rows)).astype(np.int64).tolist()
    for column in columns.columns[:_TRIED_COLUMNS]:
        try:
            codes = column.combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy()
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            continue
        counts = np.bincount(codes)
        for code in np.argsort(counts, kind="stable")[:2]:
            rows.append(int(np.argmax(codes == code)))
    return np.array(list(dict.fromkeys(rows)), np.int64)


def _is_telling(rows: "pa.Table") -> bool:
    """Whether these rows in another order would be seen to be so."""
    import numpy as np  # noqa: PLC0415

    return any(
        not _are_close(rows.take(np.roll(np.arange(rows.num_rows), shift)), rows, like=rows)
        for shift in (1, rows.num_rows // 2)
    )


def _are_close(one: "pa.Table", other: "pa.Table", *, like: "pa.Table") -> bool:
    return all(
        _is_close(one.column(n), other.column(n), _slack(like.column(n).to_pylist()))
        for n in one.column_names
    )


def _slack(cells: "list[Any]") -> float:
    """How far numbers of a column may be apart and still count as the same: a share of what lies between its numbers.

    It is no share of the numbers themselves: by that, all times of a year, counted in seconds from 1970, are the same.
    """
    numbers = [v for c in cells for v in (c if isinstance(c, list) else [c]) if isinstance(v, float)]
    finite = [v for v in numbers if math.isfinite(v)]
    if not finite:
        return 0.0
    spread = max(finite) - min(finite)
    # Where all are the same, nothing is told by them; then only what the number of rows in a batch changes is let pass.
    return 1e-3 * spread if spread > 0 else 1e-6 * abs(finite[0])


def _is_close(one: "pa.ChunkedArray", other: "pa.ChunkedArray", slack: float) -> bool:
    """Whether two columns have the same cells, numbers up to what the number of rows in a batch changes."""
    import pyarrow as pa  # noqa: PLC0415

    if one.type != other.type and not (pa.types.is_null(one.type) or pa.types.is_null(other.type)):
        return False
    return all(_is_same(a, b, slack) for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True))


def _is_same(a: Any, b: Any, slack: float) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        pairs = zip(cast("list[Any]", a), cast("list[Any]", b), strict=False)
        return len(cast("list[Any]", a)) == len(cast("list[Any]", b)) and all(
            _is_same(x, y, slack) for x, y in pairs
        )
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= slack
    return a == b
