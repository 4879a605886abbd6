"""What of forgotten rows only one machine has: its prediction logs, and its copies of blobs.

Whoever forgets clears the own machine's while the rows still tell which requests were about them. Another machine of the
same store comes when they are gone: it knows a request by the ``_id`` of the key that it says, and by nothing else.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput
from tidemill.core.files import write_text
from tidemill.loop.datasets.asked import Which
from tidemill.loop.datasets.traces import is_made_of, logs, remove_logged
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from tidemill.data import Dataset
    from tidemill.models.signature import Signature

MARK = "forgotten.json"
"""In the folder of environments: how many of each dataset's tombstones this machine has done."""


def clear_machine(ws: Workspace, name: str) -> dict[str, int]:
    """Clear what this machine has of rows that were forgotten since it did so last.

    Returns:
        How many predictions were removed, by environment.

    Raises:
        StorageError: ``log-in-use``.
    """
    from tidemill.data import tombstones  # noqa: PLC0415

    file = ws.store.environments_folder / MARK
    done: dict[str, int] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    count = len(tombstones(ws.store.objects, name))
    if done.get(name, 0) == count:
        return {}
    found = _logged(ws, ws.datasets.open(name))
    remove_logged(ws, found)
    ws.store.blobs.remove_copies()
    write_text(file, json.dumps({**done, name: count}))
    return {place: len(ids) for place, ids in found.items()}


def _logged(ws: Workspace, dataset: "Dataset") -> dict[str, list[str]]:
    """The predictions in logs that say the key of a row that was forgotten: ids, by environment."""
    import numpy as np  # noqa: PLC0415

    from tidemill.serve import log_removal  # noqa: PLC0415

    key = dataset.key
    if key is None:
        return {}
    gone = dataset.forgotten()
    with ws.store.catalog.read() as read:
        of_dataset = is_made_of(read, dataset.name)

    def among(digest: str, signature: "Signature") -> Which:
        types = {t.name: t.type for t in signature.logged}
        named = of_dataset(digest) and set(key) <= types.keys()

        def which(columns: "Mapping[str, np.ndarray[Any, Any]]") -> "np.ndarray[Any, Any]":
            if not named:
                return np.zeros(len(next(iter(columns.values()), ())), bool)
            rows = list(zip(*(_values(columns[n], types[n]) for n in key), strict=True))
            known = _ids(dataset, key, {row for row in rows if None not in row})
            return np.isin(np.array([known.get(row, 0) for row in rows], np.uint64), gone)

        return which

    found = {place: log_removal.holding(file, among, ()) for place, file in logs(ws).items()}
    return {place: ids for place, ids in found.items() if ids}


def _ids(
    dataset: "Dataset", key: Sequence[str], rows: Collection[tuple[Any, ...]]
) -> dict[tuple[Any, ...], int]:
    """The ``_id`` of each of these keys; those of another kind than the dataset's are left out."""
    import pyarrow as pa  # noqa: PLC0415

    from tidemill.store.table import Table  # noqa: PLC0415

    if not rows:
        return {}
    some, schema = list(rows), dataset.schema
    try:
        cells = {
            n: pa.array(c, schema.field(n).type) for n, c in zip(key, zip(*some, strict=True), strict=True)
        }
        return dict(zip(some, dataset.ids_of(Table(pa.table(cells))).tolist(), strict=True))
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        # Of a release from before the column's type changed.
        return {} if len(some) == 1 else {r: i for row in some for r, i in _ids(dataset, key, [row]).items()}


def _values(column: "np.ndarray[Any, Any]", spelled: str) -> list[Any]:
    """The cells of a logged column as Python values; None for what is missing, or says no such cell."""
    import numpy as np  # noqa: PLC0415

    from tidemill.store.spelling import Spelling  # noqa: PLC0415

    mask = np.ma.getmaskarray(column)
    values = [None if m else v for v, m in zip(np.ma.getdata(column).tolist(), mask, strict=True)]
    if not spelled:
        return values
    spelling = Spelling(spelled)
    read: dict[Any, Any] = {None: None}
    for text in set(values) - {None}:
        try:
            read[text] = spelling.arrow(spelling.read("", np.array([text], object)))[0].as_py()
        except InvalidInput:
            read[text] = None
    return [read[value] for value in values]
