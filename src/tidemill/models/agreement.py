"""Whether two answers to the same rows agree: the one tolerance, and what it is held against.

The build of a predictor, the gate and the check of a new server all ask here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.models import archive

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.columns import Columns

TOLERANCE = 1e-4
"""How far a number may be from the pipeline's: absolute up to 1, relative above.

Exports compute in float32; where a framework computes in float64, unscaled pixels alone make 2e-5. A predictor's
bundle records the tolerance that it was built with, and is held to that one ever after.
"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How answers compare with the pipeline's, row by row.

    Attributes:
        rows: How many were compared.
        agree: Rows on which every output agrees.
        max_difference: The greatest difference of a number, as ``differences`` measures it; infinite where shapes
            differ or a number is NaN.
        error: Why nothing could be compared; empty when it could.
    """

    rows: int
    agree: int
    max_difference: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """What answers are compared by.

    Attributes:
        tolerance: How far a number may be off, as ``differences`` measures it.
        classes: The class names in the order of ``probabilities``; None for a regressor, or where they are not known.
    """

    tolerance: float = TOLERANCE
    classes: tuple[str, ...] | None = None

    @classmethod
    def of(cls, predictor: Mapping[str, Any]) -> "Measure":
        """The measure that a predictor's description (``predictor.json``) records."""
        classes = predictor["classes"]
        return cls(
            float(predictor["parity"].get("tolerance", TOLERANCE)),
            None if classes is None else tuple(classes),
        )

    @classmethod
    def read(cls, bundle: Path) -> "Measure":
        """The measure that the bundle in this folder records.

        Raises:
            InvalidInput: ``predictor-damaged`` or ``predictor-too-new``.
        """
        from tidemill.models.predictor import FILE, LAYOUT  # noqa: PLC0415

        return cls.of(archive.read_versioned(bundle / FILE, layout=LAYOUT, noun="predictor"))

    def compare(self, answers: "Columns", expected: "Columns", rows: int) -> Agreement:
        """Compare answers with the expected ones, output by output.

        A label may be another than the expected one where the expected probabilities of the two are so close that
        the tolerance decides between them.

        Args:
            answers: What was answered, by output name; each of shape ``(rows, ...)``.
            expected: What the pipeline answered. An output that is not expected is not looked at.
            rows: How many rows were asked.
        """
        import numpy as np  # noqa: PLC0415

        agree, greatest = np.ones(rows, bool), 0.0
        for name, wanted in expected.items():
            got = np.asarray(answers[name]) if name in answers else None
            if got is None or got.shape != wanted.shape:
                shape = "no such output" if got is None else f"shape {got.shape}"
                return Agreement(rows, 0, math.inf, f"output '{name}' has {shape}, wanted {wanted.shape}")
            if np.issubdtype(wanted.dtype, np.number):
                off = differences(got, wanted).reshape(rows, -1)
                # NaN compares false with everything, so a NaN never agrees.
                agree &= (off <= self.tolerance).all(axis=1)
                if off.size:
                    worst = float(off.max())
                    greatest = math.inf if math.isnan(worst) else max(greatest, worst)
            else:
                same = (got == wanted).reshape(rows, -1).all(axis=1)
                agree &= same | self._is_close_call(got, expected.get("probabilities"), rows)
        return Agreement(rows, int(agree.sum()), greatest)

    def _is_close_call(
        self, labels: "np.ndarray[Any, Any]", probabilities: "np.ndarray[Any, Any] | None", rows: int
    ) -> "np.ndarray[Any, Any]":
        """Rows whose label is as probable, within the tolerance of two numbers, as the most probable one."""
        import numpy as np  # noqa: PLC0415

        if self.classes is None or probabilities is None:
            return np.zeros(rows, bool)
        places = {name: at for at, name in enumerate(self.classes)}
        at = np.array([places.get(str(label), -1) for label in labels])
        chosen = np.where(at < 0, -np.inf, probabilities[np.arange(rows), at])
        return np.asarray(probabilities.max(axis=1) - chosen <= 2 * self.tolerance)


def differences(got: "np.ndarray[Any, Any]", wanted: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """``|got - wanted| / max(1, |wanted|)`` of each number; float64. NaN where either is NaN."""
    import numpy as np  # noqa: PLC0415

    true = np.asarray(wanted, dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.abs(np.asarray(got, dtype=np.float64) - true) / np.maximum(1.0, np.abs(true))
