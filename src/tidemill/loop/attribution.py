"""How much of a difference is due to each of several changes that were made together. Pure arithmetic, exact.

A state is the set of changes that are made in it; its worth is a number that was measured there. The share of a
change is the mean, over all orders in which the changes could be made one after the other, of what it adds when its
turn comes: the Shapley value (L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games II,
Annals of Mathematics Studies 28, 1953, pp. 307-317):

    share(i) = sum over S without i of |S|! (n - |S| - 1)! / n! * (worth(S and i) - worth(S))

It is the one rule whose shares add up to the whole difference, treat equal changes equally, give nothing to a change
that never matters, and add where measures add. Where a state cannot be made, its orders are left out: the shares
still add up, as those of each single order do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise, permutations

State = frozenset[str]


@dataclass(frozen=True, slots=True)
class Share:
    """What one change contributes.

    Attributes:
        mean: Over the orders.
        lowest: In the order in which it adds least; ``highest``, in which it adds most.
    """

    mean: Fraction
    lowest: Fraction
    highest: Fraction


@dataclass(frozen=True, slots=True)
class Attribution:
    """The shares, and of how many orders they are the mean."""

    shares: dict[str, Share]
    orders: int


def states(changes: Sequence[str]) -> list[State]:
    """Every set of changes, small ones first: 2 to the power of their number."""
    return [frozenset(some) for size in range(len(changes) + 1) for some in combinations(changes, size)]


def steps_in(order: Sequence[str]) -> Iterator[tuple[str, State, State]]:
    """Each change of an order, with the state before it and after it."""
    passed = [frozenset(order[:size]) for size in range(len(order) + 1)]
    yield from ((change, *pair) for change, pair in zip(order, pairwise(passed), strict=True))


def attribute(changes: Sequence[str], worth: Mapping[State, Fraction]) -> Attribution:
    """The share of each change.

    Args:
        changes: At most a handful: all orders are gone through.
        worth: Of each state that could be made; no change and all of them must be among these.

    Returns:
        The shares, whose means add up to ``worth[all] - worth[none]``; no order and no shares where each order leads
        through a state that could not be made.
    """
    added: dict[str, list[Fraction]] = {change: [] for change in changes}
    orders = 0
    for order in permutations(changes):
        if all(after in worth for _, _, after in steps_in(order)):
            orders += 1
            for change, before, after in steps_in(order):
                added[change].append(worth[after] - worth[before])
    if not orders:
        return Attribution({}, 0)
    return Attribution(
        {c: Share(sum(v, Fraction()) / orders, min(v), max(v)) for c, v in added.items()}, orders
    )


def rounded(parts: Sequence[Fraction], total: float) -> list[float]:
    """The parts as floats that add up to ``total``, as far as floats can: to the last bit of the largest.

    What rounding left goes to the smallest part that is not zero, whose bits are the finest; zero stays zero.
    """
    made = [float(p) for p in parts]
    some = [at for at, part in enumerate(made) if part]
    if some:
        least = min(some, key=lambda at: abs(made[at]))
        others = sum((Fraction(m) for at, m in enumerate(made) if at != least), Fraction())
        made[least] = float(Fraction(total) - others)
    return made
