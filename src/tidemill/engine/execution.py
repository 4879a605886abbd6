"""The way through one graph: what is ready is taken from the cache or started; what ends is recorded."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from tidemill.core import events
from tidemill.core.errors import Conflict, InvalidInput, TidemillError
from tidemill.core.names import Reference
from tidemill.engine import cache, inputs, lists, plan, sources
from tidemill.engine.attempts import Attempt
from tidemill.engine.closure import Closure
from tidemill.engine.executors.bounded import Bounded
from tidemill.engine.executors.environment import threads
from tidemill.engine.executors.inline import run_inline
from tidemill.engine.job import Job, rows_of
from tidemill.engine.ledger import Ledger, step_record
from tidemill.engine.orders import Outcome, Ref
from tidemill.engine.planned import Planned
from tidemill.engine.schedule import UNWANTED, Found, Schedule
from tidemill.engine.why import FIRST, Earlier, compare, reason
from tidemill.pipeline.graph import Graph, Node, certain
from tidemill.pipeline.model import Model
from tidemill.pipeline.resources import Resources
from tidemill.store.catalog import records

if TYPE_CHECKING:
    from tidemill.store.open import Store

_POLL_SECONDS = 0.02
_LOOKED_AT = 256
"""How many of those that are ready are looked at for some that there is room for."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A node whose inputs are all there."""

    node: Node
    parts: plan.Parts
    key: str
    inputs: plan.Inputs


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
    _ready: deque[_Candidate] = field(default_factory=deque[_Candidate])
    _elsewhere: list[_Candidate] = field(default_factory=list[_Candidate])
    _attempts: deque[Attempt] = field(default_factory=deque[Attempt])
    _kept: set[str] = field(default_factory=set[str])
    _ended: list[tuple[Job, records.Step]] = field(default_factory=list[tuple[Job, records.Step]])

    def __post_init__(self) -> None:
        self._schedule = Schedule(self.graph)
        self._planned = Planned(self.graph)
        self.nodes = list(self.graph.nodes)
        self._known = cache.Known(self.store, self.earlier.keys())
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
            self._skip(node, "" if self.error else UNWANTED)

    def run_last(self, job: Job) -> None:
        """Run a job of its own, when all else has ended, and whatever became of that."""
        self._schedule.enter(job.node)
        self.jobs.append(job)
        self.sink(events.StepStarted(self.ledger.run.id, job.node.name, job.why))
        self._order(job)
        self._dispatch()
        while self.jobs:
            self._collect(None)
        self._settle()

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
        for job in [*self.jobs, *(job for job, _ in self._ended)]:
            job.lock.close()
        self.jobs.clear()

    # -- what can start

    def _start(self) -> None:
        """Take what is stored, and start what is not while a worker is free for it."""
        self._ready.extend(self._elsewhere)
        self._elsewhere.clear()
        while self.error is None:
            new: list[_Candidate] = []
            for node in self._schedule.take():
                if node.role == "items":
                    self._unfold(node)
                elif node.component is None:
                    self._read(node)
                else:
                    new.append(self._candidate(node))
            if self.error is None:
                many = len(new) > self._free or self._is_limited
                self._ready.extend(self._not_stored(new) if many else new)
            begun = self.error is None and self._begin()
            ended = bool(self._ended)
            self._settle()
            if not begun and not self._schedule.has_ready and not ended:
                return
        self._settle()

    @property
    def _free(self) -> int:
        return max(0, self.executor.free - len(self._attempts))

    def _candidate(self, node: Node) -> _Candidate:
        resolved = plan.resolve_inputs(node, self._schedule.found)
        assert node.component is not None
        assert resolved is not None
        closure = self.closures[id(node.component.origin)]
        parts = plan.parts_of(node, closure, resolved, self.seed)
        return _Candidate(node, parts, parts.key(), resolved)

    def _not_stored(self, candidates: list[_Candidate]) -> list[_Candidate]:
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
        if {c.key for c in some} & {job.key for job, _ in self._ended}:
            self._settle()
        # Each key's lock is taken before the look, so that a miss is still one when it is started.
        # Two steps of one key share its lock: the first computes, the other finds what it made.
        hits = self._known.at_hand([c.key for c in some])
        locks = {key: self._locked(key) for key in {c.key: None for c in some if c.key not in hits}}
        moved = False
        try:
            hits |= self._settle(list(locks))
            for candidate in some:
                lock = locks.get(candidate.key)
                if candidate.key in hits:
                    self._hit(candidate, hits[candidate.key])
                    moved = True
                elif lock is None or self.error is not None or not self._may_begin(candidate.node):
                    self._elsewhere.append(candidate)
                elif not self._free and _importable(candidate):
                    self._ready.appendleft(candidate)
                else:
                    locks[candidate.key] = None
                    self._begin_one(candidate, lock)
                    moved = True
        finally:
            for lock in locks.values():
                if lock is not None:
                    lock.close()
        self._dispatch()
        return moved and (self._schedule.has_ready or (bool(self._ready) and self._free > 0))

    def _chosen(self) -> list[_Candidate]:
        """Those of the ready, in order, that there are workers and room for now."""
        ready = list(islice(self._ready, _LOOKED_AT if self._is_limited else self._free + 1))
        waiting = [a.order.resources for a in self._attempts]
        wanted = [c.node.resources if _importable(c) else Resources() for c in ready]
        room = self.executor.chosen([*waiting, *wanted])[len(waiting) :]
        some: list[_Candidate] = []
        for candidate, has_room in zip(ready, room, strict=True):
            if len(some) >= self._free and (some or _importable(candidate)):
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
        error = self.executor.lacking(nodes)
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

    def _hit(self, candidate: "_Candidate", hit: cache.Hit) -> None:
        node = candidate.node
        self._end(node, hit.outputs)
        outputs = {n: r.digest for n, r in hit.outputs.items()}
        rows_in, rows_out = hit.rows_in, hit.rows_out
        step = self._step(
            node,
            "cached",
            candidate.parts,
            candidate.key,
            outputs=outputs,
            rows_in=rows_in,
            rows_out=rows_out,
        )
        self.ledger.hit(step)
        self._tell(step)

    def _begin_one(self, candidate: "_Candidate", lock: ExitStack) -> None:
        node = candidate.node
        why = self._why(node, candidate.parts)
        assert node.component is not None
        sources.keep(self.store.blobs, self.closures[id(node.component.origin)], self._kept)
        started = time.perf_counter()
        job = Job(node, candidate.parts, candidate.key, candidate.inputs, why, lock, started)
        self.jobs.append(job)
        self.sink(events.StepStarted(self.ledger.run.id, node.name, why))
        if node.role in ("rows", "apply"):
            self._order_chunks(job)
        else:
            self._order(job)

    def _tell(self, step: records.Step) -> None:
        self.sink(
            events.StepFinished(step.run, step.name, step.status, step.seconds, step.why, step.rows_computed)
        )

    def _why(self, node: Node, parts: plan.Parts) -> str:
        before = self.earlier.record(node.name)
        if before is None:
            return FIRST
        return reason(compare(before.parts, parts.to_json()), first=False)

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
            self._attempts.append(Attempt(job, order))
            return
        attempt: Attempt | None = Attempt(job, order)
        while attempt is not None:
            time.sleep(attempt.wait_seconds)
            outcome = run_inline(order, component, partial(self._progress, attempt))
            attempt = self._done(attempt, outcome)

    def _dispatch(self) -> None:
        due = [a for a in self._attempts if not a.wait_seconds]
        for attempt, has_room in zip(
            due, self.executor.chosen([a.order.resources for a in due]), strict=True
        ):
            if not self.executor.free:
                break
            if has_room:
                self._attempts.remove(attempt)
                self.executor.start(attempt.order, attempt)

    def _collect(self, timeout_seconds: float | None) -> None:
        pauses = [a.wait_seconds for a in self._attempts if a.wait_seconds]
        if pauses:
            timeout_seconds = min(pauses) if timeout_seconds is None else min(timeout_seconds, *pauses)
        finished = self.executor.collect(timeout_seconds, self._progress)
        if not finished and not self.executor.busy and timeout_seconds is not None:
            time.sleep(timeout_seconds)
        for task, outcome in finished:
            assert isinstance(task, Attempt)
            again = self._done(task, outcome)
            if again is not None:
                self._attempts.append(again)
        if self.error is None:
            self._dispatch()

    def _progress(self, task: object, report: tuple[float, float | None, str, str]) -> None:
        assert isinstance(task, Attempt)
        done, total, label, unit = report
        step = task.job.node.name
        name = f"{step}: {label}" if label else step
        self.sink(events.Progress(name, done, total, unit))

    # -- what has ended

    def _done(self, attempt: Attempt, outcome: Outcome) -> Attempt | None:
        """Take what came of an attempt; the next one, where it failed and may be tried again."""
        job = attempt.job
        if outcome.error is not None and self.error is None:
            again = attempt.next(outcome.error)
            if again is not None:
                step, why = job.node.name, outcome.error["message"]
                self.sink(events.Note(f"Step '{step}' is tried again (attempt {again.number}): {why}"))
                job.attempts = max(job.attempts, again.number)
                return again
        job.pending -= 1
        job.outcomes.append(outcome)
        if outcome.error is not None and self.error is None:
            self.error = job.named(outcome.error)
        if (progress := job.progress()) is not None:
            self.sink(events.Progress(job.node.name, *progress, "rows"))
        if self.error is not None:
            # Orders of a failed run that nobody has begun are not begun.
            for waiting in self._attempts:
                waiting.job.pending -= 1
            self._attempts.clear()
        for other in [job, *self.jobs]:
            if other.pending == 0 and other in self.jobs:
                self._finish(other)
        return None

    def _finish(self, job: Job) -> None:
        self.jobs.remove(job)
        if job.error is not None:
            self._failed(job, job.error)
        elif job.is_complete:
            self._computed(job)
        else:
            try:
                self.ledger.memos(job.memos())
            finally:
                job.lock.close()

    def _computed(self, job: Job) -> None:
        saved = job.saved(self.store.blobs)
        outputs = {n: s.digest for n, s in saved.items()}
        step = self._step_of(job, "computed", key=job.key or None, outputs=outputs, rows_out=rows_of(saved))
        self.ledger.computed(step, saved, job.memos())
        self._ended.append((job, step))
        self._end(job.node, {name: artifact.ref for name, artifact in saved.items()})

    def _failed(self, job: Job, error: dict[str, Any]) -> None:
        step = self._step_of(job, "failed", key=None, error=error)
        self.ledger.failed(step, job.memos())
        self._ended.append((job, step))
        self._schedule.fail(job.node)

    def _settle(self, wanted: Sequence[str] = ()) -> dict[str, cache.Hit]:
        """Write down what has ended; only then is it told, and may another run look for it.

        Returns:
            Those of the keys ``wanted`` that are stored.
        """
        if not self._ended:
            return cache.lookup(self.store, wanted)
        hits = self.ledger.flush(wanted)
        ended, self._ended = self._ended, []
        for job, step in ended:
            job.lock.close()
            self._tell(step)
        return hits

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
            self._skip(node, why)

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

    def _skip(self, node: Node, why: str) -> None:
        if not node.is_step:
            return
        step = self._step(node, "skipped", None, None, why=why)
        self.ledger.hit(step)
        self._tell(step)

    # -- what is read

    def _read(self, node: Node) -> None:
        started = time.perf_counter()
        try:
            if node.model is not None:
                self._take_model(node, node.model)
            else:
                assert node.reference is not None
                self._read_dataset(node, node.reference, started)
        except TidemillError as error:
            self._refuse(node, error, time.perf_counter() - started)

    def _refuse(self, node: Node, error: TidemillError, seconds: float) -> None:
        """A node failed before it was given to anybody."""
        self.error = {**error.to_json(), "details": {**error.details, "step": node.name}}
        self._schedule.fail(node)
        step = self._step(node, "failed", None, None, error=self.error, seconds=seconds)
        self.ledger.failed(step, {})
        self._tell(step)

    def _take_model(self, node: Node, wanted: Model) -> None:
        version, ref = inputs.registered_model(self.store, wanted)
        self._end(node, {"result": ref})
        parts = plan.Parts(f"model:{wanted.name}", {}, {}, {}, {"version": str(version)})
        step = self._step(node, "cached", parts, ref.digest, outputs={"result": ref.digest})
        self.ledger.hit(step)
        self._tell(step)

    def _read_dataset(self, node: Node, reference: Reference, started: float) -> None:
        name = reference.name
        read = inputs.read(self.store, reference, self.resolve, self.sink)
        self._end(node, {"result": read.table.ref})
        self.ledger.input(name if name not in self.ledger.run.inputs else str(reference), read.commit)
        parts = plan.Parts(f"dataset:{name}", {}, {}, {}, {"commit": read.commit})
        rows = int(read.table.meta["rows"])
        status: records.StepStatus = "cached" if read.rows_read is None else "computed"
        step = self._step(
            node,
            status,
            parts,
            read.key,
            outputs={"result": read.table.digest},
            rows_in=rows,
            rows_out=rows,
            rows_computed=read.rows_read,
            why=self._why(node, parts) if status == "computed" else "",
            seconds=time.perf_counter() - started,
        )
        if read.entries:
            self.ledger.computed(step, {"result": read.table}, {}, read.entries)
        else:
            self.ledger.hit(step)
        self._tell(step)

    # -- what is recorded

    def _step_of(
        self,
        job: Job,
        status: records.StepStatus,
        *,
        key: str | None,
        outputs: dict[str, str] | None = None,
        rows_out: int | None = None,
        error: dict[str, Any] | None = None,
    ) -> records.Step:
        step = self._step(
            job.node,
            status,
            job.parts,
            key,
            outputs=outputs,
            rows_in=job.rows_in,
            rows_out=rows_out,
            rows_computed=job.rows_computed,
            why=job.why,
            seconds=job.seconds,
            error=error,
        )
        parts = {**step.parts, "threads": threads()}
        if job.attempts > 1:
            parts["attempts"] = job.attempts
        return replace(step, parts=parts, **job.measured(self.store.blobs))

    def _step(
        self, node: Node, status: records.StepStatus, parts: plan.Parts | None, key: str | None, **facts: Any
    ) -> records.Step:
        position = self._schedule.positions[node.name]
        return step_record(self.ledger.run.id, position, node, status, parts, key, **facts)


def _importable(candidate: _Candidate) -> bool:
    """Whether a worker can compute it; else it is computed here, and needs no worker."""
    component = candidate.node.component
    return component is not None and component.importable
