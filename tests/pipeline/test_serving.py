"""A component in a predictor does to columns what it does to tables in a run."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput
from tidemill.pipeline.rowwise import apply_rows, apply_state, fit_state
from tidemill.pipeline.serving import from_table, to_table
from tidemill.store.table import Table

IMAGES = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)


@tm.row_step(columns="image")
def scaled(image: np.ndarray, by: float = 2.0) -> np.ndarray:
    return image / np.float32(by)


@tm.row_step(columns="gaps")
def scaled_gaps(gaps: np.ndarray, by: float = 2.0) -> np.ndarray:
    return gaps / np.float32(by)


@tm.row_step(columns=("a", "b"), to="sum")
def summed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b


@tm.row_step(ids=True)
def positive(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("a") > 0)


@tm.row_step
def renamed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(word=rows["word"].str.upper())


@tm.row_step(served=lambda columns, least: {n: v[columns["a"] >= least] for n, v in columns.items()})
def at_least(rows: tm.Table, least: int) -> tm.Table:
    return rows.filter(rows.numpy("a") >= least)


@tm.transform(columns="image")
class Centred:
    def fit(self, image: np.ndarray) -> dict:
        return {"mean": image.mean(axis=0)}

    def apply(self, image: np.ndarray, state: dict) -> np.ndarray:
        return image - state["mean"]


def columns() -> dict[str, np.ndarray]:
    return {
        "_row": np.arange(6),
        "image": IMAGES,
        "a": np.array([-1, 2, 3, -4, 5, 6]),
        "b": np.arange(6),
        "word": np.array(["a", "b", "c", "d", "e", "f"], object),
    }


@pytest.mark.parametrize(
    ("component", "settings"),
    [(scaled, {"by": 4.0}), (summed, {}), (positive, {}), (renamed, {}), (at_least, {"least": 3})],
)
def test_served_equals_run(component, settings: dict[str, object]) -> None:
    (made,) = apply_rows(component, to_table(columns()), settings)
    wanted, got = from_table(made), component.serve(columns(), settings, None)
    assert set(got) == set(wanted)
    for name, values in wanted.items():
        assert np.array_equal(np.asarray(got[name]), values), name


def test_a_fitted_transform_serves_what_it_applied() -> None:
    table = to_table(columns())
    state = fit_state(Centred, table, {})
    wanted = apply_state(Centred, table, {}, state).numpy("image")
    assert np.array_equal(Centred.serve(columns(), {}, state)["image"], wanted)


def test_a_scikit_learn_transformer_serves_what_it_applied() -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    standard = tm.transform(preprocessing.StandardScaler(), columns="image")
    table = to_table(columns())
    state = fit_state(standard, table, {})
    wanted = apply_state(standard, table, {}, state)
    assert wanted.shape_of("image") == (2, 2)
    assert np.allclose(wanted.numpy("image").mean(axis=0), 0)
    served = standard.serve(columns(), {}, state)["image"]
    assert np.array_equal(served, wanted.numpy("image"))


def test_missing_cells_travel_or_are_refused_by_name() -> None:
    masked = columns() | {"image": np.ma.MaskedArray(IMAGES, np.arange(24).reshape(6, 2, 2) == 5)}
    there = from_table(to_table(masked))["image"]
    assert np.ma.getmaskarray(there).sum() == 1
    with pytest.raises(InvalidInput) as caught:
        scaled.serve(masked, {}, None)
    assert caught.value.code == "missing-cells"
    assert caught.value.details == {"row": 1, "field": "image"}


def test_a_missing_cell_of_floating_point_numbers_is_nan_in_a_run_and_when_served() -> None:
    gaps = np.ma.MaskedArray(np.arange(6, dtype=np.float32), [False, True] * 3)
    made = scaled_gaps.serve({"gaps": gaps}, {}, None)["gaps"]
    table = Table.of({"gaps": pa.array([0, None, 2, None, 4, None], pa.float32())})
    (wanted,) = apply_rows(scaled_gaps, table, {"by": 2.0})
    np.testing.assert_array_equal(made, wanted.numpy("gaps"))
    assert np.isnan(made).tolist() == [False, True] * 3
    # Whole numbers have no word for it: what to do fits columns=.
    with pytest.raises(InvalidInput) as caught:
        apply_rows(scaled_gaps, Table.of({"gaps": pa.array([0, None])}), {"by": 2.0})
    assert caught.value.code == "missing-cells"
    assert "without columns=" in str(caught.value.hint)


def test_only_row_wise_components_can_be_stages() -> None:
    @tm.step
    def whole(rows: tm.Table) -> tm.Table:
        return rows

    with pytest.raises(InvalidInput, match="cannot be a stage"):
        whole.serve(columns(), {}, None)


@tm.row_step
def lengths(rows: pl.DataFrame) -> pl.DataFrame:
    assert rows.schema["word"] == pl.String
    assert rows.schema["a"] == pl.Int64
    return rows.with_columns(n=pl.col("word").str.len_chars(), empty=pl.lit(None))


def test_a_column_that_is_missing_in_every_row_keeps_its_type():
    for rows in (1, 3):
        columns = {
            "word": np.ma.MaskedArray(np.array([""] * rows, dtype=object), mask=True),
            "a": np.ma.MaskedArray(np.zeros(rows, np.int64), mask=True),
        }
        made = lengths.serve(columns, {}, None)
        for name in ("word", "a", "n", "empty"):
            assert np.ma.getmaskarray(made[name]).all(), name
        again = to_table(made)
        assert again.missing("n").all()


def test_times_keep_their_zone_from_step_to_step():
    from tidemill.store.spelling import TypedColumns

    kind = "timestamp[us, tz=Europe/Berlin]"
    moments = np.array(["2026-07-01T08:00", "2026-01-01T08:00"], "datetime64[us]")
    seen: list[str] = []

    @tm.row_step
    def hours(rows: pl.DataFrame) -> pl.DataFrame:
        seen.append(str(rows.schema["when"]))
        return rows.with_columns(hour=pl.col("when").dt.hour())

    columns = TypedColumns({"when": moments, "a": np.array([1, 2])}, {"when": kind})
    first = hours.serve(columns, {}, None)
    second = hours.serve(TypedColumns.after(dict(first.items()), first), {}, None)  # pyright: ignore[reportArgumentType]
    assert second["hour"].tolist() == [10, 9]
    assert len(set(seen)) == 1 and "Europe/Berlin" in seen[0]
    assert second["when"].dtype == moments.dtype
