"""A real dataset beside its model, and all that a team does to it, as a state machine."""

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.machines.killing import Worker
from tests.machines.model import Model, State, doubts, resolved, three_way
from tests.machines.worker import as_table
from tests.services.again import how_to_open, opened_again
from tidemill.core.errors import Conflict, InvalidInput, NotFound
from tidemill.core.events import silent
from tidemill.data import Choices, Dataset, Datasets, Side, Tombstone, collect, find, forget, settle, settled
from tidemill.data.transfer import Copy
from tidemill.store.open import Store

MOST_BRANCHES = 5
SLOTS = range(1, 9)

row = st.tuples(st.sampled_from(["x", "y", "z", None]), st.integers(0, 2))
rows = st.dictionaries(st.sampled_from(SLOTS), row, max_size=5)
some_rows = st.dictionaries(st.integers(1, 4), row, min_size=1, max_size=3)
some_slots = st.sets(st.sampled_from(SLOTS), min_size=1, max_size=2)
picks = st.integers(0, 99)
sides = st.lists(st.sampled_from(["ours", "theirs"]), min_size=20, max_size=20)
kinds = st.sampled_from(["commit", "merge", "branch", "tag", "gc", "forget"])


class History(RuleBasedStateMachine):
    """A real dataset beside its model. A branch or tag of the model is the number of a commit.

    Rows are drawn by slot. A slot's row gets another id once it was forgotten, and whoever puts rows puts those
    that were forgotten with them, as an old file would.

    Args:
        new_store: Makes a store in a folder, or a remote one with that folder beside it.
        worker: Whom to kill.
        taken: What was done, counted.
    """

    def __init__(self, new_store: Callable[[Path], Store], worker: Worker, taken: Counter[str]) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = new_store(Path(self.folder.name) / "store")
        self.worker, self.taken = worker, taken
        self.model = Model()
        self.ids = {slot: slot for slot in SLOTS}
        self.forgotten: set[int] = set()
        self.branches: dict[str, int] = {}
        self.tags: dict[str, int] = {}
        self.made = 0

    def teardown(self) -> None:
        if self.branches:
            self.everything()
        self.store.close()
        self.folder.cleanup()

    @initialize(first=rows)
    def create(self, first: State) -> None:
        datasets = Datasets(self.store, "model")
        commit, _ = datasets.create("d", as_table(first), message="First")
        self.dataset = datasets.open("d")
        self.branches["main"] = self.branches["side"] = self.model.grow((), first, commit.id)
        self.dataset.branch("side")

    @rule(new=some_rows, pick=picks)
    def append_and_edit(self, new: State, pick: int) -> None:
        self.add(self.pick(self.branches, pick), self.named(new))

    @rule(new=rows, pick=picks)
    def replace(self, new: State, pick: int) -> None:
        self.put(self.pick(self.branches, pick), self.named(new), replace=True)

    @rule(gone=st.sets(st.sampled_from(SLOTS), max_size=4), pick=picks)
    def delete(self, gone: set[int], pick: int) -> None:
        branch = self.pick(self.branches, pick)
        ids = {self.ids[slot] for slot in gone}
        self.put(branch, {i: r for i, r in self.at(branch).items() if i not in ids}, replace=True)

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
            self.add(name, self.named(new))
        then = self.new_name("t")
        self.dataset.tag(then, one)
        self.tags[then] = self.branches[one]
        self.bring(two, one, resolve=True, chosen=chosen)
        self.bring(then, two, resolve=True, chosen=chosen[::-1])

    def bring(self, source: str, into: str, resolve: bool, chosen: list[Side]) -> None:
        theirs, ours = self.names[source], self.branches[into]
        self.taken["merges with several bases"] += len(self.model.best_common([ours], theirs)) > 1
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
        self.taken["gcs"] += 1
        collect(self.store, "d", (), dry_run=False, sink=silent)
        assert not collect(self.store, "d", (), dry_run=True, sink=silent).removed
        self.commits()

    @rule(slots=some_slots, cell=st.sampled_from(["x", "y", None]))
    def forget(self, slots: set[int], cell: str | None) -> None:
        """Some rows leave every commit, and no file has them."""
        self.taken["forgets"] += 1
        asked = {self.ids[slot] for slot in slots}
        condition = f"_id in ({', '.join(map(str, asked))})" + (f" and a = '{cell}'" if cell else "")
        found = find(self.store, "d", condition, ())
        now = self.kept()
        # Beside what commits have, it finds what left them, and cells as they were.
        there = {
            i for n in now for i, (a, _) in self.model.content[n].items() if i in asked and a == (cell or a)
        }
        assert there <= set(found.ids) <= asked
        assert found.commits == {
            self.model.ids[n]: count
            for n in now
            if (count := len(self.model.content[n].keys() & {*found.ids}))
        }
        forget(self.store, "d", self.tombstone(found.ids), (), silent)
        self.gone({*found.ids})

    def tombstone(self, ids: Collection[int]) -> Tombstone:
        return Tombstone(tuple(sorted(ids)), "model", self.new_name("time "), "asked for")

    def gone(self, ids: set[int]) -> None:
        """These rows were forgotten: the model forgets them, and what is left to do is done."""
        self.model.forget(ids)
        self.forgotten |= ids
        self.ids = {slot: i + 10 if i in ids else i for slot, i in self.ids.items()}
        left = [tombstone for tombstone, _ in settle(self.store, "d", (), silent)]
        settled(self.store, "d", left)
        self.commits()
        self.no_trace()

    def no_trace(self) -> None:
        table = Copy.of(self.store, "d").table
        for file in table.data_files():
            assert self.forgotten.isdisjoint(table.file_ids(file).tolist())

    def commits(self) -> None:
        """Every commit that a name leads to is there, as it was but for what was forgotten."""
        for number in self.kept():
            commit = self.dataset.resolve(self.model.ids[number])
            assert commit.id == self.model.ids[number]
            assert commit.parents == tuple(self.model.ids[p] for p in self.model.parents[number])
            assert sum(mark.rows for mark in commit.forgotten) == self.model.lost[number]
            assert commit.rows == len(self.model.content[number])

    def kept(self) -> set[int]:
        return set[int]().union(*(self.model.ancestors(c) for c in self.names.values()))

    @rule()
    def reopen(self) -> None:
        again = opened_again(how_to_open(self.store))
        self.store.close()
        self.store = again
        self.dataset = Datasets(self.store, "model").open("d")

    @rule(new=rows, slots=some_slots, what=kinds, one=picks, other=picks)
    def kill(self, new: State, slots: set[int], what: str, one: int, other: int) -> None:
        """The work that a process is killed in is done as a whole or not at all."""
        source, into = self.pick(self.names, one), self.pick(self.branches, other)
        name, new = self.new_name("k"), self.named(new)
        tombstone = self.tombstone([self.ids[slot] for slot in slots])
        orders: dict[str, dict[str, Any]] = {
            "commit": {"branch": into, "rows": self.with_forgotten(new)},
            "merge": {"source": source, "into": into, "side": "theirs"},
            "branch": {"name": name, "at": source},
            "tag": {"name": name, "at": source},
            "gc": {},
            "forget": dataclasses.asdict(tombstone),
        }
        done = self.worker.killed({"do": what, "store": how_to_open(self.store), **orders[what]})
        self.taken["kills"] += 1
        self.taken["killed in the middle"] += not done
        self.reopen()
        head, theirs = self.branches[into], self.names[source]
        if what == "gc":
            self.everything()
            return
        if what == "forget":
            told = tombstone in Copy.of(self.store, "d").refs().forgotten
            assert told or not done
            self.taken["forgets killed, and done" if told else "forgets killed, and not done"] += 1
            if told:
                self.gone({*tombstone.ids})
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
        self.taken["steps"] += 1
        found = {**self.dataset.branches(), **self.dataset.tags()}
        assert {n: c.id for n, c in found.items()} == {n: self.model.ids[c] for n, c in self.names.items()}
        self.same(self.pick(self.names, self.taken["steps"]))

    def everything(self) -> None:
        for name in self.names:
            self.same(name)

    def same(self, name: str) -> None:
        content = self.model.content[self.names[name]]
        assert as_rows(self.dataset, name) == content
        snapshot = self.dataset.snapshot(name)
        assert snapshot.rows == len(content) == sum(f.rows for f in snapshot.fragments())

    def add(self, branch: str, new: State) -> None:
        self.put(branch, {**self.at(branch), **new}, new, replace=False)

    def put(self, branch: str, after: State, new: State | None = None, *, replace: bool) -> None:
        head = self.branches[branch]
        old = self.model.content[head]
        table = as_table(self.with_forgotten(after if new is None else new))
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
        self.taken["conflicts"] += bool(open_ones)
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
        return commit in self.kept()

    def named(self, drawn: State) -> State:
        return {self.ids[slot]: r for slot, r in drawn.items()}

    def with_forgotten(self, new: State) -> State:
        return {**dict.fromkeys(sorted(self.forgotten), ("y", 2)), **new}

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


def as_rows(dataset: Dataset, at: str) -> State:
    arrow = dataset.snapshot(at).read(["_id", "a", "b"]).to_arrow()
    ids, a, b = (arrow[n].to_pylist() for n in ("_id", "a", "b"))
    return {i: (x, y) for i, x, y in zip(ids, a, b, strict=True)}
