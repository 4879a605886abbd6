"""Random pipelines over random edits: what computes only changed rows gives what a run of everything gives.

The default suite takes some pipelines. A hundred are taken by::

    TIDEMILL_TEST_PROFILE=thorough pytest tests/engine/test_random_pipelines.py -s -o faulthandler_timeout=0
"""

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from tests.engine.projects import Project, step
from tests.engine.random_pipelines import Drawn, Step, drawn, steps
from tidemill.engine import tables
from tidemill.engine.run import RunResult
from tidemill.pipeline import load
from tidemill.store.open import Store
from tidemill.store.table import Table

THOROUGH = os.environ.get("TIDEMILL_TEST_PROFILE") == "thorough"
SHRINKS = False
"""To look for the shortest history that fails takes minutes; for whoever has one to look into."""
Rows = dict[int, tuple[int, str | None]]
ids = st.integers(0, 20)
row = st.tuples(st.integers(-5, 30), st.sampled_from(["a", "b", None]))
rows = st.dictionaries(ids, row, min_size=1, max_size=8)
edit = st.one_of(
    st.tuples(st.just("put"), rows),
    st.tuples(st.just("delete"), st.sets(ids, min_size=1, max_size=8)),
    st.tuples(st.just("delete and add again"), st.sets(ids, min_size=1, max_size=8)),
    st.tuples(st.just("revert"), st.none()),
    st.tuples(st.just("go back"), st.integers(0, 9)),
    st.tuples(st.just("columns"), st.none()),
)
history = st.lists(st.lists(edit, min_size=1, max_size=3), min_size=1, max_size=4)


@dataclass(frozen=True)
class State:
    """A dataset at one commit; ``wide``: it has one more column."""

    rows: Rows
    wide: bool = False

    def table(self) -> Table:
        columns = {
            "_id": np.array(list(self.rows), np.uint64),
            "x": pa.array([x for x, _ in self.rows.values()], pa.int64()),
            "word": pa.array([word for _, word in self.rows.values()], pa.string()),
        }
        if self.wide:
            columns["more"] = pa.array([x / 2 for x, _ in self.rows.values()], pa.float32())
        return Table(pa.table(columns))


class Edited:
    """A dataset and its model.

    Attributes:
        touched: The ids of rows that were added or changed since this was last cleared.
    """

    def __init__(self, project: Project, first: Rows) -> None:
        commit, _ = project.datasets.create("d", State(first).table(), message="First")
        self.dataset = project.datasets.open("d")
        self.history = [(commit.id, State(first))]
        self.at = 0
        self.touched: set[int] = set()

    @property
    def commit(self) -> str:
        return self.history[self.at][0]

    @property
    def now(self) -> State:
        return self.history[self.at][1]

    @property
    def is_at_head(self) -> bool:
        return self.at == len(self.history) - 1

    def edit(self, kind: str, what: Any) -> None:
        head = self.history[-1][1]
        if kind == "go back":
            self.at = what % len(self.history)
        elif kind == "put":
            self._put(replace(head, rows={**head.rows, **what}))
        elif kind == "delete":
            self._put(replace(head, rows={i: r for i, r in head.rows.items() if i not in what}))
        elif kind == "delete and add again":
            self._put(replace(head, rows={i: r for i, r in head.rows.items() if i not in what}))
            self._put(head)
        elif kind == "columns":
            self._put(replace(head, wide=not head.wide))
        elif len(self.history) > 1:
            done = self.dataset.revert(self.history[-1][0])
            self._moved(done.commit.id, self.history[-2][1])

    def _put(self, after: State) -> None:
        commit, _ = self.dataset.commit(after.table(), message="Put", replace=True, allow_schema_change=True)
        self._moved(commit.id, after)

    def _moved(self, commit: str, after: State) -> None:
        before = self.history[-1][1]
        same = before.wide == after.wide
        self.touched |= {i for i, r in after.rows.items() if not (same and before.rows.get(i) == r)}
        if commit != self.history[-1][0]:
            self.history.append((commit, after))
        self.at = len(self.history) - 1


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A folder with an empty store, to be copied: quicker than made."""
    folder = tmp_path_factory.mktemp("empty") / "store"
    Store.create(folder).close()
    yield folder
    load.leave()


counted = Counter[str]()


def test_what_computes_changed_rows_gives_what_computes_all(empty: Path) -> None:
    counted.clear()
    _holds(empty)
    if THOROUGH:
        sys.stdout.write(f"\n{dict(counted)}\n")
    assert counted["runs"]


@settings(
    max_examples=100 if THOROUGH else 8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if SHRINKS else [])],
)
@given(
    chosen=steps,
    first=st.dictionaries(ids, row, max_size=12),
    edits=history,
    chunk_bytes=st.sampled_from([100, 100_000]),
)
def _holds(
    empty: Path, chosen: list[Step], first: Rows, edits: list[list[tuple[str, Any]]], chunk_bytes: int
) -> None:
    pipeline = drawn(chosen)
    with tempfile.TemporaryDirectory() as holder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "CHUNK_BYTES", chunk_bytes)
        project = opened(Path(holder, "kept"), empty, pipeline)
        data = Edited(project, first)
        before = project.run(data=f"d@{data.commit}")
        equal(before, project, Path(holder, "full-0"), empty, pipeline, data.now)
        seen = {data.commit}
        for number, several in enumerate(edits, 1):
            for kind, what in several:
                event(kind)
                data.edit(kind, what)
            result = project.run(data=f"d@{data.commit}")
            counted["runs"] += 1
            equal(result, project, Path(holder, f"full-{number}"), empty, pipeline, data.now)
            if data.commit in seen:
                assert {s.status for s in result.steps} == {"cached"}
            elif data.is_at_head:
                bounded(result, before, pipeline, len(data.touched))
            seen.add(data.commit)
            if data.is_at_head:
                before = result
                data.touched.clear()
        project.store.close()
    counted["pipelines"] += 1


def opened(folder: Path, empty: Path, pipeline: Drawn) -> Project:
    shutil.copytree(empty, folder / ".tidemill")
    project = Project(folder, Store.open(folder / ".tidemill"))
    project.write(pipeline.text)
    return project


def equal(
    result: RunResult, project: Project, folder: Path, empty: Path, pipeline: Drawn, now: State
) -> None:
    """What a run gave is what a first run gives, of the same rows as one commit in a store of their own."""
    full = opened(folder, empty, pipeline)
    full.datasets.create("d", now.table(), message="Whole")
    expected = full.run()
    assert {s.status for s in expected.steps} <= {"computed", "cached"}, expected.run.error
    for output in expected.outputs:
        assert ordered(project.value(result, output)) == ordered(full.value(expected, output)), output
    full.store.close()


def ordered(made: Table) -> tuple[Any, bytes]:
    """A table's columns, and its bytes when it is ordered by ``_id``."""
    arrow = made.to_arrow().sort_by("_id").combine_chunks()
    plain = pa.table({n: arrow.column(n) for n in arrow.column_names})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, plain.schema) as stream:
        stream.write_table(plain)
    return [(n, made.shape_of(n)) for n in made.columns], sink.getvalue().to_pybytes()


def bounded(result: RunResult, before: RunResult, pipeline: Drawn, touched: int) -> None:
    """No step by rows computed more rows than were touched, where the states it is given are those of before."""
    for name, states in pipeline.by_rows.items():
        if all(step(result, s).outputs == step(before, s).outputs for s in states):
            computed = step(result, name).rows_computed or 0
            counted["steps by rows"] += 1
            counted["rows computed"] += computed
            assert computed <= touched, (name, computed, touched)
