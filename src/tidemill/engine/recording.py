"""What becomes of each step: its record, and the event that tells of it once the record is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tidemill.core import events
from tidemill.engine import cache, inputs, plan
from tidemill.engine.executors.environment import threads
from tidemill.engine.job import Job, rows_of
from tidemill.engine.ledger import Ledger, step_record
from tidemill.engine.orders import Ref, Saved
from tidemill.engine.why import FIRST, Earlier, compare, reason
from tidemill.pipeline.graph import Node
from tidemill.store.catalog import records

if TYPE_CHECKING:
    from tidemill.store.open import Store


@dataclass(slots=True)
class Recording:
    """The records of one run's steps.

    What was computed or failed waits for ``settle``, which writes it down together with what ended beside it; until
    then its lock is held, and nobody is told.

    Attributes:
        positions: By step, its place in the graph.
    """

    store: "Store"
    ledger: Ledger
    sink: events.Sink
    positions: dict[str, int]
    earlier: Earlier
    _ended: list[tuple[Job, records.Step]] = field(default_factory=list[tuple[Job, records.Step]])

    # -- what begins

    def started(self, job: Job) -> None:
        """A step is given to somebody."""
        self.sink(events.StepStarted(self.ledger.run.id, job.node.name, job.why))

    def why(self, node: Node, parts: plan.Parts) -> str:
        """Why a node is computed: what differs from the run before."""
        before = self.earlier.record(node.name)
        if before is None:
            return FIRST
        return reason(compare(before.parts, parts.to_json()), first=False)

    # -- what ends at once

    def hit(self, node: Node, parts: plan.Parts, key: str, hit: cache.Hit) -> None:
        """A step was in the cache."""
        outputs = {n: r.digest for n, r in hit.outputs.items()}
        rows_in, rows_out = hit.rows_in, hit.rows_out
        self._at_once(node, "cached", parts, key, outputs=outputs, rows_in=rows_in, rows_out=rows_out)

    def skipped(self, node: Node, why: str) -> None:
        """A step is not computed."""
        if node.is_step:
            self._at_once(node, "skipped", None, None, why=why)

    def model(self, node: Node, name: str, version: int | str, ref: Ref) -> None:
        """A registered model was taken."""
        parts = plan.Parts(f"model:{name}", {}, {}, {}, {"version": str(version)})
        self._at_once(node, "cached", parts, ref.digest, outputs={"result": ref.digest})

    def dataset(self, node: Node, read: inputs.Read, seconds: float) -> None:
        """A dataset was read."""
        assert node.reference is not None
        name = node.reference.name
        self.ledger.input(name if name not in self.ledger.run.inputs else str(node.reference), read.commit)
        parts = plan.Parts(f"dataset:{name}", {}, {}, {}, {"commit": read.commit})
        rows = int(read.table.meta["rows"])
        is_new = read.rows_read is not None
        step = self._step(
            node,
            "computed" if is_new else "cached",
            parts,
            read.key,
            outputs={"result": read.table.digest},
            rows_in=rows,
            rows_out=rows,
            rows_computed=read.rows_read,
            why=self.why(node, parts) if is_new else "",
            seconds=seconds,
        )
        if read.entries:
            self.ledger.computed(step, {"result": read.table}, {}, read.entries)
        else:
            self.ledger.hit(step)
        self._tell(step)

    def refused(self, node: Node, error: dict[str, Any], seconds: float) -> None:
        """A node failed before it was given to anybody."""
        step = self._step(node, "failed", None, None, error=error, seconds=seconds)
        self.ledger.failed(step, {})
        self._tell(step)

    # -- what ends after work

    def computed(self, job: Job, saved: dict[str, Saved]) -> None:
        """A step was computed, and this is stored of it."""
        outputs = {n: s.digest for n, s in saved.items()}
        step = self._step_of(job, "computed", key=job.key or None, outputs=outputs, rows_out=rows_of(saved))
        self.ledger.computed(step, saved, job.memos())
        self._ended.append((job, step))

    def failed(self, job: Job, error: dict[str, Any]) -> None:
        """A step failed; what of its rows was computed is remembered."""
        step = self._step_of(job, "failed", key=None, error=error)
        self.ledger.failed(step, job.memos())
        self._ended.append((job, step))

    @property
    def unsettled(self) -> set[str]:
        """The keys of what has ended and is not written down."""
        return {job.key for job, _ in self._ended}

    def settle(self, wanted: Sequence[str] = ()) -> dict[str, cache.Hit]:
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

    def abandon(self) -> None:
        """Let others have the locks of what has ended and will not be written down."""
        for job, _ in self._ended:
            job.lock.close()

    # -- how

    def _at_once(
        self, node: Node, status: records.StepStatus, parts: plan.Parts | None, key: str | None, **facts: Any
    ) -> None:
        step = self._step(node, status, parts, key, **facts)
        self.ledger.hit(step)
        self._tell(step)

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
        position = self.positions[node.name]
        return step_record(self.ledger.run.id, position, node, status, parts, key, **facts)

    def _tell(self, step: records.Step) -> None:
        self.sink(
            events.StepFinished(step.run, step.name, step.status, step.seconds, step.why, step.rows_computed)
        )
