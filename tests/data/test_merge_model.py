"""Whatever three states there are: their merge is what a plain-dict model of it is."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.core.errors import Conflict
from tidemill.data import Datasets
from tidemill.store.open import Store
from tidemill.store.table import Table

Row = tuple[str | None, int]
Rows = dict[int, Row]

few = st.dictionaries(st.integers(1, 4), st.tuples(st.sampled_from(["x", "y", None]), st.integers(0, 2)))


@given(base=few, ours=few, theirs=few)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_two_states_merge_as_the_model_says(base: Rows, ours: Rows, theirs: Rows):
    expected = merged(base, ours, theirs)
    with tempfile.TemporaryDirectory() as folder:
        datasets = Datasets(Store.create(Path(folder)), "model")
        datasets.create("d", as_table(base), message="Base")
        d = datasets.open("d")
        d.branch("side")
        d.commit(as_table(ours), message="Ours", replace=True)
        d.commit(as_table(theirs), branch="side", message="Theirs", replace=True)
        if expected is None:
            with pytest.raises(Conflict):
                d.merge("side")
            expected = ours
        else:
            changes = d.merge("side").changes
            assert changes.added == len(expected.keys() - ours.keys())
            assert changes.removed == len(ours.keys() - expected.keys())
            assert changes.changed == sum(expected[i] != ours[i] for i in expected.keys() & ours.keys())
        assert as_rows(d.snapshot().read()) == expected


def merged(base: Rows, ours: Rows, theirs: Rows) -> Rows | None:
    """What the merge of two states must be; None where they contradict each other."""
    out = dict(ours)
    for i in theirs.keys() | base.keys():
        b, o, t = base.get(i), ours.get(i), theirs.get(i)
        if t in (b, o):
            continue
        if o == b:
            if t is None:
                del out[i]
            else:
                out[i] = t
        elif b is None or o is None or t is None:
            return None
        else:
            cells: list[Any] = []
            for x, y, z in zip(b, o, t, strict=True):
                if len({x, y, z}) == 3:
                    return None
                cells.append(z if x != z else y)
            out[i] = (cells[0], cells[1])
    return out


def as_table(content: Rows) -> Table:
    import pyarrow as pa

    return Table(
        pa.table(
            {
                "_id": np.array(list(content), np.uint64),
                "a": pa.array([a for a, _ in content.values()], pa.string()),
                "b": pa.array([b for _, b in content.values()], pa.int64()),
            }
        )
    )


def as_rows(table: Table) -> Rows:
    arrow = table.to_arrow()
    ids, a, b = (arrow[n].to_pylist() for n in ("_id", "a", "b"))
    return {i: (x, y) for i, x, y in zip(ids, a, b, strict=True)}
