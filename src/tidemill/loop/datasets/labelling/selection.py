"""Which rows a queue has, and in which order: unlabelled, unsure, contradicted, or any that a condition holds for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Sink
from tidemill.loop.datasets.labelling import classes as labels
from tidemill.loop.datasets.labelling.scoring import probabilities
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from tidemill.data import Snapshot
    from tidemill.store.catalog import records
    from tidemill.store.table import Table

    Array = np.ndarray[Any, Any]

Rows = Literal["unlabelled", "unsure", "contradicted", "all"]
Unsureness = Literal["margin", "entropy"]
GIVEN, SUGGESTION, CONFIDENCE = "given", "suggestion", "confidence"
"""The columns of a queue's content beside ``_id``."""


@dataclass(frozen=True, slots=True)
class Selection:
    """How rows are chosen.

    Attributes:
        rows: ``unlabelled``: those without a label. ``unsure``: the model's least sure first.
            ``contradicted``: those whose label the model finds wrong, its surest first. ``all``.
        where: A condition in SQL that they must meet too.
        by: What unsure means: ``margin``, the least distance between the two likeliest classes; ``entropy``,
            the greatest entropy of the probabilities.
        limit: Only the first so many.
    """

    rows: Rows
    where: str | None = None
    by: Unsureness = "margin"
    limit: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As the catalog keeps it."""
        return asdict(self)


def in_words(stored: Mapping[str, Any]) -> str:
    """A selection for a person."""
    words = {
        "unlabelled": "rows without a label",
        "unsure": f"rows the model is least sure of, by {stored['by']}",
        "contradicted": "rows whose label the model contradicts",
        "all": "all rows",
    }[stored["rows"]]
    where = f" where {stored['where']}" if stored["where"] else ""
    limit = f", the first {stored['limit']:,}" if stored["limit"] else ""
    return f"{words}{where}{limit}"


def select(
    ws: Workspace,
    snapshot: "Snapshot",
    column: str,
    selection: Selection,
    model: "records.Model | None",
    *,
    sink: Sink,
) -> "tuple[Table, list[str], int]":
    """The rows of a queue, in order.

    Returns:
        ``_id``, ``given``, ``suggestion`` and ``confidence`` of each; the classes of the model (empty without
        one); how many rows the model refused.

    Raises:
        InvalidInput: ``needs-model``, and what ``probabilities`` raises.
    """
    import numpy as np  # noqa: PLC0415

    from tidemill.store.table import ID  # noqa: PLC0415

    if model is None and selection.rows in ("unsure", "contradicted"):
        raise InvalidInput(
            f"To choose {selection.rows} rows takes a model.",
            hint="Add --model NAME; 'tidemill models' lists them.",
            code=codes.NEEDS_MODEL,
        )
    table = snapshot.read([ID, column])
    ids, given = table.numpy(ID), labels.texts(table, column)
    keep = np.ones(len(ids), bool)
    if selection.where is not None:
        keep &= np.isin(ids, snapshot.where(selection.where))
    if selection.rows == "unlabelled":
        keep &= given == None  # noqa: E711 - element by element
    elif selection.rows == "contradicted":
        keep &= given != None  # noqa: E711 - element by element
    ids, given = ids[keep], given[keep]
    suggestion, confidence = np.full(len(ids), None, object), np.full(len(ids), np.nan, np.float32)
    order, names, refused = np.arange(len(ids)), [], 0
    if model is not None and len(ids):
        found, names = probabilities(ws, model, snapshot, ids, sink=sink)
        sure = ~np.isnan(found[:, 0])
        refused = int(np.count_nonzero(~sure))
        suggestion[sure] = np.array(names, object)[found[sure].argmax(1)]
        confidence[sure] = found[sure].max(1)
        order = _order(selection, found, names, given)
    order = order[: selection.limit]
    return _content(ids[order], given[order], suggestion[order], confidence[order]), names, refused


def _order(selection: Selection, found: "Array", names: list[str], given: "Array") -> "Array":
    """The places of the rows that the model puts in the queue, in its order."""
    import numpy as np  # noqa: PLC0415

    if selection.rows == "unsure":
        doubt = _margin(found) if selection.by == "margin" else _entropy(found)
        # What the model refused it knows nothing of: least sure of all.
        return np.argsort(np.nan_to_num(-doubt, nan=-np.inf), kind="stable")
    if selection.rows == "contradicted":
        at = {name: place for place, name in enumerate(names)}
        places = np.array([at.get(label, -1) for label in given], np.int64)
        rows = np.arange(len(found))
        own = np.where(places >= 0, found[rows, places], 0)
        against = found.max(1) - own
        wrong = np.flatnonzero(against > 0)
        return wrong[np.argsort(-against[wrong], kind="stable")]
    return np.arange(len(found))


def _margin(found: "Array") -> "Array":
    """Minus the distance between the two likeliest classes: the greater, the less sure."""
    import numpy as np  # noqa: PLC0415

    if found.shape[1] < 2:
        return -found[:, 0]
    two = np.partition(found, -2, axis=1)[:, -2:]
    return two[:, 0] - two[:, 1]


def _entropy(found: "Array") -> "Array":
    """The entropy of the probabilities, in nats."""
    import numpy as np  # noqa: PLC0415

    return -(found * np.log(np.maximum(found, np.finfo(np.float32).tiny))).sum(1)


def _content(ids: "Array", given: "Array", suggestion: "Array", confidence: "Array") -> "Table":
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    from tidemill.store.table import ID, Table  # noqa: PLC0415

    return Table(
        pa.table(
            {
                ID: pa.array(ids, pa.uint64()),
                GIVEN: pa.array(given.tolist(), pa.string()),
                SUGGESTION: pa.array(suggestion.tolist(), pa.string()),
                CONFIDENCE: pa.array(confidence, pa.float32(), mask=np.isnan(confidence)),
            }
        )
    )
