"""From columns to a durable answer: what waits in one tick is predicted together, logged, then answered.

Loaded only in a server, never by ``import tidemill``.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tidemill.core import codes
from tidemill.core.errors import Conflict, Failed, TidemillError
from tidemill.models.predictor import Predictor
from tidemill.serve import blame, labels, log_layout
from tidemill.serve.bodies import Answer, Asked
from tidemill.serve.ids import new_id, row_ids
from tidemill.serve.labels import Item
from tidemill.serve.metrics import Metrics
from tidemill.serve.prediction_log import Entry, Expected, Logged, PredictionLog

_BATCH_ROWS = 1024
_INLINE_SECONDS = 0.005
"""A batch that is expected to take longer goes to a thread, so that the others are still heard."""

Written = tuple[bytes, int | None]
"""A response's body, and the length of its JSON part where bytes follow it."""


@dataclass(slots=True)
class _Job:
    asked: Asked
    write: Callable[[Answer], Written]
    done: "asyncio.Future[bool]"
    expected: Expected | None
    ids: list[str] = field(default_factory=list[str])
    request: str = ""
    inputs: list[bytes] = field(default_factory=list[bytes])
    written: Written | None = None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Answers, and questions and answers as the log has them, row by row."""

    outputs: dict[str, Any]
    inputs: list[bytes]
    results: list[bytes]


class Answering:
    """Answers requests with one release's predictor."""

    def __init__(
        self,
        predictor: Predictor,
        log: PredictionLog,
        metrics: Metrics,
        *,
        release: str,
        number: int,
        checking: bool,
    ) -> None:
        self.checking = checking
        self._predictor, self._log, self._metrics = predictor, log, metrics
        self._release, self._number = release, number
        self._signature = predictor.signature
        self._spare = frozenset(t.name for t in predictor.signature.identity)
        self._loop = asyncio.get_running_loop()
        self._jobs: list[_Job] = []
        self._scheduled = self._busy = False
        self._row_seconds = 0.0
        self._thread = ThreadPoolExecutor(1, "predictor")

    async def answer(
        self, asked: Asked, write: Callable[[Answer], Written], expected: Expected | None
    ) -> Written:
        """The response's body, once what it says is on the disk.

        Raises:
            InvalidInput: What the predictor refuses.
            Conflict: ``request-id-reused``.
            Failed: When the model or a stage fails.
            StorageError: When the log cannot be written; then nothing was logged.
        """
        job = _Job(asked, write, self._loop.create_future(), expected)
        self._jobs.append(job)
        if not self._scheduled:
            self._scheduled = True
            # After the requests that came in with this one.
            self._loop.call_soon(self._flush)
        if await job.done:
            # Another request has the same id and was first: what the log has is the answer.
            logged = self._logged(job)
            if logged is not None:
                job.written = logged
        assert job.written is not None
        return job.written

    async def correct(
        self, items: Sequence[Item], expected: Expected | None
    ) -> tuple[int, dict[int, TidemillError]]:
        """Log labels for predictions; durable when it returns.

        Returns:
            How many were logged, and why the others were not, by their place: no such prediction.

        Raises:
            StorageError: As ``answer``; then none is logged.
        """
        missing = self._log.missing([item.prediction for item in items]) if items else set[str]()
        refused: dict[int, TidemillError] = {
            item.row: labels.unknown(item, self._log.keep) for item in items if item.prediction in missing
        }
        known = [(item.prediction, item.label) for item in items if item.prediction not in missing]
        if not known:
            return 0, refused
        entry = Entry(self._loop.create_future(), feedback=known)
        self._log.write(entry)
        if expected is not None:
            expected.arrived()
        await entry.done
        refused |= {
            item.row: labels.unknown(item, self._log.keep) for item in items if item.prediction in entry.gone
        }
        return len(items) - len(refused), refused

    def close(self) -> None:
        """End the predictor's thread."""
        self._thread.shutdown(wait=False)

    def _flush(self) -> None:
        self._scheduled = False
        while self._jobs and not self._busy:
            jobs = self._take()
            rows = sum(job.asked.rows for job in jobs)
            self._metrics.batch_rows += rows
            self._metrics.batches += 1
            if rows * self._row_seconds <= _INLINE_SECONDS:
                self._settle(jobs, self._predict(jobs))
                continue
            self._busy = True
            self._thread.submit(self._predict, jobs).add_done_callback(
                lambda done, jobs=jobs: self._loop.call_soon_threadsafe(
                    self._settle_late, jobs, done.result()
                )
            )

    def _take(self) -> list[_Job]:
        rows = 0
        for at, job in enumerate(self._jobs):
            rows += job.asked.rows
            if at and rows > _BATCH_ROWS:
                taken, self._jobs = self._jobs[:at], self._jobs[at:]
                return taken
        taken, self._jobs = self._jobs, []
        return taken

    def _settle_late(self, jobs: list[_Job], outcomes: list[Any]) -> None:
        self._busy = False
        self._settle(jobs, outcomes)
        self._flush()

    def _predict(self, jobs: list[_Job]) -> list[Any]:
        """For each job its outputs, or the error it gets."""
        began = time.perf_counter()
        outcomes = self._predict_together(jobs) if len(jobs) > 1 else [self._predict_one(jobs[0])]
        seconds = time.perf_counter() - began
        self._metrics.predict_seconds += seconds
        rows = sum(job.asked.rows for job in jobs)
        self._row_seconds += 0.2 * (seconds / max(1, rows) - self._row_seconds)
        return outcomes

    def _predict_together(self, jobs: list[_Job]) -> list[Any]:
        groups: dict[Any, list[int]] = {}
        for at, job in enumerate(jobs):
            groups.setdefault(_kind(job.asked.columns), []).append(at)
        outcomes: list[Any] = [None] * len(jobs)
        for members in groups.values():
            for at, outcome in zip(members, self._predict_group([jobs[at] for at in members]), strict=True):
                outcomes[at] = outcome
        return outcomes

    def _predict_group(self, jobs: list[_Job]) -> list[Any]:
        if len(jobs) == 1:
            return [self._predict_one(jobs[0])]
        first = jobs[0].asked.columns
        joined = {name: _concatenate([job.asked.columns[name] for job in jobs]) for name in first}
        try:
            whole = self._predict_columns(joined)
        except Exception:  # noqa: BLE001 - one bad row must not cost the others their answer
            return [self._predict_one(job) for job in jobs]
        outcomes: list[Any] = []
        at = 0
        for job in jobs:
            end = at + job.asked.rows
            outputs = {name: values[at:end] for name, values in whole.outputs.items()}
            outcomes.append(_Outcome(outputs, whole.inputs[at:end], whole.results[at:end]))
            at = end
        return outcomes

    def _predict_one(self, job: _Job) -> Any:
        try:
            return self._predict_columns(job.asked.columns)
        except Exception as error:  # noqa: BLE001 - raised again where the request waits
            return error

    def _predict_columns(self, columns: dict[str, Any]) -> _Outcome:
        asked = {n: c for n, c in columns.items() if n not in self._spare} if self._spare else columns
        try:
            outputs = self._predictor.predict(asked)
        except Failed as error:
            raise blame.of_row(self._predictor, asked, error) from error.__cause__
        return _Outcome(
            outputs,
            log_layout.encode_rows(columns, self._signature.logged),
            log_layout.encode_rows(outputs, self._signature.outputs),
        )

    def _settle(self, jobs: list[_Job], outcomes: list[Any]) -> None:
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.done.done():
                continue
            if isinstance(outcome, Exception):
                job.done.set_exception(outcome)
                continue
            try:
                self._log_answer(job, outcome)
            except Exception as error:  # noqa: BLE001 - belongs to that request alone
                job.done.set_exception(error)
        for job in jobs:
            if job.expected is not None:
                job.expected.arrived()

    def _log_answer(self, job: _Job, outcome: _Outcome) -> None:
        asked = job.asked
        job.request = asked.id or new_id()
        job.ids = row_ids(job.request, asked.rows)
        job.inputs = outcome.inputs
        if asked.id is not None:
            logged = self._logged(job)
            if logged is not None:
                job.written = logged
                job.done.set_result(False)
                return
        # Encoded while the group before is being committed, not after.
        job.written = job.write(Answer(job.request, job.ids, outcome.outputs, self._release, self._number))
        rows = list(zip(job.ids, outcome.inputs, outcome.results, strict=True))
        self._log.write(Entry(job.done, rows, checking=self.checking))

    def _logged(self, job: _Job) -> Written | None:
        """The body of the answer that the log has for this request's id; None where it has none.

        Raises:
            Conflict: ``request-id-reused``, when it was another question.
        """
        found = self._log.logged(job.ids)
        if not found:
            return None
        rows = [found.get(name) for name in job.ids]
        same = all(
            row is not None and row.inputs == given for row, given in zip(rows, job.inputs, strict=True)
        )
        if not same:
            raise Conflict(
                f"The id '{job.request}' was used before, with other rows.",
                why="The same id with the same rows gets the same answer; with others it would hide a mistake.",
                hint="Send a new id with each new request.",
                code=codes.REQUEST_ID_REUSED,
                details={"field": "id"},
            )
        known: list[Logged] = [row for row in rows if row is not None]
        outputs = log_layout.decode_rows([row.outputs for row in known], known[0].signature.outputs)
        return job.write(Answer(job.request, job.ids, outputs, known[0].release, known[0].number))


def _kind(columns: dict[str, Any]) -> Any:
    """What two requests must share to be predicted together."""
    return tuple((n, a.dtype, a.shape[1:], isinstance(a, np.ma.MaskedArray)) for n, a in columns.items())


def _concatenate(parts: list[Any]) -> Any:
    return np.ma.concatenate(parts) if isinstance(parts[0], np.ma.MaskedArray) else np.concatenate(parts)
