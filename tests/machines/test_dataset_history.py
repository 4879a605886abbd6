"""Whatever a team does to a dataset, its history is what a plain-dict model of it is, also after ``kill -9``.

The default suite takes a few hundred steps. At least 2,000 are taken by::

    TIDEMILL_TEST_PROFILE=thorough pytest tests/machines -p no:randomly --hypothesis-seed=6 -s -o faulthandler_timeout=0
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.machines.model import Model, State, doubts, resolved, three_way
from tests.machines.worker import as_table
from tidemill.core.errors import Conflict, InvalidInput, NotFound
from tidemill.core.events import silent
from tidemill.data import Choices, Dataset, Datasets, Side
from tidemill.data.sweeping import collect
from tidemill.store.open import Store

THOROUGH = os.environ.get("TIDEMILL_TEST_PROFILE") == "thorough"
EXAMPLES, STEPS = (80, 50) if THOROUGH else (6, 25)
SLOWEST_SECONDS = 0.12
"""The latest moment of a kill after the work began: about as long as the longest of it takes."""
MOST_BRANCHES = 5

row = st.tuples(st.sampled_from(["x", "y", "z", None]), st.integers(0, 2))
rows = st.dictionaries(st.integers(1, 8), row, max_size=5)
some_rows = st.dictionaries(st.integers(1, 4), row, min_size=1, max_size=3)
picks = st.integers(0, 99)
sides = st.lists(st.sampled_from(["ours", "theirs"]), min_size=20, max_size=20)
taken = {"steps": 0, "kills": 0, "killed in the middle": 0, "merges with several bases": 0, "conflicts": 0}


class Worker:
    """The process that is killed; the next one warms up while the test goes on."""

    def __init__(self) -> None:
        self._ready: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        process = self._ready or self._new()
        self._ready = None
        return process

    def warm(self) -> None:
        self._ready = self._ready or self._new()

    def stop(self) -> None:
        if self._ready:
            self._ready.kill()
            self._ready.communicate()
            self._ready = None

    @staticmethod
    def _new() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.machines.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )


WORKER = Worker()


class History(RuleBasedStateMachine):
    """A real dataset beside its model. A branch or tag of the model is the number of a commit."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Path(self.folder.name) / "store"
        self.model = Model()
        self.branches: dict[str, int] = {}
        self.tags: dict[str, int] = {}
        self.made = 0

    def teardown(self) -> None:
        if self.branches:
            self.everything()
        self.folder.cleanup()

    @initialize(first=rows)
    def create(self, first: State) -> None:
        datasets = Datasets(Store.create(self.store), "model")
        commit, _ = datasets.create("d", as_table(first), message="First")
        self.dataset = datasets.open("d")
        self.branches["main"] = self.branches["side"] = self.model.grow((), first, commit.id)
        self.dataset.branch("side")

    @rule(new=some_rows, pick=picks)
    def append_and_edit(self, new: State, pick: int) -> None:
        branch = self.pick(self.branches, pick)
        self.put(branch, {**self.at(branch), **new}, as_table(new), replace=False)

    @rule(new=rows, pick=picks)
    def replace(self, new: State, pick: int) -> None:
        self.put(self.pick(self.branches, pick), new, as_table(new), replace=True)

    @rule(gone=st.sets(st.integers(1, 8), max_size=4), pick=picks)
    def delete(self, gone: set[int], pick: int) -> None:
        branch = self.pick(self.branches, pick)
        left = {i: r for i, r in self.at(branch).items() if i not in gone}
        self.put(branch, left, as_table(left), replace=True)

    @rule(pick=picks)
    def branch(self, pick: int) -> None:
        start = self.pick(self.names, pick)
        if len(self.branches) < MOST_BRANCHES:
            name = self.new_name("b")
            self.dataset.branch(name, start)
            self.branches[name] = self.names[start]
        elif start in self.branches and start not in ("main", "side"):
            self.dataset.delete_branch(start)
            del self.branches[start]

    @rule(pick=picks)
    def tag(self, pick: int) -> None:
        start = self.pick(self.names, pick)
        name = self.new_name("t")
        self.dataset.tag(name, start)
        self.tags[name] = self.names[start]

    @rule(one=picks, other=picks, resolve=st.booleans(), chosen=sides)
    def merge(self, one: int, other: int, resolve: bool, chosen: list[Side]) -> None:
        self.bring(self.pick(self.names, one), self.pick(self.branches, other), resolve, chosen)

    @rule(mine=some_rows, other=some_rows, pick=picks, chosen=sides)
    def cross(self, mine: State, other: State, pick: int, chosen: list[Side]) -> None:
        """Two branches change, and each is merged into the other as that was before."""
        one = self.pick(self.branches, pick)
        two = self.pick({n: c for n, c in self.branches.items() if n != one}, pick)
        for name, new in ((one, mine), (two, other)):
            self.put(name, {**self.at(name), **new}, as_table(new), replace=False)
        then = self.new_name("t")
        self.dataset.tag(then, one)
        self.tags[then] = self.branches[one]
        self.bring(two, one, resolve=True, chosen=chosen)
        self.bring(then, two, resolve=True, chosen=chosen[::-1])

    def bring(self, source: str, into: str, resolve: bool, chosen: list[Side]) -> None:
        theirs, ours = self.names[source], self.branches[into]
        taken["merges with several bases"] += len(self.model.best_common([ours], theirs)) > 1
        merged = self.model.merge(ours, theirs)
        if merged is None:
            done = self.dataset.merge(source, into=into)
            assert (done.already, done.commit.id) == (True, self.model.ids[ours])
            return
        decided = self.decided(
            merged, ours, theirs, resolve, chosen, lambda c: self.dataset.merge(source, into=into, choices=c)
        )
        listed = self.dataset.conflicts(source, into=into) if decided is None else []
        assert decided is not None or {(c.id, c.column) for c in listed} == doubts(merged)
        if decided is not None:
            done, after = decided
            assert done.commit.parents == (self.model.ids[ours], self.model.ids[theirs])
            self.branches[into] = self.model.grow((ours, theirs), after, done.commit.id)

    @rule(one=picks, other=picks, resolve=st.booleans(), chosen=sides)
    def revert(self, one: int, other: int, resolve: bool, chosen: list[Side]) -> None:
        branch, undone = self.pick(self.branches, one), other % len(self.model.ids)
        head, parents = self.branches[branch], self.model.parents[undone]
        if len(parents) != 1 or undone not in self.model.ancestors(head):
            # What no name leads to may be collected by now.
            with pytest.raises(InvalidInput if self.reached(undone) else (InvalidInput, NotFound)):
                self.dataset.revert(self.model.ids[undone], branch=branch)
            return
        ours, before = self.model.content[head], self.model.content[parents[0]]
        merged = three_way(self.model.content[undone], ours, before)
        decided = self.decided(
            merged,
            head,
            parents[0],
            resolve,
            chosen,
            lambda c: self.dataset.revert(self.model.ids[undone], branch=branch, choices=c),
        )
        if decided is not None:
            done, after = decided
            assert done.already == (after == ours)
            if not done.already:
                self.branches[branch] = self.model.grow((head,), after, done.commit.id)

    @rule(one=picks, other=picks)
    def diff(self, one: int, other: int) -> None:
        a, b = (n % len(self.model.ids) for n in (one, other))
        old, new = self.model.content[a], self.model.content[b]
        if self.reached(a) and self.reached(b):
            diff = self.dataset.diff(self.model.ids[a], self.model.ids[b])
            assert diff.added.tolist() == sorted(new.keys() - old.keys())
            assert diff.removed.tolist() == sorted(old.keys() - new.keys())
            assert diff.cells() == [
                (i, column, old[i][at], new[i][at])
                for i in sorted(old.keys() & new.keys())
                for at, column in enumerate("ab")
                if old[i][at] != new[i][at]
            ]

    @rule()
    def gc(self) -> None:
        """What no name leads to is removed, and nothing else."""
        store = Store.open(self.store)
        collect(store, "d", (), dry_run=False, sink=silent)
        assert collect(store, "d", (), dry_run=True, sink=silent) == {}
        for number, commit in enumerate(self.model.ids):
            if self.reached(number):
                assert self.dataset.resolve(commit).id == commit

    @rule()
    def reopen(self) -> None:
        self.dataset = Datasets(Store.open(self.store), "model").open("d")

    @rule(new=rows, what=st.sampled_from(["commit", "merge", "branch", "tag", "gc"]), one=picks, other=picks)
    def kill(self, new: State, what: str, one: int, other: int) -> None:
        """The work that a process is killed in is done as a whole or not at all."""
        source, into = self.pick(self.names, one), self.pick(self.branches, other)
        name = self.new_name("k")
        orders: dict[str, dict[str, Any]] = {
            "commit": {"branch": into, "rows": new},
            "merge": {"source": source, "into": into, "side": "theirs"},
            "branch": {"name": name, "at": source},
            "tag": {"name": name, "at": source},
            "gc": {},
        }
        done = killed({"do": what, "store": str(self.store), **orders[what]})
        self.reopen()
        head, theirs = self.branches[into], self.names[source]
        if what == "gc":
            self.everything()
            return
        if what in ("branch", "tag"):
            now = self.dataset.branches() if what == "branch" else self.dataset.tags()
            if name in now:
                (self.branches if what == "branch" else self.tags)[name] = theirs
            assert name in now or not done
            return
        after, parents = new, (head,)
        if what == "merge":
            merged = self.model.merge(head, theirs)
            if merged is None:
                return
            choices = dict.fromkeys(doubts(merged), "theirs")
            after = resolved(merged, self.model.content[head], self.model.content[theirs], choices)
            parents = (head, theirs)
        now = self.dataset.head(into)
        moved = now.id != self.model.ids[head]
        assert moved or not done or (what == "commit" and after == self.model.content[head])
        if moved:
            assert now.parents == tuple(self.model.ids[p] for p in parents)
            self.branches[into] = self.model.grow(parents, after, now.id)
            assert as_rows(self.dataset, into) == after

    @invariant()
    def names_and_one_of_them(self) -> None:
        """Every name means what it does in the model; one of them is read."""
        taken["steps"] += 1
        found = {**self.dataset.branches(), **self.dataset.tags()}
        assert {n: c.id for n, c in found.items()} == {n: self.model.ids[c] for n, c in self.names.items()}
        self.same(self.pick(self.names, taken["steps"]))

    def everything(self) -> None:
        for name in self.names:
            self.same(name)

    def same(self, name: str) -> None:
        content = self.model.content[self.names[name]]
        assert as_rows(self.dataset, name) == content
        snapshot = self.dataset.snapshot(name)
        assert snapshot.rows == len(content) == sum(f.rows for f in snapshot.fragments())

    def put(self, branch: str, after: State, table: Any, *, replace: bool) -> None:
        head = self.branches[branch]
        old = self.model.content[head]
        commit, changes = self.dataset.commit(table, branch=branch, message="Put", replace=replace)
        assert changes.added == len(after.keys() - old.keys())
        assert changes.removed == len(old.keys() - after.keys())
        assert changes.changed == sum(after[i] != old[i] for i in after.keys() & old.keys())
        if after == old:
            assert commit.id == self.model.ids[head]
        else:
            self.branches[branch] = self.model.grow((head,), after, commit.id)

    def decided(
        self,
        merged: State,
        ours: int,
        theirs: int,
        resolve: bool,
        chosen: list[Side],
        change: Callable[[Choices], Any],
    ) -> tuple[Any, State] | None:
        """Do what leads to a merged state, with its conflicts resolved or not; None when it was refused."""
        open_ones = sorted(doubts(merged), key=str)
        taken["conflicts"] += bool(open_ones)
        if open_ones and not resolve:
            with pytest.raises(Conflict) as caught:
                change(Choices())
            assert caught.value.details["count"] == len(open_ones)
            return None
        choices = dict(zip(open_ones, chosen, strict=False))
        assert len(choices) == len(open_ones)
        after = resolved(merged, self.model.content[ours], self.model.content[theirs], {**choices})
        return change(Choices(cells=choices)), after

    def reached(self, commit: int) -> bool:
        """Whether a name still leads to a commit; others are garbage, and may be gone."""
        return any(commit in self.model.ancestors(c) for c in self.names.values())

    def new_name(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}{self.made}"

    def at(self, name: str) -> State:
        return self.model.content[self.names[name]]

    @property
    def names(self) -> dict[str, int]:
        return {**self.branches, **self.tags}

    @staticmethod
    def pick(names: dict[str, int], number: int) -> str:
        return sorted(names)[number % len(names)]


def killed(order: dict[str, Any]) -> bool:
    """Have work done by a process that is killed at a random moment of it; whether it said that it was done."""
    process = WORKER.start()
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    begun = process.stdout.readline()
    assert begun == "begun\n", process.communicate()[1]
    time.sleep(random.random() * SLOWEST_SECONDS)
    process.kill()
    said, complaint = process.communicate()
    assert "Traceback" not in complaint, complaint
    WORKER.warm()
    taken["kills"] += 1
    taken["killed in the middle"] += said != "done\n"
    return said == "done\n"


def as_rows(dataset: Dataset, at: str) -> State:
    arrow = dataset.snapshot(at).read(["_id", "a", "b"]).to_arrow()
    ids, a, b = (arrow[n].to_pylist() for n in ("_id", "a", "b"))
    return {i: (x, y) for i, x, y in zip(ids, a, b, strict=True)}


def test_a_dataset_is_what_its_model_is():
    quiet = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    try:
        run_state_machine_as_test(History, settings=quiet)
    finally:
        WORKER.stop()
        if THOROUGH:
            sys.stdout.write(f"\n{taken}\n")
    assert taken["steps"] >= (2000 if THOROUGH else 50)


owner = st.sampled_from(["one", "two", "three", None])
deed = st.one_of(
    st.tuples(st.just("cells"), owner, owner),
    st.tuples(st.just("gone"), owner),
    st.tuples(st.just("new"), owner),
)


@given(
    deeds=st.lists(deed, min_size=8, max_size=8),
    orders=st.tuples(*2 * [st.permutations(["one", "two", "three"])]),
)
@settings(max_examples=60 if THOROUGH else 12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_without_conflicts_the_order_of_merges_does_not_matter_and_no_row_is_lost(
    deeds: list[tuple[Any, ...]], orders: tuple[list[str], list[str]]
):
    base: State = {i: ("x", 0) for i, (kind, *_) in enumerate(deeds) if kind != "new"}
    work: dict[str, State] = {b: dict(base) for b in ("one", "two", "three")}
    expected: State = dict(base)
    for i, (kind, *owners) in enumerate(deeds):
        if kind == "cells":
            for at, branch in enumerate(owners):
                for state in [work[branch], expected] if branch else []:
                    cells = list(state[i])
                    cells[at] = ("y", 1)[at]
                    state[i] = tuple(cells)
        elif owners[0]:
            for state in (work[owners[0]], expected):
                if kind == "gone":
                    del state[i]
                else:
                    state[i] = ("new", 5)
    with tempfile.TemporaryDirectory() as folder:
        datasets = Datasets(Store.create(Path(folder)), "model")
        datasets.create("d", as_table(base), message="Base")
        d = datasets.open("d")
        for branch, state in work.items():
            d.branch(branch, "1")
            d.commit(as_table(state), branch=branch, message=branch, replace=True)
        # One after the other in two orders; and two of them first, then the third.
        for name, order in zip(("left", "right"), orders, strict=True):
            d.branch(name, "1")
            for branch in order:
                d.merge(branch, into=name)
        first, second, third = orders[0]
        d.branch("pair", second)
        d.merge(third, into="pair")
        d.merge("pair", into=first)
        assert [as_rows(d, n) for n in ("left", "right", first)] == [expected] * 3
