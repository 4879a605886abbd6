"""Agreement beyond chance, held against the figures that its authors published."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.evaluation.agreement import cohen_kappa, krippendorff_alpha, observed_agreement

# Two clinicians, 200 people, three diagnoses: Cohen 1960, the table that reappears in Cohen 1968.
COHEN = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]

# Krippendorff 2011: the data of sections A (binary), B (nominal) and C (four observers, with gaps).
BINARY = ("0100000000", "1110010010")
TWO = ("aabbdcccedda", "babbbccceddd")
FOUR = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


def rows_of(*observers: str) -> list[list[str]]:
    return [[label for label in unit if label != "."] for unit in zip(*observers, strict=True)]


def test_cohen_s_own_example():
    pairs = [(str(i), str(j)) for i, row in enumerate(COHEN) for j, n in enumerate(row) for _ in range(n)]
    a, b = zip(*pairs, strict=True)
    assert sum(x == y for x, y in pairs) / len(pairs) == pytest.approx(0.70)
    assert cohen_kappa(a, b) == pytest.approx((0.70 - 0.41) / (1 - 0.41))


@pytest.mark.parametrize(
    ("observers", "published"), [(BINARY, 0.095), (TWO, 0.692), (FOUR, 0.743)], ids=["A", "B", "C"]
)
def test_krippendorff_s_own_examples(observers: tuple[str, ...], published: float):
    assert krippendorff_alpha(rows_of(*observers)) == pytest.approx(published, abs=5e-4)


def test_a_row_with_one_label_says_nothing():
    rows = rows_of(*TWO)
    assert krippendorff_alpha([*rows, ["a"], []]) == krippendorff_alpha(rows)


def test_where_there_is_nothing_to_agree_on_there_is_no_number():
    assert cohen_kappa([], []) is None
    assert cohen_kappa(["cat"] * 3, ["cat"] * 3) is None
    assert krippendorff_alpha([["cat", "cat"], ["cat", "cat"]]) is None
    assert krippendorff_alpha([["cat"], ["dog"]]) is None
    assert observed_agreement([["cat"], []]) is None


def test_observed_agreement_counts_pairs():
    assert observed_agreement([["cat", "cat", "dog"], ["dog", "dog"]]) == pytest.approx(2 / 4)


labels = st.sampled_from("abcd")


@pytest.mark.sklearn
@settings(deadline=None)
@given(pairs=st.lists(st.tuples(labels, labels), min_size=1, max_size=40))
def test_kappa_is_scikit_learn_s(pairs: list[tuple[str, str]]):
    from sklearn.metrics import cohen_kappa_score

    a, b = zip(*pairs, strict=True)
    ours = cohen_kappa(a, b)
    if ours is None:
        assert len({*a, *b}) == 1
    else:
        assert ours == pytest.approx(cohen_kappa_score(a, b))


@given(rows=st.lists(st.lists(labels, max_size=4), max_size=30))
def test_alpha_knows_neither_order_nor_names(rows: list[list[str]]):
    alpha = krippendorff_alpha(rows)
    other = [[{"a": "x", "b": "y", "c": "z", "d": "w"}[n] for n in reversed(row)] for row in reversed(rows)]
    again = krippendorff_alpha(other)
    assert (alpha is None) == (again is None)
    if alpha is not None and again is not None:
        assert again == pytest.approx(alpha)
        assert alpha <= 1
