"""Whatever happens to the data, a run that computes only what changed equals one that computes everything."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.projects import Project, rows, table
from tidemill.core.events import silent
from tidemill.data import collect, compaction, packing
from tidemill.engine import inputs, tables
from tidemill.engine.run import RunResult
from tidemill.pipeline import load
from tidemill.store.table import Table

PIPELINE = """
import numpy as np
import polars as pl
import tidemill as tm

@tm.row_step(ids=True)
def few(rows: pl.DataFrame, modulus: int) -> pl.DataFrame:
    return rows.filter(pl.col("x") % modulus != 0)

@tm.row_step(columns="x", to="y")
def squared(x: np.ndarray) -> np.ndarray:
    return x * x

@tm.row_step
def halves(rows: tm.Table) -> tuple[tm.Table, tm.Table]:
    low = rows.ids % 2 == 0
    return rows.filter(low), rows.filter(~low)

@tm.transform(columns="y")
class Cut:
    def fit(self, y: np.ndarray) -> dict:
        return {"most": np.array([y.max() if len(y) else 0]) // 1000}

    def apply(self, y: np.ndarray, state: dict) -> np.ndarray:
        return np.minimum(y, (state["most"][0] + 1) * 1000)

@tm.step
def total(rows: tm.Table) -> int:
    return int(rows.numpy("y").sum())

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("d"), modulus: int = 3):
    low, high = halves(squared(few(data, modulus)))
    fitted = Cut.fit(low)
    low, high = fitted.apply(low), fitted.apply(high)
    return {"low": low, "high": high, "total": total(high)}
"""
ids = st.integers(0, 30)
changes = st.one_of(
    st.tuples(st.just("put"), st.dictionaries(ids, st.integers(0, 60), min_size=1, max_size=8)),
    st.tuples(st.just("remove"), st.sets(ids, min_size=1, max_size=8)),
    st.tuples(st.just("run at"), st.integers(0, 5)),
    st.tuples(st.just("modulus"), st.integers(2, 4)),
)


def made_of(values: dict[int, int]) -> Table:
    order = list(values)
    return table({"x": np.array([values[i] for i in order], np.int64)}, order)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=st.dictionaries(ids, st.integers(0, 60), max_size=12),
    history=st.lists(changes, min_size=1, max_size=5),
    chunk_bytes=st.sampled_from([100, 100_000]),
    together=st.sampled_from([2, 16]),
)
def test_incremental_equals_full(
    first: dict[int, int], history: list[tuple[str, object]], chunk_bytes: int, together: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "CHUNK_BYTES", chunk_bytes)
        patch.setattr(compaction, "_TOGETHER", together)
        project = Project(Path(folder))
        project.write(PIPELINE)
        project.datasets.create("d", made_of(first), message="first")
        now, commits, modulus = dict(first), [project.datasets.open("d").resolve().id], 3
        project.run()
        for kind, what in history:
            at = commits[-1]
            if kind == "put":
                assert isinstance(what, dict)
                now |= what
                at = project.datasets.open("d").commit(made_of(what), message="put")[0].id
            elif kind == "remove":
                assert isinstance(what, set)
                now = {i: v for i, v in now.items() if i not in what}
                at = project.datasets.open("d").commit(made_of(now), message="remove", replace=True)[0].id
            elif kind == "run at":
                assert isinstance(what, int)
                at = commits[what % len(commits)]
            else:
                assert isinstance(what, int)
                modulus = what
            if kind in ("put", "remove"):
                commits.append(at)
            compare(project, data=f"d@{at}", modulus=modulus)
        project.store.close()
        load.leave()


def compare(project: Project, **values: Any) -> None:
    incremental = contents(project, project.run(**values))
    with project.store.catalog.write() as transaction:
        kept = dict(transaction.cache_entries())
        transaction.forget(list(kept))
    full = project.run(**values)
    assert [s.status for s in full.steps[:4]] == ["computed"] * 4
    assert contents(project, full) == incremental
    # The steps that follow stand on what was kept, not on the full run.
    with project.store.catalog.write() as transaction:
        for key, outputs in kept.items():
            transaction.remember({key: outputs}, "2024-01-01T00:00:00.000000Z")


def contents(project: Project, result: RunResult) -> dict[str, object]:
    low, high = project.value(result, "low"), project.value(result, "high")
    assert len(rows(low)) == len(low)
    for step in result.steps:
        if step.rows_out is not None and step.name in ("few", "squared"):
            assert step.rows_out == len(project.load(step))
    return {"low": rows(low), "high": rows(high), "total": project.value(result, "total")}


def test_rows_that_were_seen_before_are_not_computed_again_whatever_commit_has_them(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(PIPELINE)
    first = made_of({n: 2 * n for n in range(9)})
    project.datasets.create("d", first, message="first")
    before = project.run()
    project.datasets.open("d").commit(made_of({3: 50, 9: 5}), message="put")
    assert "computed" in {s.status for s in project.run().steps}
    project.datasets.open("d").revert("main")
    reverted = project.run()
    assert {s.status for s in reverted.steps} == {"cached"}
    assert contents(project, reverted) == contents(project, before)
    order = [4, 1, 8, 0, 2, 7, 3, 5, 6]
    project.datasets.create("e", first.take(order), message="in another order")
    assert {s.status for s in project.run(data="e").steps} == {"cached"}
    project.store.close()
    load.leave()


def test_what_was_read_before_commits_had_digests_is_found(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(PIPELINE)
    commit, _ = project.datasets.create("d", made_of({n: 2 * n for n in range(9)}), message="first")
    [read] = [s for s in project.run().steps if s.kind == "dataset"]
    with project.store.catalog.write() as transaction:
        kept = dict(transaction.cache_entries())
        leading = [key for key, entry in kept.items() if "commit" in entry]
        transaction.forget([*leading, str(read.key)])
        # The key was of the commit's id, and led to the table itself.
        key = inputs._commit_key("d", commit.id)
        transaction.remember({key: kept[str(read.key)]}, "2024-01-01T00:00:00.000000Z")
    again = project.run()
    assert {s.status for s in again.steps} == {"cached"}
    assert next(s.key for s in again.steps if s.kind == "dataset") == key
    assert {s.status for s in project.run().steps} == {"cached"}
    project.store.close()
    load.leave()


def test_rows_whose_files_were_put_together_and_packed_are_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_FEW", 2)
    project = Project(tmp_path)
    project.write(PIPELINE)
    project.datasets.create("d", made_of({n: 2 * n for n in range(9)}), message="first")
    d = project.datasets.open("d")
    for n in range(10, 30, 2):
        d.commit(made_of({n: n}), message="one row")
    project.run()
    ran = d.head().id
    files = {f.files for f in d.snapshot().fragments()}
    for n in range(30, 44, 2):
        d.commit(made_of({n: n, 3: n}), message="a row, and another that changes each time")
    assert not files & {f.files for f in d.snapshot().fragments()}
    assert collect(project.store, "d", (), dry_run=False, sink=silent).packed
    result = project.run()
    assert [s.rows_computed for s in result.steps if s.kind == "dataset" or s.name == "few"] == [8, 8]
    assert {s.status for s in project.run(data=f"d@{ran}").steps} == {"cached"}
    project.store.close()
    load.leave()
