"""The rows of a queue as a person sees them: as they are in the dataset now, not when the queue was made."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from tidemill.loop.datasets.labelling import classes as labels
from tidemill.loop.datasets.labelling.queues import content
from tidemill.loop.datasets.labelling.selection import CONFIDENCE, GIVEN, SUGGESTION
from tidemill.loop.datasets.labelling.views import Picture
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Dataset
    from tidemill.store.catalog import records
    from tidemill.store.table import Table


class QueueRows:
    """The rows of one queue, by position."""

    def __init__(self, ws: Workspace, queue: "records.LabelQueue") -> None:
        self._ws = ws
        self._queue = queue

    def id(self, position: int) -> int:
        """The row's ``_id``."""
        from tidemill.store.table import ID  # noqa: PLC0415

        return self._at(position, ID)

    def given(self, position: int) -> str | None:
        """The label that the row had when the queue was made."""
        return self._at(position, GIVEN)

    def suggestion(self, position: int) -> tuple[str | None, float | None]:
        """What the model answered, and how sure it was."""
        return self._at(position, SUGGESTION), self._at(position, CONFIDENCE)

    def now(self, position: int) -> "Table":
        """The row as it is now, on the branch that the queue was made of; empty when it is gone."""
        return self._dataset.snapshot(self._queue.source or self._queue.commit).read(ids=[self.id(position)])

    def meanwhile(self, position: int, table: "Table") -> str | None:
        """What takes the row out of the queue: it was ``removed``, its label was ``changed``; None for nothing."""
        if not len(table):
            return "removed"
        there = labels.texts(table, self._queue.column)[0]
        return None if there == self.given(position) else "changed"

    def cells(self, table: "Table") -> dict[str, Any]:
        """The row's plain cells but the label; a tensor is drawn, or too much to be told."""
        from tidemill.data.cell_values import value  # noqa: PLC0415
        from tidemill.store.table import SYSTEM_COLUMNS  # noqa: PLC0415

        names = [c for c in table.columns if c not in (self._queue.column, *SYSTEM_COLUMNS)]
        plain = [n for n in names if not table.shape_of(n)]
        return {n: value(table.to_arrow().column(n), 0) for n in plain} if len(table) else {}

    @cached_property
    def _content(self) -> "Table":
        return content(self._ws, self._queue)

    @cached_property
    def _dataset(self) -> "Dataset":
        return self._ws.datasets.open(self._queue.dataset)

    def _at(self, position: int, column: str) -> Any:
        from tidemill.data.cell_values import value  # noqa: PLC0415

        return value(self._content.to_arrow().column(column), position - 1)


def picture(table: "Table") -> Picture | None:
    """The first column that is an image, where the row has it; a missing pixel is 0."""
    import numpy as np  # noqa: PLC0415

    from tidemill.evaluation.png import as_bytes, is_image_shape  # noqa: PLC0415

    for name in table.columns if len(table) else ():
        shape = table.shape_of(name)
        if is_image_shape(shape) and not table.missing(name).all():
            flat: Any = table.to_arrow().column(name).combine_chunks().flatten()
            pixels = np.asarray(flat.fill_null(0)).reshape(*shape[:2], -1)
            return Picture(name, as_bytes(pixels))
    return None
