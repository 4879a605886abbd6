"""How good the answers were: from true and predicted classes or values on held-out rows.

Nothing here is taken from a training framework, whose word for a metric may change with the loss.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

THRESHOLD = 0.5
"""Above it, a cell of the probabilities says yes: where element-wise accuracy looks."""


def classification(truth: "Array", probabilities: "Array", classes: Sequence[str]) -> dict[str, Any]:
    """The metrics of a classifier on rows whose class is known.

    The predicted class of a row is the one of greatest probability, the first of equals.

    Args:
        truth: The true class of each row, as text.
        probabilities: Shape ``(rows, classes)``, each 0 to 1; rows need not sum to 1.
        classes: The class names, in the order of the columns.

    Returns:
        ``n``; ``accuracy``: the share of rows whose predicted class is the true one;
        ``elementwise_accuracy``: the share of all ``rows * classes`` cells in which "probability > 0.5" is
        "this is the true class" (what Keras calls binary accuracy); ``precision_``, ``recall_`` and
        ``f1_`` with ``macro`` (the plain mean over classes that occur, in truth or prediction) and ``micro``
        (over all rows; all three equal accuracy here); ``log_loss`` (natural logarithm; probabilities
        clipped to the machine epsilon of float64); ``per_class``: a list of ``class``, ``precision``,
        ``recall``, ``f1``, ``support``; ``confusion``: counts, a row for each true class and a column for
        each predicted one; ``classes``. A ratio whose denominator is 0 is 0.

    Raises:
        InvalidInput: ``no-rows``, ``wrong-shape``, ``unknown-class`` or ``non-finite``.
    """
    import numpy as np  # noqa: PLC0415

    probabilities = np.asarray(probabilities, dtype=np.float64)
    true = class_indices(truth, classes)
    _check_shape(true, probabilities, len(classes))
    rows, count = probabilities.shape
    predicted = probabilities.argmax(axis=1)
    confusion = np.bincount(true * count + predicted, minlength=count * count).reshape(count, count)
    hits, support, answered = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _ratio(hits, answered), _ratio(hits, support)
    f1 = _ratio(2 * hits, support + answered)
    seen = (support + answered) > 0
    accuracy = int(hits.sum()) / rows
    own = probabilities[np.arange(rows), true]
    yes = probabilities > THRESHOLD
    # Cells that agree: all that say no, less the misses; a yes on the true class counts, others do not.
    agree = rows * (count - 1) - int(yes.sum()) + 2 * int((own > THRESHOLD).sum())
    epsilon = np.finfo(np.float64).eps
    return {
        "n": rows,
        "accuracy": accuracy,
        "elementwise_accuracy": agree / (rows * count),
        "precision_macro": float(precision[seen].mean()),
        "recall_macro": float(recall[seen].mean()),
        "f1_macro": float(f1[seen].mean()),
        "precision_micro": accuracy,
        "recall_micro": accuracy,
        "f1_micro": accuracy,
        "log_loss": float(-np.log(np.clip(own, epsilon, 1 - epsilon)).mean()),
        "per_class": [
            {
                "class": str(name),
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, name in enumerate(classes)
        ],
        "confusion": confusion.tolist(),
        "classes": [str(c) for c in classes],
    }


def regression(truth: "Array", values: "Array") -> dict[str, Any]:
    """The metrics of a regressor on rows whose value is known.

    Returns:
        ``n``; ``mae``: mean absolute error; ``rmse``: root of the mean squared error, both in the label's
        unit; ``r2``: 1 less the squared error over that of always answering the mean (0 where the truth is
        one and the same value and missed, 1 where it is met).

    Raises:
        InvalidInput: ``no-rows``, ``wrong-shape`` or ``non-finite``.
    """
    import numpy as np  # noqa: PLC0415

    true, answered = np.asarray(truth, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if true.shape != answered.shape or true.ndim != 1:
        raise _wrong_shape(list(answered.shape), list(true.shape))
    if not len(true):
        raise _no_rows()
    _refuse_non_finite(true, "true value")
    _refuse_non_finite(answered, "predicted value")
    error = answered - true
    squared, spread = float(error @ error), float(((true - true.mean()) ** 2).sum())
    r2 = 1 - squared / spread if spread else float(squared == 0)
    return {
        "n": len(true),
        "mae": float(np.abs(error).mean()),
        "rmse": math.sqrt(squared / len(true)),
        "r2": r2,
    }


def class_indices(truth: "Array", classes: Sequence[str]) -> "Array":
    """The position in ``classes`` of each row's class.

    Raises:
        InvalidInput: ``unknown-class``, when a row has another one.
    """
    import numpy as np  # noqa: PLC0415

    index = {str(c): i for i, c in enumerate(classes)}
    labels = [str(t) for t in truth]
    try:
        return np.array([index[label] for label in labels], dtype=np.intp)
    except KeyError:
        row = next(i for i, label in enumerate(labels) if label not in index)
        raise InvalidInput(
            f"Row {row} has the class '{labels[row]}', which the model does not know.",
            why=f"It knows: {', '.join(map(str, classes))}.",
            hint="Remove such rows before the split, or let the trainer's 'classes' list it.",
            code=codes.UNKNOWN_CLASS,
            details={"row": row, "class": labels[row]},
        ) from None


def _ratio(part: "Array", whole: "Array") -> "Array":
    import numpy as np  # noqa: PLC0415

    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _check_shape(true: "Array", probabilities: "Array", count: int) -> None:
    if probabilities.shape != (len(true), count):
        raise _wrong_shape(list(probabilities.shape), [len(true), count])
    if not len(true):
        raise _no_rows()
    _refuse_non_finite(probabilities, "probability")


def _refuse_non_finite(array: "Array", what: str) -> None:
    import numpy as np  # noqa: PLC0415

    finite = np.isfinite(array)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0])
        raise InvalidInput(
            f"The {what} of row {row} is not finite.",
            why="Training diverged, or the row holds a missing cell.",
            hint="Lower the learning rate, or drop rows with missing cells.",
            code=codes.NON_FINITE,
            details={"row": row},
        )


def _wrong_shape(got: list[int], wanted: list[int]) -> InvalidInput:
    return InvalidInput(
        f"The answers have shape {got}, not {wanted}.",
        hint="Give one answer a row, and a probability for each class.",
        code=codes.WRONG_SHAPE,
    )


def _no_rows() -> InvalidInput:
    return InvalidInput(
        "There are no rows to evaluate on.",
        why="The test part of the split is empty.",
        hint="Give the split a greater test size, or the dataset more rows.",
        code=codes.NO_ROWS,
    )
