"""Whatever is committed, branched, tagged and merged: the dataset is what a plain-dict model of it is."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tidemill.core.errors import Conflict
from tidemill.data import Datasets
from tidemill.store.open import Store
from tidemill.store.table import Table

Row = tuple[str | None, int]
Rows = dict[int, Row]

row = st.tuples(st.sampled_from(["x", "y", "z", None]), st.integers(0, 2))
rows = st.dictionaries(st.integers(1, 8), row, max_size=5)
picks = st.integers(0, 99)


class History(RuleBasedStateMachine):
    """Real datasets beside dicts. A commit of the model is its parents and all of its rows."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.datasets = Datasets(Store.create(Path(self.folder.name)), "model")
        self.parents: list[tuple[int, ...]] = []
        self.content: list[Rows] = []
        self.ids: list[str] = []
        self.branches: dict[str, int] = {}
        self.tags: dict[str, int] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    @initialize(first=rows)
    def create(self, first: Rows) -> None:
        commit, _ = self.datasets.create("d", as_table(first), message="First")
        self.dataset = self.datasets.open("d")
        self.branches["main"] = self.branches["side"] = self.grow((), first, commit.id)
        self.dataset.branch("side")

    @rule(new=rows, pick=picks, replace=st.booleans())
    def commit(self, new: Rows, pick: int, replace: bool) -> None:
        branch = self.pick(self.branches, pick)
        head = self.branches[branch]
        old = self.content[head]
        after = new if replace else {**old, **new}
        commit, changes = self.dataset.commit(as_table(new), branch=branch, message="Put", replace=replace)
        assert changes.added == len(after.keys() - old.keys())
        assert changes.removed == len(old.keys() - after.keys())
        assert changes.changed == sum(after[i] != old[i] for i in after.keys() & old.keys())
        if after == old:
            assert commit.id == self.ids[head]
        else:
            self.branches[branch] = self.grow((head,), after, commit.id)

    @rule(pick=picks)
    def branch(self, pick: int) -> None:
        start = self.pick({**self.branches, **self.tags}, pick)
        name = f"b{len(self.branches)}"
        self.dataset.branch(name, start)
        self.branches[name] = {**self.branches, **self.tags}[start]

    @rule(pick=picks)
    def tag(self, pick: int) -> None:
        branch = self.pick(self.branches, pick)
        name = f"t{len(self.tags)}"
        self.dataset.tag(name, branch)
        self.tags[name] = self.branches[branch]

    @rule(one=picks, other=picks)
    def merge(self, one: int, other: int) -> None:
        source, into = self.pick({**self.branches, **self.tags}, one), self.pick(self.branches, other)
        theirs, ours = {**self.branches, **self.tags}[source], self.branches[into]
        base = self.content[self.base(ours, theirs)]
        expected = merged(base, self.content[ours], self.content[theirs])
        if expected is None:
            with pytest.raises(Conflict):
                self.dataset.merge(source, into=into)
            return
        done = self.dataset.merge(source, into=into)
        assert done.already == (base == self.content[theirs])
        if done.already:
            assert done.commit.id == self.ids[ours]
        else:
            assert done.commit.parents == (self.ids[ours], self.ids[theirs])
            self.branches[into] = self.grow((ours, theirs), expected, done.commit.id)

    @rule(one=picks, other=picks)
    def diff(self, one: int, other: int) -> None:
        a, b = one % len(self.ids), other % len(self.ids)
        old, new = self.content[a], self.content[b]
        diff = self.dataset.diff(self.ids[a], self.ids[b])
        assert diff.added.tolist() == sorted(new.keys() - old.keys())
        assert diff.removed.tolist() == sorted(old.keys() - new.keys())
        assert diff.cells() == [
            (i, column, old[i][at], new[i][at])
            for i in sorted(old.keys() & new.keys())
            for at, column in enumerate("ab")
            if old[i][at] != new[i][at]
        ]

    @invariant()
    def same(self) -> None:
        for name, commit in {**self.branches, **self.tags}.items():
            snapshot = self.dataset.snapshot(name)
            assert snapshot.commit.id == self.ids[commit]
            assert as_rows(snapshot.read()) == self.content[commit]
            assert snapshot.rows == len(self.content[commit]) == sum(f.rows for f in snapshot.fragments())

    def grow(self, parents: tuple[int, ...], content: Rows, commit: str) -> int:
        self.parents.append(parents)
        self.content.append(dict(content))
        self.ids.append(commit)
        return len(self.ids) - 1

    def base(self, one: int, other: int) -> int:
        common = self.ancestors(one) & self.ancestors(other)
        return max(c for c in common if not any(c in self.ancestors(d) - {d} for d in common))

    def ancestors(self, commit: int) -> set[int]:
        return {commit}.union(*(self.ancestors(p) for p in self.parents[commit]))

    @staticmethod
    def pick(names: dict[str, int], number: int) -> str:
        return sorted(names)[number % len(names)]


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


def test_a_dataset_is_what_its_model_is():
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=25,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
