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
from tidemill.loop.champion import compare, running_release
from tidemill.loop.lookup import steps_of
from tidemill.loop.predictors import PREDICTOR, REPORT
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.models.predictor import Predictor
    from tidemill.pipeline.graph import Graph
    from tidemill.release.gate import Against
    from tidemill.store.catalog import records


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
            "verdict 4",
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


def unjudged_against(ws: Workspace, release: "records.Release") -> str | None:
    """What to say of a release that is promoted past one that it was not compared with, or lost against; else None."""
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    live = running_release(ws, release.name)
    gate = ws.settings.pipelines.get(release.name, PipelineSettings()).gate
    verdict = verdict_of(ws, release.run)
    if live is None or live.digest == release.digest or verdict is None or not gate.compare:
        return None
    with ws.store.catalog.read() as read:
        made = read.find(records.Run, {"id": release.run})[0]
        # A run from the cache makes the same again, and is judged anew.
        same = {
            r.id for r in read.find(records.Run, {"pipeline": made.pipeline}) if r.outputs == made.outputs
        }
        found = [v for v in read.find(records.Verdict, {"against": live.digest}) if v.run in same]
    last = max(found, key=lambda v: v.decided_at, default=None)
    if last is not None and last.passed:
        return None
    names = {r.digest: r.number for r in bundle.releases(ws.store, release.name)}
    when = f"against release {names.get(verdict.against)}" if verdict.against else "while no release was live"
    said = "the gate did not pass it against that one" if last else "it was not compared with that one"
    again = f"tidemill run {made.file or 'FILE'}"
    return (
        f"Release {release.number} was judged {when}. Release {live.number} is live now, and {said}. "
        f"Type '{again}' with its parameters: what it computed is in the cache, and the gate judges it again."
    )


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
        against: list[Against] = []
        if champion is not None and gate.compare:
            against = compare(ws, graph, run, predictor, champion, gate, Path(name))
        passed, rules = gates.judge(
            settings=gate,
            metrics=registry.metrics_of(ws, run),
            smoke=smoke,
            latency_ms=latency,
            against=against,
        )
    return passed, [dict(rule.to_json()) for rule in rules]


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
