"""Suspects, from probabilities whose truth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tidemill.core.errors import InvalidInput
from tidemill.evaluation.suspects import suspects

CLASSES = ["ash", "elm", "oak"]


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and the labels of the rows."""
    rows = draw(st.integers(1, 40))
    raw = draw(arrays.arrays(float, (rows, 3), elements=st.floats(0.001, 1)))
    return raw / raw.sum(axis=1, keepdims=True), draw(arrays.arrays(int, rows, elements=st.integers(0, 2)))


@given(answers())
def test_the_least_probable_labels_come_first(made: tuple[np.ndarray, np.ndarray]):
    probabilities, labels = made
    found = suspects(probabilities, labels, CLASSES, limit=len(labels)).ranked
    own = [s.given_probability for s in found]
    assert own == sorted(own)
    for s in found:
        assert s.given == CLASSES[labels[s.row]]
        assert s.suggested == CLASSES[probabilities[s.row].argmax()]
        assert s.given != s.suggested
    # All others agree with their label.
    rest = set(range(len(labels))) - {s.row for s in found}
    assert all(probabilities[r].max() == probabilities[r, labels[r]] for r in rest)


@given(answers(), st.integers(0, 20))
def test_a_limit_takes_the_first_and_none_takes_the_confident(
    made: tuple[np.ndarray, np.ndarray], limit: int
):
    probabilities, labels = made
    every = suspects(probabilities, labels, CLASSES, limit=len(labels)).ranked
    assert suspects(probabilities, labels, CLASSES, limit=limit).ranked == every[:limit]
    assert suspects(probabilities, labels, CLASSES).ranked == tuple(s for s in every if s.confident)


@given(answers(), st.permutations([0, 1, 2]))
def test_the_names_and_order_of_the_classes_do_not_matter(
    made: tuple[np.ndarray, np.ndarray], order: list[int]
):
    probabilities, labels = made
    back = np.argsort(order)
    other = suspects(probabilities[:, order], back[labels], [CLASSES[i] for i in order])
    found = suspects(probabilities, labels, CLASSES)
    assert {(s.row, s.given) for s in other.ranked} == {(s.row, s.given) for s in found.ranked}
    assert other.estimated == found.estimated


def test_the_joint_is_that_of_the_paper():
    # Thresholds: 0.75 for a, 0.65 for b. Row 2 is confidently b though labelled a; row 5 reaches no threshold.
    probabilities = np.array([[0.95, 0.05], [0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7], [0.55, 0.45]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = suspects(probabilities, labels, ["a", "b"])
    assert found.ranked == ()
    probabilities[2] = [0.3, 0.7]
    found = suspects(probabilities, labels, ["a", "b"])
    assert [(s.row, s.given, s.suggested) for s in found.ranked] == [(2, "a", "b")]
    # Of the three rows labelled a one is counted for b; of those labelled b, two of two counted are b.
    assert found.estimated == 1
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.ranked[0].reason == "'b' is 70.0 % probable, 'a' 30.0 %"


def test_switched_labels_are_found_among_honest_probabilities():
    rng = np.random.default_rng(4)
    rows, switched = 5000, 100
    truth = rng.integers(0, 3, rows)
    # The model gives the true class as often as it says.
    sure = rng.beta(8, 1, rows)
    probabilities = np.repeat(((1 - sure) / 2)[:, None], 3, axis=1)
    top = np.where(rng.random(rows) < sure, truth, (truth + rng.integers(1, 3, rows)) % 3)
    probabilities[np.arange(rows), top] = sure
    labels = truth.copy()
    wrong = rng.choice(rows, switched, replace=False)
    labels[wrong] = (truth[wrong] + rng.integers(1, 3, switched)) % 3
    found = suspects(probabilities, labels, CLASSES, limit=switched)
    hits = len({s.row for s in found.ranked} & set(wrong.tolist()))
    # Chance is 2 of 100.
    assert hits > 30
    assert {s.row for s in found.ranked} == {
        int(r) for r in np.lexsort((np.arange(rows), probabilities[np.arange(rows), labels]))[:switched]
    }


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidInput) as caught:
        suspects(np.ones((3, 2)), np.zeros(3, int), CLASSES)
    assert caught.value.code == "wrong-shape"
    with pytest.raises(InvalidInput) as caught:
        suspects(np.ones((0, 3)), np.zeros(0, int), CLASSES)
    assert caught.value.code == "no-rows"
