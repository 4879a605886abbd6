"""Why a metric moved from one run to another: runs between them, in which a part of what changed has changed."""

import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import factorial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import Failed, InvalidInput, NotAllowed, TidemillError
from tidemill.core.events import Sink, silent
from tidemill.loop import factors, interpreters, origins, registry, replaying, restoring, written
from tidemill.loop.attribution import State, attribute, rounded, states, steps_in
from tidemill.loop.factors import FACTORS, Pair
from tidemill.loop.interpreters import Interpreter
from tidemill.loop.listing import summaries
from tidemill.loop.lookup import find_run, steps_of
from tidemill.loop.replay_views import Explanation, FactorShare, FactorView, MetricExplained, StateView
from tidemill.loop.restoring import Room
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog import records

NONE: State = frozenset()


def explain(
    ws: Workspace,
    a: str,
    b: str = "latest",
    path: Path | None = None,
    *,
    dry_run: bool = False,
    sink: Sink = silent,
) -> Explanation:
    """Attribute the difference of each metric of two runs to what changed between them.

    Data (commits, registered models), code, settings (parameters) and environment (packages) are replayed one by one
    and together, each run through the cache: only what a change reaches is computed. A factor's share is its Shapley
    value, the mean over all orders (``attribution``); four factors have 24 orders and 16 runs. The runs leave no
    record, and stay in the cache. A parameter that the code of a run does not have is left out of it.

    What a run cannot show is the remainder, never a part of a share: an environment that cannot be made here, and
    what is another when the same is run again.

    Args:
        ws: The project.
        a: The run from which the metric moved: an id, the beginning of one, or ``latest``.
        b: The run to which it did.
        path: Where to write it as an HTML page too, if at all.
        dry_run: Only say which runs would be made.
        sink: Gets notes and the runs' events.

    Raises:
        NotFound: ``run-not-found``, ``blob-not-found``, ``given-file-gone``.
        NotAllowed: ``run-not-succeeded``.
        InvalidInput: ``different-pipelines``, ``no-common-metric``, ``run-without-file``, ``run-without-code``.
        Conflict: ``given-file-changed``.
        Failed: ``not-explained``, where each way from the one to the other leads through a run that fails.
        StorageError: ``storage``, when the page cannot be written.
    """
    from tidemill.engine.run import mark_interrupted  # noqa: PLC0415

    mark_interrupted(ws.store)
    first, second = find_run(ws, a), find_run(ws, b)
    _refuse(first, second)
    before, after = (_metrics(ws, r) for r in (first, second))
    names = [n for n in before if n in after]
    if not names:
        since = [*factors.forgotten_since(ws, first), *factors.forgotten_since(ws, second)]
        if since:
            raise InvalidInput(
                f"Runs {first.id} and {second.id} have no metric in common any more.",
                why=f"What they returned was removed with rows that they had read: {'; '.join(dict.fromkeys(since))}.",
                hint="Run the pipeline again, and explain these runs.",
                code=codes.NO_COMMON_METRIC,
            )
        raise InvalidInput(
            f"Runs {first.id} and {second.id} have no metric in common.",
            why="A metric is a number of a run's report, or a number that the pipeline returns.",
            hint="Return parts.evaluate(model, test) from the pipeline, or a number.",
            code=codes.NO_COMMON_METRIC,
        )
    one, other = summaries(ws, [first, second])
    with tempfile.TemporaryDirectory(prefix="tidemill-") as name:
        work = _Work(ws, factors.pair_of(ws, first, second), Path(name).resolve(), sink)
        work.look(dry_run=dry_run)
        changes = [f.name for f in work.factors if f.replayed]
        wanted = states(changes)
        made = {s: work.view(s, None) for s in wanted} if dry_run else work.make(wanted)
    found = Explanation(
        one, other, work.factors, list(made.values()), 0, factorial(len(changes)), [], dry_run=dry_run
    )
    if not dry_run:
        orders, metrics = _explained(changes, made, {n: (before[n], after[n]) for n in names})
        found = replace(found, orders=orders, metrics=metrics, path=None if path is None else str(path))
        if path is not None:
            from tidemill.loop import replay_pages  # noqa: PLC0415

            about = written.shown_by_runs(ws.store, [first.inputs, second.inputs])
            written.write_page(ws.store, path, "explanation", about, replay_pages.explanation(found))
    return found


def _refuse(a: "records.Run", b: "records.Run") -> None:
    if a.pipeline != b.pipeline:
        raise InvalidInput(
            f"Run {a.id} is of pipeline '{a.pipeline}', and run {b.id} of '{b.pipeline}'.",
            why="Between two pipelines there is no run that has a part of each.",
            hint="Name two runs of one pipeline; 'tidemill compare' shows any two side by side.",
            code=codes.DIFFERENT_PIPELINES,
        )
    for run in (a, b):
        if run.status != "succeeded":
            raise NotAllowed(
                f"Run {run.id} did not succeed: it is {run.status}.",
                why="It has no result to be explained.",
                hint="Type 'tidemill resume' to go on with it.",
                code=codes.RUN_NOT_SUCCEEDED,
            )


def _metrics(ws: Workspace, run: "records.Run") -> dict[str, float]:
    """The numbers of a run's report, and those that its pipeline returned."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        found = {
            a.digest: a.meta for a in read.find(records.Artifact, {"digest": list(run.outputs.values())})
        }
    values = {n: found.get(d, {}).get("content") for n, d in run.outputs.items()}
    numbers = {n: v for n, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {**numbers, **registry.metrics_of(ws, run)}


@dataclass(slots=True)
class _Work:
    """The runs of one explanation, and the rooms that they are made in."""

    ws: Workspace
    pair: Pair
    folder: Path
    sink: Sink
    factors: list[FactorView] = field(default_factory=list[FactorView])
    _rooms: dict[str, Room] = field(default_factory=dict[str, Room])
    _pythons: dict[str, Interpreter] = field(default_factory=dict[str, Interpreter])

    def look(self, *, dry_run: bool) -> None:
        """Find out what differs, and furnish the rooms."""
        a, b = self.pair.a, self.pair.b
        for side, run in (("a", a), ("b", b)):
            if dry_run:
                origins.code_of(self.ws, run)
            else:
                self._rooms[side] = restoring.furnish(self.ws, run, self.folder / f"code-{side}")
        told = {
            "data": self.pair.data(),
            "code": factors.code_changes(self.ws, a, b),
            "settings": self.pair.settings(),
        }
        self.factors = [FactorView(n, bool(c), bool(c), c) for n, c in told.items()]
        since = dict.fromkeys([*factors.forgotten_since(self.ws, a), *factors.forgotten_since(self.ws, b)])
        if since:
            # What was measured then was measured with these rows; what is made now is not.
            self.factors[0] = replace(self.factors[0], note=f"not as then: {'; '.join(since)}")
        self.factors.append(self._environment(dry_run=dry_run))

    def _environment(self, *, dry_run: bool) -> FactorView:
        a, b = self.pair.a, self.pair.b
        here = interpreters.present()
        self._pythons = {"a": here, "b": here}
        if a.environment is None or b.environment is None:
            return FactorView(
                "environment", differs=True, replayed=False, changes=[], note="it was not recorded then"
            )
        changes = factors.environment_changes(self.ws, a, b)
        if dry_run:
            return FactorView("environment", bool(changes), bool(changes), changes)
        note = self._bring_back(equal=not changes)
        # What differs and cannot be brought back on either side makes no two environments.
        one, other = ((p.python, p.variables) for p in self._pythons.values())
        return FactorView("environment", bool(changes), one != other, changes, note)

    def _bring_back(self, *, equal: bool) -> str | None:
        """Make the environments of both runs; what of them is not as then, or why there are none."""
        made: dict[str, Interpreter] = {}
        try:
            for side, run in (("a", self.pair.a), ("b", self.pair.b)):
                wanted, folder = origins.environment_of(self.ws, run), self.folder / f"python-{side}"
                shared = made.get("a") if equal else None
                made[side] = shared or interpreters.interpreter(wanted, folder, self.sink)
        except TidemillError as error:
            return f"{error.message} {error.why or ''}".strip()
        self._pythons = made
        lacking = {d.name: f"{d.name} {d.then} (here {d.now})" for p in made.values() for d in p.lacking}
        return f"not as then: {', '.join(lacking.values())}" if lacking else None

    def make(self, wanted: list[State]) -> dict[State, StateView]:
        """Make a run of each state; those of one code and one environment in one process."""
        trigger = f"explain:{self.pair.a.id}..{self.pair.b.id}:{secrets.token_hex(2)}"
        groups: dict[tuple[str, str], list[State]] = {}
        for state in wanted:
            sides = ("b" if "code" in state else "a", "b" if "environment" in state else "a")
            groups.setdefault(sides, []).append(state)
        made: dict[State, StateView] = {}
        try:
            for sides, some in groups.items():
                made |= self._made(*sides, some, trigger, f"of {len(wanted)}", len(made))
        finally:
            self._forget(trigger)
        return {state: made[state] for state in wanted}

    def _made(
        self, code: str, environment: str, some: list[State], trigger: str, of_all: str, before: int
    ) -> dict[State, StateView]:
        given = [
            replace(self.pair.given(s), note=f"Run {at} {of_all}: {_words(s)} as in {self.pair.b.id}")
            for at, s in enumerate(some, before + 1)
        ]
        room, python = self._rooms[code], self._pythons[environment]
        answers = replaying.replay(
            self.ws, room, python, given, trigger=trigger, fitting=True, sink=self.sink
        )
        return {
            s: self.view(s, find_run(self.ws, a))
            if isinstance(a, str)
            else self.view(s, None, error=dict(a.to_json()))
            for s, a in zip(some, answers, strict=True)
        }

    def view(self, state: State, run: "records.Run | None", error: dict[str, Any] | None = None) -> StateView:
        """A state as it is shown."""
        changed = [f for f in FACTORS if f in state]
        if run is None:
            return StateView(changed, None, {}, error)
        computed = sum(s.status == "computed" for s in steps_of(self.ws, run.id))
        return StateView(changed, computed, _metrics(self.ws, run), run.error)

    def _forget(self, trigger: str) -> None:
        """Remove the records of the runs: what they computed stays in the cache."""
        from tidemill.engine.run import mark_interrupted  # noqa: PLC0415
        from tidemill.store.catalog import records  # noqa: PLC0415

        with suppress(TidemillError):
            mark_interrupted(self.ws.store)
            with self.ws.store.catalog.write() as write:
                gone = [r.id for r in write.find(records.Run, {"trigger": trigger})]
                write.remove(records.Step, {"run": gone})
                write.remove(records.Run, {"id": gone})


def _explained(
    changes: list[str], made: dict[State, StateView], metrics: dict[str, tuple[float, float]]
) -> tuple[int, list[MetricExplained]]:
    everything: State = frozenset(changes)
    for state in (NONE, everything):
        if made[state].error is not None:
            raise _not_explained(made[state])
    explained: list[MetricExplained] = []
    orders = 0
    for name, (a, b) in metrics.items():
        worth = {
            s: Fraction(v.metrics[name]) for s, v in made.items() if v.error is None and name in v.metrics
        }
        found = attribute(changes, worth) if NONE in worth and everything in worth else None
        if found is None or not found.orders:
            raise _not_explained(next((v for v in made.values() if v.error), made[NONE]))
        orders = found.orders
        explained.append(_metric(name, a, b, changes, worth, found.shares))
    return orders, explained


def _metric(
    name: str, a: float, b: float, changes: list[str], worth: dict[State, Fraction], shares: dict[str, Any]
) -> MetricExplained:
    again = worth[NONE], worth[frozenset(changes)]
    remainder = (Fraction(b) - Fraction(a)) - (again[1] - again[0])
    path = {c: (before, after) for c, before, after in steps_in(changes)}
    parts = rounded([*(shares[c].mean for c in changes), remainder], b - a)
    return MetricExplained(
        name,
        a,
        b,
        b - a,
        [
            FactorShare(
                c,
                part,
                float(worth[path[c][1]] - worth[path[c][0]]) if set(path[c]) <= set(worth) else None,
                float(shares[c].lowest),
                float(shares[c].highest),
            )
            for c, part in zip(changes, parts, strict=False)
        ],
        float(again[0]),
        float(again[1]),
        parts[-1],
    )


def _words(state: State) -> str:
    return " and ".join(f for f in FACTORS if f in state) or "nothing"


def _not_explained(state: StateView) -> Failed:
    changed = " and ".join(state.changed) or "nothing"
    error = state.error or {"message": "It gave another set of metrics."}
    return Failed(
        f"Each way from the first run to the second leads through one that fails, such as that with {changed} changed.",
        why=str(error["message"]),
        hint="'tidemill compare' shows the two side by side; 'tidemill reproduce' says whether each can be made again.",
        code=codes.NOT_EXPLAINED,
        details={"changed": state.changed, "error": error},
    )
