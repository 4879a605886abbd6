"""What can be compared between two models on the same rows: each measure from sums over rows, so that it can be resampled.

The numbers are those of ``metrics``, which a report has; here each is computed from sums, for any weights of the rows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidemill.evaluation.metrics import THRESHOLD

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ACCURACY = "accuracy"
SHARES_OF_HITS = (ACCURACY, "precision_micro", "recall_micro", "f1_micro")
"""Four names of one number where each row has one class."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of a model on rows whose truth is known.

    Attributes:
        name: As the report and the gate's rules call it.
        parts: From truth and answers, what each row adds to each sum; shape ``(rows, sums)``.
        value: From sums of shape ``(..., sums)``, the measure of shape ``(...)``.
        scale: From the truth and what the running release has, what a difference of 1 in ``max_drop`` stands for, in
            the measure's unit.
        higher_is_better: Which way it improves.
        counts: Whether it counts rows that are right, so that on few rows two models may seem alike by luck.
    """

    name: str
    parts: "Callable[[Array, Array], Array]"
    value: "Callable[[Array], Array]"
    scale: "Callable[[Array, float], float]"
    higher_is_better: bool = field(kw_only=True)
    counts: bool = field(default=False, kw_only=True)


def of_regressor(name: str, truth: "Array") -> Measure | None:
    """``mae``, ``rmse`` or ``r2``; truth and answers are numbers, one a row. None for another name.

    The scale of ``mae`` and ``rmse`` is what always answering the median, or the mean, would have: they are in the
    label's unit, and a share of it means the same for house prices and for shares of a second. Labels that are far
    off the others (-999999 for "not known") do not raise it: ``typical_error``, ``typical_deviation``. A good model
    has far less error than that, so it is at most ten times the error of the running release: ``_within_reach``.
    """
    import numpy as np  # noqa: PLC0415

    # Not the mean: a label that is far off would draw it away, and rows drawn without that label lose their digits.
    centre = float(np.median(truth))

    def parts(truth: "Array", answers: "Array") -> "Array":
        return _with_ones((answers - truth) ** 2, truth - centre, (truth - centre) ** 2)

    made = (
        Measure("mae", _absolute, _mean, _within_reach(typical_error), higher_is_better=False),
        Measure("rmse", _squared, _root, _within_reach(typical_deviation), higher_is_better=False),
        Measure("r2", parts, _explained, _one, higher_is_better=True),
    )
    return {m.name: m for m in made}.get(name)


def of_classifier(name: str, classes: int) -> Measure | None:
    """A classifier's measure; truth is the index of a class, answers have shape ``(rows, classes)``. None if unknown."""
    if name in SHARES_OF_HITS:
        return Measure(name, _hits, _mean, _one, higher_is_better=True, counts=True)
    if name == "elementwise_accuracy":
        return Measure(name, _agreement, _mean, _one, higher_is_better=True, counts=True)
    if name == "log_loss":
        return Measure(name, _surprise, _mean, _one, higher_is_better=False)
    macro = {"precision_macro": _precision, "recall_macro": _recall, "f1_macro": _f1}.get(name)
    if macro is None:
        return None

    def parts(truth: "Array", answers: "Array") -> "Array":
        return _counts(truth, answers, classes)

    return Measure(name, parts, macro, _one, higher_is_better=True, counts=True)


def of_own(name: str, values: "Array", *, higher_is_better: bool) -> Measure:
    """A measure of one's own that is the mean of a value of each row. The answers are these values; truth is not asked.

    Args:
        name: As the report calls it.
        values: Those of the running release: its scale is their mean, which a few great ones do not raise.
        higher_is_better: Which way it improves.
    """
    scale = min(abs(float(values.mean())), typical(abs(values)))

    def parts(truth: "Array", answers: "Array") -> "Array":
        del truth
        return _with_ones(answers)

    def said(truth: "Array", running: float) -> float:
        del truth, running
        return scale

    counts = bool(((values == 0) | (values == 1)).all())
    return Measure(name, parts, _mean, said, higher_is_better=higher_is_better, counts=counts)


def _mean(sums: "Array") -> "Array":
    return sums[..., 1] / sums[..., 0]


def _one(truth: "Array", running: float) -> float:
    del truth, running
    return 1.0


def _within_reach(naive: "Callable[[Array], float]") -> "Callable[[Array, float], float]":
    """The naive model's error, but at most ``_TIMES`` that of the running release, and never below 1 % of the naive one.

    By the naive error alone a model that is always 500 off could replace an exact one where prices spread by 100,000;
    by the running release's alone nothing could replace an exact one.
    """

    def scale(truth: "Array", running: float) -> float:
        whole = naive(truth)
        return min(whole, max(_TIMES * running, whole / 100))

    return scale


_TIMES = 10
"""So that ``max_drop = 0.01`` lets a model lose a tenth of the running release's own error."""


def _with_ones(*columns: "Array") -> "Array":
    import numpy as np  # noqa: PLC0415

    return np.stack([np.ones(len(columns[0])), *columns], axis=1)


def _absolute(truth: "Array", answers: "Array") -> "Array":
    return _with_ones(abs(answers - truth))


def _squared(truth: "Array", answers: "Array") -> "Array":
    return _with_ones((answers - truth) ** 2)


def _root(sums: "Array") -> "Array":
    return _mean(sums) ** 0.5


def _explained(sums: "Array") -> "Array":
    import numpy as np  # noqa: PLC0415

    rows, squared, total, squares = (sums[..., i] for i in range(4))
    spread = np.maximum(squares - total**2 / rows, 0.0)
    same = spread <= 1e-12 * np.maximum(squares, np.finfo(float).tiny)
    found = 1 - np.divide(squared, spread, out=np.zeros_like(squared), where=~same)
    return np.where(same, (squared == 0).astype(float), found)


def typical_error(truth: "Array") -> float:
    """The mean error of always answering the median; of labels with some far off the others, what the others have.

    At most ``1.183 share m``: of the rows whose label is not the median, but for the furthest, ``m`` is the median
    distance and ``share`` how many they are of all. That is the mean absolute deviation of normal labels, by their
    median absolute deviation times 1.4826 (Rousseeuw & Croux 1993, Journal of the American Statistical Association
    88:1273-1283) and ``sqrt(2 / pi)``; up to half of the labels may be any number without raising it further.
    """
    distance = _about_median(truth)
    return min(float(distance.mean()), typical(distance))


def typical_deviation(truth: "Array") -> float:
    """The standard deviation, which always answering the mean would have; as ``typical_error``, of far labels the rest.

    At most ``1.4826 sqrt(share) m``.
    """
    share, middle = _middle(_about_median(truth))
    return min(float(truth.std()), _NORMAL * share**0.5 * middle)


def typical(sizes: "Array") -> float:
    """About the mean of numbers of 0 and above, which a few great ones do not raise."""
    share, middle = _middle(sizes)
    return _NORMAL * (2 / math.pi) ** 0.5 * share * middle


_NORMAL = 1.4826
"""The standard deviation of normal numbers, in median absolute deviations."""


def _middle(sizes: "Array") -> tuple[float, float]:
    """The share of numbers that are not 0, and the median of these but for the greatest."""
    import numpy as np  # noqa: PLC0415

    some = np.sort(sizes[sizes > 0])[:-1]
    return (len(some) / len(sizes), float(np.median(some))) if len(some) else (0.0, 0.0)


def _about_median(truth: "Array") -> "Array":
    import numpy as np  # noqa: PLC0415

    return np.abs(truth - np.median(truth))


def with_same_answers(answers: "Array", others: "Array") -> "Array":
    """Answers, with those of another model in place of what float32, in which models answer, cannot tell from them."""
    import numpy as np  # noqa: PLC0415

    size = np.maximum(np.abs(answers), np.abs(others))
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(answers - others) <= 4 * np.finfo(np.float32).eps * size, others, answers)


def _hits(truth: "Array", answers: "Array") -> "Array":
    return _with_ones((answers.argmax(axis=1) == truth).astype(float))


def _agreement(truth: "Array", answers: "Array") -> "Array":
    import numpy as np  # noqa: PLC0415

    yes = answers > THRESHOLD
    true = np.zeros_like(yes)
    true[np.arange(len(truth)), truth] = True
    return _with_ones((yes == true).mean(axis=1))


def _surprise(truth: "Array", answers: "Array") -> "Array":
    import numpy as np  # noqa: PLC0415

    epsilon = np.finfo(np.float64).eps
    return _with_ones(-np.log(np.clip(answers[np.arange(len(truth)), truth], epsilon, 1 - epsilon)))


def _counts(truth: "Array", answers: "Array", classes: int) -> "Array":
    """Hits, true and answered rows of each class, side by side."""
    import numpy as np  # noqa: PLC0415

    rows, predicted = np.arange(len(truth)), answers.argmax(axis=1)
    made = np.zeros((len(truth), 3 * classes))
    made[rows, truth] = truth == predicted
    made[rows, classes + truth] = 1
    made[rows, 2 * classes + predicted] = 1
    return made


def _thirds(sums: "Array") -> "tuple[Array, Array, Array]":
    classes = sums.shape[-1] // 3
    return sums[..., :classes], sums[..., classes : 2 * classes], sums[..., 2 * classes :]


def _macro(part: "Array", whole: "Array", seen: "Array") -> "Array":
    """The mean over the classes that occur of a ratio that is 0 where its denominator is."""
    import numpy as np  # noqa: PLC0415

    ratio = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return (ratio * seen).sum(axis=-1) / seen.sum(axis=-1)


def _precision(sums: "Array") -> "Array":
    hits, support, answered = _thirds(sums)
    return _macro(hits, answered, support + answered > 0)


def _recall(sums: "Array") -> "Array":
    hits, support, answered = _thirds(sums)
    return _macro(hits, support, support + answered > 0)


def _f1(sums: "Array") -> "Array":
    hits, support, answered = _thirds(sums)
    return _macro(2 * hits, support + answered, support + answered > 0)
