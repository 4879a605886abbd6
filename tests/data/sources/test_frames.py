"""Frames in memory as sources."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.data.sources.conftest import Rows
from tidemill.core.errors import InvalidInput
from tidemill.data import Changes, Datasets, import_rows
from tidemill.data.sources.frames import frame
from tidemill.store.table import Table

COLUMNS: dict[str, list[Any]] = {"id": [1, 2], "name": ["a", "b"]}


@pytest.mark.parametrize(
    "values",
    [
        COLUMNS,
        pd.DataFrame(COLUMNS),
        pl.DataFrame(COLUMNS),
        pa.table(COLUMNS),
        Table.of(COLUMNS),
        pd.DataFrame(COLUMNS).astype({"name": "category"}),
        pl.DataFrame(COLUMNS).with_columns(pl.col("name").cast(pl.Categorical)),
    ],
)
def test_every_kind_of_frame_is_the_same_rows(datasets: Datasets, rows: Rows, values: object):
    done = import_rows(datasets, "d", frame(values))
    assert (done.rows, rows()) == (Changes(added=2), [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
    assert [(c.name, str(c.type), c.how) for c in done.columns] == [
        ("id", "int64", "of the frame"),
        ("name", "string", "of the frame"),
    ]
    assert import_rows(datasets, "d", frame(COLUMNS)).rows == Changes()


def test_an_array_of_more_dimensions_is_a_tensor(datasets: Datasets):
    import_rows(datasets, "d", frame({"x": np.arange(12, dtype=np.uint8).reshape(2, 2, 3)}))
    table = datasets.open("d").snapshot().read()
    assert (table.shape_of("x"), table.numpy("x").tolist()[1]) == ((2, 3), [[6, 7, 8], [9, 10, 11]])


def test_more_rows_than_one_piece(datasets: Datasets):
    import_rows(datasets, "d", frame({"n": np.arange(150_000)}))
    assert datasets.open("d").head().rows == 150_000


def test_frames_that_cannot_be_a_table(datasets: Datasets):
    mixed = pd.DataFrame({"a": [1, "x"]}, dtype=object)
    for values, code in ((mixed, "not-a-table"), (7, "not-a-table"), ({"a": [[1], [1, 2]]}, "nested-value")):
        with pytest.raises(InvalidInput) as caught:
            import_rows(datasets, "d", frame(values))
        assert caught.value.code == code
    with pytest.raises(InvalidInput, match=r"the frame, row 2: .*id=1"):
        import_rows(datasets, "d", frame({"id": [1, 1]}), key=["id"])
    assert not datasets.exists("d")
