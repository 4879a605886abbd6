"""Feedback as rows of a dataset: what was asked, with the label that someone gave afterwards."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core import codes, identity
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.names import did_you_mean
from tidemill.serve import log_layout
from tidemill.serve.log_reader import LogReader
from tidemill.store.open import Store
from tidemill.store.spelling import Spelling, type_of
from tidemill.store.table import ID, PREDICTION, SHAPE, SYSTEM_COLUMNS, Table, array_size

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Correction:
    """A prediction and the label that came back for it.

    Attributes:
        prediction: The prediction's id.
        sequence: The label's place in the environment's log; the next harvest goes on after the largest.
        label: The label that was given last.
        release: Digest of the release that predicted.
        number: Its number.
        inputs: The row as it was asked: a cell a column, in the predictor's dtypes; masked where cells
            are missing.
        predicted: What was answered: a label, or a value.
        target: The column that the label is a value of, where it is not what the model answers.
    """

    prediction: str
    sequence: int
    label: str | float
    release: str
    number: int
    inputs: "Mapping[str, np.ndarray[Any, Any]]"
    predicted: str | float | None
    target: str | None = None


def harvest(store: Store, environment: str, *, after: int = 0) -> list[Correction]:
    """What came back for an environment's predictions, in the order in which it came.

    Args:
        store: Where the environment's prediction log is.
        environment: Which environment.
        after: Only labels whose ``sequence`` is larger; 0 for all.

    Returns:
        One correction a prediction, with the label that was given last. A label for a prediction that the
        log does not have is left out.

    Raises:
        NotFound: ``log-not-found``, when nothing was served there yet.
    """
    file = log_layout.log_file(store.environments_folder, environment)
    with LogReader(file) as log:
        # A later label for the same prediction takes the earlier one's place, and its own turn.
        latest = {found.prediction: found for found in log.feedback(after=after)}
        given = {found.id: found for found in log.predictions(list(latest))}
    return [
        Correction(
            prediction=label.prediction,
            sequence=label.sequence,
            label=label.label,
            release=given[label.prediction].release,
            number=given[label.prediction].number,
            inputs=given[label.prediction].inputs,
            predicted=_predicted(given[label.prediction].outputs),
            target=target.name if (target := given[label.prediction].signature.target) else None,
        )
        for label in sorted(latest.values(), key=lambda label: label.sequence)
        if label.prediction in given
    ]


def as_rows(corrections: Sequence[Correction], schema: "pa.Schema", *, label: str = "label") -> Table:
    """Corrections as rows of a dataset.

    Args:
        corrections: What was harvested; at most one a prediction.
        schema: The dataset's columns.
        label: The column that the feedback fills.

    Returns:
        One row a correction, in order. Each has ``_prediction``, and an ``_id`` that depends on the
        prediction alone, so that a later label for the same prediction replaces the row. A column that the
        prediction was not asked with is missing.

    Raises:
        NotFound: ``column-not-found``, when the dataset has no column ``label``.
        InvalidInput: ``feedback-does-not-fit``, naming the prediction and the column whose cell is not what
            the dataset holds there.
    """
    import pyarrow as pa  # noqa: PLC0415

    if label not in schema.names:
        raise NotFound(
            f"The dataset has no column '{label}' for the feedback's labels.",
            hint=did_you_mean(label, schema.names),
            code=codes.COLUMN_NOT_FOUND,
        )
    ids = [identity.key_row(["prediction", correction.prediction]) for correction in corrections]
    columns: dict[pa.Field, Any] = {pa.field(ID, pa.uint64()): pa.array(ids, pa.uint64())}
    for field in schema:
        if field.name in SYSTEM_COLUMNS:
            continue
        if field.name == label:
            columns[field] = _labels(corrections, field)
        else:
            columns[field] = _column(corrections, field)
    predictions = pa.array([correction.prediction for correction in corrections], pa.string())
    columns[pa.field(PREDICTION, pa.string())] = predictions
    return Table(pa.Table.from_arrays(list(columns.values()), schema=pa.schema(list(columns))))


def _predicted(outputs: "Mapping[str, np.ndarray[Any, Any]]") -> str | float | None:
    for name in ("label", "value"):
        if name in outputs:
            return outputs[name].item()
    return None


def _labels(corrections: Sequence[Correction], field: "pa.Field") -> "pa.Array":
    import pyarrow as pa  # noqa: PLC0415

    labels: list[object] = []
    for correction in corrections:
        try:
            labels.append(_label(correction.label, field.type))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise _no_fit(correction, field, f"the label '{correction.label}' is no {field.type}") from error
    return pa.array(labels, field.type)


def _label(given: str | float, kind: "pa.DataType") -> object:
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return str(given)
    if pa.types.is_boolean(kind) and isinstance(given, str):
        # As classes are called, and as JSON and CSV write them.
        given = given.strip().lower()
    value = json.loads(given) if isinstance(given, str) else given
    if pa.types.is_integer(kind) and value != int(value):
        raise ValueError(value)
    return pa.scalar(value, kind).as_py()


def _column(corrections: Sequence[Correction], field: "pa.Field") -> "pa.Array":
    import pyarrow as pa  # noqa: PLC0415

    if not pa.types.is_fixed_size_list(field.type):
        return pa.array(
            [_cell(correction, field, field.type, ())[0] for correction in corrections], field.type
        )
    stored = (field.metadata or {}).get(SHAPE)
    shape = tuple(json.loads(stored)) if stored else (field.type.list_size,)
    cells: list[Any] = []
    whole: list[bool] = []
    for correction in corrections:
        found = _cell(correction, field, field.type.value_type, shape)
        whole.append(found != [None])
        cells.extend(found if whole[-1] else [None] * array_size(shape))
    flat = pa.array(cells, field.type.value_type)
    mask = None if all(whole) else pa.array([not there for there in whole])
    return pa.FixedSizeListArray.from_arrays(flat, type=field.type, mask=mask)


def _cell(
    correction: Correction, field: "pa.Field", kind: "pa.DataType", shape: tuple[int, ...]
) -> list[Any]:
    """The values of one cell, flat; ``[None]`` for a cell that is not there."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    if field.name not in correction.inputs:
        return [None]
    cell = correction.inputs[field.name]
    if cell.shape != shape:
        raise _no_fit(correction, field, f"its cell has shape {list(cell.shape)}, not {list(shape)}")
    values: list[Any] = np.ma.getdata(cell).reshape(-1).tolist()
    if np.ma.isMaskedArray(cell):
        mask = np.ma.getmaskarray(cell).reshape(-1).tolist()
        values = [None if missing else value for value, missing in zip(values, mask, strict=True)]
    if pa.types.is_integer(kind):
        # A predictor may have widened whole numbers to floats; they are still whole.
        values = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
        if any(isinstance(v, float) for v in values):
            # Arrow would cut the fraction off without a word.
            raise _no_fit(correction, field, f"its cell is no {kind}")
    spelled = type_of(kind)
    try:
        if spelled:
            # Dates, times and decimals came as text; what that text says is what the row is.
            texts = np.ma.MaskedArray(np.array(values, dtype=object), mask=[v is None for v in values])
            values = Spelling(spelled).arrow(Spelling(spelled).read(field.name, texts)).to_pylist()
        pa.array(values, kind)
    except InvalidInput as error:
        raise _no_fit(correction, field, f"its cell is no {kind}") from error
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise _no_fit(correction, field, f"its cell is no {kind}") from error
    return values


def _no_fit(correction: Correction, field: "pa.Field", why: str) -> InvalidInput:
    return InvalidInput(
        f"The feedback for prediction {correction.prediction} does not fit column '{field.name}': {why}.",
        why=f"Release {correction.number} took its rows in another form than the dataset keeps them.",
        hint="Correct that feedback, or harvest into the dataset that the release was trained on.",
        code=codes.FEEDBACK_DOES_NOT_FIT,
        details={"prediction": correction.prediction, "column": field.name},
    )
