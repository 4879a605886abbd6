"""A dataset of a few plain rows, and what tests do to it."""

from collections.abc import Mapping

import pyarrow as pa

from tidemill.data import Commit, Dataset
from tidemill.store.table import Table

Row = tuple[str | None, int | None]
Rows = Mapping[int, Row]


def as_table(rows: Rows) -> Table:
    return Table(
        pa.table(
            {
                "_id": pa.array(list(rows), pa.uint64()),
                "a": pa.array([a for a, _ in rows.values()], pa.string()),
                "b": pa.array([b for _, b in rows.values()], pa.int64()),
            }
        )
    )


def put(dataset: Dataset, rows: Rows, branch: str = "main", *, gone: tuple[int, ...] = ()) -> Commit:
    """Commit these rows on a branch, and remove others."""
    left = {i: r for i, r in rows_of(dataset, branch).items() if i not in gone}
    message = f"Put {sorted(rows)}"
    return dataset.commit(as_table({**left, **rows}), branch=branch, message=message, replace=True)[0]


def rows_of(dataset: Dataset, at: str | None = None) -> dict[int, Row]:
    arrow = dataset.snapshot(at).read().to_arrow()
    ids, a, b = (arrow[n].to_pylist() for n in ("_id", "a", "b"))
    return dict(sorted((i, (x, y)) for i, x, y in zip(ids, a, b, strict=True)))
