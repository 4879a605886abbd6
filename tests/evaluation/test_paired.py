"""The paired comparison: the published formula, and that its intervals cover what they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import InvalidInput
from tidemill.evaluation import Comparison, paired


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
    assert (found.n, found.only_a, found.only_b) == (160, 40, 20)
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


def test_accuracies_and_the_way_through_json() -> None:
    found = paired(np.array([True, True, False, True]), np.array([True, False, False, False]), 0.9)
    assert (found.accuracy_a, found.accuracy_b, found.difference) == (0.75, 0.25, 0.5)
    assert Comparison.from_json(found.to_json()) == found


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
