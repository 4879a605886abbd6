"""Row-wise steps on datasets: only changed rows are computed, and the result is that of a full run."""

import numpy as np

from tests.data.at_rest import flip
from tests.engine.projects import Project, numbers, rows, statuses, step, table
from tidemill.core.names import Digest, Reference
from tidemill.data.snapshot import Snapshot
from tidemill.engine.content import blobs_of
from tidemill.engine.why import LOST
from tidemill.store.seen import Seen

CHAIN = """
import numpy as np
import polars as pl
import tidemill as tm

@tm.row_step(ids=True)
def even(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("x") % 2 == 0)

@tm.row_step(columns="image")
def scaled(image: np.ndarray, by: float) -> np.ndarray:
    return image / np.float32(by)

@tm.step
def total(rows: tm.Table) -> float:
    return float(rows.numpy("image").sum())

@tm.pipeline
def chain(data: tm.Dataset = tm.dataset("numbers"), by: float = 2.0):
    prepared = scaled(even(data), by)
    return {"rows": prepared, "total": total(prepared)}
"""


def test_a_chain_over_a_dataset(project: Project) -> None:
    project.datasets.create("numbers", numbers(10), message="first")
    project.write(CHAIN)
    result = project.run()
    made = rows(project.value(result, "rows"))
    assert sorted(made) == [0, 2, 4, 6, 8]
    assert made[2]["image"] == [4.0, 4.5, 5.0, 5.5]
    assert project.value(result, "rows").shape_of("image") == (2, 2)
    assert [(s.name, s.rows_in, s.rows_out, s.rows_computed) for s in result.steps] == [
        ("data", 10, 10, 10),
        ("even", 10, 5, 10),
        ("scaled", 5, 5, 5),
        ("total", 5, None, 5),
    ]
    assert result.run.inputs == {"numbers": project.datasets.open("numbers").resolve().id}


def test_what_is_damaged_is_computed_again_and_whole_then(project: Project) -> None:
    project.datasets.create("numbers", numbers(10), message="first")
    project.write(CHAIN)
    first = project.run()
    blobs, folder = project.store.blobs, project.store.folder
    # Also what a worker wrote is remembered, so that the next run reads none of it through.
    new = Seen(folder)
    wanted = [Digest(d) for out in first.outputs.values() for d in blobs_of(out)]
    assert wanted
    assert not [d for d in wanted if new.knows_none(f"blobs/sha256/{d[7:9]}/{d[7:]}")]
    for digest in blobs.all():
        flip(project.store, f"blobs/sha256/{digest[7:9]}/{digest[7:]}")
    second = project.run()
    assert statuses(second) == {**dict.fromkeys(("data", "even", "scaled"), "computed"), "total": "cached"}
    assert step(second, "scaled").why == LOST
    assert rows(project.value(second, "rows")).keys() == {0, 2, 4, 6, 8}
    assert {o.digest for o in second.outputs.values()} == {o.digest for o in first.outputs.values()}
    assert not set(blobs.damaged(again=True)) & set(wanted)
    assert set(statuses(project.run()).values()) == {"cached"}


def test_an_unchanged_dataset_is_not_opened(project: Project) -> None:
    project.datasets.create("numbers", numbers(10), message="first")
    project.write(CHAIN)
    project.run()
    opened = []
    resolve = project.resolve
    project.resolve = lambda reference: opened.append(reference) or resolve(reference)
    result = project.run()
    assert set(statuses(result).values()) == {"cached"}
    assert opened == []


def test_added_rows_alone_are_computed(project: Project) -> None:
    dataset, _ = project.datasets.create("numbers", numbers(10), message="first")
    del dataset
    project.write(CHAIN)
    project.run()
    project.datasets.open("numbers").commit(numbers(4, start=10), message="more")
    result = project.run()
    assert step(result, "data").rows_computed == 4
    assert step(result, "even").rows_computed == 4
    assert step(result, "scaled").rows_computed == 2
    assert step(result, "even").why == "input rows changed"
    assert sorted(rows(project.value(result, "rows"))) == [0, 2, 4, 6, 8, 10, 12]


def test_changed_and_removed_rows_are_carried_along(project: Project) -> None:
    project.datasets.create("numbers", numbers(10), message="first")
    project.write(CHAIN)
    project.run()
    changed = table({"x": np.array([100, 7], np.int64), "image": np.full((2, 2, 2), 8, np.uint8)}, [2, 4])
    project.datasets.open("numbers").commit(changed, message="correct two")
    result = project.run()
    made = rows(project.value(result, "rows"))
    assert sorted(made) == [0, 2, 6, 8]
    assert made[2] == {"x": 100, "image": [4.0] * 4}
    assert step(result, "even").rows_computed == 2
    assert step(result, "scaled").rows_computed == 1
    assert project.value(result, "total") == sum(sum(r["image"]) for r in made.values())


def test_going_back_to_an_old_commit_computes_nothing(project: Project) -> None:
    first, _ = project.datasets.create("numbers", numbers(10), message="first")
    project.write(CHAIN)
    before = project.run()
    project.datasets.open("numbers").commit(numbers(4, start=10), message="more")
    project.run()
    result = project.run(data=f"numbers@{first.id}")
    assert set(statuses(result).values()) == {"cached"}
    assert result.outputs["rows"].digest == before.outputs["rows"].digest


def test_a_branch_that_moves_while_it_is_read_is_not_taken_for_what_it_was(project: Project) -> None:
    first, _ = project.datasets.create("numbers", numbers(4), message="first")
    data = project.datasets.open("numbers")
    data.branch("side")
    project.write(CHAIN)
    resolve = project.resolve

    def moved_first(reference: Reference) -> Snapshot:
        project.resolve = resolve
        data.commit(numbers(4, start=4), branch="side", message="meanwhile")
        return resolve(reference)

    project.resolve = moved_first
    assert step(project.run(data="numbers@side"), "data").rows_out == 8
    data.delete_branch("side")
    data.branch("side", first.id)
    result = project.run(data="numbers@side")
    assert result.run.inputs == {"numbers": first.id}
    assert step(result, "data").rows_out == 4


def test_a_changed_setting_computes_from_its_step_on(project: Project) -> None:
    project.datasets.create("numbers", numbers(10), message="first")
    project.write(CHAIN)
    project.run()
    result = project.run(by=4)
    assert statuses(result) == {"data": "cached", "even": "cached", "scaled": "computed", "total": "computed"}


def test_every_frame_keeps_tensors_text_and_ids(project: Project) -> None:
    made = table(
        {"word": ["a", "b", None], "image": np.arange(12, dtype=np.uint8).reshape(3, 2, 2)}, [1, 2, 3]
    )
    project.datasets.create("words", made, message="first")
    project.write(
        """
import pandas as pd
import polars as pl
import pyarrow as pa
import tidemill as tm

@tm.row_step
def a(rows: pl.DataFrame) -> pl.DataFrame:
    assert isinstance(rows, pl.DataFrame)
    return rows

@tm.row_step
def b(rows: pd.DataFrame) -> pd.DataFrame:
    assert isinstance(rows, pd.DataFrame)
    return rows

@tm.row_step
def c(rows: pa.Table) -> pa.Table:
    assert isinstance(rows, pa.Table)
    return rows

@tm.row_step
def d(rows: tm.Table) -> tm.Table:
    assert isinstance(rows, tm.Table)
    return rows

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("words")):
    return d(c(b(a(data))))
"""
    )
    result = project.run()
    value = project.value(result)
    assert value.shape_of("image") == (2, 2)
    assert value.numpy("image").dtype == np.uint8
    assert rows(value) == rows(made)
    assert value.numpy("_id").dtype == np.uint64


def test_a_split_has_several_row_wise_results(project: Project) -> None:
    project.datasets.create("numbers", numbers(20), message="first")
    project.write(
        """
import tidemill as tm

@tm.row_step
def halves(rows: tm.Table) -> tuple[tm.Table, tm.Table]:
    low = rows.numpy("x") % 4 < 2
    return rows.filter(low), rows.filter(~low)

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers")):
    a, b = halves(data)
    return {"a": a, "b": b}
"""
    )
    result = project.run()
    a, b = rows(project.value(result, "a")), rows(project.value(result, "b"))
    assert len(a) == len(b) == 10
    assert not set(a) & set(b)
    project.datasets.open("numbers").commit(numbers(4, start=20), message="more")
    again = project.run()
    assert step(again, "halves").rows_computed == 4
    assert len(project.value(again, "a")) == len(project.value(again, "b")) == 12


def test_a_fitted_state_that_stays_the_same_keeps_what_was_applied(project: Project) -> None:
    project.datasets.create("numbers", numbers(10), message="first")
    project.write(
        """
import numpy as np
import tidemill as tm

@tm.transform(columns="x")
class Shift:
    def __init__(self, up_to: int = 9):
        self.up_to = up_to

    def fit(self, x: np.ndarray) -> dict:
        return {"most": np.array([min(int(x.max()), self.up_to)]), "name": "most"}

    def apply(self, x: np.ndarray, state: dict) -> np.ndarray:
        return x - state["most"][0]

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers"), up_to: int = 9):
    return Shift(up_to).fit(data).apply(data)
"""
    )
    result = project.run()
    assert rows(project.value(result))[0]["x"] == -9
    project.datasets.open("numbers").commit(numbers(4, start=10), message="more")
    again = project.run()
    assert statuses(again) == {"data": "computed", "Shift-fit": "computed", "Shift-apply": "computed"}
    assert step(again, "Shift-apply").rows_computed == 4
    other = project.run(up_to=5)
    assert step(other, "Shift-apply").rows_computed == 14
    assert rows(project.value(other))[0]["x"] == -5


def test_a_dataset_without_rows_runs(project: Project) -> None:
    project.datasets.create("numbers", numbers(0), message="nothing yet")
    project.write(CHAIN)
    result = project.run()
    assert len(project.value(result, "rows")) == 0
    assert project.value(result, "total") == 0.0
