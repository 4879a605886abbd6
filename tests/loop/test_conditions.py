"""What may stand after ``runs --where``, what it means, and what is said of the rest."""

import pytest

from tidemill.core.errors import InvalidInput
from tidemill.loop.conditions import Condition, Facts

GOOD = Facts(
    {
        "run": "20261124-105904-7f3a9c",
        "pipeline": "fashion",
        "status": "succeeded",
        "started": "2026-11-24T10:59:04.000000Z",
        "seconds": 12.5,
        "trigger": "person",
    },
    {"accuracy": 0.9, "loss": 0.3},
    {"epochs": 10, "loss": "huber", "shuffle": True, "name": "it's"},
    {"fashion": "3f9a12c0b7de", "my-data": "aa11"},
)
BARE = Facts({**GOOD.own, "status": "failed", "seconds": None}, {}, {"epochs": "all", "shuffle": False}, {})


def holds(text: str, facts: Facts = GOOD) -> bool:
    condition = Condition(text)
    condition.bind([GOOD, BARE])
    return condition.holds(facts)


@pytest.mark.parametrize(
    "text",
    [
        "accuracy > 0.88",
        "accuracy >= 0.9 and accuracy <= 0.9",
        "0.8 < accuracy < 0.95",
        "metric.loss < 1 and param.loss == 'huber'",
        'status == "succeeded"',
        "status = 'succeeded' AND NOT seconds < 12",
        "not (pipeline == 'digits' or accuracy < 0.5)",
        "pipeline <> 'digits'",
        "status in ('succeeded', 'failed')",
        "status in ['succeeded']",
        "epochs not in (3, 4)",
        "epochs > -1",
        "shuffle",
        "shuffle == True",
        'param.name == "it\'s"',
        "started >= '2026-11-24' and started < '2026-11-25'",
        "started == '2026-11-24'",
        "started > '2026-11-24 10:59'",
        "'2026-11-24 10' = started",
        "run == '20261124'",
        "input.fashion == '3f9a'",
        "input['my-data'] == 'aa11'",
        "input.fashion in ('3f9a', 'bb')",
        "accuracy is not None",
        "accuracy IS NOT NULL",
        "trigger != 'trigger:more'",
    ],
)
def test_it_holds(text: str):
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "accuracy > 0.9",
        "epochs == '10'",
        "epochs == True",
        "shuffle == 1",
        "not shuffle",
        "started == '2026-11-25'",
        "input.fashion == '9a12'",
        "input.fashion == ''",
        "name == 'it'",
        "accuracy is None",
        "seconds < 5 or pipeline == 'digits'",
    ],
)
def test_it_does_not_hold(text: str):
    assert not holds(text)


@pytest.mark.parametrize("text", ["accuracy > 0.5", "not (accuracy > 0.5)", "accuracy != 1", "seconds < 100"])
def test_what_a_run_lacks_is_neither_so_nor_otherwise(text: str):
    assert not holds(text, BARE)


def test_what_a_run_lacks_can_be_asked_for():
    assert holds("accuracy is None and seconds is None", BARE)
    assert holds("accuracy > 0.5 or status == 'failed'", BARE)
    assert not holds("epochs > 3", BARE)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("acuracy > 0.8", "unknown-run-field", "Did you mean 'accuracy'?"),
        ("metric.epochs > 3", "unknown-run-field", "'metric.epochs'"),
        ("input.fashon == 'a'", "unknown-run-field", "Did you mean 'input.fashion'?"),
        ("status == succeeded", "unknown-run-field", "Texts stand in quotes."),
        ("loss < 1", "ambiguous-run-field", "metric.loss or param.loss"),
        ("status > 3", "invalid-run-condition", "'status' is a text"),
        ("seconds == 'long'", "invalid-run-condition", "'seconds' is a number"),
        ("accuracy >", "invalid-run-condition", "accuracy >"),
        ("", "invalid-run-condition", "Not a condition"),
        ("'a", "invalid-run-condition", "'a"),
        ("accuracy + 1 > 2", "invalid-run-condition", "accuracy + 1"),
        ("__import__('os').system('true') == 0", "invalid-run-condition", "__import__"),
        ("accuracy.real > 1", "invalid-run-condition", "accuracy.real"),
        ("(lambda: 1)() == 1", "invalid-run-condition", "lambda"),
        ("[a for a in (1,)] == 1", "invalid-run-condition", "for a in"),
        ("0.88", "invalid-run-condition", "0.88"),
        ("(accuracy := 3) > 2", "invalid-run-condition", ":="),
        ("f'{accuracy}' == '1'", "invalid-run-condition", "f'"),
        ("epochs == b'1'", "invalid-run-condition", "b'1'"),
        ("epochs == 1j", "invalid-run-condition", "1j"),
        ("(" * 500 + "shuffle" + ")" * 500, "invalid-run-condition", "Not a condition"),
        ("shuffle and " * 300 + "shuffle", "invalid-run-condition", "at most 2,000 characters"),
    ],
)
def test_what_is_wrong_is_named(text: str, code: str, says: str):
    with pytest.raises(InvalidInput) as caught:
        holds(text)
    assert caught.value.code == code
    assert says in f"{caught.value.message} {caught.value.why} {caught.value.hint}"


def test_reports_are_read_only_where_a_metric_may_be_meant():
    assert Condition("accuracy > 1").asks_metrics
    assert Condition("metric.accuracy > 1").asks_metrics
    assert not Condition("status == 'failed' and param.epochs > 3 and input.fashion == 'a'").asks_metrics
