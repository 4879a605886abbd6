"""What labelling queues have of rows that are forgotten: labels that people gave, and the cells they were chosen by."""

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core.names import Digest
from tidemill.loop.datasets.labelling.selection import CONFIDENCE, GIVEN, SUGGESTION
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog import records
    from tidemill.store.catalog.database import Transaction
    from tidemill.store.table import Table


@dataclass(frozen=True, slots=True)
class LabelTraces:
    """What queues have of some rows: ``labels`` that people gave, and the ``queues`` that list such a row."""

    labels: int = 0
    queues: int = 0


def label_traces(ws: Workspace, read: "Transaction", name: str, ids: Collection[int]) -> LabelTraces:
    """What the queues of a dataset have of these rows, without changing anything."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    texts = {str(i) for i in ids}
    labels = queues = 0
    for queue in read.find(records.LabelQueue, {"dataset": name}):
        here = [r.position for r in read.find(records.LabelRow, {"queue": queue.id}) if r.row in texts]
        labels += _labels(read, queue, here)
        queues += _without(ws, queue, ids) is not None
    return LabelTraces(labels, queues)


def forget_labels(ws: Workspace, write: "Transaction", name: str, ids: Collection[int]) -> LabelTraces:
    """Remove that; such a row keeps its place in the queue, as one that left the dataset.

    The blobs with the lists as they were are named by nothing afterwards: to be removed once ``write`` is done,
    for until then the queues need them. The caller holds the lock of who removes blobs.
    """
    from tidemill.store import table  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    texts = {str(i) for i in ids}
    labels = queues = 0
    for queue in write.find(records.LabelQueue, {"dataset": name}):
        gone = [r for r in write.find(records.LabelRow, {"queue": queue.id}) if r.row in texts]
        labels += _labels(write, queue, [r.position for r in gone])
        for row in gone:
            write.remove(records.LabelTurn, {"queue": queue.id, "position": row.position})
            write.put(records.LabelRow(queue.id, row.position, row.row, "removed"))
        rest = _without(ws, queue, ids)
        if rest is not None:
            with tempfile.TemporaryDirectory() as folder:
                table.write(rest, Path(folder) / "rows")
                content = ws.store.blobs.put_file(Path(folder) / "rows")
            write.change(records.LabelQueue, {"id": queue.id}, content=content)
            queues += 1
    return LabelTraces(labels, queues)


def _labels(read: "Transaction", queue: "records.LabelQueue", positions: list[int]) -> int:
    from tidemill.store.catalog import records  # noqa: PLC0415

    given = read.find(records.LabelTurn, {"queue": queue.id, "state": "labelled"}) if positions else []
    return sum(turn.position in set(positions) for turn in given)


def _without(ws: Workspace, queue: "records.LabelQueue", ids: Collection[int]) -> "Table | None":
    """The queue's list with nothing but the ``_id`` of these rows; None where it has nothing else of them.

    Positions are places in the list, so a row stays in it.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    from tidemill.store import table  # noqa: PLC0415
    from tidemill.store.table import ID, Table  # noqa: PLC0415

    rows = table.read(ws.store.blobs.path(Digest(queue.content))).to_arrow()
    gone = np.isin(rows[ID].to_numpy(), np.fromiter(ids, np.uint64, len(ids)))
    told = [
        n for n in (GIVEN, SUGGESTION, CONFIDENCE) if rows[n].filter(pa.array(gone)).null_count < gone.sum()
    ]
    if not told:
        return None
    # Taking copies what is kept; a mask would leave the bytes under it in the file.
    kept = pa.array(np.arange(len(gone)), mask=gone)
    for column in told:
        at = rows.schema.get_field_index(column)
        rows = rows.set_column(at, rows.schema.field(at), rows[column].combine_chunks().take(kept))
    return Table(rows)
