"""A report: what is known about a model on a fixed test set. Data, not a page: ``page.render`` draws it."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.figures import figure
from tidemill.evaluation import metrics as measured
from tidemill.evaluation import png

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LAYOUT = 1


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class fared; ``support`` is how many rows truly are of it."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """One row that was answered wrongly.

    Attributes:
        image: The row's features as a PNG file; None where they are no image.
        truth: The true class.
        predicted: The answered class.
        confidence: The probability of the answered class; 0 to 1.
        id: The row's ``_id`` in the dataset; None where it is not known.
    """

    image: bytes | None
    truth: str
    predicted: str
    confidence: float
    id: int | None

    def to_json(self) -> dict[str, object]:
        """All fields; the image in base64, the id as text since JSON readers round 64-bit numbers."""
        return {
            "image": None if self.image is None else base64.b64encode(self.image).decode(),
            "truth": self.truth,
            "predicted": self.predicted,
            "confidence": self.confidence,
            "id": None if self.id is None else str(self.id),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "Mistake":
        """What ``to_json`` wrote."""
        return cls(
            None if body["image"] is None else base64.b64decode(body["image"]),
            body["truth"],
            body["predicted"],
            body["confidence"],
            None if body["id"] is None else int(body["id"]),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What is known about a model on a fixed test set.

    Attributes:
        name: Whose report: the pipeline's or model's name.
        metrics: Numbers by name, as ``metrics.classification`` or ``metrics.regression`` names them; what
            gate rules refer to.
        per_class: How each class fared; empty for a regressor.
        confusion: Counts, a row for each true class, a column for each predicted one; empty for a regressor.
        classes: The class names, in the order of ``confusion``; empty for a regressor.
        curves: Curves of the training by name, one value an epoch; ``val_`` in front is on validation rows.
        mistakes: The worst, most confident first.
        notes: Sentences worth reading beside the numbers.
        per_row: For metrics of one's own, the value of each row, whose mean the metric is: with it the gate can
            compare the metric with the running release's, row by row.
        ids: The ``_id`` of each row of ``per_row``.

    Raises:
        InvalidInput: ``wrong-report``, when ``per_row`` has another number of values than ``ids``, or is of a metric
            that is not the mean of its values.
    """

    name: str
    metrics: dict[str, float]
    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    classes: tuple[str, ...] = ()
    curves: dict[str, list[float]] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()
    notes: tuple[str, ...] = ()
    per_row: dict[str, tuple[float, ...]] = field(default_factory=dict)
    ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.per_row and not len(self.ids):
            return
        object.__setattr__(self, "ids", tuple(int(i) for i in self.ids))
        values = {name: tuple(float(v) for v in row) for name, row in self.per_row.items()}
        object.__setattr__(self, "per_row", values)
        for name, row in values.items():
            if len(row) != len(self.ids) or len(set(self.ids)) != len(self.ids):
                raise _wrong_rows(name, f"it has {len(row)} values for {len(set(self.ids))} different ids")
            if name not in self.metrics:
                raise _wrong_rows(name, "there is no metric of that name")
            mean = math.fsum(row) / len(row) if row else math.nan
            if not math.isclose(mean, self.metrics[name], rel_tol=1e-6, abs_tol=1e-9):
                raise _wrong_rows(
                    name, f"their mean is {figure(mean, 6)}, and the metric {figure(self.metrics[name], 6)}"
                )

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object, with its layout version. NaN of a diverged training is null."""
        return {
            "layout": LAYOUT,
            "name": self.name,
            "metrics": dict(self.metrics),
            "per_class": [
                {
                    "class": s.name,
                    "precision": s.precision,
                    "recall": s.recall,
                    "f1": s.f1,
                    "support": s.support,
                }
                for s in self.per_class
            ],
            "confusion": [list(row) for row in self.confusion],
            "classes": list(self.classes),
            "curves": {n: [v if v - v == 0 else None for v in c] for n, c in self.curves.items()},
            "mistakes": [m.to_json() for m in self.mistakes],
            "notes": list(self.notes),
            # Most reports have none; without them their bytes are what they were.
            **({"per_row": {n: list(v) for n, v in self.per_row.items()}} if self.per_row else {}),
            **({"ids": [str(i) for i in self.ids]} if self.ids else {}),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "Report":
        """What ``to_json`` wrote.

        Raises:
            InvalidInput: ``report-damaged`` or ``report-too-new``.
        """
        layout = body.get("layout")
        if layout != LAYOUT:
            newer = isinstance(layout, int) and layout > LAYOUT
            raise InvalidInput(
                f"The report has layout {layout}; this Tidemill knows layout {LAYOUT}.",
                hint="Type 'pip install --upgrade tidemill'." if newer else "Run the pipeline again.",
                code=codes.REPORT_TOO_NEW if newer else codes.REPORT_DAMAGED,
            )
        return cls(
            name=body["name"],
            metrics=dict(body["metrics"]),
            per_class=_scores(body["per_class"]),
            confusion=tuple(tuple(row) for row in body["confusion"]),
            classes=tuple(body["classes"]),
            curves={n: [float("nan") if v is None else v for v in c] for n, c in body["curves"].items()},
            mistakes=tuple(Mistake.from_json(m) for m in body["mistakes"]),
            notes=tuple(body["notes"]),
            per_row={n: tuple(v) for n, v in body.get("per_row", {}).items()},
            ids=tuple(int(i) for i in body.get("ids", ())),
        )


def of_classifier(
    name: str,
    truth: "Array",
    probabilities: "Array",
    classes: Sequence[str],
    *,
    features: "Array | None" = None,
    ids: "Array | None" = None,
    curves: Mapping[str, Sequence[float]] | None = None,
    notes: Sequence[str] = (),
    worst: int = 24,
) -> Report:
    """The report of a classifier on test rows.

    Args:
        name: Whose report.
        truth: The true class of each row, as text.
        probabilities: Shape ``(rows, classes)``.
        classes: The class names, in the order of the columns.
        features: The rows' features; drawn beside the mistakes where one row's shape is an image's.
        ids: The rows' ``_id``.
        curves: Curves of the training.
        notes: Sentences worth reading beside the numbers.
        worst: How many mistakes to keep.

    Raises:
        InvalidInput: What ``metrics.classification`` raises.
    """
    found = measured.classification(truth, probabilities, classes)
    nested = ("per_class", "confusion", "classes")
    return Report(
        name=name,
        metrics={n: v for n, v in found.items() if n not in nested},
        per_class=_scores(found["per_class"]),
        confusion=tuple(tuple(row) for row in found["confusion"]),
        classes=tuple(found["classes"]),
        curves=_plain(curves),
        mistakes=_worst(truth, probabilities, found["classes"], features, ids, worst),
        notes=tuple(notes),
    )


def of_regressor(
    name: str,
    truth: "Array",
    values: "Array",
    *,
    curves: Mapping[str, Sequence[float]] | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """The report of a regressor on test rows.

    Raises:
        InvalidInput: What ``metrics.regression`` raises.
    """
    return Report(name, measured.regression(truth, values), curves=_plain(curves), notes=tuple(notes))


def _wrong_rows(metric: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"The report's values of each row for '{metric}' do not fit: {why}.",
        why="The gate compares their means with the running release's, by _id.",
        hint="Give 'per_row' one value for each of 'ids', whose mean is the metric.",
        code=codes.WRONG_REPORT,
        details={"metric": metric},
    )


def _plain(curves: Mapping[str, Sequence[float]] | None) -> dict[str, list[float]]:
    return {str(n): [float(v) for v in c] for n, c in (curves or {}).items()}


def _scores(rows: Sequence[Mapping[str, Any]]) -> tuple[ClassScore, ...]:
    return tuple(ClassScore(r["class"], r["precision"], r["recall"], r["f1"], r["support"]) for r in rows)


def _worst(
    truth: "Array",
    probabilities: "Array",
    classes: Sequence[str],
    features: "Array | None",
    ids: "Array | None",
    count: int,
) -> tuple[Mistake, ...]:
    import numpy as np  # noqa: PLC0415

    true = measured.class_indices(truth, classes)
    predicted = np.asarray(probabilities).argmax(axis=1)
    confidence = np.asarray(probabilities)[np.arange(len(true)), predicted]
    wrong = np.flatnonzero(true != predicted)
    # A stable order: by confidence, then by row, so that the same run always shows the same mistakes.
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    drawn = features is not None and png.is_image_shape(features.shape[1:])
    return tuple(
        Mistake(
            png.encode(features[row]) if drawn and features is not None else None,
            classes[int(true[row])],
            classes[int(predicted[row])],
            float(confidence[row]),
            None if ids is None else int(ids[row]),
        )
        for row in chosen
    )
