"""Cache hits that are computed again, to find what no key sees: time, random state, a file read behind the engine's back."""

import random
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

from tidemill.core import codes, events
from tidemill.core.errors import Failed
from tidemill.engine import artifacts, cache, plan
from tidemill.engine.content import content_of
from tidemill.engine.executors.inline import run_inline
from tidemill.engine.job import Job
from tidemill.engine.orders import Chunk, ChunkTask, Order, Ref
from tidemill.pipeline.graph import Node

if TYPE_CHECKING:
    from tidemill.engine.execution import Execution
    from tidemill.engine.executors.bounded import Bounded
    from tidemill.store.blobs import Blobs
    from tidemill.store.catalog import records


def audit(execution: "Execution", share: float) -> list[str]:
    """Compute a share of a finished run's cache hits again, and compare.

    Which ones is drawn by the run's id: other runs look at others. Where there is a hit, one is looked at.

    Returns:
        The steps that were computed again.

    Raises:
        Failed: ``audit-failed``, for the first step whose result differs; all of them are in the details.
    """
    steps = execution.ledger.steps
    hits = [
        n for n in execution.nodes if n.name in steps and steps[n.name].status == "cached" and n.component
    ]
    count = min(len(hits), max(1, round(share * len(hits))))
    drawn = random.Random(execution.ledger.run.id).sample(hits, count)  # noqa: S311 - a sample, no secret
    differing: list[dict[str, Any]] = []
    for number, job in enumerate(_computed(execution, drawn), 1):
        differing += _differences(execution, job, steps[job.node.name])
        execution.sink(events.Progress("audit", number, count, "steps"))
    if differing:
        raise _failed(differing)
    return [node.name for node in drawn]


def _computed(execution: "Execution", nodes: list[Node]) -> list[Job]:
    """A job for each node, with its outcomes."""
    executor = execution.executor
    jobs: list[Job] = []
    for node in nodes:
        job, order = _job(execution, node)
        jobs.append(job)
        assert node.component is not None
        if not node.component.importable:
            job.outcomes.append(run_inline(order, node.component, lambda _: None))
            continue
        while not executor.free or not all(executor.chosen([order.resources])):
            _collect(executor)
        executor.start(order, job)
    while executor.busy:
        _collect(executor)
    return jobs


def _collect(executor: "Bounded") -> None:
    for job, outcome in executor.collect(None, lambda *_: None):
        cast("Job", job).outcomes.append(outcome)


def _job(execution: "Execution", node: Node) -> tuple[Job, Order]:
    """The node as one order, all of its chunks in it: nothing is taken from the cache."""
    assert node.component is not None
    closure = execution.closures[id(node.component.origin)]
    resolved = plan.resolve_inputs(node, execution.found)
    assert resolved is not None
    parts = plan.parts_of(node, closure, resolved, execution.seed)
    job = Job(node, parts, parts.key(), resolved, "", ExitStack(), time.perf_counter())
    blobs = execution.store.blobs
    if node.table is not None and node.role in ("rows", "apply"):
        chunks = cast("list[Chunk]", content_of(blobs, resolved[node.table])["chunks"])
        tasks = [ChunkTask(at, chunk) for at, chunk in enumerate(chunks)]
        job.chunks = cache.ChunkPlan(["" for _ in chunks], chunks, {}, {}, tasks)
    tasks = tuple(job.chunks.tasks) if job.chunks else ()
    order = job.order(closure, execution.files, seed=execution.seed, blobs=blobs.place, tasks=tasks)
    return job, order


def _differences(execution: "Execution", job: Job, step: "records.Step") -> list[dict[str, Any]]:
    if job.error is not None:
        return [{"step": step.name, "error": job.error}]
    blobs = execution.store.blobs
    made = job.saved(blobs)
    return [
        {"step": step.name, "output": name, "cached": digest, "computed": made[name].digest}
        for name, digest in step.outputs.items()
        if made[name].digest != digest
        and not same_rows(blobs, execution.found[step.name, name], made[name].ref)
    ]


def same_rows(blobs: "Blobs", one: Ref, other: Ref) -> bool:
    """Whether two tables have the same rows in other chunks: a cached one grew commit by commit.

    Also whether two values are equal of which an earlier version wrote one, without its types or its order.
    """
    if one.kind == other.kind == "value":
        return "typed" not in one.meta and content_of(blobs, one) == content_of(blobs, other)
    if one.kind == other.kind == "state":
        return artifacts.save(blobs, artifacts.load(blobs, one), "").digest == other.digest
    if one.kind != "table" or other.kind != "table":
        return False
    import pyarrow as pa  # noqa: PLC0415

    from tidemill.store.table import canonical  # noqa: PLC0415

    written: list[bytes] = []
    for ref in (one, other):
        table = canonical(artifacts.load(blobs, ref))
        buffer = pa.BufferOutputStream()
        with pa.ipc.new_stream(buffer, table.schema) as stream:
            stream.write_table(table)
        written.append(buffer.getvalue().to_pybytes())
    return written[0] == written[1]


def _failed(differing: list[dict[str, Any]]) -> Failed:
    first = differing[0]
    if "error" in first:
        what = f"could not be computed again: {first['error']['message']}"
    else:
        what = (
            f"has another '{first['output']}' when it is computed again: {first['computed']}, and "
            f"{first['cached']} in the cache."
        )
    more = len({d["step"] for d in differing}) - 1
    return Failed(
        f"Step '{first['step']}' {what}" + (f" So have {more} more steps." if more else ""),
        why="Its result depends on something that its key does not see, so what the cache has may be stale.",
        hint="Look in it for the time, for random numbers without a seed, for a file or an address that it reads by "
        "itself, for threads that add up in any order. Take a file by a parameter annotated pathlib.Path, a seed by a "
        "parameter; what the code cannot show goes into version= of the decorator.",
        code=codes.AUDIT_FAILED,
        details={"step": first["step"], "differing": differing},
    )
