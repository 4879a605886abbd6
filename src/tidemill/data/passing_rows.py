"""Rows on their way into a table's files."""

import itertools
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tidemill.store.table import ID

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_ALIGNED_BYTES = 16
"""Where the widest of Arrow's numbers must lie."""


class Rows:
    """Batches on their way into fragments: their ids are kept, and what stops them is told as it is."""

    def __init__(self, batches: "Iterable[pa.Table]", schema: "pa.Schema") -> None:
        self._batches = (batch for batch in batches if batch.num_rows)
        self._schema = schema
        self._ids: list[np.ndarray[Any, Any]] = []
        self._first: pa.Table | None = None
        self._error: Exception | None = None

    def some(self) -> bool:
        """Whether there is a row at all."""
        self._first = next(self._batches, None)
        return self._first is not None

    def reader(self) -> "pa.RecordBatchReader":
        """Gives them, once."""
        import pyarrow as pa  # noqa: PLC0415

        return pa.RecordBatchReader.from_batches(self._schema, self._taken())

    def ids(self) -> "np.ndarray[Any, Any]":
        """The ``_id`` of each row that was read, in order."""
        import numpy as np  # noqa: PLC0415

        return np.concatenate(self._ids)

    @contextmanager
    def watched(self) -> Generator[None]:
        """Raises what stopped the batches, in the place of what Lance made of it."""
        try:
            yield
        except Exception:
            if self._error is not None:
                raise self._error from None
            raise

    def _taken(self) -> "Iterator[pa.RecordBatch]":
        assert self._first is not None
        try:
            for batch in itertools.chain([self._first], self._batches):
                self._ids.append(batch.column(ID).to_numpy())
                yield from _aligned(batch.select(self._schema.names)).cast(self._schema).to_batches()
        except Exception as error:
            self._error = error
            raise


def _aligned(batch: "pa.Table") -> "pa.Table":
    """A batch that Lance can take over: a file's or another library's numbers of 128 bits may lie anywhere."""
    import numpy as np  # noqa: PLC0415

    for at, column in enumerate(batch.columns):
        buffers = (buffer for chunk in column.chunks for buffer in chunk.buffers())
        if any(buffer is not None and buffer.address % _ALIGNED_BYTES for buffer in buffers):
            batch = batch.set_column(at, batch.schema.field(at), column.take(np.arange(len(column))))
    return batch
