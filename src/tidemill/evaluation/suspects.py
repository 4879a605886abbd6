"""Suspected label errors: from class probabilities that no row's own label could shape, the rows to look at first.

Confident learning says how many there are (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in
Dataset Labels", JAIR 70, 2021); the probability of the given label ranks them. Nothing is trained here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.percent import percent

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Suspect:
    """One row whose label is doubted.

    Attributes:
        row: Its position.
        given: Its label.
        suggested: The most probable class.
        given_probability: Of its label; 0 to 1.
        suggested_probability: Of the suggested class.
        confident: Whether confident learning counts it among the errors: the suggested class is as probable as it is
            on average in rows that have it as their label.
    """

    row: int
    given: str
    suggested: str
    given_probability: float
    suggested_probability: float
    confident: bool

    @property
    def reason(self) -> str:
        """Why it is doubted, for a person."""
        return (
            f"'{self.suggested}' is {percent(self.suggested_probability)} probable, "
            f"'{self.given}' {percent(self.given_probability)}"
        )


@dataclass(frozen=True, slots=True)
class Suspects:
    """What was found.

    Attributes:
        ranked: The most doubtful first.
        estimated: How many wrong labels there are by the estimated joint of given and true labels.
        accuracy: The share of rows whose label is the most probable class.
    """

    ranked: tuple[Suspect, ...]
    estimated: int
    accuracy: float


def suspects(
    probabilities: "Array", given: "Array", classes: Sequence[str], *, limit: int | None = None
) -> Suspects:
    """The rows whose label is doubted, by the probability of their own label, the least first.

    Where errors come about evenly and probabilities are honest, this order is that of the chance of an error. A margin
    between the two best classes is not: it also ranks high what is merely hard to tell.

    Args:
        probabilities: Shape ``(rows, classes)``; each row's from a model that was trained without the row.
        given: The index of each row's label among ``classes``.
        classes: The class names.
        limit: How many at most; if None, as many as confident learning counts.

    Raises:
        InvalidInput: ``wrong-shape`` or ``no-rows``.
    """
    import numpy as np  # noqa: PLC0415

    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.shape != (len(given), len(classes)):
        raise InvalidInput(
            f"The probabilities have shape {list(probabilities.shape)}, not {[len(given), len(classes)]}.",
            hint="Give a probability for each row and class.",
            code=codes.WRONG_SHAPE,
        )
    if not len(given):
        raise InvalidInput("There are no labelled rows.", hint="Label some rows first.", code=codes.NO_ROWS)
    rows = np.arange(len(given))
    own = probabilities[rows, given]
    # A label as probable as any other is not doubted.
    best = np.where(own >= probabilities.max(axis=1), given, probabilities.argmax(axis=1))
    confident, estimated = _confident(probabilities, given)
    other = probabilities[rows, best]
    doubted = rows[best != given]
    # By the own label's probability; of equals, which with few trees are many, the surest suggestion, then the row.
    order = doubted[np.lexsort((doubted, -other[doubted], own[doubted]))]
    chosen = order[confident[order]] if limit is None else order[:limit]
    return Suspects(
        tuple(
            Suspect(
                int(r),
                str(classes[int(given[r])]),
                str(classes[int(best[r])]),
                float(own[r]),
                float(other[r]),
                bool(confident[r]),
            )
            for r in chosen
        ),
        estimated,
        float((best == given).mean()),
    )


def _confident(probabilities: "Array", given: "Array") -> "tuple[Array, int]":
    """Which rows lie off the diagonal of the confident joint, and how many errors its estimate makes of that.

    A row is counted for the most probable of the classes that reach their threshold: the mean probability of a class
    in the rows that have it as their label (equations 1 and 2 of the paper); the counts are then scaled so
    that each given class has the rows that it has (equation 3).
    """
    import numpy as np  # noqa: PLC0415

    count = probabilities.shape[1]
    rows = np.bincount(given, minlength=count)
    sums = np.bincount(given, probabilities[np.arange(len(given)), given], count)
    thresholds = np.where(rows > 0, sums / np.maximum(rows, 1), np.inf)
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    most = reached.max(axis=1)
    counted = most >= 0
    counted_for = np.where(reached[np.arange(len(given)), given] >= most, given, reached.argmax(axis=1))
    joint = np.zeros((count, count))
    np.add.at(joint, (given[counted], counted_for[counted]), 1)
    totals = joint.sum(axis=1)
    scaled = joint * np.divide(rows, totals, out=np.zeros(count), where=totals > 0)[:, None]
    estimated = round(float(scaled.sum() - np.trace(scaled)))
    return counted & (counted_for != given), estimated
