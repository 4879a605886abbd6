"""Run a graph: take what is stored, compute the rest in the order in which inputs become ready, record each step."""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import events
from tidemill.core.clock import now, stamp
from tidemill.core.errors import Conflict, Interrupted, TidemillError
from tidemill.core.names import Reference
from tidemill.engine import cache, inputs, plan, tables
from tidemill.engine.closure import Closure, closure_of
from tidemill.engine.executors.inline import run_inline
from tidemill.engine.executors.local import LocalExecutor, threads
from tidemill.engine.ledger import Ledger, mark_interrupted
from tidemill.engine.orders import Order, Outcome, Ref, Saved
from tidemill.engine.why import FIRST, Earlier, compare, reason
from tidemill.pipeline import load
from tidemill.pipeline.components import Component
from tidemill.pipeline.graph import Graph, Node
from tidemill.pipeline.model import Model
from tidemill.store.catalog import records

if TYPE_CHECKING:
    from tidemill.store.open import Store

_POLL_SECONDS = 0.02
_LOCKS = 4096
"""Keys share this many locks: enough that two seldom meet, few enough for a folder."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run.

    Attributes:
        steps: In the order of the graph.
        outputs: The pipeline's results by name, as artifacts; empty when it failed.
    """

    run: records.Run
    steps: list[records.Step]
    outputs: dict[str, Ref]


def run(
    store: "Store",
    graph: Graph,
    *,
    pipeline_name: str,
    file: Path | None,
    parameters: dict[str, Any],
    trigger: str = "person",
    sink: events.Sink = events.silent,
    workers: int = 2,
    project_folder: Path | None = None,
    resolve: Callable[[Reference], Any] | None = None,
    seed: int = 0,
) -> RunResult:
    """Run a graph to its end. A failed step makes a failed run, not an exception.

    Args:
        store: Where records, results and what was computed before are.
        graph: Of ``Pipeline.build``.
        pipeline_name: What the run is called in the records.
        file: Where the pipeline is defined.
        parameters: The run's parameter values, for the record.
        trigger: What started it.
        sink: Gets ``StepStarted``, ``StepFinished`` and ``Progress``.
        workers: How many worker processes may compute at once.
        project_folder: What ``file`` is recorded relative to.
        resolve: Gives the snapshot of a dataset reference; needed only when it is not known already.
        seed: Of ``random``, NumPy and Keras in every step; part of every key.

    Raises:
        InvalidInput: ``no-code-digest``; before anything is recorded.
        Interrupted: When it is stopped from the keyboard; what is finished is kept.
        StorageError: When the store cannot be written.
    """
    mark_interrupted(store)
    closures = _closures(graph)
    recorded_file = _relative(file, project_folder)
    ledger = Ledger(store, pipeline=pipeline_name, file=recorded_file, parameters=parameters, trigger=trigger)
    # The files' time and size when they were loaded: what the keys are made of.
    files, earlier = load.files(), Earlier(store, ledger.run)
    execution = _Execution(store, graph, ledger, closures, sink, workers, resolve, seed, files, earlier)
    try:
        execution.run()
    except KeyboardInterrupt:
        execution.abort()
        error = Interrupted(
            f"Run {ledger.run.id} was stopped.", hint="Run again: its finished steps are not computed again."
        )
        ledger.close("interrupted", {}, error.to_json())
        raise error from None
    except BaseException as error:
        execution.abort()
        described = (
            error.to_json()
            if isinstance(error, TidemillError)
            else {"code": "internal", "message": str(error)}
        )
        # The first error is the one to tell; the next command marks the run as interrupted.
        with suppress(TidemillError):
            ledger.close("failed", {}, described)
        raise
    outputs = {} if execution.error else execution.outputs()
    status: records.RunStatus = "failed" if execution.error else "succeeded"
    ledger.close(status, {n: r.digest for n, r in outputs.items()}, execution.error)
    steps = sorted(ledger.steps.values(), key=lambda s: s.position)
    return RunResult(ledger.run, steps, outputs)


def _closures(graph: Graph) -> dict[int, Closure]:
    """The code closure of each component, by the identity of the function it was made from."""
    found: dict[int, Closure] = {}
    for node in graph.nodes:
        component = node.component
        if component is not None and id(component.origin) not in found:
            found[id(component.origin)] = closure_of(component.origin)
    return found


def _relative(file: Path | None, folder: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.resolve().relative_to((folder or Path.cwd()).resolve()).as_posix()
    except ValueError:
        return str(file)


@dataclass(slots=True)
class _Job:
    """A node that is being computed: its key, its lock, and the orders it was parted into."""

    node: Node
    parts: plan.Parts
    key: str
    inputs: plan.Inputs
    why: str
    lock: ExitStack
    started: float
    chunks: cache.ChunkPlan | None = None
    pending: int = 0
    outcomes: list[Outcome] = field(default_factory=list[Outcome])


@dataclass(slots=True)
class _Execution:
    store: "Store"
    graph: Graph
    ledger: Ledger
    closures: dict[int, Closure]
    sink: events.Sink
    workers: int
    resolve: Callable[[Reference], Any] | None
    seed: int
    files: dict[str, tuple[int, int]]
    earlier: Earlier
    error: dict[str, Any] | None = None
    found: dict[tuple[str, str], Ref] = field(default_factory=dict[tuple[str, str], Ref])
    waiting: list[Node] = field(default_factory=list[Node])
    orders: list[tuple[_Job, Order]] = field(default_factory=list[tuple[_Job, Order]])
    jobs: list[_Job] = field(default_factory=list[_Job])
    executor: LocalExecutor | None = None

    def run(self) -> None:
        """Until every node has ended or a step has failed."""
        self.waiting = list(self.graph.nodes)
        while True:
            blocked = False
            if self.error is None:
                blocked = self._start_ready()
            if not self.jobs and not blocked:
                assert self.error or not self.waiting, "a step waits for what nothing makes"
                break
            self._collect(_POLL_SECONDS if blocked else None)
        for node in self.waiting:
            self._skip(node)

    def outputs(self) -> dict[str, Ref]:
        """The pipeline's results."""
        return {name: self.found[port.node, port.output] for name, port in self.graph.outputs.items()}

    def abort(self) -> None:
        """Stop what is being computed and let others have the locks."""
        if self.executor is not None:
            self.executor.abort()
        for job in self.jobs:
            job.lock.close()
        self.jobs.clear()

    # -- what can start

    def _start_ready(self) -> bool:
        """Take hits and start misses until nothing more is ready; whether a key is being computed elsewhere."""
        while True:
            ready: list[tuple[Node, plan.Parts | None, str | None, plan.Inputs]] = []
            for node in self.waiting:
                resolved = plan.resolve_inputs(node, self.found)
                if resolved is None:
                    continue
                if node.component is None:
                    ready.append((node, None, None, resolved))
                    continue
                closure = self.closures[id(node.component.origin)]
                parts = plan.parts_of(node, closure, resolved, self.seed)
                ready.append((node, parts, parts.key(), resolved))
            hits = cache.lookup(self.store, [key for _, _, key, _ in ready if key is not None])
            blocked, moved = False, False
            for node, parts, key, resolved in ready:
                if parts is None or key is None:
                    self._read(node)
                    moved = True
                elif key in hits:
                    self._hit(node, parts, key, hits[key])
                    moved = True
                elif self._start(node, parts, key, resolved):
                    # In this process it is finished by now, which may have made others ready.
                    moved = moved or (node.name, node.outputs[0]) in self.found or self.error is not None
                else:
                    blocked = True
                if self.error is not None:
                    return False
            if not moved:
                self._dispatch()
                return blocked

    def _hit(self, node: Node, parts: plan.Parts, key: str, hit: cache.Hit) -> None:
        self.waiting.remove(node)
        for name, ref in hit.outputs.items():
            self.found[node.name, name] = ref
        outputs = {n: r.digest for n, r in hit.outputs.items()}
        step = self._step(
            node, "cached", parts, key, outputs=outputs, rows_in=hit.rows_in, rows_out=hit.rows_out
        )
        self.ledger.hit(step)
        self.sink(events.StepFinished(self.ledger.run.id, node.name, "cached", 0.0, "", None))

    def _start(self, node: Node, parts: plan.Parts, key: str, resolved: plan.Inputs) -> bool:
        """Begin to compute a node; False while another run computes the same key."""
        lock = ExitStack()
        try:
            name = f"step-{int(key.rpartition(':')[2][:8], 16) % _LOCKS:03x}"
            lock.enter_context(self.store.locks.hold(name, timeout_seconds=0))
        except Conflict:
            return False
        # Whoever held the lock may have finished this very step since we looked.
        hit = cache.lookup(self.store, [key]).get(key)
        if hit is not None:
            lock.close()
            self._hit(node, parts, key, hit)
            return True
        self.waiting.remove(node)
        why = self._why(node, parts)
        job = _Job(node, parts, key, resolved, why, lock, time.perf_counter())
        self.jobs.append(job)
        self.sink(events.StepStarted(self.ledger.run.id, node.name, why))
        if node.role in ("rows", "apply"):
            self._order_chunks(job)
        else:
            self._order(job, self._order_for(job, ()))
        return True

    def _why(self, node: Node, parts: plan.Parts) -> str:
        before = self.earlier.record(node.name)
        if before is None:
            return FIRST
        return reason(compare(before.parts, parts.to_json()), first=False)

    # -- orders

    def _order_chunks(self, job: _Job) -> None:
        node = job.node
        assert node.table is not None
        table = job.inputs[node.table]
        base = job.parts.chunk_base(node.table)
        job.chunks = cache.plan_chunks(self.store, base, table)
        tasks = job.chunks.tasks
        if not tasks:
            self._finish(job)
            return
        shares = min(self.workers, len(tasks)) if _importable(node) else 1
        for share in range(shares):
            self._order(job, self._order_for(job, tuple(tasks[share::shares])))

    def _order_for(self, job: _Job, tasks: tuple[Any, ...]) -> Order:
        node = job.node
        component = node.component
        assert component is not None
        file = component.file
        inside = component.module.startswith("tidemill.")
        closure = self.closures[id(component.origin)]
        given = {
            n: s for n, s in job.inputs.items() if not (node.role in ("rows", "apply") and n == node.table)
        }
        return Order(
            step=node.name,
            role=node.role,
            module=component.module,
            variable=component.variable,
            file=str(file) if file and not inside else None,
            folder=_folder(component),
            files={f: self.files[f] for f in closure.files if f in self.files},
            packages=tuple(closure.packages),
            settings=node.settings,
            inputs=given,
            outputs=node.outputs,
            table=node.table,
            tasks=tasks,
            seed=self.seed,
            store=str(self.store.folder),
        )

    def _order(self, job: _Job, order: Order) -> None:
        job.pending += 1
        component = job.node.component
        if component is not None and not component.importable:
            outcome = run_inline(order, component, lambda report: self._progress(job, report))
            self._done(job, outcome)
            return
        self.orders.append((job, order))

    def _dispatch(self) -> None:
        if self.orders and self.executor is None:
            self.executor = LocalExecutor(self.workers)
        while self.orders and self.executor is not None and self.executor.free > 0:
            job, order = self.orders.pop(0)
            self.executor.start(order, job)

    def _collect(self, timeout_seconds: float | None) -> None:
        if self.executor is None:
            if timeout_seconds is not None:
                time.sleep(timeout_seconds)
            return
        finished = self.executor.collect(timeout_seconds, self._progress)
        if not finished and not self.executor.busy and timeout_seconds is not None:
            time.sleep(timeout_seconds)
        for task, outcome in finished:
            assert isinstance(task, _Job)
            self._done(task, outcome)
        if self.error is None:
            self._dispatch()

    def _progress(self, task: object, report: tuple[float, float | None, str, str]) -> None:
        assert isinstance(task, _Job)
        done, total, label, unit = report
        name = f"{task.node.name}: {label}" if label else task.node.name
        self.sink(events.Progress(name, done, total, unit))

    # -- what has ended

    def _done(self, job: _Job, outcome: Outcome) -> None:
        job.pending -= 1
        job.outcomes.append(outcome)
        if outcome.error is not None and self.error is None:
            self.error = self._name_step(job, outcome.error)
        self._count_rows(job)
        if self.error is not None:
            # Orders of a failed run that nobody has begun are not begun.
            for other, _ in self.orders:
                other.pending -= 1
            self.orders.clear()
        for other in [job, *self.jobs]:
            if other.pending == 0 and other in self.jobs:
                self._finish(other)

    def _count_rows(self, job: _Job) -> None:
        if job.chunks is not None and len(job.chunks.tasks) > 1:
            ended = [i for o in job.outcomes for i in o.chunks]
            done = sum(job.chunks.chunks[i]["rows"] for i in ended)
            total = sum(t.chunk["rows"] for t in job.chunks.tasks)
            self.sink(events.Progress(job.node.name, done, total, "rows"))

    def _finish(self, job: _Job) -> None:
        failed = next((o.error for o in job.outcomes if o.error is not None), None)
        incomplete = job.chunks is not None and len(job.chunks.tasks) > sum(
            len(o.chunks) for o in job.outcomes
        )
        try:
            if failed is not None:
                self._failed(job, self._name_step(job, failed))
            elif incomplete or (job.chunks is None and not job.outcomes):
                self.ledger.memos(self._memos(job))
                self.waiting.append(job.node)
            else:
                self._computed(job)
        finally:
            self.jobs.remove(job)
            job.lock.close()

    def _computed(self, job: _Job) -> None:
        node = job.node
        saved = self._assembled(job) if job.chunks is not None else job.outcomes[0].saved
        for name, artifact in saved.items():
            self.found[node.name, name] = artifact.ref
        rows_in, rows_out = self._rows_in(job), _rows_out(saved)
        outputs = {n: s.digest for n, s in saved.items()}
        step = self._step(
            node, "computed", job.parts, job.key, job=job, outputs=outputs, rows_in=rows_in, rows_out=rows_out
        )
        self.ledger.computed(step, saved, self._memos(job))
        self.sink(
            events.StepFinished(
                self.ledger.run.id, node.name, "computed", step.seconds, job.why, step.rows_computed
            )
        )

    def _assembled(self, job: _Job) -> dict[str, Saved]:
        """The output tables of a row-wise step, from old and new chunks."""
        chunks = job.chunks
        assert chunks is not None
        done = dict(chunks.done)
        columns: dict[str, list[dict[str, Any]]] = {}
        for memo in chunks.memos.values():
            columns.update(memo["columns"])
        for outcome in job.outcomes:
            done.update(outcome.chunks)
            for memo in outcome.memos.values():
                columns.update(memo["columns"])
        ordered = [done[i] for i in range(len(chunks.chunks))]
        return {
            n: tables.manifest(self.store.blobs, [c[n] for c in ordered], columns[n])
            for n in job.node.outputs
        }

    def _memos(self, job: _Job) -> dict[str, Any]:
        if job.chunks is None:
            return {}
        return {job.chunks.keys[i]: memo for o in job.outcomes for i, memo in o.memos.items()}

    def _rows_in(self, job: _Job) -> int | None:
        if job.chunks is not None:
            return sum(c["rows"] for c in job.chunks.chunks)
        return job.outcomes[0].rows_in

    def _failed(self, job: _Job, error: dict[str, Any]) -> None:
        self.ledger.memos(self._memos(job))
        step = self._step(job.node, "failed", job.parts, None, job=job, error=error)
        self.ledger.failed(step)
        self.sink(
            events.StepFinished(self.ledger.run.id, job.node.name, "failed", step.seconds, job.why, None)
        )

    def _name_step(self, job: _Job, error: dict[str, Any]) -> dict[str, Any]:
        details = {**error.get("details", {}), "step": job.node.name}
        message = str(error["message"])
        if job.node.name not in message:
            message = f"Step '{job.node.name}': {message}"
        return {**error, "message": message, "details": details}

    def _skip(self, node: Node) -> None:
        step = self._step(node, "skipped", None, None)
        self.ledger.hit(step)
        self.sink(events.StepFinished(self.ledger.run.id, node.name, "skipped", 0.0, "", None))

    def _read(self, node: Node) -> None:
        started = time.perf_counter()
        try:
            if node.model is not None:
                self._take_model(node, node.model)
            else:
                assert node.reference is not None
                self._read_dataset(node, node.reference, started)
        except TidemillError as error:
            self.error = {**error.to_json(), "details": {**error.details, "step": node.name}}
            self.waiting.remove(node)
            self.ledger.failed(self._step(node, "failed", None, None, error=self.error))
            seconds = time.perf_counter() - started
            self.sink(events.StepFinished(self.ledger.run.id, node.name, "failed", seconds, "", None))

    def _take_model(self, node: Node, wanted: Model) -> None:
        version, ref = inputs.registered_model(self.store, wanted)
        self.waiting.remove(node)
        self.found[node.name, "result"] = ref
        parts = plan.Parts(f"model:{wanted.name}", {}, {}, {}, {"version": str(version)})
        self.ledger.hit(self._step(node, "cached", parts, ref.digest, outputs={"result": ref.digest}))
        self.sink(events.StepFinished(self.ledger.run.id, node.name, "cached", 0.0, "", None))

    def _read_dataset(self, node: Node, reference: Reference, started: float) -> None:
        name = reference.name
        read = inputs.read(self.store, reference, self.resolve, self.sink)
        self.waiting.remove(node)
        self.ledger.input(name if name not in self.ledger.run.inputs else str(reference), read.commit)
        self.found[node.name, "result"] = read.table.ref
        parts = plan.Parts(f"dataset:{name}", {}, {}, {}, {"commit": read.commit})
        rows = int(read.table.meta["rows"])
        status: records.StepStatus = "cached" if read.rows_read is None else "computed"
        why = self._why(node, parts) if status == "computed" else ""
        step = self._step(
            node,
            status,
            parts,
            read.key,
            outputs={"result": read.table.digest},
            rows_in=rows,
            rows_out=rows,
            rows_computed=read.rows_read,
            why=why,
            seconds=time.perf_counter() - started,
        )
        if read.entries:
            self.ledger.computed(step, {"result": read.table}, {}, read.entries)
        else:
            self.ledger.hit(step)
        self.sink(
            events.StepFinished(self.ledger.run.id, node.name, status, step.seconds, why, read.rows_read)
        )

    def _step(
        self,
        node: Node,
        status: records.StepStatus,
        parts: plan.Parts | None,
        key: str | None,
        *,
        job: _Job | None = None,
        outputs: dict[str, str] | None = None,
        rows_in: int | None = None,
        rows_out: int | None = None,
        rows_computed: int | None = None,
        why: str = "",
        seconds: float = 0.0,
        error: dict[str, Any] | None = None,
    ) -> records.Step:
        outcomes = job.outcomes if job else []
        computed = [o.rows_computed for o in outcomes if o.rows_computed is not None]
        peaks = [o.peak_bytes for o in outcomes if o.peak_bytes is not None]
        body = parts.to_json() if parts else {}
        if job is not None:
            body["threads"] = threads()
            if job.chunks is not None and not outcomes:
                computed = [0]
        return records.Step(
            run=self.ledger.run.id,
            name=node.name,
            position=self.graph.nodes.index(node),
            component=node.component.name
            if node.component
            else f"{node.role}:{node.reference or node.model}",
            kind=node.kind,
            status=status,
            key=key,
            parts=body,
            outputs=outputs or {},
            why=job.why if job else why,
            seconds=time.perf_counter() - job.started if job else seconds,
            finished_at=stamp(now()),
            rows_in=rows_in,
            rows_out=rows_out,
            rows_computed=sum(computed) if computed else rows_computed,
            peak_bytes=max(peaks) if peaks else None,
            log=next((o.log for o in outcomes if o.log), None),
            error=error,
        )


def _rows_out(saved: dict[str, Saved]) -> int | None:
    counts = [int(s.meta["rows"]) for s in saved.values() if s.kind == "table"]
    return sum(counts) if counts else None


def _importable(node: Node) -> bool:
    return node.component is not None and node.component.importable


def _folder(component: Component[..., Any]) -> str | None:
    """The folder that the component's module was imported from, for ``sys.path``."""
    file = component.file
    if file is None or component.module.startswith("tidemill."):
        return None
    if load.installed(str(file)):
        return None
    depth = component.module.count(".") + (1 if file.name == "__init__.py" else 0)
    folder = file.parent
    for _ in range(depth):
        folder = folder.parent
    return str(folder)
