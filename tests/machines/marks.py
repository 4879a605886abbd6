"""Runs and collections of one store, interleaved: a state machine over what is marked, removed, used and named again."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tidemill.core.clock import now, stamp
from tidemill.core.errors import Conflict
from tidemill.core.names import Digest
from tidemill.engine import cache
from tidemill.engine.ledger import Ledger
from tidemill.engine.orders import Saved
from tidemill.loop import gc
from tidemill.loop.workspace import Workspace
from tidemill.store.blobs import Blobs
from tidemill.store.catalog import records
from tidemill.store.marks import Marks

contents = st.integers(0, 2)


@dataclass
class Work:
    """A run that is going on, and what its workers have stored and nobody has recorded yet."""

    ledger: Ledger
    done: int = 0
    waiting: dict[int, Digest] = field(default_factory=dict[int, Digest])


def key_of(content: int) -> str:
    return f"sha256:{hashlib.sha256(b'key of %d' % content).hexdigest()}"


class Collecting(RuleBasedStateMachine):
    """What a record names is there, whoever collected beside it.

    Args:
        workspace: Of a new project.
        taken: Counts what was done.
    """

    def __init__(self, workspace: Workspace, taken: Counter[str]) -> None:
        super().__init__()
        self.ws, self.taken = workspace, taken
        self.runs: list[Work] = []

    @property
    def _has_marks(self) -> bool:
        return gc.marked(self.ws) is not None

    @property
    def marks(self) -> Marks:
        assert self.ws.store.blobs.marks is not None
        return self.ws.store.blobs.marks

    @precondition(lambda self: len(self.runs) < 2)
    @rule()
    def a_run_begins(self) -> None:
        ledger = Ledger(self.ws.store, pipeline="p", file=None, parameters={}, trigger="person")
        self.runs.append(Work(ledger))

    @precondition(lambda self: not self.runs)
    @rule()
    def everything_is_made_and_left(self) -> None:
        """A run from its beginning to its end, and then the mark: what makes the rest worth a look."""
        self.a_run_begins()
        for content in range(3):
            self.a_worker_stores(0, content)
        self.what_was_stored_is_recorded(0)
        self.a_run_ends(0)
        self.garbage_is_marked(stale=True)
        self.a_run_begins()

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2), content=contents)
    def a_worker_stores(self, which: int, content: int) -> None:
        """In a process without a catalog, which knows of no mark."""
        work = self.runs[which % len(self.runs)]
        worker = Blobs.at(self.ws.store.blobs.place)
        work.waiting[content] = worker.put(b"content %d" % content)
        self.taken["stored"] += 1

    @precondition(lambda self: any(w.waiting for w in self.runs))
    @rule(which=st.integers(0, 2))
    def what_was_stored_is_recorded(self, which: int) -> None:
        work = self.runs[which % len(self.runs)]
        for content, digest in work.waiting.items():
            step = self._step(work, "computed", content, digest)
            work.ledger.computed(step, {"result": Saved(digest, "state", 9, {})}, {})
        there = all(self._is_there(d) for d in work.waiting.values())
        work.waiting = {}
        try:
            work.ledger.flush()
        except Conflict as error:
            assert (error.code, there) == ("blob-collected", False)  # noqa: PT017 - one outcome of several
            self.taken["too late"] += 1
            self._ends(work)

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2), content=contents)
    def a_run_looks_into_the_cache(self, which: int, content: int) -> None:
        work = self.runs[which % len(self.runs)]
        hit = cache.lookup(self.ws.store, [key_of(content)]).get(key_of(content))
        if hit is not None:
            self.taken["hit"] += 1
            self.taken["hit of a marked one"] += self._has_marks
            work.ledger.hit(self._step(work, "cached", content, Digest(hit.outputs["result"].digest)))
            work.ledger.flush()

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2))
    def a_run_ends(self, which: int) -> None:
        work = self.runs[which % len(self.runs)]
        if not work.waiting:
            work.ledger.close("succeeded", {}, None)
            self.runs.remove(work)

    @precondition(lambda self: not self.runs)
    @rule(stale=st.booleans())
    def garbage_is_marked(self, *, stale: bool) -> None:
        """While a run is going on none is, which other tests show; ``stale``: no run is needed any more."""
        with self.ws.store.catalog.write() as write:
            if stale:
                write.remove(records.Step, {})
        gc.gc(self.ws, everything=True)
        self.taken["marked"] += self._has_marks

    @precondition(lambda self: self._has_marks)
    @rule()
    def a_batch_of_what_was_marked_is_removed(self) -> None:
        """As after the grace time: outside of every lock, beside whatever goes on."""
        later = stamp(now() + timedelta(hours=1))
        next(self.marks.remove(later, lambda d: self.ws.store.blobs.delete(*d)))
        self.taken["removed beside a run"] += bool(self.runs)

    @precondition(lambda self: self._has_marks)
    @rule()
    def somebody_takes_the_marks_back(self) -> None:
        self.taken["undone"] += gc.undo(self.ws) > 0

    @invariant()
    def what_a_record_names_is_there(self) -> None:
        with self.ws.store.catalog.read() as read:
            steps = read.find(records.Step)
            marked = set(read.values(records.Garbage, "digest", {}))
        named = {d for s in steps for d in s.outputs.values()}
        assert [d for d in named if not self._is_there(d)] == []
        assert named & marked == set()

    def teardown(self) -> None:
        for work in [*self.runs]:
            self._ends(work)

    def _is_there(self, digest: str) -> bool:
        # Not by a look that takes its mark off.
        return Blobs.at(self.ws.store.blobs.place).exists(Digest(digest))

    def _ends(self, work: Work) -> None:
        work.ledger._batch = type(work.ledger._batch)()
        work.ledger.close("failed", {}, None)
        self.runs.remove(work)

    def _step(self, work: Work, status: records.StepStatus, content: int, digest: Digest) -> records.Step:
        work.done += 1
        return records.Step(
            run=work.ledger.run.id,
            name=f"step {work.done}",
            position=work.done,
            component="step",
            kind="step",
            status=status,
            key=key_of(content),
            parts={},
            outputs={"result": digest},
            why="",
            seconds=0.0,
            finished_at=stamp(now()),
        )
