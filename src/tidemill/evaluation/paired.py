"""Two classifiers on the same rows: is one better, and how sure is that."""

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

METHOD = (
    "adjusted Wald interval for paired proportions, 0.5 added to each of the four counts "
    "(Agresti & Min 2005, Statistics in Medicine 24:729-740)"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The accuracy of one classifier less that of another, on the same rows.

    Attributes:
        difference: Accuracy of ``a`` less accuracy of ``b``; -1 to 1.
        low: Lower end of the confidence interval of the difference.
        high: Upper end.
        n: Rows that both answered.
        method: How the interval was computed, with its source.
        confidence: Of the interval; 0 to 1.
        only_a: Rows that ``a`` alone got right.
        only_b: Rows that ``b`` alone got right.
        accuracy_a: Share of rows that ``a`` got right.
        accuracy_b: Share of rows that ``b`` got right.
    """

    difference: float
    low: float
    high: float
    n: int
    method: str
    confidence: float
    only_a: int
    only_b: int
    accuracy_a: float
    accuracy_b: float

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Comparison":
        """What ``to_json`` wrote."""
        return cls(**body)


def paired(
    correct_a: "np.ndarray[Any, Any]", correct_b: "np.ndarray[Any, Any]", confidence: float = 0.95
) -> Comparison:
    """Compare two classifiers row by row.

    With ``b`` and ``c`` the rows that only the one and only the other got right, of ``n``:
    ``d = (b - c) / (n + 2)``, ``s = sqrt(b + c + 1 - (b - c)^2 / (n + 2)) / (n + 2)``, and the interval is
    ``d - z s`` to ``d + z s``, cut to -1 to 1: the interval "Wald+2" of Agresti and Min, "Simple improved
    confidence intervals for comparing matched proportions", Statistics in Medicine 24 (2005), 729-740. It
    uses that both answered the same rows, so it is narrower than two separate intervals suggest, and keeps
    its coverage where the two hardly differ.

    Args:
        correct_a: Whether the first got each row right; bool.
        correct_b: The same of the second, for the same rows in the same order.
        confidence: Of the interval; above 0, below 1.

    Raises:
        InvalidInput: ``wrong-shape``, ``no-rows`` or ``wrong-confidence``.
    """
    import numpy as np  # noqa: PLC0415

    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1:
        raise InvalidInput(
            f"One classifier has {a.size} answers and the other {b.size}.",
            why="They are compared row by row.",
            hint="Let both answer the same rows.",
            code="wrong-shape",
        )
    if not a.size:
        raise InvalidInput(
            "There are no rows to compare on.", hint="Let both answer the same test rows.", code="no-rows"
        )
    if not 0 < confidence < 1:
        raise InvalidInput(
            f"A confidence of {confidence} is not between 0 and 1.",
            hint="Give 0.95 for 95 %.",
            code="wrong-confidence",
        )
    n, only_a, only_b = int(a.size), int((a & ~b).sum()), int((b & ~a).sum())
    difference = (only_a - only_b) / n
    centre = (only_a - only_b) / (n + 2)
    spread = math.sqrt(only_a + only_b + 1 - (only_a - only_b) ** 2 / (n + 2)) / (n + 2)
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * spread
    return Comparison(
        difference=difference,
        # The centre is drawn towards 0; in tiny samples the observed difference could fall outside.
        low=max(-1.0, min(difference, centre - reach)),
        high=min(1.0, max(difference, centre + reach)),
        n=n,
        method=METHOD,
        confidence=confidence,
        only_a=only_a,
        only_b=only_b,
        accuracy_a=float(a.mean()),
        accuracy_b=float(b.mean()),
    )
