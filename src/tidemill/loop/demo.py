"""The demo: the whole loop on real data, stage by stage. Killed anywhere, it goes on where it was."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.core import codes
from tidemill.core.config import load_project
from tidemill.core.errors import Failed, InvalidInput
from tidemill.core.events import Progress, Sink, StageFinished, StageStarted, silent
from tidemill.core.figures import counted
from tidemill.core.settings import FILE
from tidemill.loop import deploy, environments, firing, refitting, releases, runs, serving
from tidemill.loop import feedback as labels_back
from tidemill.loop import lineage as tracing
from tidemill.loop import predict as predictions
from tidemill.loop.datasets import history, importing, merging
from tidemill.loop.resources import example
from tidemill.loop.traffic import BATCH, Load, Traffic, prediction_id, request_id
from tidemill.loop.views import DemoSummary, RefitView, RunView, StageView
from tidemill.loop.workspace import Workspace

KEPT_BACK = {"fashion": 1000, "digits": 200}
"""How many of the last images are tomorrow's traffic."""
_TOML = """\
# The demo's settings; docs/settings.md lists all there are.

[pipelines.{name}]
file = "pipeline.py"

# What a candidate must pass before it can become a release.
[pipelines.{name}.gate]
rules = ["accuracy >= {least}"]
latency_ms = 5.0
smoke = true
# The pessimistic end of the interval in which a refitted model may be worse than the running one.
max_drop = {drop}

# A merge into the dataset's main branch refits the model and deploys what passes the gate.
[triggers.new-labels]
dataset = "{name}@main"
pipeline = "{name}"
deploy = "prod"
"""
_LEAST_ACCURACY = {"fashion": 0.87, "digits": 0.9}
_MOST_DROP = {"fashion": 0.01, "digits": 0.05}
"""Digits have 500 test rows, so their interval is wide."""
_TENSOR = {"fashion": "pixel*:28x28", "digits": "pixel*:8x8"}
_FEEDBACK_BRANCH = "feedback"


@dataclass(slots=True)
class _Demo:
    """One demo under way."""

    ws: Workspace
    name: str
    framework: str | None
    sink: Sink
    traffic: Traffic
    done: list[StageView] = field(default_factory=list[StageView])
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def parameters(self) -> dict[str, str]:
        """What the demo's runs are given."""
        own = {"data": f"{self.name}@main"}
        return {**own, "framework": self.framework} if self.framework else own

    @property
    def csv(self) -> Path:
        """The raw file."""
        return self.ws.folder / "data" / f"{self.name}.csv"


def demo(
    folder: Path, *, data: str = "fashion", framework: str | None = None, sink: Sink = silent
) -> DemoSummary:
    """Turn the loop once: import, run, report, gate, release, promote, predict, feedback, refit, trace.

    Args:
        folder: The demo's project; made if it is not there, gone on with if it is.
        data: ``fashion`` (70,000 images, downloaded) or ``digits`` (1,797 of scikit-learn's own).
        framework: ``keras`` or ``sklearn``; None: ``keras`` for fashion, ``sklearn`` for digits.
        sink: Gets stages, steps and progress.

    Raises:
        InvalidInput: ``unknown-demo``; ``other-demo``, when the folder holds a demo of the other data.
        NotFound: ``data-not-found``.
        Failed: ``gate-not-passed``, ``run-failed``, ``deployment-failed``.
    """
    if data not in KEPT_BACK:
        raise InvalidInput(
            f"There is no demo on '{data}'.", hint="Take 'fashion' or 'digits'.", code=codes.UNKNOWN_DEMO
        )
    ws = _project(folder.resolve(), data)
    work = _Demo(ws, data, framework, sink, Traffic(ws.folder / "data" / "traffic.npz"))
    try:
        _turn(work)
    finally:
        for environment in work.ws.settings.environments:
            deploy.stop(work.ws, environment)
        work.ws.close()
    return DemoSummary(
        str(work.ws.folder),
        work.done,
        work.facts,
        [
            f"cd {folder}",
            "tidemill serve prod",
            "tidemill lineage " + str(work.facts["prediction"]),
        ],
    )


def _turn(work: _Demo) -> None:
    stages: list[tuple[str, str, Callable[[_Demo], str]]] = [
        ("data", "Find the raw data", _find_data),
        ("import", "Import the CSV", _import),
        ("run", "Run the pipeline", _run),
        ("report", "Draw the report", _report),
        ("gate", "Ask the gate", _gate),
        ("release", "Make release 1", _release),
        ("promote", "Promote it to prod", _promote),
        ("predict", "Answer tomorrow's traffic", _predict),
        ("feedback", "Take the true labels back", _feedback),
        ("refit", "Refit while requests go on", _refit),
        ("trace", "Trace one prediction", _trace),
    ]
    for index, (name, title, stage) in enumerate(stages):
        work.sink(StageStarted(name, title, index + 1, len(stages)))
        started = time.perf_counter()
        result = stage(work)
        seconds = time.perf_counter() - started
        work.done.append(StageView(name, result, round(seconds, 3)))
        work.sink(StageFinished(name, result, seconds))


def _project(folder: Path, data: str) -> Workspace:
    """The demo's project folder, with its settings and its pipeline."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    settings = folder / FILE
    text = _TOML.format(name=data, least=_LEAST_ACCURACY[data], drop=_MOST_DROP[data])
    if not settings.exists():
        settings.write_text(text, "utf-8")
    if not (folder / "pipeline.py").exists():
        (folder / "pipeline.py").write_text((example(data) / "pipeline.py").read_text("utf-8"), "utf-8")
    ws = Workspace(load_project(folder))
    if data not in ws.settings.pipelines:
        raise InvalidInput(
            f"{folder} holds another project than the demo on '{data}'.",
            hint="Name another folder: tidemill demo FOLDER.",
            code=codes.OTHER_DEMO,
        )
    return ws


# -- the stages


def _find_data(work: _Demo) -> str:
    from tidemill.loop import digits, fashion  # noqa: PLC0415

    if not (work.csv.exists() and work.traffic.exists()):
        images = fashion.load(work.sink) if work.name == "fashion" else digits.load()
        kept = KEPT_BACK[work.name]
        work.traffic.keep(images.images[-kept:], images.labels[-kept:])
        work.sink(Progress("writing the raw CSV", 0, None, "rows"))
        fashion.write_csv(fashion.Images(images.images[:-kept], images.labels[:-kept]), work.csv)
    size = work.csv.stat().st_size
    rows = len(work.traffic.labels)
    return f"{work.csv.relative_to(work.ws.folder)}, {size / 1e6:.0f} MB; {rows} images kept back as tomorrow's traffic"


def _import(work: _Demo) -> str:
    imported = importing.import_data(
        work.ws,
        work.name,
        work.csv,
        tensors={"image": _TENSOR[work.name]},
        types={"label": "string"},
        label="label",
        message="the raw data",
        sink=work.sink,
    )
    work.facts["rows"] = imported.total
    first = history.log(work.ws, work.name)[-1]
    return f"dataset {work.name}, commit {first.number} ({first.id}): {first.rows} rows"


def _run(work: _Demo) -> str:
    view = runs.run(
        work.ws,
        work.ws.folder / "pipeline.py",
        {**work.parameters, "data": _first_commit(work)},
        name=work.name,
        sink=work.sink,
    )
    if view.status != "succeeded":
        error = view.error or {}
        raise Failed(
            f"Run {view.run} failed: {error.get('message', '')}",
            why=error.get("why"),
            hint=error.get("hint"),
            code=error.get("code", codes.RUN_FAILED),
            details=error.get("details"),
        )
    work.facts["run"] = view.run
    work.facts.setdefault(
        "preparation_seconds", sum(s.seconds for s in view.steps if s.kind in refitting.PREPARATION)
    )
    computed = sum(s.status == "computed" for s in view.steps)
    return f"run {view.run}: {computed} of {len(view.steps)} steps computed, {view.seconds:.1f} s"


def _first_commit(work: _Demo) -> str:
    """The data as they were before any feedback: what release 1 is made of, also when the demo goes on later."""
    return f"{work.name}@{history.log(work.ws, work.name)[-1].id}"


def _report(work: _Demo) -> str:
    made = runs.report(work.ws, work.facts["run"], work.ws.folder / "report.html")
    accuracy, elementwise = made.metrics["accuracy"], made.metrics["elementwise_accuracy"]
    work.facts["accuracy"] = accuracy
    work.facts["elementwise_accuracy"] = elementwise
    return f"report.html: accuracy {accuracy:.4f}; element-wise accuracy of the same model {elementwise:.4f}"


def _gate(work: _Demo) -> str:
    verdict = _show(work).verdict
    if verdict is None:
        raise Failed(
            f"Run {work.facts['run']} was not judged.",
            hint=f"Type 'tidemill show {work.facts['run']}' to see what it lacks.",
            code=codes.NO_VERDICT,
        )
    missed = [f"{r['name']}: {r['reason']}" for r in verdict.rules if not r["passed"]]
    if missed:
        raise Failed(
            f"The gate says no to run {work.facts['run']}: {'; '.join(missed)}.",
            hint="Open report.html to see the model; the rules are in tidemill.toml.",
            code=codes.GATE_NOT_PASSED,
            details={"failed": missed},
        )
    return "passed: " + "; ".join(f"{r['name']} ({r['reason']})" for r in verdict.rules)


def _show(work: _Demo) -> RunView:
    return runs.show_run(work.ws, work.facts["run"])


def _release(work: _Demo) -> str:
    made = releases.create_release(work.ws, work.facts["run"], sink=work.sink)
    checked = releases.verify_release(work.ws, f"{made.name}/{made.number}")
    if not checked.ok:
        raise Failed(
            f"Release {made.number} does not verify: {'; '.join(checked.problems)}",
            hint="Start the demo again in an empty folder.",
            code=codes.RELEASE_DAMAGED,
        )
    return f"{made.name}/{made.number}, {made.digest[:19]}: {checked.checked} digests verified"


def _promote(work: _Demo) -> str:
    """Release 1 through every environment; one that a later release is live in already is only started again."""
    places: list[str] = []
    for environment in work.ws.settings.environments:
        live = {e.environment: e for e in environments.environments(work.ws)}[environment]
        if live.number is None:
            deploy.promote(work.ws, f"{work.name}/1", environment, sink=work.sink)
        elif not live.running:
            serving.serve(work.ws, environment, sink=work.sink)
        places.append(environment)
        work.sink(Progress("promoting", len(places), len(work.ws.settings.environments), "environments"))
    return f"{' → '.join(places)}; prod answers at {deploy.address_of(work.ws, 'prod')}"


def _predict(work: _Demo) -> str:
    """The kept images over HTTP, half by the inference protocol and half by plain /predict. Ids make it repeatable."""
    images, labels = work.traffic.images, work.traffic.labels
    right = 0
    with predictions.client(work.ws, "prod") as client:
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            answers = predictions.ask(
                client, work.name, {"image": batch}, request_id(start), protocol=start // BATCH % 2 == 0
            )
            right += sum(a == b for a, b in zip(answers, labels[start : start + BATCH], strict=True))
            work.sink(Progress("predicting", start + len(batch), len(images), "requests"))
    work.facts["prediction"] = prediction_id(0)
    work.facts["traffic"] = len(images)
    logged = deploy.predictions_in(work.ws, "prod")
    return f"{counted(len(images), 'image')} answered, {right / len(images):.3f} rightly; {logged} predictions logged"


def _feedback(work: _Demo) -> str:
    labels = work.traffic.labels
    items = [(prediction_id(n), str(label)) for n, label in enumerate(labels)]
    sent = labels_back.send_feedback(work.ws, "prod", items, sink=work.sink)
    known = {b.branch for b in history.branches(work.ws, work.name)}
    if _FEEDBACK_BRANCH not in known:
        history.branch(work.ws, _first_commit(work), _FEEDBACK_BRANCH)
    collected = labels_back.collect_feedback(work.ws, "prod", work.name, _FEEDBACK_BRANCH)
    merged = merging.merge(
        work.ws, work.name, _FEEDBACK_BRANCH, message="labels from production", fire=False, sink=work.sink
    )
    work.facts["merge"] = merged.commit
    return (
        f"{sent.accepted} labels are rows of {work.name}@{collected.branch}, "
        f"merged as commit {merged.number} ({merged.commit})"
    )


def _refit(work: _Demo) -> str:
    """The merge's trigger, while a client keeps asking: release 2 takes over and no request may fail."""
    before = work.facts["preparation_seconds"]
    logged = deploy.predictions_in(work.ws, "prod")
    with Load(work.ws, work.name, work.traffic) as load:
        fired = firing.fire_merge(work.ws, work.name, "main", work.facts["merge"], sink=work.sink)
    if load.errors:
        raise Failed(
            f"{counted(len(load.errors), 'request')} failed while prod was replaced: {load.errors[0]}.",
            hint="Read the servers' logs, in the store's folder 'environments'.",
            code=codes.DEPLOYMENT_FAILED,
        )
    unlogged = load.answered - (deploy.predictions_in(work.ws, "prod") - logged)
    if unlogged > 0:
        raise Failed(
            f"{unlogged} answered predictions are not in the log.",
            hint="Type 'tidemill doctor' to see whether the log is damaged.",
            code=codes.PREDICTION_LOST,
        )
    work.facts["requests_during_refit"] = load.answered
    if not fired:
        number = next(r.number for r in releases.releases(work.ws, work.name) if "prod" in r.environments)
        return f"answered before: release {number} is live in prod"
    return _told(work, fired[0], before, load.answered)


def _told(work: _Demo, done: RefitView, before: float, answered: int) -> str:
    if done.release is None or done.verdict is None:
        rules = done.verdict.rules if done.verdict else []
        missed = "; ".join(f"{r['name']}: {r['reason']}" for r in rules if not r["passed"])
        raise Failed(
            f"The refit made no release: {done.reason}{f' ({missed})' if missed else ''}.",
            hint="Release 1 still serves prod.",
            code=codes.GATE_NOT_PASSED if done.verdict else codes.RUN_FAILED,
        )
    work.facts["refit_run"] = done.run
    work.facts["rows_computed_again"] = done.rows_computed
    work.facts["refit_preparation_seconds"] = done.preparation_seconds
    against = next((r for r in done.verdict.rules if "release" in r["name"]), None)
    share = (done.preparation_seconds or 0) / before if before else 0.0
    compared = f"; {against['name']}: {against['reason']}" if against else ""
    return (
        f"release {done.release} replaced release 1 in prod: {answered} requests meanwhile, none failed; "
        f"preparation took {share:.0%} of the first{compared}"
    )


def _trace(work: _Demo) -> str:
    nodes = tracing.lineage(work.ws, work.facts["prediction"]).nodes
    by_kind = {n["kind"]: n for n in reversed(nodes)}
    work.facts["lineage"] = nodes
    order = ("prediction", "release", "run", "model", "code", "commit")
    return " ← ".join(f"{kind} {_short(by_kind[kind]['id'])}" for kind in order if kind in by_kind)


def _short(text: str) -> str:
    return text[:19] if text.startswith("sha256:") else text
