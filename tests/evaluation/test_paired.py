"""The paired comparison: the published formula, and that its intervals cover what they promise."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import InvalidInput
from tidemill.evaluation import Comparison, compared, measures, metrics, paired, resampled


def compare(only_a: int, only_b: int, n: int, confidence: float = 0.95) -> Comparison:
    a, b = np.zeros(n, bool), np.zeros(n, bool)
    a[:only_a] = True
    b[only_a : only_a + only_b] = True
    return paired(a, b, confidence)


def test_as_the_authors_own_code_computes_it() -> None:
    """Agresti's R function ``diffpropci(b = 20, c = 40, n = 160, conflev = 0.95)``, worked by hand."""
    found = compare(40, 20, 160)
    spread = math.sqrt(61 - 400 / 162) / 162
    assert found.difference == 0.125
    assert found.low == pytest.approx(20 / 162 - 1.959963984540054 * spread, abs=1e-12)
    assert found.high == pytest.approx(20 / 162 + 1.959963984540054 * spread, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((0.0309, 0.2160), abs=5e-5)
    assert (found.n, found.a, found.b) == (160, 0.25, 0.125)
    assert "Agresti & Min 2005" in found.method


@pytest.mark.parametrize("n", [20, 40])
@pytest.mark.parametrize(("gain", "loss"), [(0.1, 0.1), (0.2, 0.05), (0.02, 0.02), (0.3, 0.3), (0.4, 0.0)])
def test_the_interval_covers_the_truth_as_often_as_it_says(n: int, gain: float, loss: float) -> None:
    """Exactly, over every possible outcome: never far below 95 %."""
    covered = 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            rest = n - b - c
            ways = math.factorial(n) // (math.factorial(b) * math.factorial(c) * math.factorial(rest))
            probability = ways * gain**b * loss**c * (1 - gain - loss) ** rest
            interval = compare(b, c, n)
            covered += probability * (interval.low <= gain - loss <= interval.high)
    assert covered > 0.93


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 60), st.floats(0.01, 0.999))
def test_it_is_symmetric_and_contains_what_was_seen(b: int, c: int, more: int, confidence: float) -> None:
    n = b + c + more
    one, other = compare(b, c, n, confidence), compare(c, b, n, confidence)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert -1 <= one.low <= one.difference <= one.high <= 1
    wider = compare(b, c, n, (1 + confidence) / 2)
    assert wider.low <= one.low and one.high <= wider.high


def test_the_accuracies_of_both() -> None:
    found = paired(np.array([True, True, False, True]), np.array([True, False, False, False]), 0.9)
    assert (found.a, found.b, found.difference) == (0.75, 0.25, 0.5)


@pytest.mark.parametrize(
    ("a", "b", "confidence", "code"),
    [
        ([True], [True, False], 0.95, "wrong-shape"),
        ([], [], 0.95, "no-rows"),
        ([True], [True], 1.0, "wrong-confidence"),
        ([True], [True], 95, "wrong-confidence"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    a: list[bool], b: list[bool], confidence: float, code: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        paired(np.array(a, bool), np.array(b, bool), confidence)
    assert caught.value.code == code


def regressors(rows: int, seed: int) -> tuple[Any, Any, Any]:
    chance = np.random.default_rng(seed)
    truth = chance.normal(1000, 50, rows)
    return truth, truth + chance.normal(0, 5, rows), truth + chance.normal(2, 8, rows)


@given(st.integers(2, 60), st.integers(0, 5), st.sampled_from(["mae", "rmse", "r2"]))
@settings(max_examples=25, deadline=None)
def test_a_regressor_s_measures_are_those_of_its_report(rows: int, seed: int, name: str) -> None:
    truth, one, other = regressors(rows, seed)
    measure = measures.of_regressor(name, truth)
    assert measure is not None
    found = resampled(measure, truth, one, other)
    assert found.a == pytest.approx(metrics.regression(truth, one)[name], rel=1e-9)
    assert found.b == pytest.approx(metrics.regression(truth, other)[name], rel=1e-9)
    better = found.a - found.b if name == "r2" else found.b - found.a
    assert found.difference == pytest.approx(better, rel=1e-9, abs=1e-12)
    assert found.low <= found.difference <= found.high


@given(st.integers(2, 60), st.integers(2, 5), st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_a_classifier_s_measures_are_those_of_its_report(rows: int, classes: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, classes, rows)
    one, other = (chance.dirichlet(np.ones(classes), rows) for _ in "ab")
    names = [f"c{i}" for i in range(classes)]
    said = metrics.classification(np.array(names)[truth], one, names)
    for name, value in said.items():
        measure = measures.of_classifier(name, classes)
        assert (measure is None) == (name in {"n", "per_class", "confusion", "classes"})
        if measure is not None:
            found = resampled(measure, truth, one, other)
            assert found.a == pytest.approx(value, rel=1e-9, abs=1e-12), name
            assert found.low <= found.difference <= found.high


def test_more_rows_than_are_resampled_one_by_one_give_the_same_numbers_and_narrow_the_interval() -> None:
    few, many = (regressors(n, 1) for n in (200, 50_000))
    measure = [measures.of_regressor("mae", truth) for truth, _, _ in (few, many)]
    assert measure[0] is not None
    assert measure[1] is not None
    wide, narrow = resampled(measure[0], *few), resampled(measure[1], *many)
    assert narrow.a == pytest.approx(float(np.abs(many[1] - many[0]).mean()))
    # By the square root of 250 rows for each.
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(math.sqrt(250), rel=0.3)
    assert resampled(measure[1], *many) == narrow


@pytest.mark.parametrize("rows", [10, 40])
def test_the_resampled_interval_covers_the_truth_about_as_often_as_it_says(rows: int) -> None:
    chance = np.random.default_rng(3)
    truth, covered = np.zeros(rows), 0
    measure = measures.of_regressor("mae", np.ones(rows))
    assert measure is not None
    expected = math.sqrt(2 / math.pi)
    for _ in range(150):
        one, other = chance.normal(0, 1, rows), chance.normal(0, 2, rows)
        found = resampled(measure, truth, one, other)
        covered += found.low <= expected <= found.high
    # 95 % of 150 are 142; skewed errors on few rows cost some.
    assert covered >= 130


def test_an_exact_model_is_no_worse_than_an_exact_one_and_better_than_one_that_is_off() -> None:
    truth = np.arange(50.0)
    measure = measures.of_regressor("rmse", truth)
    assert measure is not None
    same = resampled(measure, truth, truth, truth)
    assert (same.low, same.difference, same.high) == (0, 0, 0)
    off = resampled(measure, truth, truth + 5, truth)
    assert (off.low, off.difference, off.high) == pytest.approx((-5, -5, -5))


def test_one_row_is_too_few_to_resample() -> None:
    truth = np.ones(1)
    measure = measures.of_regressor("mae", truth)
    assert measure is not None
    with pytest.raises(InvalidInput) as caught:
        resampled(measure, truth, truth, truth)
    assert caught.value.code == "too-few-rows"


@pytest.mark.parametrize("rows", [1, 20, 194, 3_000])
@pytest.mark.parametrize("name", ["accuracy", "f1_micro", "f1_macro", "elementwise_accuracy", "log_loss"])
def test_a_classifier_is_no_worse_than_itself_on_however_few_rows(name: str, rows: int) -> None:
    chance = np.random.default_rng(1)
    truth, soft = chance.integers(0, 3, rows), chance.dirichlet(np.ones(3), rows)
    measure = measures.of_classifier(name, 3)
    assert measure is not None
    found = compared(measure, truth, soft, soft.copy())
    assert (found.low, found.difference, found.high, found.n) == (0, 0, 0, rows)
    assert "same answer" in found.method
    hard = np.eye(3)[soft.argmax(axis=1)]
    assert compared(measure, truth, hard, hard, same_model=True).low == 0


@pytest.mark.parametrize("name", ["accuracy", "recall_micro", "recall_macro", "elementwise_accuracy"])
def test_two_models_that_are_alike_on_few_rows_may_differ_on_others(name: str) -> None:
    """Other probabilities with the same classes, or nothing but classes: the hits alone say little."""
    chance = np.random.default_rng(1)
    truth, soft = chance.integers(0, 3, 50), chance.dirichlet(np.ones(3), 50)
    hard = np.eye(3)[soft.argmax(axis=1)]
    measure = measures.of_classifier(name, 3)
    assert measure is not None
    floor = compare(0, 0, 50).low
    assert floor == pytest.approx(-1.96 / 52, abs=1e-4)
    assert compared(measure, truth, hard, hard).low == pytest.approx(floor)
    assert compared(measure, truth, soft**0.9, soft).low <= floor
    own = measures.of_own("right", np.ones(50), higher_is_better=True)
    assert compared(own, np.ones(50), np.ones(50), np.ones(50)).low == pytest.approx(floor)


@pytest.mark.parametrize("far", [-999_999.0, 1e12])
@pytest.mark.parametrize("name", ["mae", "rmse", "r2"])
def test_one_label_that_is_far_off_hides_no_loss(name: str, far: float) -> None:
    chance = np.random.default_rng(2)
    truth = chance.normal(100, 10, 200)
    good = truth + chance.normal(0, 1, 200)
    plain, spoilt = (measures.of_regressor(name, t) for t in (truth, np.append(truth, far)))
    assert plain is not None
    assert spoilt is not None
    scale = plain.scale(truth, math.inf)
    assert spoilt.scale(np.append(truth, far), math.inf) == pytest.approx(scale, rel=0.3)
    found = compared(spoilt, np.append(truth, far), np.append(good + 5, 100), np.append(good, 100))
    assert found.low < -0.01 * found.scale
    own = measures.of_own("cost", np.append(abs(good - truth), far), higher_is_better=False)
    assert own.scale(truth, math.nan) < 2


@pytest.mark.parametrize("name", ["mae", "rmse"])
def test_a_good_model_is_held_to_its_own_error_not_only_to_the_naive_one(name: str) -> None:
    chance = np.random.default_rng(9)
    prices = chance.normal(500_000, 100_000, 400)
    measure = measures.of_regressor(name, prices)
    assert measure is not None

    def lost(worse: float, error: float) -> bool:
        """Whether a model that errs by so much more than the running release is refused at ``max_drop = 0.01``."""
        sign = np.where(np.arange(400) % 2, 1, -1)
        found = compared(measure, prices, prices + sign * (error + worse), prices + sign * error)
        return found.low < -0.01 * found.scale

    assert lost(500, 0)
    assert not lost(5, 0)
    assert lost(150, 1000)
    assert not lost(90, 1000)
    assert lost(1500, 50_000)
    assert not lost(600, 50_000)


def test_the_scale_is_what_always_answering_the_median_or_the_mean_would_have() -> None:
    chance = np.random.default_rng(4)
    normal, even = chance.normal(7, 3, 20_000), chance.uniform(0, 1, 20_000)
    assert measures.typical_error(normal) == pytest.approx(3 * math.sqrt(2 / math.pi), rel=0.03)
    assert measures.typical_deviation(normal) == pytest.approx(3, rel=0.03)
    assert measures.typical_error(even) == pytest.approx(0.25, rel=0.03)
    # Most labels are 0, as rain is: the others still count, by their share.
    rain = np.where(np.arange(1000) % 10 == 0, chance.normal(20, 2, 1000), 0.0)
    assert measures.typical_error(rain) == pytest.approx(2, rel=0.1)
    assert measures.typical_error(np.append(np.full(99, 5.0), 1e12)) == 0


def test_what_float32_cannot_tell_apart_is_no_difference() -> None:
    """Labels as seconds since 1970, which differ little for their size."""
    truth = 1.7e9 + np.arange(40.0)
    measure = measures.of_regressor("mae", truth)
    assert measure is not None
    answers = truth.astype(np.float32).astype(float)
    assert compared(measure, truth, answers + 128, answers).low == 0
    assert compared(measure, truth, answers + 4096, answers).low < -2000
