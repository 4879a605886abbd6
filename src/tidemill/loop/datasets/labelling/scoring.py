"""What a registered model says of rows: the probability of each class, by the predictor that would be served."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Progress, Sink
from tidemill.loop.judging import load_predictor
from tidemill.loop.predictors import PREDICTOR
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from tidemill.data import Snapshot
    from tidemill.models.predictor import Predictor
    from tidemill.store.catalog import records
    from tidemill.store.table import Table

    Array = np.ndarray[Any, Any]

_BATCH = 1024


def probabilities(
    ws: Workspace, model: "records.Model", snapshot: "Snapshot", ids: "Array", *, sink: Sink
) -> "tuple[Array, list[str]]":
    """How likely a model finds each class of these rows.

    Args:
        ws: The project.
        model: The model.
        snapshot: The rows.
        ids: Which of them; distinct, uint64.
        sink: Gets ``Progress``.

    Returns:
        float32 of shape ``(len(ids), classes)``, a row of NaN where the model refused the row; and the
        classes.

    Raises:
        InvalidInput: ``model-without-classes``, ``model-does-not-fit``.
    """
    import numpy as np  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        predictor = load_predictor(ws, _predictor_of(ws, model), Path(folder))
        classes = list(predictor.classes or ())
        inputs = [t.name for t in predictor.signature.inputs]
        _check_inputs(model, inputs, snapshot)
        order = np.argsort(ids)
        found = np.full((len(ids), len(classes)), np.nan, np.float32)
        done = 0
        for there, rows in _batches(snapshot, ids[order], inputs):
            found[order[there]] = _answers(predictor, rows, inputs)
            done += len(there)
            sink(Progress(f"asking {model.name}@{model.version}", done, len(ids), "rows"))
    return found, classes


def _predictor_of(ws: Workspace, model: "records.Model") -> str:
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        run = read.first(records.Run, {"id": model.run})
    digest = run.outputs.get(PREDICTOR) if run else None
    if digest is None or not model.signature.get("classes"):
        raise InvalidInput(
            f"Model '{model.name}@{model.version}' cannot suggest labels.",
            why="It answers no classes." if digest else "Its pipeline could not be cut into a predictor.",
            hint="Name another model; 'tidemill models' lists them.",
            code=codes.MODEL_WITHOUT_CLASSES,
        )
    return digest


def _check_inputs(model: "records.Model", inputs: list[str], snapshot: "Snapshot") -> None:
    lacking = [name for name in inputs if name not in snapshot.columns]
    if lacking:
        raise InvalidInput(
            f"Model '{model.name}@{model.version}' takes the column '{lacking[0]}', "
            f"which dataset '{snapshot.dataset}' does not have.",
            hint="Name a model that was trained on such rows.",
            code=codes.MODEL_DOES_NOT_FIT,
        )


def _batches(snapshot: "Snapshot", ids: "Array", inputs: list[str]) -> "Iterator[tuple[Array, Table]]":
    """The wanted rows a batch at a time, with their places in ``ids``, which is sorted."""
    import numpy as np  # noqa: PLC0415

    from tidemill.store.table import ID  # noqa: PLC0415

    for fragment in snapshot.fragments():
        here = fragment.ids()
        at = np.minimum(np.searchsorted(ids, here), len(ids) - 1)
        wanted = np.flatnonzero(ids[at] == here)
        if not len(wanted):
            continue
        table = fragment.read([ID, *inputs])
        for start in range(0, len(wanted), _BATCH):
            some = wanted[start : start + _BATCH]
            yield at[some], table.take(some)


def _answers(predictor: "Predictor", rows: "Table", inputs: list[str]) -> "Array":
    """The probabilities of a batch. Where a row is refused the batch is halved, until that row is alone."""
    import numpy as np  # noqa: PLC0415

    from tidemill.models.columns import from_table  # noqa: PLC0415

    try:
        return predictor.predict(from_table(rows, inputs))["probabilities"]
    except InvalidInput:
        if len(rows) == 1:
            return np.full((1, len(predictor.classes or ())), np.nan, np.float32)
        half = len(rows) // 2
        parts = [rows.take(np.arange(half)), rows.take(np.arange(half, len(rows)))]
        return np.concatenate([_answers(predictor, part, inputs) for part in parts])
