"""The run's records. Steps that end together are written together, in one durable transaction."""

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from tidemill.core import codes
from tidemill.core.clock import new_run_id, now, parse, stamp
from tidemill.core.errors import StorageError
from tidemill.engine import cache
from tidemill.engine.content import blobs_of, digests_in
from tidemill.engine.orders import Memo, Saved
from tidemill.engine.plan import Parts
from tidemill.pipeline.graph import Node
from tidemill.store.catalog import records
from tidemill.store.faults import put_off

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Transaction
    from tidemill.store.open import Store

T = TypeVar("T")


@dataclass(slots=True)
class _Batch:
    """What the next transaction writes; ``inputs``: that the run reads another dataset."""

    steps: list[records.Step] = field(default_factory=list[records.Step])
    artifacts: list[records.Artifact] = field(default_factory=list[records.Artifact])
    entries: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    inputs: bool = False


class Ledger:
    """Opens a run, takes its steps, closes it."""

    def __init__(
        self,
        store: "Store",
        *,
        pipeline: str,
        file: str | None,
        parameters: dict[str, Any],
        trigger: str,
        code: str | None = None,
        environment: str | None = None,
    ) -> None:
        self._store = store
        self._lock = ExitStack()
        self._batch = _Batch()
        self.steps: dict[str, records.Step] = {}
        self.run = records.Run(
            id=new_run_id(),
            pipeline=pipeline,
            file=file,
            parameters=parameters,
            trigger=trigger,
            status="running",
            started_at=stamp(now()),
            finished_at=None,
            host=socket.gethostname(),
            pid=os.getpid(),
            code=code,
            environment=environment,
        )
        # Held while this process lives: a run whose lock is free and that has no end was interrupted.
        self._lock.enter_context(store.locks.hold(lock_name(self.run.id)))
        self._began = time.monotonic()
        try:
            with store.catalog.write() as transaction:
                last = transaction.last(records.Run, "started_at")
                if last is not None and self.run.started_at <= last:
                    # The clock was set back: the later run stays the later one.
                    started = parse(last) + timedelta(microseconds=1)
                    self.run = replace(self.run, started_at=stamp(started))
                transaction.add(self.run)
            # From now on nothing is marked, until the run has ended.
            if store.blobs.marks is not None:
                store.blobs.marks.look()
        except BaseException:
            self._unlock()
            raise

    def input(self, name: str, commit: str) -> None:
        """Note which commit of a dataset is read."""
        self.run.inputs[name] = commit
        self._batch.inputs = True

    def hit(self, step: records.Step) -> None:
        """Note a step that was not computed; written with the next transaction."""
        self.steps[step.name] = step
        self._batch.steps.append(step)

    def computed(
        self,
        step: records.Step,
        saved: dict[str, Saved],
        memos: dict[str, Memo],
        entries: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Note a step that was computed, its artifacts and what the cache is to remember."""
        self.hit(step)
        self.artifacts(saved.values(), step.finished_at)
        if step.key is not None:
            self._batch.entries[step.key] = cache.entry_of(step.outputs, step.rows_in, step.rows_out)
        self._batch.entries.update({**memos, **(entries or {})})

    def artifacts(self, saved: Iterable[Saved], made_at: str | None = None) -> None:
        """Note artifacts; those that are known already stay as they are."""
        moment = made_at or stamp(now())
        self._batch.artifacts += [
            records.Artifact(a.digest, a.kind, a.size_bytes, a.meta, moment) for a in saved
        ]

    def failed(self, step: records.Step, memos: dict[str, Memo]) -> None:
        """Note a step that failed, and what of it is finished."""
        self.hit(step)
        self._batch.entries.update(memos)

    def flush(self, wanted: Sequence[str] = ()) -> dict[str, cache.Hit]:
        """Write what was noted: all or nothing.

        Returns:
            Those of the keys ``wanted`` that are stored, looked up in the same transaction.
        """

        def write(transaction: "Transaction") -> dict[str, cache.Hit]:
            self._write(transaction)
            return cache.lookup_in(transaction, self._store, wanted) if wanted else {}

        hits = self._written(write)
        self._batch = _Batch()
        return hits

    def memos(self, memos: dict[str, Memo]) -> None:
        """Remember finished chunks of a step that is not finished."""
        if memos:

            def write(transaction: "Transaction") -> None:
                self._store.blobs.name(digests_in([*memos.values()]))
                transaction.remember(memos, stamp(now()))

            self._written(write)

    def close(self, status: records.RunStatus, outputs: dict[str, str], error: dict[str, Any] | None) -> None:
        """Record the run's end."""
        # By what it took: the clock may have been set meanwhile.
        finished = parse(self.run.started_at) + timedelta(seconds=time.monotonic() - self._began)
        self.run = replace(self.run, status=status, finished_at=stamp(finished), outputs=outputs, error=error)

        def write(transaction: "Transaction") -> None:
            self._write(transaction)
            transaction.put(self.run)

        try:
            self._written(write)
        finally:
            self._unlock()

    def _written(self, write: Callable[["Transaction"], T]) -> T:
        """Have something written that does no harm when it is written twice."""
        try:
            with self._store.catalog.write() as transaction:
                return write(transaction)
        except StorageError as error:
            if error.code != codes.CATALOG_LOST:
                raise
            # The server went away amid it, perhaps after it had taken all: a restarted one is waited for.
            with self._store.catalog.write() as transaction:
                return write(transaction)

    def _write(self, transaction: "Transaction") -> None:
        if self._batch.inputs:
            transaction.put(self.run)
        self._store.blobs.name(
            [
                *(d for a in self._batch.artifacts for d in blobs_of(a)),
                *digests_in([*self._batch.entries.values()]),
                *(step.log for step in self._batch.steps if step.log),
            ]
        )
        transaction.put(*self._batch.steps)
        transaction.add_new(*self._batch.artifacts)
        transaction.remember(self._batch.entries, stamp(now()))

    def _unlock(self) -> None:
        self._store.locks.discard(lock_name(self.run.id))
        self._lock.close()


def lock_name(run: str) -> str:
    """The lock that a living run holds."""
    return f"run-{run}"


def mark_interrupted(store: "Store") -> list[str]:
    """Mark every run whose process is gone as interrupted; their ids, oldest first.

    Where nothing can be written, on a full disk above all, they are marked once that can be: whoever only looks goes on.
    Of the runs of other machines that can be told only where the locks hold between machines.
    """
    with store.catalog.read() as transaction:
        running = transaction.find(records.Run, {"status": "running"}, order=("started_at",))
    here = socket.gethostname()
    ours = [r for r in running if store.locks.everywhere or r.host == here]
    gone = [r for r in ours if not store.locks.is_held(lock_name(r.id))]
    if gone and not store.catalog.is_older:
        with put_off(), store.catalog.write() as transaction:
            for run in gone:
                transaction.change(
                    records.Run,
                    {"id": run.id, "status": "running"},
                    status="interrupted",
                    finished_at=max(stamp(now()), run.started_at),
                    error={
                        "code": codes.INTERRUPTED,
                        "message": "The process of this run was ended from outside.",
                        "hint": going_on(run),
                    },
                )
        for run in gone:
            store.locks.discard(lock_name(run.id))
    return [r.id for r in gone]


def going_on(run: records.Run) -> str:
    """What to type to go on with a run that was stopped."""
    if run.file is None:
        return "Run again: its finished steps are not computed again."
    return f"Type 'tidemill resume {run.id}' to go on: its finished steps are not computed again."


def step_record(
    run: str,
    position: int,
    node: Node,
    status: records.StepStatus,
    parts: Parts | None,
    key: str | None,
    *,
    outputs: dict[str, str] | None = None,
    rows_in: int | None = None,
    rows_out: int | None = None,
    rows_computed: int | None = None,
    why: str = "",
    seconds: float = 0.0,
    error: dict[str, Any] | None = None,
) -> records.Step:
    """The record of a step that has just ended."""
    read = f"{node.role}:{node.reference or node.model}"
    moment, worked = now(), status in ("computed", "failed")
    return records.Step(
        run=run,
        name=node.name,
        position=position,
        component=node.component.name if node.component else read,
        kind=node.kind,
        status=status,
        key=key,
        parts=parts.to_json() if parts else {},
        outputs=outputs or {},
        why=why,
        seconds=seconds,
        finished_at=stamp(moment),
        rows_in=rows_in,
        rows_out=rows_out,
        rows_computed=rows_computed,
        error=error,
        # By what it took, not by a second look at a clock that may have been set meanwhile.
        started_at=stamp(moment - timedelta(seconds=seconds)) if worked else None,
        host=socket.gethostname() if worked else None,
    )
