"""How strongly a column and the label hang together: one number from 0 (not at all) to 1, by the kinds of both."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from tidemill.data.profile.sketches import Moments

    Array = np.ndarray[Any, Any]

RATIO = "correlation ratio"
CRAMER = "Cramér's V"
PEARSON = "Pearson's r"


@dataclass(frozen=True, slots=True)
class Association:
    """A measure and its value.

    Attributes:
        measure: ``correlation ratio``, ``Cramér's V`` or ``Pearson's r``.
        value: 0 to 1; of Pearson's r -1 to 1.
    """

    measure: str
    value: float


def correlation_ratio(moments: "Moments") -> "Array":
    """Of each cell: the root of the share of its spread that lies between the classes; NaN where it has none.

    Numbers against classes; 1 where the class alone says the number (Fisher, "Statistical Methods for
    Research Workers", 1925, ch. VIII). Rows without a class are left out.
    """
    import numpy as np  # noqa: PLC0415

    count, total, squares = moments.count[:-1], moments.sum[:-1], moments.squares[:-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = total.sum(axis=0) ** 2 / count.sum(axis=0)
        between = np.where(count > 0, total**2 / np.maximum(count, 1), 0).sum(axis=0) - overall
        whole = squares.sum(axis=0) - overall
        # A spread that is nothing but rounding is none.
        ratio = np.where(whole > 1e-12 * np.maximum(squares.sum(axis=0), 1e-300), between / whole, np.nan)
    return np.sqrt(np.clip(ratio, 0, 1))


def cramers_v(table: "Array") -> float | None:
    """Values against classes, from their counts together; None where either never varies.

    With the correction for chance of Bergsma, "A bias-correction for Cramér's V and Tschuprow's T" (2013):
    columns that have nothing to do with each other come out near 0 also when both have many values.
    """
    seen = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(float)
    total = float(seen.sum())
    rows, columns = seen.shape
    if total < 2 or rows < 2 or columns < 2:
        return None
    expected = seen.sum(axis=1, keepdims=True) * seen.sum(axis=0, keepdims=True) / total
    phi = float(((seen - expected) ** 2 / expected).sum()) / total
    corrected = max(0.0, phi - (rows - 1) * (columns - 1) / (total - 1))
    least = min(r - (r - 1) ** 2 / (total - 1) for r in (rows, columns)) - 1
    return min(math.sqrt(corrected / least), 1.0) if least > 0 else None


class Pearson:
    """Numbers against a label that is a number: the linear correlation, of the rows that have both."""

    def __init__(self, shift: float, label_shift: float, cells: int = 1) -> None:
        import numpy as np  # noqa: PLC0415

        self._shifts = shift, label_shift
        self._sums = np.zeros((6, cells))

    def add(self, values: "Array", label: "Array", there: "Array | None" = None) -> None:
        """Take in numbers, (rows,) or (rows, cells), and the label of each row, NaN where it is missing."""
        import numpy as np  # noqa: PLC0415

        x = values.reshape(len(values), -1).astype(np.float64) - self._shifts[0]
        y = (label - self._shifts[1])[:, None]
        both = np.isfinite(y) & (np.ones_like(x, bool) if there is None else there)
        x, y = np.where(both, x, 0), np.where(both, y, 0)
        self._sums += np.stack(
            [s.sum(axis=0) for s in (both, x, y, x * x, y * y, x * y)]  # pyright: ignore[reportArgumentType]
        )

    def value(self) -> "Array":
        """Of each cell; NaN where either never varies."""
        import numpy as np  # noqa: PLC0415

        n, x, y, xx, yy, xy = self._sums
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.sqrt(np.maximum(xx - x * x / n, 0) * np.maximum(yy - y * y / n, 0))
            return np.where(spread > 0, np.clip((xy - x * y / n) / spread, -1, 1), np.nan)
