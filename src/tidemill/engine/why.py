"""Why a step was computed: what of its key differs from the last time."""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import NotFound
from tidemill.core.names import did_you_mean
from tidemill.engine import sources
from tidemill.pipeline.spelling import readable
from tidemill.store.catalog import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidemill.store.catalog.database import Transaction
    from tidemill.store.open import Store

FIRST = "it was never computed before"
LOST = "its stored result is gone, or damaged"
_LOOK_BACK = 20
"""How many earlier runs are searched for a record of the step."""


@dataclass(frozen=True, slots=True)
class Change:
    """One part of a key that differs.

    Attributes:
        kind: ``code``, ``package``, ``setting`` or ``input``.
        before: None where the part is new; after: None where it is gone.
        diff: Of code: a unified diff of its source, or of the constant as text; None where it was not kept.
    """

    kind: str
    name: str
    before: Any
    after: Any
    diff: str | None = None

    def __str__(self) -> str:
        if self.kind in ("setting", "package"):
            if self.before is None:
                return f"{self.kind} {self.name} is new ({_short(self.after)})"
            if self.after is None:
                return f"{self.kind} {self.name} is gone"
            return f"{self.kind} {self.name}: {_short(self.before)} → {_short(self.after)}"
        noun = "code" if self.kind == "code" else "input"
        how = "is new" if self.before is None else "is gone" if self.after is None else "changed"
        return f"{noun} {self.name} {how}"


@dataclass(frozen=True, slots=True)
class Why:
    """The answer to ``tidemill why RUN STEP``.

    Attributes:
        reason: One line, as the step's record has it; for a step that was not computed, why not.
        changes: What differs from ``before``.
        record: The step's.
        before: The step's record in the earlier run that it is compared with; None where there is none.
    """

    reason: str
    changes: tuple[Change, ...]
    record: records.Step
    before: records.Step | None


def why(store: "Store", run: str, step: str) -> Why:
    """Why ``step`` of ``run`` was computed, or was not.

    Raises:
        NotFound: ``run-not-found``, ``step-not-found``.
    """
    with store.catalog.read() as transaction:
        found = transaction.first(records.Run, {"id": run})
        if found is None:
            raise NotFound(
                f"There is no run '{run}'.",
                hint="Type 'tidemill runs' to see them.",
                code=codes.RUN_NOT_FOUND,
            )
        record = transaction.first(records.Step, {"run": run, "name": step})
        if record is None:
            names = [s.name for s in transaction.find(records.Step, {"run": run}, order=("position",))]
            raise NotFound(
                f"Run '{run}' has no step '{step}'.",
                hint=did_you_mean(step, names),
                code=codes.STEP_NOT_FOUND,
            )
    before = Earlier(store, found.pipeline, found).record(step)
    changes = compare(before.parts, record.parts) if before else []
    return Why(record.why or _why_not(record), told(store, changes), record, before)


def told(
    store: "Store", changes: "Iterable[Change]", images: "Mapping[str, bytes] | None" = None
) -> tuple[Change, ...]:
    """The changes, those of code with their difference; ``images`` are texts that are not stored yet."""
    return tuple(
        replace(c, diff=sources.diff(store.blobs, c.name, c.before, c.after, images or {}))
        if c.kind == "code"
        else c
        for c in changes
    )


def _why_not(record: records.Step) -> str:
    if record.status == "cached":
        return "nothing that it depends on has changed since it was computed"
    if record.status == "skipped":
        return "a step before it failed"
    return ""


class Earlier:
    """The earlier runs of a pipeline, to find when a step was last decided on; earlier than a run, or all.

    Attributes:
        latest: The newest of them.
    """

    def __init__(self, store: "Store", pipeline: str, before: records.Run | None = None) -> None:
        self._store = store
        self._pipeline = pipeline
        self._before = before
        with store.catalog.read() as transaction:
            found = self._earlier(transaction)
            self.latest = found[0] if found else None
            self._runs = [r.id for r in found]

    def keys(self) -> list[str]:
        """The keys of the latest earlier run."""
        with self._store.catalog.read() as transaction:
            return [key for key in transaction.values(records.Step, "key", {"run": self._runs[:1]}) if key]

    @cached_property
    def _latest(self) -> dict[str, records.Step]:
        # One look for all steps, when there is a first to compare: the run before nearly always has them.
        with self._store.catalog.read() as transaction:
            return {s.name: s for s in transaction.find(records.Step, {"run": self._runs[:1]}) if s.key}

    @cached_property
    def _older(self) -> set[str]:
        # One look too for all steps that are new: there may be thousands.
        with self._store.catalog.read() as transaction:
            return set(transaction.values(records.Step, "name", {"run": self._runs[1:]}))

    def record(self, step: str) -> records.Step | None:
        """The step's record in the latest earlier run that got as far; None where there is none."""
        if step in self._latest:
            return self._latest[step]
        if step not in self._older:
            return None
        with self._store.catalog.read() as transaction:
            older = transaction.find(records.Step, {"run": self._runs[1:], "name": step})
        found = {s.run: s for s in older if s.key}
        return next((found[r] for r in self._runs if r in found), None)

    def _earlier(self, transaction: "Transaction") -> list[records.Run]:
        runs = transaction.find(
            records.Run, {"pipeline": self._pipeline}, order=("-started_at", "-id"), limit=_LOOK_BACK * 5
        )
        if self._before is not None:
            here = (self._before.started_at, self._before.id)
            runs = [r for r in runs if (r.started_at, r.id) < here]
        return runs[:_LOOK_BACK]


def compare(before: "Mapping[str, Any]", after: "Mapping[str, Any]") -> list[Change]:
    """What differs between the parts of two keys."""
    changes: list[Change] = []
    for kind, part in (
        ("setting", "settings"),
        ("input", "inputs"),
        ("code", "code"),
        ("package", "packages"),
    ):
        old, new = before.get(part) or {}, after.get(part) or {}
        changes += [
            Change(kind, name, old.get(name), new.get(name))
            for name in sorted({*old, *new})
            if _differ(old.get(name, _MISSING), new.get(name, _MISSING))
        ]
    return changes


_MISSING = object()


def _differ(before: Any, after: Any) -> bool:
    # 1, 1.0 and True are equal in Python, and three different keys.
    return bool(before != after) or json.dumps(before, sort_keys=True, default=str) != json.dumps(
        after, sort_keys=True, default=str
    )


def reason(changes: "list[Change]", *, first: bool) -> str:
    """One line for a step that is computed."""
    if first:
        return FIRST
    if not changes:
        return LOST
    told = [str(c) for c in changes[:3]]
    more = len(changes) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else readable(value)
    return text if len(text) <= 40 else text[:37] + "..."
