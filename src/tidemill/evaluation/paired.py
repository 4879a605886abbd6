"""Two models on the same rows: is one better, and how sure is that."""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.evaluation.measures import ACCURACY, SHARES_OF_HITS, Measure, with_same_answers

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

PROPORTIONS = (
    "adjusted Wald interval for paired proportions, 0.5 added to each of the four counts "
    "(Agresti & Min 2005, Statistics in Medicine 24:729-740)"
)
BOOTSTRAP = (
    "expanded percentile interval of a paired bootstrap, 2,000 resamples of the rows, seed 0 "
    "(Hesterberg 2015, The American Statistician 69:371-386)"
)
SAME = "none: both models give the same answer to each row"
_RESAMPLES = 2_000
_GROUPS = 2_000
"""More rows than this are resampled in groups of equal size: sums are all that a measure needs, and cost is bounded."""
_CELLS_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measure of one model against that of another, on the same rows.

    Attributes:
        metric: What was measured.
        a: The measure of the first.
        b: The measure of the second.
        difference: How much better ``a`` is than ``b``, in the measure's unit; negative where it is worse.
        low: Lower end of the confidence interval of the difference.
        high: Upper end.
        n: Rows that both answered.
        scale: What a difference of 1 stands for where differences are given as shares; 1 for shares and the like.
        method: How the interval was computed, with its source.
        confidence: Of the interval; 0 to 1.
        higher_is_better: Which way the measure improves.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    n: int
    scale: float
    method: str
    confidence: float
    higher_is_better: bool


def paired(correct_a: "Array", correct_b: "Array", confidence: float = 0.95) -> Comparison:
    """Compare the accuracy of two classifiers row by row.

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
    if a.ndim != 1:
        raise _wrong_shape(a, b)
    _check(a, b, confidence)
    n, only_a, only_b = int(a.size), int((a & ~b).sum()), int((b & ~a).sum())
    difference = (only_a - only_b) / n
    centre = (only_a - only_b) / (n + 2)
    spread = math.sqrt(only_a + only_b + 1 - (only_a - only_b) ** 2 / (n + 2)) / (n + 2)
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * spread
    return Comparison(
        ACCURACY,
        a=float(a.mean()),
        b=float(b.mean()),
        difference=difference,
        # The centre is drawn towards 0; in tiny samples the observed difference could fall outside.
        low=max(-1.0, min(difference, centre - reach)),
        high=min(1.0, max(difference, centre + reach)),
        n=n,
        scale=1.0,
        method=PROPORTIONS,
        confidence=confidence,
        higher_is_better=True,
    )


def compared(
    measure: Measure,
    truth: "Array",
    answers_a: "Array",
    answers_b: "Array",
    confidence: float = 0.95,
    *,
    same_model: bool = False,
) -> Comparison:
    """Compare two models in whichever way is right for the measure.

    - The same answers to all rows are no difference, whatever the number of rows: an interval of no width. Of a
      measure that counts, answers that are nothing but 0 and 1 are no proof of it (two trees may agree on 20 rows):
      they are where the model is known to be the same.
    - A share of rows that are right: ``paired``.
    - Any other: ``resampled``. Resampling rows finds no difference where none was seen, so the interval of a measure
      that counts is made no narrower than ``paired`` has it on the rows.

    Args:
        measure: What is compared.
        truth: As the measure takes it, one a row.
        answers_a: The answers of the first model.
        answers_b: Those of the second, for the same rows in the same order.
        confidence: Of the interval; above 0, below 1.
        same_model: Whether both are known to be the same model.

    Raises:
        InvalidInput: ``wrong-shape``, ``no-rows``, ``too-few-rows`` or ``wrong-confidence``.
    """
    _check(truth, answers_a, confidence)
    _check(truth, answers_b, confidence)
    answers_a = with_same_answers(answers_a, answers_b)
    is_telling = same_model or not measure.counts or not ((answers_a == 0) | (answers_a == 1)).all()
    if is_telling and bool((answers_a == answers_b).all()):
        return _unchanged(measure, truth, answers_b, confidence)
    if not measure.counts:
        return resampled(measure, truth, answers_a, answers_b, confidence)
    right_a, right_b = (_is_right(measure, truth, answers) for answers in (answers_a, answers_b))
    hits = paired(right_a, right_b, confidence)
    if measure.name in SHARES_OF_HITS:
        return replace(hits, metric=measure.name)
    found = resampled(measure, truth, answers_a, answers_b, confidence)
    return replace(
        found,
        low=min(found.low, found.difference - (hits.difference - hits.low)),
        high=max(found.high, found.difference + (hits.high - hits.difference)),
        method=f"{BOOTSTRAP}; no narrower than the {PROPORTIONS}",
    )


def _is_right(measure: Measure, truth: "Array", answers: "Array") -> "Array":
    if answers.ndim > 1:
        return answers.argmax(axis=1) == truth
    return answers == (1 if measure.higher_is_better else 0)


def _unchanged(measure: Measure, truth: "Array", answers: "Array", confidence: float) -> Comparison:
    value = float(measure.value(measure.parts(truth, answers).sum(axis=0)))
    return Comparison(
        measure.name,
        a=value,
        b=value,
        difference=0.0,
        low=0.0,
        high=0.0,
        n=len(truth),
        scale=measure.scale(truth, value),
        method=SAME,
        confidence=confidence,
        higher_is_better=measure.higher_is_better,
    )


def resampled(
    measure: Measure, truth: "Array", answers_a: "Array", answers_b: "Array", confidence: float = 0.95
) -> Comparison:
    """Compare two models on any measure, by resampling the rows that both answered.

    Each resample draws rows with replacement, the same ones for both models. The interval is the percentile
    interval of the resampled differences, widened by ``t(n-1) / z * sqrt(n / (n - 1))``: without that it is too
    narrow on few rows (Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69
    (2015), 371-386). It repeats bit for bit: the draws depend on the number of rows alone.

    Args:
        measure: What is compared.
        truth: As the measure takes it, one a row.
        answers_a: The answers of the first model.
        answers_b: Those of the second, for the same rows in the same order.
        confidence: Of the interval; above 0, below 1.

    Raises:
        InvalidInput: ``wrong-shape``, ``no-rows``, ``too-few-rows`` or ``wrong-confidence``.
    """
    import numpy as np  # noqa: PLC0415

    _check(truth, answers_a, confidence)
    _check(truth, answers_b, confidence)
    n = len(truth)
    if n < 2:
        raise InvalidInput(
            "There is one row to compare on.",
            why="How much answers vary from row to row cannot be seen on one.",
            hint="Give the split a greater test size, or the dataset more rows.",
            code=codes.TOO_FEW_ROWS,
        )
    chance = np.random.default_rng(0)
    groups = np.array_split(chance.permutation(n), min(n, _GROUPS))
    sums = [_sums(measure, truth, answers, groups) for answers in (answers_a, answers_b)]
    a, b = (float(measure.value(s.sum(axis=0))) for s in sums)
    sign = 1 if measure.higher_is_better else -1
    found = np.empty(_RESAMPLES)
    count = len(groups)
    for start in range(0, _RESAMPLES, 100):
        drawn = chance.integers(0, count, (100, count)) + np.arange(100)[:, None] * count
        weights = np.bincount(drawn.reshape(-1), minlength=100 * count).reshape(100, count).astype(float)
        values = [measure.value(weights @ s) for s in sums]
        found[start : start + 100] = sign * (values[0] - values[1])
    difference = sign * (a - b)
    low, high = (float(q) for q in np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2]))
    wider = _widening(confidence, count)
    return Comparison(
        measure.name,
        a=a,
        b=b,
        difference=difference,
        low=min(difference, difference + wider * (low - difference)),
        high=max(difference, difference + wider * (high - difference)),
        n=n,
        scale=measure.scale(truth, b),
        method=BOOTSTRAP,
        confidence=confidence,
        higher_is_better=measure.higher_is_better,
    )


def _sums(measure: Measure, truth: "Array", answers: "Array", groups: "list[Array]") -> "Array":
    """What each group of rows adds to each sum: shape ``(groups, sums)``."""
    import numpy as np  # noqa: PLC0415

    width = measure.parts(truth[:1], answers[:1]).shape[1]
    made = np.empty((len(groups), width))
    at_once = max(1, _CELLS_AT_ONCE // (width * max(len(g) for g in groups)))
    for start in range(0, len(groups), at_once):
        some = groups[start : start + at_once]
        rows = np.concatenate(some)
        starts = np.cumsum([0, *(len(g) for g in some[:-1])])
        made[start : start + len(some)] = np.add.reduceat(
            measure.parts(truth[rows], answers[rows]), starts, axis=0
        )
    return made


def _widening(confidence: float, n: int) -> float:
    """``t(n-1) / z * sqrt(n / (n - 1))``; the quantile of Student's t by Abramowitz and Stegun, 26.7.5."""
    z, free = NormalDist().inv_cdf(0.5 + confidence / 2), n - 1
    t = (
        z
        + (z**3 + z) / (4 * free)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    )
    return t / z * math.sqrt(n / free)


def _check(a: "Array", b: "Array", confidence: float) -> None:
    if a.shape[:1] != b.shape[:1]:
        raise _wrong_shape(a, b)
    if not len(a):
        raise InvalidInput(
            "There are no rows to compare on.", hint="Let both answer the same test rows.", code=codes.NO_ROWS
        )
    if not 0 < confidence < 1:
        raise InvalidInput(
            f"A confidence of {confidence} is not between 0 and 1.",
            hint="Give 0.95 for 95 %.",
            code=codes.WRONG_CONFIDENCE,
        )


def _wrong_shape(a: "Array", b: "Array") -> InvalidInput:
    return InvalidInput(
        f"One model has answers of shape {list(a.shape)} and the other of {list(b.shape)}.",
        why="They are compared row by row.",
        hint="Let both answer the same rows.",
        code=codes.WRONG_SHAPE,
    )
