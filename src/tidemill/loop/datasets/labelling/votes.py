"""When a label stands."""

from collections import Counter
from collections.abc import Sequence


def stands(labels: Sequence[str], needed: int) -> str | None:
    """The label that was given more often than any other, once ``needed`` people gave theirs; None for a tie.

    Two people must agree; of three, two; where three say three things nobody wins.
    """
    if len(labels) < needed:
        return None
    (first, most), *others = Counter(labels).most_common()
    return None if others and others[0][1] == most else first
