"""Class probabilities of each row from a model that was trained without it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidemill.core.events import Progress, Sink, silent
from tidemill.parts.splits import unit_hash

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Fit = Callable[[Any, Any, int], Callable[[Any], Any]]
"""From features, labels as text, and a seed, to what gives arrays of a probability for each row and class."""


def out_of_fold(
    features: "Array",
    labels: "Array",
    ids: "Array",
    fit: Fit,
    *,
    folds: int = 5,
    seed: int = 0,
    sink: Sink = silent,
) -> "Array":
    """For each row the probabilities by the one model, of ``folds``, whose training rows have none of its fold.

    Args:
        features: One a row.
        labels: One a row, as text.
        ids: The rows' ``_id``; a row's fold depends on it alone.
        fit: Trains a model.
        folds: How many parts, 2 or more.
        seed: Deals the rows to the folds, and goes to ``fit``.
        sink: Gets ``Progress`` in folds.

    Returns:
        Shape ``(rows, classes)``.
    """
    import numpy as np  # noqa: PLC0415

    sink(Progress("judging", 0, folds, "folds"))
    fold = fold_of(ids, folds, seed)
    found: Array | None = None
    for number in range(folds):
        held = fold == number
        if held.any():
            predict = fit(features[~held], labels[~held], seed * folds + number)
            answer = predict(features[held])
            if found is None:
                found = np.zeros((len(labels), answer.shape[1]))
            found[held] = answer
        sink(Progress("judging", number + 1, folds, "folds"))
    assert found is not None, "there are rows"
    return found


def fold_of(ids: "Array", folds: int, seed: int = 0) -> "Array":
    """The fold of each row, 0 to ``folds - 1``, by the hash of its ``_id``."""
    import numpy as np  # noqa: PLC0415

    return (unit_hash(ids, seed) * folds).astype(np.intp)
