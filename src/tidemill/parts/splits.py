"""Splitting rows into training, validation and test by the hash of ``_id``.

Not a shuffle: where a row falls depends on the row alone, so it never crosses over when the data grows.
"""

from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.components import row_step

if TYPE_CHECKING:
    import numpy as np

    from tidemill.store.table import Table


@row_step(split=True, outputs=("train", "validation", "test"))
def split(
    rows: "Table",
    test: float = 0.3,
    validation: float = 0.1,
    random_state: int = 42,
    group: str | None = None,
) -> "tuple[Table, Table, Table]":
    """Part rows into training, validation and test.

    Args:
        rows: The table.
        test: Share of the rows for the test, 0 to 1.
        validation: Share of the rows for validation, 0 to 1.
        random_state: Another number deals the rows otherwise.
        group: A column; rows with the same value of it stay together.

    Returns:
        The training, validation and test rows.

    Raises:
        InvalidInput: ``invalid-split``, when a share is below 0 or both leave nothing to train on.
    """
    if test < 0 or validation < 0 or test + validation >= 1:
        raise InvalidInput(
            f"A test share of {test:g} and a validation share of {validation:g} leave no rows for training.",
            hint="Give shares from 0 to 1 whose sum is less than 1.",
            code=codes.INVALID_SPLIT,
        )
    place = unit_hash(_keys(rows, group), random_state)
    in_test = place < test
    in_validation = ~in_test & (place < test + validation)
    return rows.filter(~in_test & ~in_validation), rows.filter(in_validation), rows.filter(in_test)


def _keys(rows: "Table", group: str | None) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    from tidemill.core.identity import key_row  # noqa: PLC0415

    if group is None:
        ids = rows.ids
        return by_content(rows) if ids is None else ids
    values = rows.to_arrow().column(group).to_pylist()
    known = {v: key_row(["group", v]) for v in set(values)}
    return np.fromiter((known[v] for v in values), np.uint64, len(values))


def by_content(rows: "Table") -> "np.ndarray[Any, Any]":
    """A number for each row that has no identity (of a group-by, a join): equal rows have the same."""
    import hashlib  # noqa: PLC0415

    import numpy as np  # noqa: PLC0415

    cells = zip(*(column.to_pylist() for column in rows.to_arrow().columns), strict=True)
    numbers = (int.from_bytes(hashlib.sha256(repr(c).encode()).digest()[:8], "little") for c in cells)
    return np.fromiter(numbers, np.uint64, len(rows))


def unit_hash(ids: "np.ndarray[Any, Any]", seed: int) -> "np.ndarray[Any, Any]":
    """Each id's place in [0, 1), evenly spread and different for each seed.

    The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014) over ``id + seed * golden gamma``; the upper 53 bits over 2^53.
    """
    import numpy as np  # noqa: PLC0415

    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
