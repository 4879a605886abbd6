"""Run a graph: take what is stored, compute the rest in the order in which inputs become ready, record each step."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import clock, codes, events
from tidemill.core.errors import Failed, Interrupted, TidemillError
from tidemill.core.names import Reference
from tidemill.engine.closure import closures_of
from tidemill.engine.code_copy import CodeCopy, copy_of
from tidemill.engine.execution import Execution
from tidemill.engine.executors import adapters
from tidemill.engine.executors.bounded import Bounded
from tidemill.engine.exits import run_exits
from tidemill.engine.installed import Installed, here
from tidemill.engine.ledger import Ledger, going_on, mark_interrupted
from tidemill.engine.orders import Ref
from tidemill.engine.unseen import warnings_of
from tidemill.engine.why import Earlier
from tidemill.pipeline import load
from tidemill.pipeline.graph import Graph
from tidemill.store.catalog import records

if TYPE_CHECKING:
    from tidemill.store.open import Store


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run.

    Attributes:
        steps: In the order of the graph.
        outputs: The pipeline's results by name, as artifacts; empty when it failed.
        audited: The cached steps that were computed again, to the same results.
        warnings: What its keys cannot see, and how to say it.
        graph: As it went: without the choices that were made.
    """

    run: records.Run
    steps: list[records.Step]
    outputs: dict[str, Ref]
    audited: list[str]
    graph: Graph
    warnings: list[str] = field(default_factory=list[str])


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
    executor: str = "local",
    project_folder: Path | None = None,
    resolve: Callable[[Reference], Any] | None = None,
    seed: int = 0,
    audit: float = 0.0,
) -> RunResult:
    """Run a graph to its end. A failed step makes a failed run, not an exception.

    Args:
        store: Where records, results and what was computed before are.
        graph: Of ``Pipeline.build``.
        pipeline_name: What the run is called in the records.
        file: Where the pipeline is defined.
        parameters: The run's parameter values, for the record.
        trigger: What started it.
        sink: Gets ``RunStarted``, then ``StepStarted``, ``StepFinished`` and ``Progress``, then ``RunFinished``.
        workers: How many orders may be computed at once.
        executor: Who computes them, by name.
        project_folder: What ``file`` is recorded relative to.
        resolve: Gives the snapshot of a dataset reference; needed only when it is not known already.
        seed: Of ``random``, NumPy and Keras in every step; part of every key.
        audit: The share of cache hits that is computed again and compared; the run fails where one differs.

    Raises:
        InvalidInput: ``no-code-digest``, ``unknown-executor``; before anything is recorded.
        NeedsExtra: When what the executor needs is not installed.
        Interrupted: When it is stopped from the keyboard; what is finished is kept.
        StorageError: When the store cannot be written.
    """
    bounded = Bounded(adapters.executor(executor), workers)
    mark_interrupted(store)
    closures = closures_of((*graph.nodes, *graph.exits))
    recorded_file = _relative(file, project_folder)
    code, environment = copy_of(graph, closures, file), here()
    ledger = Ledger(
        store,
        pipeline=pipeline_name,
        file=recorded_file,
        parameters=parameters,
        trigger=trigger,
        code=code.digest if code else None,
        environment=environment.digest,
    )
    # The files' time and size when they were loaded: what the keys are made of.
    files, earlier = load.files(), Earlier(store, pipeline_name, ledger.run)
    execution = Execution(
        store, graph, ledger, closures, sink, workers, bounded, resolve, seed, files, earlier
    )
    _keep_origin(store, earlier.latest, code, environment)
    audited: list[str] = []
    try:
        execution.run()
        if audit and execution.error is None:
            audited = _audited(execution, audit)
        run_exits(execution)
    except KeyboardInterrupt:
        execution.abort()
        error = Interrupted(
            f"Run {ledger.run.id} was stopped; what was finished is kept.", hint=going_on(ledger.run)
        )
        ledger.close("interrupted", {}, error.to_json())
        sink(_finished(ledger.run))
        raise error from None
    except BaseException as error:
        execution.abort()
        described = (
            error.to_json()
            if isinstance(error, TidemillError)
            else {"code": codes.INTERNAL, "message": str(error)}
        )
        # The first error is the one to tell; the next command marks the run as interrupted.
        with suppress(TidemillError):
            ledger.close("failed", {}, described)
        sink(_finished(ledger.run))
        raise
    outputs = {} if execution.error else execution.outputs()
    status: records.RunStatus = "failed" if execution.error else "succeeded"
    ledger.close(status, {n: r.digest for n, r in outputs.items()}, execution.error)
    sink(_finished(ledger.run))
    steps = sorted(ledger.steps.values(), key=lambda s: s.position)
    warnings = warnings_of((*graph.nodes, *graph.exits), closures)
    return RunResult(ledger.run, steps, outputs, audited, execution.decided(), warnings)


def _keep_origin(
    store: "Store", before: records.Run | None, code: CodeCopy | None, environment: Installed
) -> None:
    """Store what the run was made from, unless the run before was made from the same: it holds it already."""
    if code is not None and (before is None or before.code != code.digest):
        code.keep(store.blobs)
    if before is None or before.environment != environment.digest:
        store.blobs.put(environment.image)


def _audited(execution: Execution, share: float) -> list[str]:
    from tidemill.engine.audit import audit  # noqa: PLC0415 - few runs are audited

    try:
        return audit(execution, share)
    except Failed as error:
        execution.error = error.to_json()
        return []


def _finished(run: records.Run) -> events.RunFinished:
    passed = clock.parse(run.finished_at or run.started_at) - clock.parse(run.started_at)
    return events.RunFinished(run.id, run.status, passed.total_seconds())


def _relative(file: Path | None, folder: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.resolve().relative_to((folder or Path.cwd()).resolve()).as_posix()
    except ValueError:
        return str(file)
