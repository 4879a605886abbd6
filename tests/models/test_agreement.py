"""The one tolerance: absolute up to 1, relative above, for every answer that is held against the pipeline's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.models.agreement import TOLERANCE, Agreement, Measure, differences


def test_a_price_may_be_off_by_as_much_of_itself_as_a_probability_by_its_whole():
    prices = np.array([250_000.0, -250_000.0, 0.5])
    off = differences(prices * (1 + 1e-5), prices)
    assert off == pytest.approx([1e-5, 1e-5, 0.5e-5], rel=1e-6)


@given(st.floats(-1e300, 1e300), st.floats(0, 0.9), st.sampled_from([-1, 1]))
def test_numbers_within_the_tolerance_agree_and_numbers_beyond_do_not(wanted: float, share: float, side: int):
    scale = max(1.0, abs(wanted))
    measure, expected = Measure(), {"value": np.array([wanted])}
    near, far = (wanted + side * TOLERANCE * scale * s for s in (share, 1.1 + share))
    assert measure.compare({"value": np.array([near])}, expected, 1).agree == 1
    assert measure.compare({"value": np.array([far])}, expected, 1).agree == 0


def test_the_tolerance_is_the_one_that_the_bundle_records():
    expected, answers = {"value": np.array([100.0])}, {"value": np.array([101.0])}
    wide = Measure.of({"classes": None, "parity": {"tolerance": 0.1}})
    found = wide.compare(answers, expected, 1)
    assert found.agree == 1
    assert found.max_difference == pytest.approx(0.01)
    assert Measure.of({"classes": None, "parity": {}}).compare(answers, expected, 1).agree == 0


def test_infinity_and_nan_never_agree():
    for bad in (math.nan, math.inf, -math.inf):
        found = Measure().compare({"value": np.array([bad, 1.0])}, {"value": np.array([bad, 1.0])}, 2)
        assert (found.agree, found.max_difference) == (1, math.inf)


def test_a_label_that_only_the_last_digits_decide_may_be_either():
    expected = {
        "label": np.array(["a", "a", "a"]),
        "probabilities": np.array([[0.4, 0.4 - 1e-7, 0.2], [0.5, 0.3, 0.2], [0.4, 0.4, 0.2]], np.float32),
    }
    answers = {**expected, "label": np.array(["b", "b", "unheard"])}
    measure = Measure(classes=("a", "b", "c"))
    # The first is a close call; the second is not; the third is no class at all.
    assert measure.compare(answers, expected, 3) == Agreement(3, 1, 0.0)
    assert Measure().compare(answers, expected, 3).agree == 0
