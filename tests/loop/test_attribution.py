"""Shares of a difference: exact, complete, and those of the definition."""

import math
from fractions import Fraction
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from tidemill.loop.attribution import State, attribute, rounded, states

NAMES = ("data", "code", "settings", "environment")
numbers = st.floats(-1e6, 1e6)


@st.composite
def worths(draw: st.DrawFn) -> tuple[list[str], dict[State, Fraction]]:
    names: list[str] = [*NAMES[: draw(st.integers(0, 4))]]
    return names, {s: Fraction(draw(numbers)) for s in states(names)}


@given(worths())
def test_shares_add_up_and_each_is_the_weighted_sum_of_the_definition(
    case: tuple[list[str], dict[State, Fraction]],
):
    names, worth = case
    found = attribute(names, worth)
    assert found.orders == math.factorial(len(names))
    total = worth[frozenset(names)] - worth[frozenset()]
    assert sum((s.mean for s in found.shares.values()), Fraction()) == total
    n = len(names)
    for name, share in found.shares.items():
        by_definition = sum(
            Fraction(math.factorial(len(s)) * math.factorial(n - len(s) - 1), math.factorial(n))
            * (worth[s | {name}] - worth[s])
            for s in worth
            if name not in s
        )
        assert share.mean == by_definition
        assert share.lowest <= share.mean <= share.highest


@given(worths(), st.sets(st.integers(0, 15)))
def test_without_some_states_the_shares_still_add_up(
    case: tuple[list[str], dict[State, Fraction]], gone: set[int]
):
    names, worth = case
    ends = (frozenset[str](), frozenset(names))
    left = {s: w for at, (s, w) in enumerate(worth.items()) if at not in gone or s in ends}
    found = attribute(names, left)
    whole = [o for o in permutations(names) if all(frozenset(o[:k]) in left for k in range(len(o) + 1))]
    assert found.orders == len(whole)
    if whole:
        assert sum((s.mean for s in found.shares.values()), Fraction()) == worth[ends[1]] - worth[ends[0]]


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.floats(0, 1), st.floats(0, 1))
def test_as_floats_they_add_up_to_the_last_bit(right: list[int], a: float, b: float):
    worth = {s: Fraction(n / 1000) for s, n in zip(states(["code", "data"]), right, strict=True)}
    exact = [s.mean for s in attribute(["code", "data"], worth).shares.values()]
    exact.append(Fraction(b) - Fraction(a) - sum(exact, Fraction()))
    made = rounded(exact, b - a)
    assert abs(math.fsum(made) - (b - a)) <= math.ulp(max(map(abs, made)))
    assert all(math.isclose(float(p), m, abs_tol=1e-15) for p, m in zip(exact, made, strict=True))
    assert all(m == 0 for p, m in zip(exact, made, strict=True) if p == 0)
