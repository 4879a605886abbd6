"""Corrections against their rows: one row a key, the last label counts, and nothing else of a row changes."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.store.table import SHAPE
from tidemill.watch.settling import Settled, settle

SCHEMA = pa.schema(
    [
        pa.field("_id", pa.uint64(), nullable=False),
        pa.field("id", pa.int64()),
        pa.field("n", pa.float64()),
        pa.field("image", pa.list_(pa.uint8(), 2), metadata={SHAPE: b"[2]"}),
        pa.field("label", pa.string()),
        pa.field("_prediction", pa.string()),
    ],
    metadata={b"tidemill.key": b'["id"]'},
)


def rows(*members: tuple[int, float | None, list[int] | None, str, str | None]) -> "pa.Table":
    made = [
        {"_id": 100 + key, "id": key, "n": n, "image": image, "label": label, "_prediction": prediction}
        for key, n, image, label, prediction in members
    ]
    return pa.Table.from_pylist(made, SCHEMA)


def settled(given: "pa.Table", known: "pa.Table", **asked: list[bool]) -> Settled:
    whole = {name: np.ones(given.num_rows, bool) for name in SCHEMA.names}
    masks = {name: np.array(mask) for name, mask in asked.items()}
    return settle(given, known, label="label", key=["id"], asked={**whole, **masks})


def cells(table: Any) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values())[1:] for row in table.to_arrow().to_pylist())


KNOWN = rows((1, 0.5, [1, 2], "cat", None), (2, None, [3, 4], "dog", "old"))


def test_a_correction_with_the_row_s_cells_changes_its_label_alone() -> None:
    found = settled(
        rows((1, 0.5, [1, 2], "dog", "p1"), (2, None, [3, 4], "cat", "p2"), (1, 0.5, [1, 2], "cow", "p3")),
        KNOWN,
    )
    assert cells(found.rows) == [(1, 0.5, [1, 2], "cow", "p3"), (2, None, [3, 4], "cat", "p2")]
    assert not len(found.differing)


def test_a_correction_with_another_cell_changes_nothing_and_waits() -> None:
    found = settled(
        rows((1, 0.6, [1, 2], "dog", "p1"), (2, None, [3, 5], "cat", "p2"), (1, None, [1, 2], "cow", "p3")),
        KNOWN,
    )
    assert not len(found.rows)
    assert cells(found.differing) == [(1, None, [1, 2], "cow", "p3"), (2, None, [3, 5], "cat", "p2")]


def test_what_a_request_did_not_have_is_not_compared_and_stays() -> None:
    given_rows = rows((1, None, [1, 2], "dog", "p1"), (2, 9.0, None, "cow", "p2"))
    found = settled(given_rows, KNOWN, n=[False, True], image=[True, False])
    assert cells(found.rows) == [(1, 0.5, [1, 2], "dog", "p1")]
    assert cells(found.differing) == [(2, 9.0, [3, 4], "cow", "p2")]


def test_the_first_correction_of_a_row_that_is_not_known_makes_it() -> None:
    found = settled(
        rows((7, 1.0, [0, 0], "a", "p1"), (7, 1.0, [0, 0], "b", "p2"), (7, 2.0, [0, 0], "c", "p3")), KNOWN
    )
    assert cells(found.rows) == [(7, 1.0, [0, 0], "b", "p2")]
    assert cells(found.differing) == [(7, 2.0, [0, 0], "c", "p3")]


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0.5, 1.5, None]), st.sampled_from("ab"))))
@settings(max_examples=60, deadline=None)
def test_whatever_comes_each_row_is_there_once_with_the_last_label_that_fits(
    came: list[tuple[int, float | None, str]],
) -> None:
    labels: dict[int, tuple[str, float | None]] = {1: ("cat", 0.5), 2: ("dog", None)}
    for key, n, label in came:
        _, own = labels.setdefault(key, (label, n))
        if n == own:
            labels[key] = (label, own)
    known = rows((1, 0.5, [1, 2], "cat", None), (2, None, [1, 2], "dog", None))
    found = settled(
        rows(*((key, n, [1, 2], label, f"p{i}") for i, (key, n, label) in enumerate(came))), known
    )
    table = found.rows.to_arrow().to_pylist()
    assert len({row["_id"] for row in table}) == len(table)
    after = {row["id"]: (row["label"], row["n"]) for row in [*known.to_pylist(), *table]}
    assert after == {1: ("cat", 0.5), 2: ("dog", None), **labels}
    differing = found.differing.to_arrow().to_pylist()
    assert len({row["_id"] for row in differing}) == len(differing)
    assert all(row["n"] != labels[row["id"]][1] for row in differing)
