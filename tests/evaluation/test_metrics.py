"""Metrics, held against scikit-learn's, and the cases that it does not cover."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import InvalidInput
from tidemill.evaluation import classification, regression

EXACT = 1e-12


@st.composite
def answered(draw: st.DrawFn) -> tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]", list[str]]:
    classes = [f"c{i}" for i in range(draw(st.integers(2, 6)))]
    rows = draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = np.array(classes)[random.integers(0, len(classes), rows)]
    probabilities = random.random((rows, len(classes))) ** draw(st.sampled_from([0.2, 1, 8]))
    if draw(st.booleans()):
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    if draw(st.booleans()):
        probabilities = probabilities.round(1)
    return truth, probabilities, classes


@pytest.mark.sklearn
@pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one:UserWarning")
@pytest.mark.filterwarnings("ignore:The y_pred values do not sum to one:UserWarning")
@pytest.mark.filterwarnings("ignore:The y_proba values do not sum to one:UserWarning")
@settings(deadline=None, max_examples=150)
@given(case=answered())
def test_a_classifier_as_scikit_learn_sees_it(case: Any) -> None:
    from sklearn import metrics as untyped

    metrics: Any = untyped
    truth, probabilities, classes = case
    found = classification(truth, probabilities, classes)
    predicted = np.array(classes)[probabilities.argmax(axis=1)]
    assert found["n"] == len(truth)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted), abs=EXACT)
    for kind in ("macro", "micro"):
        wanted = metrics.precision_recall_fscore_support(truth, predicted, average=kind, zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), wanted, strict=False):
            assert found[f"{name}_{kind}"] == pytest.approx(value, abs=EXACT)
    each = metrics.precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    for i, row in enumerate(found["per_class"]):
        assert row["class"] == classes[i]
        got = (row["precision"], row["recall"], row["f1"], row["support"])
        assert got == pytest.approx([column[i] for column in each], abs=EXACT)
    assert found["confusion"] == metrics.confusion_matrix(truth, predicted, labels=classes).tolist()
    wanted_loss = metrics.log_loss(truth, y_proba=probabilities, labels=classes)
    assert found["log_loss"] == pytest.approx(wanted_loss, abs=EXACT, rel=EXACT)


@given(case=answered())
def test_elementwise_accuracy_counts_every_cell(case: Any) -> None:
    truth, probabilities, classes = case
    right = sum(
        (probabilities[i, j] > 0.5) == (truth[i] == name)
        for i in range(len(truth))
        for j, name in enumerate(classes)
    )
    found = classification(truth, probabilities, classes)["elementwise_accuracy"]
    assert found == pytest.approx(right / probabilities.size, abs=EXACT)


def test_the_studys_two_numbers_may_be_one_model() -> None:
    """Ten classes; nine rows of ten are right, and the tenth says yes to nothing."""
    truth = np.array(["a"] * 10)
    probabilities = np.full((10, 10), 0.01)
    probabilities[:9, 0] = 0.9
    probabilities[9, 3] = 0.4
    found = classification(truth, probabilities, list("abcdefghij"))
    assert found["accuracy"] == 0.9
    assert found["elementwise_accuracy"] == 0.99


@pytest.mark.sklearn
@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 50))
def test_a_regressor_as_scikit_learn_sees_it(seed: int, rows: int) -> None:
    from sklearn import metrics

    random = np.random.default_rng(seed)
    truth, values = random.normal(3, 2, rows), random.normal(3, 2, rows)
    found = regression(truth, values)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, values), abs=EXACT)
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, values), abs=EXACT)
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, values), abs=EXACT, rel=EXACT)


def test_a_truth_without_spread() -> None:
    assert regression(np.ones(3), np.ones(3))["r2"] == 1.0
    assert regression(np.ones(3), np.zeros(3))["r2"] == 0.0


@pytest.mark.parametrize(
    ("truth", "probabilities", "code"),
    [
        (["a", "c"], [[0.5, 0.5], [0.5, 0.5]], "unknown-class"),
        (["a"], [[0.5, 0.5], [0.5, 0.5]], "wrong-shape"),
        (["a", "b"], [0.5, 0.5], "wrong-shape"),
        (["a", "b"], [[0.5, 0.5], [0.5, float("nan")]], "non-finite"),
        ([], np.zeros((0, 2)), "no-rows"),
    ],
)
def test_what_cannot_be_measured_is_refused(truth: Any, probabilities: Any, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        classification(np.array(truth), np.array(probabilities), ["a", "b"])
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("truth", "values", "code"),
    [([1.0], [1.0, 2.0], "wrong-shape"), ([], [], "no-rows"), ([1.0], [float("inf")], "non-finite")],
)
def test_values_that_cannot_be_measured_are_refused(truth: Any, values: Any, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        regression(np.array(truth), np.array(values))
    assert caught.value.code == code
