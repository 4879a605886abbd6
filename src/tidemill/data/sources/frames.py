"""Tables in memory: Arrow, Polars, pandas, and dicts of columns."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tidemill.core.errors import InvalidInput
from tidemill.data.sources.typed import Typed
from tidemill.store.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE_ROWS = 65_536


def frame(values: object) -> Typed:
    """A frame as a source.

    Raises:
        InvalidInput: ``not-a-table``.
    """
    import pyarrow as pa  # noqa: PLC0415

    try:
        table = Table.of(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise InvalidInput(
            "A column of the frame has no single type.",
            why=str(error).splitlines()[0],
            hint="Give each column values of one type, as with astype(str).",
            code="not-a-table",
        ) from error
    return Typed("a frame", [_Frame(table)], "of the frame")


class _Frame:
    name = "the frame"

    def __init__(self, table: Table) -> None:
        self._table = table
        self.rows = len(table)

    def schema(self) -> "pa.Schema":
        """Its columns."""
        return self._table.to_arrow().schema

    def tables(self) -> "Iterator[pa.Table]":
        """Its rows, in order."""
        arrow = self._table.to_arrow()
        for start in range(0, arrow.num_rows, _PIECE_ROWS):
            yield arrow.slice(start, _PIECE_ROWS)
