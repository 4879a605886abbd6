"""The gate over a run: what the candidate answers, how fast, and how it compares with the running release."""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import identity
from tidemill.core.clock import now, stamp
from tidemill.core.names import Digest
from tidemill.core.settings import GateSettings, PipelineSettings
from tidemill.loop import registry
from tidemill.loop.lookup import steps_of
from tidemill.loop.predictors import PREDICTOR, REPORT
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from tidemill.models.predictor import Predictor
    from tidemill.pipeline.graph import Graph
    from tidemill.release.gate import Against
    from tidemill.store.catalog import records
    from tidemill.store.table import Table

    Columns = dict[str, np.ndarray[Any, Any]]


def verdict_of(ws: Workspace, run: str) -> "records.Verdict | None":
    """What the gate said of a run."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    with ws.store.catalog.read() as read:
        return read.first(records.Verdict, {"run": run})


def judge_run(ws: Workspace, graph: "Graph", run: "records.Run") -> "records.Verdict":
    """The gate's verdict on a run, recorded.

    A verdict that was reached for exactly this predictor, report, rules and running release is taken over;
    otherwise the predictor is loaded as a server would load it, asked, timed and compared.
    """
    from tidemill.store.catalog import records  # noqa: PLC0415

    gate = ws.settings.pipelines.get(run.pipeline, PipelineSettings()).gate
    champion = running_release(ws, run.pipeline)
    question = identity.value(
        [
            # The number goes up when a verdict is reached otherwise, so that no earlier one is taken over.
            "verdict 2",
            run.outputs[PREDICTOR],
            run.outputs[REPORT],
            _plain(gate),
            champion.digest if champion else None,
        ]
    )
    with ws.store.catalog.read() as read:
        known = read.cached([question]).get(question)
        before = read.first(records.Verdict, {"run": known["run"]}) if known else None
    if before is not None:
        verdict = dataclasses.replace(before, run=run.id, decided_at=stamp(now()))
    else:
        passed, rules = _judge(ws, graph, run, gate, champion)
        verdict = records.Verdict(run.id, passed, champion.digest if champion else None, rules, stamp(now()))
    with ws.store.catalog.write() as write:
        write.put(verdict)
        write.remember({question: {"run": run.id}}, verdict.decided_at)
    return verdict


def running_release(ws: Workspace, name: str) -> "records.Release | None":
    """The release of ``name`` that is live in the last environment of the project."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    last = list(ws.settings.environments)[-1]
    with ws.store.catalog.read() as read:
        live = read.find(records.Deployment, {"environment": last, "status": "live", "release_name": name})
        if not live:
            return None
        return read.first(records.Release, {"digest": live[-1].release_digest})


def load_predictor(ws: Workspace, digest: str, folder: Path) -> "Predictor":
    """A predictor artifact, laid out below ``folder`` and loaded."""
    from tidemill.engine.artifacts import load_value  # noqa: PLC0415
    from tidemill.models.predictor import Predictor  # noqa: PLC0415

    return Predictor.load(load_value(ws.store, digest, scratch=folder))


def _judge(
    ws: Workspace,
    graph: "Graph",
    run: "records.Run",
    gate: GateSettings,
    champion: "records.Release | None",
) -> tuple[bool, list[dict[str, Any]]]:
    from tidemill.models import sample as samples  # noqa: PLC0415
    from tidemill.models.agreement import Measure  # noqa: PLC0415
    from tidemill.release import gate as gates  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        predictor = load_predictor(ws, run.outputs[PREDICTOR], Path(name))
        sample, expected = samples.read(predictor.folder)
        measure = Measure.read(predictor.folder)
        smoke = gates.smoke(predictor, sample, expected, measure) if gate.smoke else None
        latency = None
        if gate.latency_ms is not None:
            latency = gates.measure_latency(predictor, {n: a[:1] for n, a in sample.items()})
        against = None
        if champion is not None and predictor.classes is not None:
            against = _compare(ws, graph, run, predictor, champion, gate.confidence, Path(name))
        passed, rules = gates.judge(
            settings=gate,
            metrics=registry.metrics_of(ws, run),
            smoke=smoke,
            latency_ms=latency,
            against=against,
        )
    return passed, [dict(rule.to_json()) for rule in rules]


def _compare(
    ws: Workspace,
    graph: "Graph",
    run: "records.Run",
    candidate: "Predictor",
    champion: "records.Release",
    confidence: float,
    folder: Path,
) -> "Against | None":
    """Both on the same raw rows: the test rows of this run, which neither was trained on."""
    from tidemill.evaluation.paired import paired  # noqa: PLC0415
    from tidemill.models.predictor import Predictor  # noqa: PLC0415
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.release.gate import Against  # noqa: PLC0415

    found = _test_rows(ws, graph, run, [t.name for t in candidate.signature.inputs])
    if found is None:
        return None
    raw, truth = found
    running = Predictor.load(bundle.unpack(ws.store, champion, folder / "running"))
    right = [_answers(p, raw) == truth for p in (candidate, running)]
    return Against(champion.digest, champion.number, paired(right[0], right[1], confidence))


def _answers(predictor: "Predictor", raw: "Columns") -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    rows = len(next(iter(raw.values())))
    parts = [
        predictor.predict({n: a[start : start + 4096] for n, a in raw.items()})["label"]
        for start in range(0, rows, 4096)
    ]
    return np.concatenate(parts)


def _test_rows(
    ws: Workspace, graph: "Graph", run: "records.Run", inputs: list[str]
) -> "tuple[Columns, np.ndarray[Any, Any]] | None":
    """The raw columns and the labels of the rows that the report was made on."""
    import numpy as np  # noqa: PLC0415

    from tidemill.engine.artifacts import load_value  # noqa: PLC0415
    from tidemill.models.columns import from_table  # noqa: PLC0415
    from tidemill.pipeline.cut import outline  # noqa: PLC0415
    from tidemill.store.table import ID  # noqa: PLC0415

    port = graph.node(graph.outputs[REPORT].node).inputs.get("test")
    if port is None:
        return None
    steps = {s.name: s for s in steps_of(ws, run.id)}
    source = outline(graph, "model").dataset
    test: Table = load_value(ws.store, steps[port.node].outputs[port.output])  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    raw: Table = load_value(ws.store, steps[source].outputs["result"])
    label = _label(ws, run)
    ids, wanted = raw.numpy(ID), test.numpy(ID)
    order = np.argsort(ids, kind="stable")
    at = order[np.searchsorted(ids, wanted, sorter=order)]
    return from_table(raw.take(at), inputs), test.numpy(label).astype(str)


def _label(ws: Workspace, run: "records.Run") -> str:
    from tidemill.engine.artifacts import artifact  # noqa: PLC0415

    return str(artifact(ws.store, run.outputs["model"]).meta["label"])


def _plain(gate: GateSettings) -> dict[str, Any]:
    return {**dataclasses.asdict(gate), "rules": list(gate.rules)}


def predictor_facts(ws: Workspace, run: "records.Run") -> tuple[Digest, dict[str, str], dict[str, str]]:
    """The predictor's digest, the code it was cut from (text by path), and the packages that the run imported."""
    packages: dict[str, str] = {}
    code: dict[str, str] = {}
    for step in steps_of(ws, run.id):
        packages.update(step.parts.get("packages", {}))
        if step.outputs.get("result") == run.outputs[PREDICTOR]:
            code = dict(step.parts.get("settings", {}).get("code", {}))
    return Digest(run.outputs[PREDICTOR]), code, packages
