"""A table as it travels: Arrow columns, some of them tensors, each row with its ``_id``.

A tensor column is a fixed-size list whose field carries its shape in the metadata ``tidemill.shape``
(JSON, such as ``[28, 28]``), so that single cells can be missing and every Arrow reader can still read it.
Not a dataset: it has no history.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NeedsExtra, NotFound
from tidemill.core.figures import counted
from tidemill.core.kinds import type_name
from tidemill.core.names import did_you_mean
from tidemill.store import polars_frames
from tidemill.store.pandas_frames.frames import levels_of, unpack

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa

SHAPE = b"tidemill.shape"
ID = "_id"
KEY = b"tidemill.key"
"""In a schema's metadata: the columns that name a row, as a JSON list."""
PREDICTION = "_prediction"
SYSTEM_COLUMNS = (ID, PREDICTION)
"""Columns that Tidemill keeps beside the user's: identity, and the prediction that a row corrects."""


class Table:
    """Columns of equal length. Immutable; conversions share memory where they can.

    The identity of the rows is a column, ``_id``, where a table is stored; it is beside the columns (``apart``) where
    somebody computes with them, so that it is no feature by mistake.
    """

    def __init__(
        self, arrow: "pa.Table", beside: "pa.Table | None" = None, order: Sequence[str] = ()
    ) -> None:
        self._arrow = arrow
        self._beside = beside
        self._order = tuple(order)

    def __len__(self) -> int:
        return self._arrow.num_rows if self._beside is None else self._beside.num_rows

    def __repr__(self) -> str:
        return f"Table({counted(len(self), 'row')}: {', '.join(self.columns)})"

    @property
    def columns(self) -> list[str]:
        """The column names, in order."""
        return list(self._arrow.column_names)

    @property
    def ids(self) -> "np.ndarray[Any, Any] | None":
        """The identity of each row: uint64; None where the rows have none."""
        where = self._beside if self._beside is not None else self._arrow
        return Table(where).numpy(ID) if ID in where.column_names else None

    def apart(self) -> "Table":
        """This table with Tidemill's own columns, and index levels without a name, beside the user's, not among them."""
        levels = levels_of(self._arrow)
        own = [c for c in self.columns if c in SYSTEM_COLUMNS or c in levels]
        if self._beside is not None or not own:
            return self
        rest = self._arrow.select([c for c in self.columns if c not in own])
        return Table(rest, self._arrow.select(own), self.columns)

    def whole(self) -> "Table":
        """This table with Tidemill's own columns where they were among the user's."""
        if self._beside is None:
            return self
        names = self.columns
        for own in self._beside.column_names:
            if own in names:
                # A level without a name is called as a column that came later: the column is the user's.
                continue
            before = set(self._order[: self._order.index(own)])
            at = max((i for i, n in enumerate(names) if n in before), default=-1) + 1
            names.insert(at, own)
        fields = [
            (self._arrow if n in self._arrow.column_names else self._beside).schema.field(n) for n in names
        ]
        import pyarrow as pa  # noqa: PLC0415

        columns = [(self._arrow if n in self._arrow.column_names else self._beside).column(n) for n in names]
        return Table(pa.table(columns, schema=pa.schema(fields, metadata=self._arrow.schema.metadata)))

    def anonymous(self) -> "Table":
        """This table without Tidemill's own columns."""
        whole = self.whole()
        return Table(_without_own(whole.to_arrow())).apart()

    def with_columns(self, arrow: "pa.Table") -> "Table":
        """The same rows, in the same order, with these columns in place of theirs."""
        return Table(arrow, self._beside, self._order)

    def shape_of(self, column: str) -> tuple[int, ...]:
        """The shape of one cell: ``()`` for a plain column, ``(28, 28)`` for a tensor of that shape."""
        import pyarrow as pa  # noqa: PLC0415

        field = self._field(column)
        if not pa.types.is_fixed_size_list(field.type):
            return ()
        stored = (field.metadata or {}).get(SHAPE)
        return tuple(json.loads(stored)) if stored else (field.type.list_size,)

    def missing(self, column: str) -> "np.ndarray[Any, Any]":
        """Which cells are missing: bool of shape ``(rows, *shape_of(column))``."""
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        shape, array = self.shape_of(column), self._chunk(column)
        outer = np.asarray(array.is_null(nan_is_null=True))
        if not shape:
            return outer
        inner = array.values[array.offset * array.type.list_size :][: len(array) * array.type.list_size]
        if not inner.null_count and not pa.types.is_floating(inner.type) and not array.null_count:
            return np.zeros((len(array), *shape), bool)
        cells = np.asarray(inner.is_null(nan_is_null=True)).reshape(len(array), *shape)
        return cells | outer.reshape(len(array), *(1 for _ in shape))

    def numpy(self, column: str) -> "np.ndarray[Any, Any]":
        """A column as an array of shape ``(rows, *shape_of(column))``, without a copy where memory allows.

        Raises:
            InvalidInput: ``missing-cells``, when a cell is missing: an array has no word for that.
        """
        array, shape = self._chunk(column), self.shape_of(column)
        flat = array
        if shape:
            size = array.type.list_size
            flat = array.values[array.offset * size : (array.offset + len(array)) * size]
        if array.null_count or flat.null_count:
            raise InvalidInput(
                f"Column '{column}' has {max(array.null_count, flat.null_count)} missing cells.",
                why="A NumPy array cannot hold a missing cell.",
                hint="Remove such rows first with parts.drop_missing; or take the whole table (a parameter that is "
                "annotated tm.Table or pl.DataFrame, without columns=), whose columns may have missing cells.",
                code=codes.MISSING_CELLS,
            )
        return flat.to_numpy(zero_copy_only=False).reshape(len(array), *shape)

    def numpy_with_nan(self, column: str) -> "np.ndarray[Any, Any]":
        """As ``numpy``, with NaN for a missing cell of a column of floating point numbers, for which it is the word.

        Raises:
            InvalidInput: ``missing-cells``, when a cell of another type is missing.
        """
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        array, shape = self._chunk(column), self.shape_of(column)
        kind = array.type.value_type if shape else array.type
        missing = self.missing(column) if pa.types.is_floating(kind) else None
        if missing is None or not missing.any():
            return self.numpy(column)
        cells = array
        if shape:
            size = array.type.list_size
            cells = array.values[array.offset * size : (array.offset + len(array)) * size]
        flat = cells.to_numpy(zero_copy_only=False).reshape(missing.shape)
        return np.where(missing, np.array(np.nan, flat.dtype), flat)

    def with_column(
        self,
        name: str,
        values: "np.ndarray[Any, Any] | pa.Array | Sequence[Any]",
        *,
        shape: Sequence[int] = (),
    ) -> "Table":
        """This table with a column added or replaced. A NumPy array of more than one dimension becomes a tensor."""
        field, array = _as_column(name, values, tuple(shape))
        at = self._arrow.schema.get_field_index(name)
        arrow = (
            self._arrow.append_column(field, array) if at < 0 else self._arrow.set_column(at, field, array)
        )
        return self.with_columns(arrow)

    def select(self, columns: Sequence[str]) -> "Table":
        """Only these columns, in this order."""
        for column in columns:
            self._field(column)
        return self.with_columns(self._arrow.select(list(columns)))

    def filter(self, keep: "np.ndarray[Any, Any]") -> "Table":
        """The rows where ``keep`` (bool, one a row) is true."""
        import pyarrow as pa  # noqa: PLC0415

        mask = pa.array(keep)
        beside = None if self._beside is None else self._beside.filter(mask)
        return Table(self._arrow.filter(mask), beside, self._order)

    def take(self, rows: "np.ndarray[Any, Any] | Sequence[int]") -> "Table":
        """These rows, by position."""
        beside = None if self._beside is None else self._beside.take(rows)
        return Table(self._arrow.take(rows), beside, self._order)

    def to_arrow(self) -> "pa.Table":
        """The Arrow table underneath; the identity of the rows is in it where it is a column."""
        return self._arrow

    def to_polars(self) -> "pl.DataFrame":
        """A Polars frame; a tensor column is an ``Array`` of its shape, a UUID its text.

        Raises:
            InvalidInput: ``not-in-polars``, when a decimal has more than the 38 digits that one has in Polars.
        """
        import polars as pl  # noqa: PLC0415

        frame = polars_frames.frame(self._arrow)
        deep = {c: s for c in self.columns if len(s := self.shape_of(c)) > 1}
        return frame.with_columns(pl.col(c).reshape((-1, *s)) for c, s in deep.items()) if deep else frame

    def to_pandas(self) -> "pd.DataFrame":
        """A pandas frame; a tensor cell is a flat array. One that a step returned has its index and types again.

        The identity of the rows, where it is beside the columns, is the index ``_id``: filters, sorts and ``assign``
        keep it. Integers beside missing cells are float64, as pandas has them, but ``Int64`` or ``UInt64`` where one
        is beyond 2**53, which float64 would round; missing cells beside booleans are None, in a column of objects.

        Raises:
            NeedsExtra: ``needs-extra``, when pandas is not installed.
        """
        try:
            frame = unpack(self._arrow if self._beside is None else _without_own(self.whole().to_arrow()))
        except ModuleNotFoundError as error:
            raise NeedsExtra(
                f"A pandas frame needs {error.name}, which is not installed.",
                hint="Type: pip install 'tidemill[pandas]'; or take the rows by to_polars() or to_arrow().",
            ) from error
        ids = None if self._beside is None else self.ids
        if ids is not None:
            import pandas as pd  # noqa: PLC0415

            if not self.columns:
                frame = pd.DataFrame(index=range(len(ids)))
            frame.index = pd.Index(ids, name=ID)
        return frame

    @classmethod
    def of(cls, frame: object) -> "Table":
        """A table from a Table, Arrow, Polars or pandas frame, or a dict of columns.

        Raises:
            InvalidInput: ``not-a-table``.
        """
        import pyarrow as pa  # noqa: PLC0415

        if isinstance(frame, Table):
            return frame.whole()
        if isinstance(frame, pa.Table):
            return cls(frame)
        if isinstance(frame, Mapping):
            _check_columns(frame)
            columns = [_as_column(str(n), v, ()) for n, v in frame.items()]
            return cls(
                pa.Table.from_arrays([a for _, a in columns], schema=pa.schema([f for f, _ in columns]))
            )
        home = type(frame).__module__.partition(".")[0] if type(frame).__name__ == "DataFrame" else ""
        if home == "polars":
            return cls(_with_shapes(frame))
        if home == "pandas":
            return cls(pa.Table.from_pandas(frame, preserve_index=False))
        raise InvalidInput(
            f"A value of type {type_name(frame)} is not a table.",
            hint="Give a tm.Table, an Arrow table, a Polars or pandas frame, or a dict of columns; rows as dicts are "
            "one by pl.DataFrame(rows).",
            code=codes.NOT_A_TABLE,
        )

    def _field(self, column: str) -> "pa.Field":
        at = self._arrow.schema.get_field_index(column)
        if at < 0:
            hint = did_you_mean(column, self.columns)
            if column == ID:
                hint = "The identity of the rows is no column here: take table.ids."
            raise NotFound(
                f"There is no column '{column}'.",
                hint=hint,
                code=codes.COLUMN_NOT_FOUND,
            )
        return self._arrow.schema.field(at)

    def _chunk(self, column: str) -> Any:
        self._field(column)
        chunked = self._arrow.column(column)
        return chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()


def _check_columns(columns: Mapping[Any, Any]) -> None:
    """Each a list of cells, and as long as the others."""
    lengths: dict[Any, int] = {}
    for name, cells in columns.items():
        if isinstance(cells, (str, bytes)) or not hasattr(cells, "__len__"):
            raise InvalidInput(
                f"Column '{name}' is one {type(cells).__name__}, not a list of cells.",
                hint=f"Give it a cell for each row: {{'{name}': [...]}}.",
                code=codes.NOT_A_TABLE,
                details={"column": str(name)},
            )
        lengths[name] = len(cells)
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"'{name}' has {length:,}" for name, length in list(lengths.items())[:20])
        raise InvalidInput(
            f"The columns do not have the same number of rows: {said}.",
            hint="Give each column a cell for each row; None is a missing one.",
            code=codes.NOT_A_TABLE,
        )


def _without_own(arrow: "pa.Table") -> "pa.Table":
    return arrow.select([c for c in arrow.column_names if c not in SYSTEM_COLUMNS])


def write(table: Table, path: Path) -> None:
    """Write one Arrow IPC file, ready to be memory-mapped."""
    import pyarrow as pa  # noqa: PLC0415

    arrow = canonical(table)
    with pa.OSFile(os.fspath(path), "wb") as file, pa.ipc.new_file(file, arrow.schema) as writer:
        writer.write_table(arrow)


def canonical(table: Table) -> "pa.Table":
    """Its columns in one piece, with their metadata in one order: Lance gives it in another in each process."""
    import pyarrow as pa  # noqa: PLC0415

    arrow = table.to_arrow().combine_chunks()
    fields = [f.with_metadata(dict(sorted(f.metadata.items()))) if f.metadata else f for f in arrow.schema]
    metadata = arrow.schema.metadata
    schema = pa.schema(fields, metadata=dict(sorted(metadata.items())) if metadata else None)
    return pa.Table.from_arrays(arrow.columns, schema=schema)


def read(path: Path) -> Table:
    """Memory-map what ``write`` wrote; nothing is copied."""
    import pyarrow as pa  # noqa: PLC0415

    return Table(pa.ipc.open_file(pa.memory_map(os.fspath(path))).read_all())


def _as_column(name: str, values: Any, shape: tuple[int, ...]) -> tuple["pa.Field", Any]:
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        metadata = {SHAPE: json.dumps(list(shape)).encode()} if shape else None
        return pa.field(name, values.type, metadata=metadata), values
    if isinstance(values, np.ndarray) and values.ndim > 1:
        cell = values.shape[1:]
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        array = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(cell)))
        return pa.field(name, array.type, metadata={SHAPE: json.dumps(list(cell)).encode()}), array
    array = pa.array(values)
    return pa.field(name, array.type), array


def _with_shapes(frame: Any) -> "pa.Table":
    """A Polars frame as Arrow, its nested arrays made flat with the shape beside them."""
    import polars as pl  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    arrow: pa.Table = frame.to_arrow()
    for name, kind in frame.schema.items():
        if not isinstance(kind, pl.Array):
            continue
        at, array = arrow.schema.get_field_index(name), arrow.column(name).combine_chunks()
        if array.null_count:
            raise InvalidInput(
                f"Column '{name}' lacks {array.null_count} whole tensors.",
                hint="Drop those rows first; single cells of a tensor may be missing.",
                code=codes.MISSING_CELLS,
            )
        while pa.types.is_fixed_size_list(array.type):
            array = array.flatten()
        flat = pa.FixedSizeListArray.from_arrays(array, int(array_size(kind.shape)))
        field = pa.field(name, flat.type, metadata={SHAPE: json.dumps(list(kind.shape)).encode()})
        arrow = arrow.set_column(at, field, flat)
    return arrow


def array_size(shape: Sequence[int]) -> int:
    """How many cells a tensor of this shape has."""
    size = 1
    for length in shape:
        size *= length
    return size
