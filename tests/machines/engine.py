"""A real project beside a computation without any cache, and all that happens to a project, as a state machine."""

import random
import threading
import time
from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.machines.code import KNOBS, PARAMETERS
from tests.machines.edits import Edited, Tools, digits, often, picks, rarely, seldom
from tests.machines.plain import Rows, as_table, told
from tidemill.core.names import Digest
from tidemill.engine.artifacts import load_value
from tidemill.engine.content import blobs_of
from tidemill.engine.executors import local
from tidemill.loop import runs
from tidemill.loop.gc import gc
from tidemill.loop.needed import KEEP_RUNS
from tidemill.loop.resuming import resume
from tidemill.loop.workspace import open_workspace
from tidemill.pipeline import load
from tidemill.store.catalog import records


class Project(Edited):
    """A project that is run between its edits, whatever is killed meanwhile.

    A step's content is told by the digits of its code, its parameters, and the digests of its inputs as recorded:
    what had this content before must be cached, and what had not must not.

    Attributes:
        known: The contents that must be in the cache.
        unsure: Those that may be.
        seen: Each artifact that was read, in few letters.
        orders: What each run was of.
    """

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        self.known: set[tuple[Any, ...]] = set()
        self.unsure: set[tuple[Any, ...]] = set()
        self.seen: dict[str, str] = {}
        self.orders: dict[str, dict[str, Any]] = {}

    def teardown(self) -> None:
        try:
            if self.heads:
                self.run_it()
                self.records_are_whole()
            self.workspace.close()
        finally:
            load.leave()
            self.holder.cleanup()
            self.taken["sequences"] += 1
            self.tools.told()

    # -- runs

    @rule(pick=picks)
    def run(self, pick: int) -> None:
        """At the branch, or at any other name."""
        self.step("plain runs")
        names = sorted(self.heads)
        self.run_it(at=names[pick % len(names)] if pick % 2 else None)

    @rule(digit=digits, really=rarely)
    def run_far_away(self, digit: int, really: bool) -> None:
        """The last step in a process of its own; what is before it has its content already."""
        if really:
            self.run_it()
            self.put(self.code.edited("body", digit), go=False)
            self.step("runs in fresh processes")
            self.run_it(executor="process")

    @rule(really=often, knob=st.sampled_from(sorted(KNOBS)), digit=digits)
    def kill_a_worker(self, really: bool, knob: str, digit: int) -> None:
        if really and local._idle:
            self.put(self.code.edited(knob, digit).edited("constant", digit), go=False)
            self.worker_killed()

    def worker_killed(self) -> None:
        """Whichever process of the steps is hit, and whenever: the run comes to its end."""
        self.step("kills of workers")
        child = random.choice(local._idle).child
        killing = threading.Timer(random.random() * self.tools.slowest_seconds, child.process.kill)
        killing.start()
        self.run_it()
        killing.join()

    @rule(
        really=often,
        knob=st.sampled_from(sorted(KNOBS)),
        digit=digits,
        go=st.sampled_from(["resume", "run", "nothing"]),
    )
    def kill_the_engine(self, really: bool, knob: str, digit: int, go: str) -> None:
        if really:
            self.put(self.code.edited(knob, digit).edited("constant", digit), go=False)
            self.engine_killed(go)
            if go == "run":
                self.run_it()

    def engine_killed(self, go: str = "nothing") -> bool:
        """The next command knows it, and what was finished is kept; whether all was."""
        self.step("kills of engines")
        finished, before = False, self.run_ids()
        done = self.tools.engines.killed(self.order("run"))
        if self.run_ids():
            runs.show_run(self.workspace)
        for run in self.run_ids() - before:
            record = self.record(run)
            assert record.status != "running"
            finished |= record.status == "succeeded"
            self.taken["engines killed in the middle"] += record.status == "interrupted"
            assert record.status == "succeeded" or not done
            self.notice(record, self.order("run"))
            if record.status == "interrupted" and go == "resume":
                self.resume(record)
        self.records_are_whole()
        return finished

    def resume(self, before: records.Run) -> None:
        """With the parameters and the data of then, and the code of now."""
        self.step("resumes")
        view = resume(self.workspace, before.id)
        record = self.record(view.run)
        assert record.parameters == before.parameters
        assert not before.inputs or record.inputs == before.inputs
        self.check(record, {**self.order("run"), "parameters": before.parameters})

    @rule(really=seldom)
    def run_twice_at_once(self, really: bool) -> None:
        """Each gives the same, and no step is computed by both."""
        if not really:
            return
        self.step("runs beside another")
        before = self.run_ids()
        self.tools.engines.begin(self.order("run"))
        view = self.started()
        self.tools.engines.end()
        both = [self.record(run) for run in self.run_ids() - before]
        assert {r.id for r in both} > {view.run}
        assert len(both) == 2
        steps = [s for r in both for s in self.steps(r)]
        keys = [
            (key, s.status)
            for s in steps
            if (key := self.key(s, self.order("run"))) not in (None, *self.unsure)
        ]
        computed = Counter(key for key, status in keys if status == "computed")
        assert computed == Counter({key for key, _ in keys} - self.known), computed
        for record in both:
            self.equal(record, self.order("run"))
            self.notice(record, self.order("run"))

    @rule(really=rarely, knob=st.sampled_from(sorted(KNOBS)), digit=digits)
    def edit_beside_a_run(self, really: bool, knob: str, digit: int) -> None:
        """The run is of the code before or after the edit, or says that it changed; it never mixes them up."""
        if not really:
            return
        old, before = self.code, self.run_ids()
        new = old.edited(knob, digit).edited("constant", digit)
        self.step("edits beside a run")
        self.tools.engines.begin(self.order("run"))
        time.sleep(random.random() * self.tools.slowest_seconds)
        self.put(new, go=False)
        self.tools.engines.end()
        (run,) = self.run_ids() - before
        record = self.record(run)
        assert record.status == "succeeded" or (record.error or {})["code"] == "code-changed", record.error
        self.taken["edits beside a run that were told"] += record.status == "failed"
        for code in (old, new):
            self.code = code
            for step in self.steps(record):
                key = self.key(step, self.order("run"))
                if key is not None and key not in self.known:
                    self.unsure.add(key)
        for code in (old, new):
            self.put(code, go=True)

    # -- the store

    @rule(killed=often)
    def collect(self, killed: bool) -> None:
        """What no name and no late run needs is removed, and nothing else."""
        self.step("gcs")
        if killed:
            self.step("kills of gcs")
            self.tools.engines.killed(self.order("gc"))
        else:
            gc(self.workspace, everything=True)
        with self.workspace.store.catalog.read() as read:
            late = [r.id for r in read.find(records.Run, order=("-started_at", "-id"))][:KEEP_RUNS]
        kept = set[tuple[Any, ...]]()
        for run in late:
            if (order := self.orders.get(run)) is not None:
                kept |= {key for s in self.steps(self.record(run)) if s.key and (key := self.key(s, order))}
        self.unsure |= self.known - kept
        self.known &= kept
        self.seen.clear()
        self.records_are_whole()

    @rule(really=seldom)
    def reopen(self, really: bool) -> None:
        if not really:
            return
        self.step("reopenings")
        self.workspace.close()
        self.workspace = open_workspace(self.folder)

    # -- what must hold

    def run_it(self, at: str | None = None, executor: str | None = None) -> None:
        name = at or self.at
        view = self.started(at, executor)
        record = self.record(view.run)
        assert record.inputs == {"d": self.heads[name]}
        self.check(record, self.order("run", at))

    def started(self, at: str | None = None, executor: str | None = None) -> Any:
        order = self.order("run", at)
        return runs.run(self.workspace, self.folder / "pipeline.py", order["parameters"], executor=executor)

    def order(self, do: str, at: str | None = None) -> dict[str, Any]:
        """What another process must be told."""
        parameters = {**self.parameters, "data": f"d@{at or self.at}"}
        return {
            "do": do,
            "folder": str(self.folder),
            "parameters": parameters,
            "knobs": dict(self.code.knobs),
        }

    def check(self, record: records.Run, order: dict[str, Any]) -> None:
        """The run's results are those of a run without a cache, and it computed what was new, and no more."""
        self.taken["runs"] += 1
        assert record.status == "succeeded", record.error
        self.equal(record, order)
        steps = {s.name: s for s in self.steps(record)}
        keys = {n: key for n, s in steps.items() if (key := self.key(s, order)) not in (None, *self.unsure)}
        computed = Counter(keys[n] for n in keys if steps[n].status == "computed")
        new = set(keys.values()) - self.known
        assert computed == Counter(new), {n: (s.status, s.why, keys.get(n)) for n, s in steps.items()}
        self.taken["steps computed"] += len(new)
        self.taken["steps cached"] += len(keys) - len(new)
        self.notice(record, order)

    def equal(self, record: records.Run, order: dict[str, Any]) -> None:
        numbers = {n: int(order["parameters"][n]) for n in PARAMETERS}
        expected = self.tools.plain.results(self.code.files(), self.content[record.inputs["d"]], numbers)
        found = {s.name: [self.told(d) for _, d in sorted(s.outputs.items())] for s in self.steps(record)}
        data = found.pop("data")
        assert data == [told(self.whole(self.content[record.inputs["d"]]))]
        assert found == expected, {n for n in found if found[n] != expected.get(n)}

    def notice(self, record: records.Run, order: dict[str, Any]) -> None:
        """Remember what a run has finished."""
        self.orders[record.id] = order
        for step in self.steps(record):
            key = self.key(step, order)
            if key is not None and step.status in ("computed", "cached"):
                self.known.add(key)
                self.unsure.discard(key)

    def key(self, step: records.Step, order: dict[str, Any]) -> tuple[Any, ...] | None:
        """A step's content; None of the step that reads the dataset."""
        if step.name == "data":
            return None
        knobs = tuple(order["knobs"][k] for k, steps in KNOBS.items() if step.name in steps)
        numbers = tuple(int(order["parameters"][p]) for p, steps in PARAMETERS.items() if step.name in steps)
        inputs = tuple((n, str(d)) for n, d in sorted(step.parts.get("inputs", {}).items()))
        return step.component, knobs, numbers, inputs

    def told(self, digest: str) -> str:
        if digest not in self.seen:
            self.seen[digest] = told(load_value(self.workspace.store, digest))
        return self.seen[digest]

    def records_are_whole(self) -> None:
        """No run is on that nobody runs, and every late run's artifacts are there, as are all runs' results."""
        store = self.workspace.store
        with store.catalog.read() as read:
            everything = read.find(records.Run, order=("-started_at", "-id"))
            wanted = {d for r in everything for d in r.outputs.values()}
            for run in everything[:KEEP_RUNS]:
                wanted |= {d for s in read.find(records.Step, {"run": run.id}) for d in s.outputs.values()}
            artifacts = {a.digest: a for a in read.find(records.Artifact)}
        wrong = [r for r in everything if r.status == "failed" and (r.error or {})["code"] != "code-changed"]
        assert not wrong, wrong[0].error
        assert all(r.finished_at for r in everything)
        for digest in wanted:
            assert all(store.blobs.exists(Digest(d)) for d in blobs_of(artifacts[digest]))

    @staticmethod
    def whole(content: Rows) -> Any:
        import pyarrow as pa

        return as_table(content).with_column("_prediction", pa.nulls(len(content), pa.string()))

    def run_ids(self) -> set[str]:
        with self.workspace.store.catalog.read() as read:
            return {r.id for r in read.find(records.Run)}

    def record(self, run: str) -> records.Run:
        with self.workspace.store.catalog.read() as read:
            found = read.first(records.Run, {"id": run})
        assert found is not None
        return found

    def steps(self, record: records.Run) -> list[records.Step]:
        with self.workspace.store.catalog.read() as read:
            return read.find(records.Step, {"run": record.id}, order=("position",))
