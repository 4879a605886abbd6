"""The candidate of a run against the running release: each metric of the gate's rules, paired, on the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tidemill.core.errors import TidemillError
from tidemill.core.figures import figure
from tidemill.core.settings import GateSettings
from tidemill.loop import registry
from tidemill.loop.lookup import steps_of
from tidemill.loop.predictors import MODEL, REPORT
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from tidemill.evaluation import Comparison, Report
    from tidemill.evaluation.measures import Measure
    from tidemill.models.predictor import Predictor
    from tidemill.pipeline.graph import Graph
    from tidemill.release.gate import Against
    from tidemill.store.catalog import records
    from tidemill.store.table import Table

    Array = np.ndarray[Any, Any]

_ROWS_AT_ONCE = 4096
_COUNT = "n"
"""The one number of a report that says nothing of the model."""

Direction = Literal["higher", "lower", "unknown"]


class NotComparable(Exception):
    """Why the candidate and the running release cannot be compared, as the verdict says it."""


def running_release(ws: Workspace, name: str) -> "records.Release | None":
    """The release of ``name`` that is live in the last environment that has one, in the order of the settings."""
    from tidemill.release.history import standing  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        live = [d for d in standing(read, None, "live") if d.release_name == name]
        # Of an environment that several have for themselves, what went live last.
        placed = {d.environment: d for d in reversed(live)}
        for environment in reversed(list(ws.settings.environments)):
            if environment in placed:
                return read.first(records.Release, {"digest": placed[environment].release_digest})
    return None


def compare(
    ws: Workspace,
    graph: "Graph",
    run: "records.Run",
    candidate: "Predictor",
    champion: "records.Release",
    gate: GateSettings,
    folder: Path,
) -> "list[Against]":
    """Each metric that the gate's rules name, of both; without one, accuracy or the mean absolute error.

    Both answer the rows that the report was made on, which the split keeps from the training of either. A metric of
    one's own is compared where both reports say its value for each row.

    Args:
        ws: The project.
        graph: Of the run, as it went.
        run: The candidate's.
        candidate: Its predictor.
        champion: The running release.
        gate: The pipeline's rules.
        folder: Where the running release is unpacked.
    """
    from tidemill.release.gate import Against  # noqa: PLC0415

    both = _Both(ws, graph, run, candidate, champion, folder)
    found: list[Against] = []
    for metric, direction in _wanted(gate, candidate).items():
        try:
            comparison: Comparison | str = both.compare(metric, direction, gate.confidence)
        except NotComparable as error:
            comparison = str(error)
        except TidemillError as error:
            comparison = error.message
        found.append(Against(champion.number, metric, comparison))
    return found


def _wanted(gate: GateSettings, candidate: "Predictor") -> dict[str, Direction]:
    """The metrics of the rules, each with the direction that its rules ask for."""
    from tidemill.release.gate import parse_rule  # noqa: PLC0415

    found: dict[str, set[Direction]] = {}
    for rule in map(parse_rule, gate.rules):
        direction: Direction = (
            "higher"
            if rule.operator in (">", ">=")
            else "lower"
            if rule.operator in ("<", "<=")
            else "unknown"
        )
        found.setdefault(rule.metric, set()).add(direction)
    found.pop(_COUNT, None)
    if not found:
        return {"mae": "lower"} if candidate.classes is None else {"accuracy": "higher"}
    return {name: said.pop() if len(said) == 1 else "unknown" for name, said in found.items()}


@dataclass(frozen=True, slots=True)
class _Answers:
    """The truth of the test rows, and what both models answer: numbers; or the class's index and probabilities."""

    truth: "Array"
    candidate: "Array"
    champion: "Array"
    classes: int | None


class _Both:
    """Both models on the test rows of the candidate's run; asked once, whatever is measured."""

    def __init__(
        self,
        ws: Workspace,
        graph: "Graph",
        run: "records.Run",
        candidate: "Predictor",
        champion: "records.Release",
        folder: Path,
    ) -> None:
        from tidemill.engine.artifacts import load_value  # noqa: PLC0415

        self._ws, self._graph, self._run = ws, graph, run
        self._candidate, self._champion, self._folder = candidate, champion, folder
        self._report: Report = load_value(ws.store, run.outputs[REPORT])
        self._answers: _Answers | NotComparable | None = None

    def compare(self, metric: str, direction: Direction, confidence: float) -> "Comparison":
        """One metric of both.

        Raises:
            NotComparable: With the reason.
            TidemillError: What a model says of a row.
        """
        from tidemill.evaluation.paired import compared  # noqa: PLC0415

        if metric in self._report.per_row:
            return self._own(metric, direction, confidence)
        answers = self._asked(metric)
        measure = _measure(metric, answers)
        if measure is None:
            raise NotComparable(
                f"Tidemill does not know how '{metric}' is computed, and the report does not say its value for each "
                "row; give tm.Report 'per_row' and 'ids'"
            )
        found = compared(
            measure,
            answers.truth,
            answers.candidate,
            answers.champion,
            confidence,
            same_model=self._is_same_model(),
        )
        self._hold_against_report(metric, found, answers)
        return found

    def _hold_against_report(self, metric: str, found: "Comparison", answers: _Answers) -> None:
        """The report's number must be the predictor's: else it is of other rows, or measures something else."""
        said = self._report.metrics.get(metric)
        if said is None:
            return
        # The predictor answers in float32 and may be off by as much as bundles may; a tie may fall the other way.
        slack = 1e-3 * max(abs(said), found.scale)
        if answers.classes is not None:
            slack += 2 / found.n
        elif metric != "r2":
            slack += _float32(answers.truth)
        if not abs(found.a - said) <= slack:
            raise NotComparable(
                f"the report says {figure(said, 6)}, and the predictor has {figure(found.a, 6)} on the rows of the report's table "
                "'test'; it was made on other rows, or measures something else by that name"
            )

    def _asked(self, metric: str) -> _Answers:
        if self._answers is None:
            try:
                self._answers = self._ask(metric)
            except NotComparable as error:
                self._answers = error
        if isinstance(self._answers, NotComparable):
            raise self._answers
        return self._answers

    def _ask(self, metric: str) -> _Answers:
        import numpy as np  # noqa: PLC0415

        from tidemill.evaluation.metrics import class_indices  # noqa: PLC0415
        from tidemill.models.predictor import Predictor  # noqa: PLC0415
        from tidemill.release import bundle  # noqa: PLC0415

        running = Predictor.load(bundle.unpack(self._ws.store, self._champion, self._folder / "running"))
        ours = self._candidate
        if (ours.classes is None) != (running.classes is None):
            raise NotComparable("one of the two answers a class, and the other a number")
        if ours.label != running.label:
            raise NotComparable(f"the running release answers '{running.label}', and this one '{ours.label}'")
        raw, truth = self._test_rows(metric)
        if ours.classes is None or running.classes is None:
            return _Answers(
                truth.astype(np.float64), _answers(ours, raw, "value"), _answers(running, raw, "value"), None
            )
        classes = [*ours.classes, *(c for c in running.classes if c not in ours.classes)]
        return _Answers(
            class_indices(truth.astype(str), classes),
            _among(_answers(ours, raw, "probabilities"), ours.classes, classes),
            _among(_answers(running, raw, "probabilities"), running.classes, classes),
            len(classes),
        )

    def _test_rows(self, metric: str) -> "tuple[Table, Array]":
        """The raw rows that the report was made on, and their truth."""
        import numpy as np  # noqa: PLC0415

        from tidemill.engine.artifacts import artifact, load_value  # noqa: PLC0415
        from tidemill.pipeline.cut import outline  # noqa: PLC0415
        from tidemill.pipeline.graph import Port  # noqa: PLC0415
        from tidemill.store.table import ID, Table  # noqa: PLC0415

        maker = self._graph.outputs[REPORT].node
        port = self._graph.node(maker).inputs.get("test")
        steps = {s.name: s for s in steps_of(self._ws, self._run.id)}
        if not isinstance(port, Port) or port.node not in steps:
            raise NotComparable(
                f"step '{maker}', which made the report, takes no table 'test', and the report does not say the value "
                f"of '{metric}' for each row; give tm.Report 'per_row' and 'ids'"
            )
        source = outline(self._graph, "model").dataset
        test: Any = load_value(self._ws.store, steps[port.node].outputs[port.output])
        raw: Table = load_value(self._ws.store, steps[source].outputs["result"])
        label = str(artifact(self._ws.store, self._run.outputs["model"]).meta["label"])
        if not isinstance(test, Table) or label not in test.columns:
            raise NotComparable(f"what step '{maker}' takes as 'test' is no table with the column '{label}'")
        ids, wanted = raw.numpy(ID), test.numpy(ID)
        order = np.argsort(ids, kind="stable")
        at = order[np.searchsorted(ids, wanted, sorter=order).clip(max=max(0, len(ids) - 1))]
        strangers = int((ids[at] != wanted).sum())
        if strangers:
            raise NotComparable(f"{strangers:,} of {len(wanted):,} test rows are no rows of the dataset")
        return raw.take(at), test.numpy(label)

    def _own(self, metric: str, direction: Direction, confidence: float) -> "Comparison":
        """A metric whose value the reports say for each row: on the rows that both have, as they are in both commits."""
        import numpy as np  # noqa: PLC0415

        from tidemill.evaluation.measures import of_own  # noqa: PLC0415
        from tidemill.evaluation.paired import compared  # noqa: PLC0415

        if direction == "unknown":
            raise NotComparable(
                f"the rules do not say whether a higher '{metric}' is better; let them all be >= or all be <="
            )
        before, report = self._champions()
        if metric not in report.per_row:
            raise NotComparable(f"the report of the running release does not say its '{metric}' for each row")
        one, other = (np.array(r.ids, np.uint64) for r in (self._report, report))
        both, at, at_other = np.intersect1d(one, other, assume_unique=True, return_indices=True)
        same = ~np.isin(both, self._changed_since(before))
        if not same.any():
            raise NotComparable("its report and that of the running release have no row in common")
        a = np.array(self._report.per_row[metric])[at[same]]
        b = np.array(report.per_row[metric])[at_other[same]]
        measure = of_own(metric, b, higher_is_better=direction == "higher")
        return compared(measure, a, a, b, confidence, same_model=self._is_same_model())

    def _champions_run(self) -> "records.Run | None":
        from tidemill.store.catalog import records  # noqa: PLC0415

        with self._ws.store.catalog.read() as read:
            return read.first(records.Run, {"id": self._champion.run})

    def _is_same_model(self) -> bool:
        run = self._champions_run()
        return run is not None and run.outputs.get(MODEL) == self._run.outputs[MODEL]

    def _champions(self) -> "tuple[records.Run, Report]":
        from tidemill.engine.artifacts import load_value  # noqa: PLC0415

        run = self._champions_run()
        digest = None if run is None else registry.digest_of_kind(self._ws, run, REPORT)
        if run is None or digest is None:
            raise NotComparable("the report of the running release is not in the store any more")
        return run, load_value(self._ws.store, digest)

    def _changed_since(self, before: "records.Run") -> "Array":
        """The rows that are not the same in the data of both runs."""
        import numpy as np  # noqa: PLC0415

        found: list[Array] = [np.zeros(0, np.uint64)]
        for reference, commit in self._run.inputs.items():
            earlier = before.inputs.get(reference)
            if earlier is not None and earlier != commit:
                found.append(
                    self._ws.datasets.open(reference.partition("@")[0]).diff(earlier, commit).changed
                )
        return np.concatenate(found)


def _float32(truth: "Array") -> float:
    """How far numbers of the size of the labels may be off in float32."""
    return 1e-6 * float((truth**2).mean()) ** 0.5


def _measure(metric: str, answers: _Answers) -> "Measure | None":
    from tidemill.evaluation import measures  # noqa: PLC0415

    if answers.classes is None:
        return measures.of_regressor(metric, answers.truth)
    return measures.of_classifier(metric, answers.classes)


def _answers(predictor: "Predictor", raw: "Table", output: str) -> "Array":
    """What a predictor answers for rows of the dataset."""
    import numpy as np  # noqa: PLC0415

    from tidemill.models.columns import from_table  # noqa: PLC0415

    columns = from_table(raw, [t.name for t in predictor.signature.inputs])
    parts = [
        predictor.predict({n: a[start : start + _ROWS_AT_ONCE] for n, a in columns.items()})[output]
        for start in range(0, len(raw), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts).astype(np.float64)


def _among(probabilities: "Array", own: Sequence[str], classes: Sequence[str]) -> "Array":
    """Probabilities as columns of ``classes``; a class that a model does not know gets none."""
    import numpy as np  # noqa: PLC0415

    place: Mapping[str, int] = {c: i for i, c in enumerate(classes)}
    made = np.zeros((len(probabilities), len(classes)))
    made[:, [place[c] for c in own]] = probabilities
    return made
