"""How far people agree who labelled the same rows, beyond what chance alone would give them.

Labels are names without an order (nominal). 1 is full agreement, 0 what chance gives, below 0 is worse than
chance. Where only one label was ever used there is nothing to agree on, and no number: None.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations


def cohen_kappa(a: Sequence[str], b: Sequence[str]) -> float | None:
    """Cohen's kappa of two people over the rows that both labelled.

    ``(p_o - p_c) / (1 - p_c)``: the share of rows on which they agree, and the share on which two people
    would who drew their labels by chance, each with the frequencies of their own.

    Source: J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological
    Measurement 20 (1960), 37-46.

    Args:
        a: The labels of one, a row each.
        b: The labels of the other, for the same rows.

    Returns:
        -1 to 1; None where chance agreement is 1, or there are no rows.
    """
    rows = len(a)
    if not rows:
        return None
    agreed = sum(x == y for x, y in zip(a, b, strict=True)) / rows
    of_a, of_b = Counter(a), Counter(b)
    by_chance = sum(count * of_b[label] for label, count in of_a.items()) / rows**2
    return None if by_chance == 1 else (agreed - by_chance) / (1 - by_chance)


def krippendorff_alpha(rows: Sequence[Sequence[str]]) -> float | None:
    """Krippendorff's alpha for nominal labels, any number of people, each row labelled by any of them.

    ``1 - D_o / D_e``: the disagreement that was observed among the pairs of labels within rows, and the one
    expected among all pairs of labels. A row with fewer than two labels says nothing and is left out.

    Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C.

    Args:
        rows: The labels that each row was given, in any order.

    Returns:
        At most 1; None where all paired labels are the same, or none are paired.
    """
    paired = [labels for labels in rows if len(labels) > 1]
    total = sum(map(len, paired))
    frequencies = Counter(label for labels in paired for label in labels)
    expected = total**2 - sum(n * n for n in frequencies.values())
    if not expected:
        return None
    observed = sum(
        (len(labels) ** 2 - sum(n * n for n in Counter(labels).values())) / (len(labels) - 1)
        for labels in paired
    )
    return 1 - (total - 1) * observed / expected


def observed_agreement(rows: Sequence[Sequence[str]]) -> float | None:
    """The share of pairs of labels within a row that are the same, not corrected for chance; 0 to 1.

    None where no row has two labels.
    """
    pairs = [x == y for labels in rows for x, y in combinations(labels, 2)]
    return sum(pairs) / len(pairs) if pairs else None
