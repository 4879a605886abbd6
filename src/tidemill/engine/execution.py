"""The way through one graph: what is ready is taken from the cache or started; what ends is recorded."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from tidemill.core import events
from tidemill.core.errors import Conflict, InvalidInput, TidemillError
from tidemill.core.names import Reference
from tidemill.engine import cache, inputs, keeping, lists, plan, sources
from tidemill.engine.attempts import Attempt
from tidemill.engine.closure import Closure
from tidemill.engine.dispatch import Dispatch
from tidemill.engine.executors.bounded import Bounded
from tidemill.engine.executors.inline import run_inline
from tidemill.engine.job import Job
from tidemill.engine.ledger import Ledger
from tidemill.engine.orders import Outcome, Ref
from tidemill.engine.planned import Planned
from tidemill.engine.recording import Recording
from tidemill.engine.schedule import UNWANTED, Found, Schedule
from tidemill.engine.why import Earlier
from tidemill.pipeline.graph import Graph, Node, certain
from tidemill.pipeline.resources import Resources

if TYPE_CHECKING:
    from tidemill.store.open import Store

_POLL_SECONDS = 0.02
_LOOKED_AT = 256
"""How many of those that are ready are looked at for some that there is room for."""


@dataclass(slots=True)
class Execution:
    """One run on its way. ``run`` goes it to the end; ``abort`` stops it.

    What has ended is written down before what it made ready is started: at any moment, a kill loses no more
    than what is being computed.
    """

    store: "Store"
    graph: Graph
    ledger: Ledger
    closures: dict[int, Closure]
    sink: events.Sink
    workers: int
    executor: Bounded
    resolve: Callable[[Reference], Any] | None
    seed: int
    files: dict[str, tuple[int, int]]
    earlier: Earlier
    error: dict[str, Any] | None = None
    jobs: list[Job] = field(default_factory=list[Job])
    _is_checked: bool = False
    _is_limited: bool = field(init=False)
    _schedule: Schedule = field(init=False)
    _planned: Planned = field(init=False)
    nodes: list[Node] = field(init=False)
    _known: cache.Known = field(init=False)
    _recording: Recording = field(init=False)
    _dispatch: Dispatch = field(init=False)
    _ready: deque[plan.Candidate] = field(default_factory=deque[plan.Candidate])
    _elsewhere: list[plan.Candidate] = field(default_factory=list[plan.Candidate])
    _kept: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self._schedule = Schedule(self.graph)
        self._planned = Planned(self.graph)
        self.nodes = list(self.graph.nodes)
        self._known = cache.Known(self.store, self.earlier.keys())
        positions = self._schedule.positions
        self._recording = Recording(self.store, self.ledger, self.sink, positions, self.earlier)
        self._dispatch = Dispatch(self.executor, self.sink)
        self._is_limited = any(node.resources != Resources() for node in self.graph.nodes)

    def run(self) -> None:
        """Until every node has ended or a step has failed."""
        run = self.ledger.run
        self.sink(events.RunStarted(run.id, run.pipeline, self._planned.steps))
        self._skip_undone()
        while True:
            self._start()
            if self.error is None and (self._schedule.has_ready or (self._ready and not self.jobs)):
                continue
            if not self.jobs and (self.error is not None or not self._elsewhere):
                break
            self._collect(_POLL_SECONDS if self._elsewhere else None)
        left = self._schedule.unfinished.values()
        assert self.error or len(self._schedule.unwanted()) == len(left), (
            "a step waits for what nothing makes"
        )
        for node in left:
            self._recording.skipped(node, "" if self.error else UNWANTED)

    def run_last(self, job: Job) -> None:
        """Run a job of its own, when all else has ended, and whatever became of that."""
        self._schedule.enter(job.node)
        self.jobs.append(job)
        self._recording.started(job)
        self._order(job)
        self._dispatch.begin()
        while self.jobs:
            self._collect(None)
        self._recording.settle()

    @property
    def found(self) -> Found:
        """Each output that is there, by node and output."""
        return self._schedule.found

    def decided(self) -> Graph:
        """The graph without the choices that were made: what took one takes what was chosen."""
        return self.graph.decided(self._schedule.taken)

    def outputs(self) -> dict[str, Ref]:
        """The pipeline's results; a list of several is stored as one."""
        made: dict[str, Ref] = {}
        for name, port in self.graph.outputs.items():
            made[name], saved = lists.whole(self.store.blobs, self.found[port.node, port.output])
            self.ledger.artifacts(saved)
        return made

    def abort(self) -> None:
        """Stop what is being computed and let others have the locks."""
        self.executor.abort()
        for job in self.jobs:
            job.lock.close()
        self._recording.abandon()
        self.jobs.clear()

    # -- what can start

    def _start(self) -> None:
        """Take what is stored, and start what is not while a worker is free for it."""
        self._ready.extend(self._elsewhere)
        self._elsewhere.clear()
        while self.error is None:
            new: list[plan.Candidate] = []
            for node in self._schedule.take():
                if node.role == "items":
                    self._unfold(node)
                elif node.component is None:
                    self._read(node)
                else:
                    new.append(self._candidate(node))
            if self.error is None:
                many = len(new) > self._dispatch.free or self._is_limited
                self._ready.extend(self._not_stored(new) if many else new)
            begun = self.error is None and self._begin()
            ended = bool(self._recording.unsettled)
            self._recording.settle()
            if not begun and not self._schedule.has_ready and not ended:
                return
        self._recording.settle()

    def _candidate(self, node: Node) -> plan.Candidate:
        resolved = plan.resolve_inputs(node, self._schedule.found)
        assert node.component is not None
        assert resolved is not None
        parts = plan.parts_of(node, self.closures[id(node.component.origin)], resolved, self.seed)
        return plan.Candidate(node, parts, parts.key(), resolved)

    def _not_stored(self, candidates: list[plan.Candidate]) -> list[plan.Candidate]:
        """Of more than can be started: those that must be, once all that is stored is taken."""
        hits = self._known.find([c.key for c in candidates])
        for candidate in candidates:
            if candidate.key in hits:
                self._hit(candidate, hits[candidate.key])
        return [c for c in candidates if c.key not in hits]

    def _begin(self) -> bool:
        """Start as many as there are workers for; whether another turn may find more to do."""
        some = self._chosen()
        if not some:
            return False
        if {c.key for c in some} & self._recording.unsettled:
            self._recording.settle()
        # Each key's lock is taken before the look, so that a miss is still one when it is started.
        # Two steps of one key share its lock: the first computes, the other finds what it made.
        hits = self._known.at_hand([c.key for c in some])
        locks = {key: self._locked(key) for key in {c.key: None for c in some if c.key not in hits}}
        moved = False
        try:
            hits |= self._recording.settle(list(locks))
            for candidate in some:
                lock = locks.get(candidate.key)
                if candidate.key in hits:
                    self._hit(candidate, hits[candidate.key])
                    moved = True
                elif lock is None or self.error is not None or not self._may_begin(candidate.node):
                    self._elsewhere.append(candidate)
                elif not self._dispatch.free and candidate.is_importable:
                    self._ready.appendleft(candidate)
                else:
                    locks[candidate.key] = None
                    self._begin_one(candidate, lock)
                    moved = True
        finally:
            for lock in locks.values():
                if lock is not None:
                    lock.close()
        self._dispatch.begin()
        return moved and (self._schedule.has_ready or (bool(self._ready) and self._dispatch.free > 0))

    def _chosen(self) -> list[plan.Candidate]:
        """Those of the ready, in order, that there are workers and room for now."""
        ready = list(islice(self._ready, _LOOKED_AT if self._is_limited else self._dispatch.free + 1))
        wanted = [c.node.resources if c.is_importable else Resources() for c in ready]
        room = self._dispatch.chosen(wanted)
        some: list[plan.Candidate] = []
        for candidate, has_room in zip(ready, room, strict=True):
            if len(some) >= self._dispatch.free and (some or candidate.is_importable):
                break
            if has_room:
                some.append(candidate)
                self._ready.remove(candidate)
        return some

    def _may_begin(self, node: Node) -> bool:
        """Whether this machine has what a step needs; before the first one, also what all need that surely come."""
        nodes = [node]
        if not self._is_checked:
            self._is_checked = True
            nodes += [n for n in certain(self.graph.nodes) if n.name in self._schedule.unfinished]
        error = self.executor.lacking(nodes) or keeping.unkeepable(nodes)
        if error is not None:
            self._refuse(self._schedule.unfinished[str(error.details["step"])], error, 0.0)
        return error is None

    def _locked(self, key: str) -> ExitStack | None:
        """The lock of a key, or None while another run, or another step of this one, has it."""
        lock = ExitStack()
        try:
            part = int(key.rpartition(":")[2][:15], 16)
            lock.enter_context(self.store.locks.hold("steps", part=part, timeout_seconds=0))
        except Conflict:
            return None
        return lock

    def _hit(self, candidate: plan.Candidate, hit: cache.Hit) -> None:
        node = candidate.node
        self._end(node, hit.outputs)
        self._recording.hit(node, candidate.parts, candidate.key, hit)

    def _begin_one(self, candidate: plan.Candidate, lock: ExitStack) -> None:
        node = candidate.node
        why = self._recording.why(node, candidate.parts)
        assert node.component is not None
        sources.keep(self.store.blobs, self.closures[id(node.component.origin)], self._kept)
        started = time.perf_counter()
        job = Job(node, candidate.parts, candidate.key, candidate.inputs, why, lock, started)
        self.jobs.append(job)
        self._recording.started(job)
        if node.role in ("rows", "apply"):
            self._order_chunks(job)
        else:
            self._order(job)

    # -- orders

    def _order_chunks(self, job: Job) -> None:
        node = job.node
        assert node.table is not None
        table = job.inputs[node.table]
        base = job.parts.chunk_base(node.table)
        try:
            job.chunks = cache.plan_chunks(self.store, base, table)
        except InvalidInput as error:
            job.outcomes.append(Outcome(error=error.to_json()))
            self.error = job.error
            self._finish(job)
            return
        tasks = job.chunks.tasks
        if not tasks:
            self._finish(job)
            return
        component = node.component
        shares = min(self.workers, len(tasks)) if component is not None and component.importable else 1
        shares = self.executor.at_once(node, shares)
        for share in range(shares):
            self._order(job, tuple(tasks[share::shares]))

    def _order(self, job: Job, tasks: tuple[Any, ...] = ()) -> None:
        component = job.node.component
        assert component is not None
        closure = self.closures[id(component.origin)]
        order = job.order(closure, self.files, seed=self.seed, blobs=self.store.blobs.place, tasks=tasks)
        job.pending += 1
        if component.importable:
            self._dispatch.add(Attempt(job, order))
            return
        attempt: Attempt | None = Attempt(job, order)
        while attempt is not None:
            time.sleep(attempt.wait_seconds)
            outcome = run_inline(order, component, partial(self._dispatch.progress, attempt))
            attempt = self._done(attempt, outcome)

    # -- what has ended

    def _collect(self, timeout_seconds: float | None) -> None:
        for attempt, outcome in self._dispatch.collect(timeout_seconds):
            again = self._done(attempt, outcome)
            if again is not None:
                self._dispatch.add(again)
        if self.error is None:
            self._dispatch.begin()

    def _done(self, attempt: Attempt, outcome: Outcome) -> Attempt | None:
        """Take what came of an attempt; the next one, where it failed and may be tried again."""
        if self.error is None and (again := self._dispatch.again(attempt, outcome)) is not None:
            return again
        job = attempt.job
        job.pending -= 1
        job.outcomes.append(outcome)
        if outcome.error is not None and self.error is None:
            self.error = job.named(outcome.error)
        if (progress := job.progress()) is not None:
            self.sink(progress)
        if self.error is not None:
            self._dispatch.drop()
        for other in [job, *self.jobs]:
            if other.pending == 0 and other in self.jobs:
                self._finish(other)
        return None

    def _finish(self, job: Job) -> None:
        self.jobs.remove(job)
        if job.error is not None:
            self._recording.failed(job, job.error)
            self._schedule.fail(job.node)
        elif job.is_complete:
            saved = job.saved(self.store.blobs)
            self._recording.computed(job, saved)
            self._end(job.node, {name: artifact.ref for name, artifact in saved.items()})
        else:
            try:
                self.ledger.memos(job.memos())
            finally:
                job.lock.close()

    def _end(self, node: Node, outputs: dict[str, Ref]) -> None:
        """What came of a node is there for others, and decides what stands under it."""
        try:
            self._schedule.end(node, outputs)
        except TidemillError as error:
            self.error = self.error or error.to_json()
        self._skip_undone()

    def _skip_undone(self) -> None:
        skipped, self._schedule.skipped = self._schedule.skipped, []
        for node, why in skipped:
            self._recording.skipped(node, why)

    def _unfold(self, items: Node) -> None:
        """The list that a ``tm.each`` goes through is there."""
        try:
            members = lists.members_of(self.store.blobs, items, self._schedule)
            added = self._schedule.unfold(items, members)
        except TidemillError as error:
            self.error = self.error or error.to_json()
            self._skip_undone()
            return
        self.nodes += [node for _, node in added]
        if added:
            self.sink(events.StepsAdded(self.ledger.run.id, self._planned.unfolded(added)))
        self._skip_undone()

    # -- what is read

    def _read(self, node: Node) -> None:
        started = time.perf_counter()
        try:
            if node.model is not None:
                version, ref = inputs.registered_model(self.store, node.model)
                self._end(node, {"result": ref})
                self._recording.model(node, node.model.name, version, ref)
            else:
                assert node.reference is not None
                read = inputs.read(self.store, node.reference, self.resolve, self.sink)
                self._end(node, {"result": read.table.ref})
                self._recording.dataset(node, read, time.perf_counter() - started)
        except TidemillError as error:
            self._refuse(node, error, time.perf_counter() - started)

    def _refuse(self, node: Node, error: TidemillError, seconds: float) -> None:
        """A node failed before it was given to anybody."""
        self.error = {**error.to_json(), "details": {**error.details, "step": node.name}}
        self._schedule.fail(node)
        self._recording.refused(node, self.error, seconds)
