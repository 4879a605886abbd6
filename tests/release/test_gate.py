"""The gate: every rule has its reason, and a missing measurement is a no."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import InvalidInput
from tidemill.core.settings import GateSettings
from tidemill.evaluation.paired import Comparison, paired
from tidemill.models.agreement import Agreement
from tidemill.release import gate
from tidemill.release.gate import Against, Rule


def comparison(low: float) -> Comparison:
    """A comparison whose interval begins at ``low``."""
    return Comparison(
        "accuracy", 0.9, 0.9, low + 0.004, low, low + 0.008, 20_998, 1.0, "", 0.95, higher_is_better=True
    )


def judge(*rules: str, metrics: dict[str, float] | None = None, **more: Any) -> tuple[bool, list[Rule]]:
    settings = GateSettings(
        rules=rules, smoke=more.pop("with_smoke", False), latency_ms=more.pop("limit", None)
    )
    given: dict[str, Any] = {"smoke": None, "latency_ms": None, "against": (), **more}
    return gate.judge(settings=settings, metrics=metrics or {}, **given)


def test_a_rule_that_holds_says_by_how_much():
    passed, [rule] = judge("accuracy >= 0.87", metrics={"accuracy": 0.8854})
    assert passed
    assert rule.name == "accuracy >= 0.87"
    assert rule.reason == "it is 0.8854, 0.0154 above the limit"
    assert (rule.value, rule.limit) == (0.8854, 0.87)


def test_a_rule_that_fails_says_by_how_much_it_missed():
    passed, [rule] = judge("accuracy >= 0.87", metrics={"accuracy": 0.8521})
    assert not passed
    assert rule.reason == "it is 0.8521, missed by 0.0179"


@pytest.mark.parametrize(
    ("text", "value", "passes"),
    [
        ("m >= 1", 1, True),
        ("m > 1", 1, False),
        ("m<=1", 1, True),
        ("m < 1", 1, False),
        ("m == 1", 1, True),
        ("m == 1", 1.001, False),
        ("m > -1e-3", 0, True),
        ("m <= 1", 1.5, False),
        ("m >= 1", math.nan, False),
        ("m < 1", math.nan, False),
        ("recall of ankle boot >= 0.5", 0.6, True),
    ],
)
def test_operators(text: str, value: float, passes: bool):
    metric = gate.parse_rule(text).metric
    passed, [rule] = judge(text, metrics={metric: value})
    assert passed is passes
    assert rule.passed is passes
    assert rule.reason


@given(
    operator=st.sampled_from([">=", ">", "<=", "<"]),
    limit=st.floats(-1e6, 1e6),
    value=st.floats(-1e6, 1e6),
)
def test_a_rule_means_what_python_means(operator: str, limit: float, value: float):
    text = f"loss {operator} {limit!r}"
    compare = {">=": value >= limit, ">": value > limit, "<=": value <= limit, "<": value < limit}
    assert judge(text, metrics={"loss": value})[0] is compare[operator]


@pytest.mark.parametrize(
    "text",
    ["accuracy", "accuracy >= high", "accuracy => 0.8", ">= 0.8", "a >= 1 b", "", "a >= nan", "a >= inf"],
)
def test_a_rule_that_cannot_be_read_is_named(text: str):
    with pytest.raises(InvalidInput) as caught:
        judge(text, metrics={"accuracy": 1.0})
    assert caught.value.code == "invalid-rule"
    assert f"'{text}'" in caught.value.message


def test_an_unknown_metric_is_an_error_with_the_nearest_name():
    with pytest.raises(InvalidInput) as caught:
        judge("acuracy >= 0.8", metrics={"accuracy": 0.9, "recall": 0.8})
    assert caught.value.code == "unknown-metric"
    assert "accuracy" in (caught.value.hint or "")


def test_what_was_not_measured_has_failed():
    passed, rules = judge(with_smoke=True, limit=5.0)
    assert not passed
    assert [rule.passed for rule in rules] == [False, False]
    assert [rule.value for rule in rules] == [None, None]


def test_no_rule_is_skipped_because_another_failed():
    passed, rules = judge(
        "accuracy >= 0.9",
        "loss <= 1",
        metrics={"accuracy": 0.1, "loss": 0.5},
        with_smoke=True,
        smoke=Agreement(10, 10, 1e-8),
        limit=5.0,
        latency_ms=0.03,
    )
    assert not passed
    assert [rule.passed for rule in rules] == [False, True, True, True]
    assert gate.failures(rules) == "accuracy >= 0.9: it is 0.1, missed by 0.8"


def test_latency_says_by_how_much():
    passed, [rule] = judge(limit=5.0, latency_ms=7.25)
    assert not passed
    assert rule.reason == "the median is 7.25 ms, missed by 2.25 ms"


@pytest.mark.parametrize(("low", "passes"), [(-0.004, True), (-0.01, True), (-0.0101, False), (0.002, True)])
def test_the_candidate_may_lose_no_more_than_max_drop_at_the_low_end(low: float, passes: bool):
    passed, [rule] = judge(against=[Against(1, "accuracy", comparison(low))])
    assert passed is passes
    assert rule.name == "no worse than release 1 in accuracy"
    assert "20,998" in rule.reason
    assert ("missed by" in rule.reason) is not passes


def test_few_rows_are_not_enough_to_be_sure():
    many, few = (np.arange(n) % 10 != 0 for n in (20_000, 50))
    for correct, passes in ((many, True), (few, False)):
        shifted = np.roll(correct, 1)
        passed, [rule] = judge(against=[Against(2, "accuracy", paired(shifted, correct))])
        assert passed is passes, rule.reason
        assert ("not enough test rows to tell" in rule.reason) is not passes
    assert rule.reason.endswith("give it more test rows, or set max_drop = 0.126 if so much may be lost")
    # With as much as it says it passes, and a loss that is certain is not for want of rows.
    rules = gate.judge(
        settings=GateSettings(smoke=False, max_drop=0.126),
        metrics={},
        smoke=None,
        latency_ms=None,
        against=[Against(2, "accuracy", paired(shifted, correct))],
    )
    assert rules[0]
    passed, [rule] = judge(against=[Against(2, "accuracy", paired(~correct, correct))])
    assert "not enough" not in rule.reason
    assert "missed by" in rule.reason


def test_what_cannot_be_compared_has_failed_and_says_why():
    passed, rules = judge(against=[Against(3, "mae", "it has other rows"), Against(3, "r2", comparison(0.0))])
    assert not passed
    assert [(rule.name, rule.passed) for rule in rules] == [
        ("no worse than release 3 in mae", False),
        ("no worse than release 3 in r2", True),
    ]
    assert rules[0].reason == "not compared: it has other rows"
    assert (rules[0].value, rules[0].limit) == (None, None)
    passed, [rule] = judge(against=[Against(3, "mae", comparison(math.nan))])
    assert not passed
    assert rule.reason.startswith("not compared: ")


@pytest.mark.parametrize(("worse", "passes"), [(90.0, True), (110.0, False)])
def test_max_drop_of_a_metric_in_the_label_s_unit_is_a_share_of_its_scale(worse: float, passes: bool):
    found = Comparison(
        "mae", 500 + worse, 500, -worse, -worse, -worse, 60, 10_000, "", 0.95, higher_is_better=False
    )
    passed, [rule] = judge(against=[Against(1, "mae", found)])
    assert passed is passes, rule.reason
    assert rule.limit == -100


def test_a_rule_is_plain_json_even_without_a_number():
    rule = Rule("a", passed=False, reason="r", value=math.nan, limit=math.inf)
    text = json.dumps(rule.to_json(), allow_nan=False)
    assert json.loads(text) == {"name": "a", "passed": False, "reason": "r", "value": None, "limit": None}


class Doubles:
    """A predictor that doubles ``x`` and says whether it is positive."""

    def __init__(self, wrong_row: int | None = None, error: Exception | None = None) -> None:
        self.wrong_row, self.error, self.rows = wrong_row, error, list[int]()

    def predict(self, columns: Any) -> dict[str, Any]:
        if self.error:
            raise self.error
        x = columns["x"]
        self.rows.append(len(x))
        value = 2 * x
        if self.wrong_row is not None:
            value[self.wrong_row] += 1
        return {"value": value, "label": np.where(x > 0, "up", "down")}


COLUMNS = {"x": np.arange(-2, 3, dtype=np.float32)}
EXPECTED = {"value": 2 * COLUMNS["x"], "label": np.array(["down", "down", "down", "up", "up"])}


def test_smoke_agrees_with_itself():
    assert gate.smoke(Doubles(), COLUMNS, EXPECTED) == Agreement(rows=5, agree=5, max_difference=0.0)


def test_smoke_counts_the_rows_that_differ_in_number_or_in_label():
    assert gate.smoke(Doubles(wrong_row=1), COLUMNS, EXPECTED) == Agreement(5, 4, 0.5)
    other = {**EXPECTED, "label": np.array(["down", "down", "up", "up", "up"])}
    assert gate.smoke(Doubles(), COLUMNS, other) == Agreement(5, 4, 0.0)


def test_smoke_never_agrees_with_nan():
    wanted = {"value": np.array([np.nan, -2, 0, 2, 4])}
    found = gate.smoke(Doubles(), COLUMNS, wanted)
    assert (found.agree, found.max_difference) == (4, math.inf)


def test_a_predictor_that_raises_fails_the_smoke_test_with_its_own_words():
    found = gate.smoke(Doubles(error=ValueError("no such layer")), COLUMNS, EXPECTED)
    passed, [rule] = judge(with_smoke=True, smoke=found)
    assert not passed
    assert rule.reason == "ValueError: no such layer"


def test_another_shape_fails_the_smoke_test():
    found = gate.smoke(Doubles(), COLUMNS, {"value": np.zeros((5, 10))})
    assert found.agree == 0
    assert "shape (5,)" in found.error
    assert "no such output" in gate.smoke(Doubles(), COLUMNS, {"probabilities": np.zeros((5, 10))}).error


def test_latency_is_of_single_rows():
    predictor = Doubles()
    assert gate.measure_latency(predictor, COLUMNS, repeats=7) >= 0
    assert set(predictor.rows) == {1}
    assert len(predictor.rows) >= 7
