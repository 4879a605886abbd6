"""Tables in memory: Arrow, Polars, pandas, and dicts of columns."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data.sources.source import Note
from tidemill.data.sources.typed import Typed
from tidemill.store.table import Table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_PIECE_ROWS = 65_536


def frame(values: object) -> Typed:
    """A frame as a source.

    Raises:
        InvalidInput: ``not-a-table``, ``unknown-cells``; of a pandas frame also what ``pandas_frames`` raises.
    """
    import pyarrow as pa  # noqa: PLC0415

    notes: Sequence[Note] = ()
    home = type(values).__module__.partition(".")[0] if type(values).__name__ == "DataFrame" else ""
    if home == "pandas":
        from tidemill.data.sources.pandas_frames import as_arrow  # noqa: PLC0415

        arrow, notes = as_arrow(cast("pd.DataFrame", values))
    elif home == "polars":
        arrow, notes = _of_polars(values)
    elif isinstance(values, pa.RecordBatch):
        arrow = pa.Table.from_batches([values])
    else:
        arrow = _of_others(values)
    return Typed("a frame", [_Frame(arrow)], "of the frame", notes)


def _of_polars(frame: Any) -> "tuple[pa.Table, list[Note]]":
    """A Polars frame as Arrow; what Arrow has no type for is refused by its column."""
    import polars as pl  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    columns: dict[str, Any] = {}
    notes: list[Note] = []
    for series in frame.iter_columns():
        name, kind = series.name, series.dtype
        if isinstance(kind, pl.Enum):
            text = f"Column '{name}': the order of its categories is not kept: {' < '.join(kind.categories[:6])}."
            notes.append(Note("category-order", name, text))
        try:
            columns[name] = series.to_arrow() if not kind.is_object() else pa.array(series.to_list())
        except (pl.exceptions.PolarsError, pa.ArrowException, TypeError, ValueError) as error:
            raise InvalidInput(
                f"the frame, column '{name}': a dataset cannot keep cells of type {kind}.",
                why=str(error).splitlines()[0],
                hint=f"Give it another type: frame.with_columns(pl.col('{name}').cast(pl.String)).",
                code=codes.UNKNOWN_CELLS,
                details={"file": "the frame", "column": name},
            ) from error
    return pa.table(columns), notes


def _of_others(values: object) -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415

    try:
        return Table.of(values).to_arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise InvalidInput(
            "A column of the frame has no single type.",
            why=str(error).splitlines()[0],
            hint="Give each column values of one type, as with astype(str).",
            code=codes.NOT_A_TABLE,
        ) from error


class _Frame:
    name = "the frame"

    def __init__(self, table: "pa.Table") -> None:
        self._table = table
        self.rows = table.num_rows

    def schema(self) -> "pa.Schema":
        """Its columns."""
        return self._table.schema

    def tables(self) -> "Iterator[pa.Table]":
        """Its rows, in order."""
        for start in range(0, self.rows, _PIECE_ROWS):
            yield self._table.slice(start, _PIECE_ROWS)
