"""The last step of a run with a model: write what serves it, and prove that it answers as the pipeline does."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.components import step
from tidemill.pipeline.progress import scratch

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.trained import TrainedModel
    from tidemill.store.table import Table

SAMPLE_ROWS = 64
_ROWS_WITH_GAPS = 8
"""So many rows of the sample at most have missing cells that the model was given, where it was given any."""


@step
def predictor(
    model: "TrainedModel",
    raw: "Table",
    prepared: "Table",
    states: dict[str, Any],
    name: str,
    stages: list[dict[str, Any]],
    code: dict[str, str],
    reads: list[str] | None = None,
    target: str | None = None,
) -> Path:
    """Write the predictor's folder.

    Args:
        model: The trained model.
        raw: The dataset's rows, as they come.
        prepared: The rows as the model was given them.
        states: What each fitted transform learned, by the name of its step.
        name: The model's name in the inference protocol.
        stages: What lies between raw row and model, in order.
        code: Text of the project's files that the stages need, by path.
        reads: The raw columns that a stage or the model takes; None where a stage takes whole rows.
        target: The raw column that the model's label is made from.

    Raises:
        InvalidInput: ``no-sample``, when no prepared row is among the raw ones.
        Failed: ``predictor-differs``, when it does not answer as the pipeline did.
    """
    import numpy as np  # noqa: PLC0415

    from tidemill.models.bundle import build_predictor  # noqa: PLC0415

    ids = raw.ids
    chosen = prepared.take(_chosen(prepared, model.features))
    wanted = chosen.ids
    if ids is None or wanted is None:
        ids, wanted = np.zeros(1, np.uint64), np.ones(len(chosen), np.uint64)
    order = np.argsort(ids, kind="stable")
    at = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    there = ids[at] == wanted
    if not there.any():
        raise InvalidInput(
            "None of the model's rows is a row of the dataset.",
            why="The predictor is proven on rows that the pipeline answered; their identity is how they are found.",
            hint="Let no step between dataset and trainer make new rows (rows='new', a group-by, a join).",
            code=codes.NO_SAMPLE,
        )
    expected = model.predict(chosen.filter(there).numpy_with_nan(model.features))
    folder = scratch() / "predictor"
    build_predictor(
        folder,
        name=name,
        model=model,
        stages=[{**s, "state": states.get(s["name"])} for s in stages],  # pyright: ignore[reportArgumentType]
        raw_sample=raw.take(at[there]),
        expected=expected,
        code_files={path: text.encode() for path, text in code.items()},
        reads=reads,
        key=_key(raw),
        target=target,
    )
    return folder


def _chosen(prepared: "Table", features: str) -> "np.ndarray[Any, Any]":
    """Which rows the predictor is proven on: the first, some with missing cells among them if there are such."""
    import numpy as np  # noqa: PLC0415

    first = np.arange(min(SAMPLE_ROWS, len(prepared)))
    missing = prepared.missing(features)
    incomplete = np.flatnonzero(missing.reshape(len(prepared), -1).any(axis=1))[:_ROWS_WITH_GAPS]
    later = incomplete[incomplete >= len(first)]
    return np.concatenate([first[: SAMPLE_ROWS - len(later)], later])


def _key(raw: "Table") -> list[str]:
    """The columns that name a row of the dataset."""
    from tidemill.store.table import KEY  # noqa: PLC0415

    stored = (raw.to_arrow().schema.metadata or {}).get(KEY)
    return json.loads(stored) if stored else []
