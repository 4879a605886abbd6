"""A real project whose code, parameters and data are edited, and what they are: the edits of a state machine."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.machines.code import KNOBS, NOISE, Code
from tests.machines.engines import Engines
from tests.machines.plain import Plain, Rows, as_table
from tidemill.loop.workspace import open_workspace

if TYPE_CHECKING:
    from tidemill.data import Commit, Dataset

IDS = range(1, 15)
row = st.tuples(st.integers(-3, 9), st.sampled_from(["a", "b", None]))
rows = st.dictionaries(st.sampled_from(IDS), row, min_size=1, max_size=6)
digits = st.integers(1, 4)
picks = st.integers(0, 99)
then_run = st.booleans()
seldom = st.sampled_from([False, False, False, True])
rarely = st.sampled_from([False] * 7 + [True])
often = st.sampled_from([True, False])


@dataclass
class Tools:
    """What one test has, whatever the number of its sequences.

    Attributes:
        template: A folder with an empty store, to be copied.
        engines: Those of other processes.
        plain: The computation without a cache.
        taken: What was done, counted.
        slowest_seconds: The latest moment at which a step's process is killed after its run began.
        told: Called after each sequence.
    """

    template: Path
    engines: Engines
    plain: Plain
    slowest_seconds: float
    taken: Counter[str] = field(default_factory=Counter[str])
    told: Callable[[], None] = lambda: None


class Edited(RuleBasedStateMachine):
    """A project, and its code and its data by commit as plain values.

    Attributes:
        content: Each commit's rows.
        heads: Each branch's commit, and each tag's.
        at: The branch that the project is on.
    """

    def __init__(self, tools: Tools) -> None:
        super().__init__()
        self.tools, self.taken = tools, tools.taken
        self.holder = tempfile.TemporaryDirectory()
        self.folder = Path(self.holder.name) / "project"
        shutil.copytree(tools.template, self.folder)
        self.parameters = {"modulus": 3, "epochs": 2}
        self.code = Code.first()
        self.codes = [self.code]
        self.content: dict[str, Rows] = {}
        self.parents: dict[str, tuple[str, ...]] = {}
        self.heads: dict[str, str] = {}
        self.at = "main"
        self.made = 0

    def run_it(self, at: str | None = None, executor: str | None = None) -> None:
        """Run the pipeline, at another name than the branch if asked, and check what came of it."""
        raise NotImplementedError

    def step(self, what: str) -> None:
        self.taken["steps"] += 1
        self.taken[what] += 1

    @initialize(first=rows)
    def create(self, first: Rows) -> None:
        self.workspace = open_workspace(self.folder, make=True)
        self.code.write(self.folder)
        commit, _ = self.workspace.datasets.create("d", as_table(first), message="First")
        self.moved("main", commit, first)

    # -- code

    @rule(knob=st.sampled_from(sorted(KNOBS)), digit=digits, go=then_run)
    def edit_what_matters(self, knob: str, digit: int, go: bool) -> None:
        self.put(self.code.edited(knob, digit), go)

    @rule(noise=st.sampled_from(NOISE), digit=digits, go=then_run)
    def edit_what_does_not(self, noise: str, digit: int, go: bool) -> None:
        self.put(self.code.edited(noise, digit), go)

    @rule(pick=picks, go=then_run)
    def revert_code(self, pick: int, go: bool) -> None:
        self.put(self.codes[pick % len(self.codes)], go)

    def put(self, code: Code, go: bool) -> None:
        self.step("edits of code")
        self.code = code
        self.codes.append(code)
        code.write(self.folder)
        if go:
            self.run_it()

    @rule(modulus=st.integers(2, 4), epochs=st.integers(1, 3), go=then_run)
    def change_parameters(self, modulus: int, epochs: int, go: bool) -> None:
        self.step("changes of parameters")
        self.parameters = {"modulus": modulus, "epochs": epochs}
        if go:
            self.run_it()

    # -- data

    @rule(new=rows, replace=st.booleans(), go=then_run)
    def commit(self, new: Rows, replace: bool, go: bool) -> None:
        """Rows are added and changed, and those that are not named deleted if asked."""
        self.step("commits")
        after = new if replace else {**self.content[self.heads[self.at]], **new}
        commit, _ = self.dataset.commit(as_table(new), branch=self.at, message="Put", replace=replace)
        self.moved(self.at, commit, after)
        if go:
            self.run_it()

    @rule(gone=st.sets(st.sampled_from(IDS), min_size=1, max_size=4), go=then_run)
    def delete(self, gone: set[int], go: bool) -> None:
        self.commit_of({i: r for i, r in self.content[self.heads[self.at]].items() if i not in gone}, go)

    def commit_of(self, after: Rows, go: bool) -> None:
        self.step("commits")
        commit, _ = self.dataset.commit(as_table(after), branch=self.at, message="Put", replace=True)
        self.moved(self.at, commit, after)
        if go:
            self.run_it()

    @rule(go=then_run)
    def revert_data(self, go: bool) -> None:
        head = self.heads[self.at]
        if len(self.parents[head]) == 1:
            self.step("reverts of data")
            done = self.dataset.revert(head, branch=self.at)
            self.moved(self.at, done.commit, self.content[self.parents[head][0]])
            if go:
                self.run_it()

    @rule(pick=picks, new=st.booleans())
    def switch(self, pick: int, new: bool) -> None:
        self.step("switches")
        names = sorted(self.heads)
        start = names[pick % len(names)]
        if new or start.startswith("t"):
            self.made += 1
            self.at = f"b{self.made}"
            self.dataset.branch(self.at, start)
            self.heads[self.at] = self.heads[start]
        else:
            self.at = start

    @rule(really=seldom)
    def tag(self, really: bool) -> None:
        if not really:
            return
        self.step("tags")
        self.made += 1
        self.dataset.tag(f"t{self.made}", self.at)
        self.heads[f"t{self.made}"] = self.heads[self.at]

    @property
    def dataset(self) -> "Dataset":
        return self.workspace.datasets.open("d")

    def moved(self, branch: str, commit: "Commit", content: Rows) -> None:
        self.heads[branch] = commit.id
        self.content.setdefault(commit.id, dict(content))
        self.parents.setdefault(commit.id, commit.parents)
        assert self.content[commit.id] == content
