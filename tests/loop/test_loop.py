"""The use cases of the loop, one after the other on one small project, as a notebook calls them."""

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tidemill as tm
from tidemill.cli.render import releases as rendered
from tidemill.core.errors import Conflict, Failed, InvalidInput, NotAllowed, NotFound
from tidemill.loop import releases
from tidemill.pipeline import load

pytestmark = pytest.mark.sklearn


@pytest.fixture(autouse=True)
def forget_the_project() -> Iterator[None]:
    """A loaded pipeline stays imported, so that the next run need not; other tests must not see it."""
    yield
    load.leave()


PIPELINE = """
import tidemill as tm
from tidemill import parts

@tm.row_step(columns="x")
def scale(x):
    return (x / 10).astype("float32")

@tm.trainer(features="x", label="label", classes=["high", "low"])
def fit(train: tm.Table, strength: float):
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression(C=strength).fit(train.numpy("x"), train.numpy("label"))

@tm.pipeline
def small(data: tm.Dataset = tm.dataset("points@main"), strength: float = 1.0):
    rows = scale(parts.keep_labels(data, label="label", allowed=["high", "low"]))
    train, _, test = parts.split(rows, test=0.4, validation=0.0)
    model = fit(train, strength=strength)
    return {"model": model, "report": parts.evaluate(model, test, name="small")}
"""
SETTINGS = """
[pipelines.small]
file = "pipeline.py"

[pipelines.small.gate]
rules = ["accuracy >= 0.8"]
max_drop = 0.3

[triggers.more]
dataset = "points@main"
pipeline = "small"
deploy = "dev"
"""


def csv(seed: int, rows: int) -> str:
    chance = np.random.RandomState(seed)
    lines = ["label,x1,x2"]
    for x, y in chance.randint(0, 256, (rows, 2)):
        lines.append(f"{'high' if x + y > 255 else 'low'},{x},{y}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(textwrap.dedent(PIPELINE))
    (tmp_path / "tidemill.toml").write_text(SETTINGS)
    (tmp_path / "points.csv").write_text(csv(1, 300))
    with tm.open(tmp_path) as opened:
        opened.import_data("points", tmp_path / "points.csv", tensors={"x": "x*:2"}, label="label")
        yield opened
        for environment in ("dev", "test", "staging", "prod"):
            opened.stop(environment)


def trained(project: tm.Project, **parameters: Any) -> Any:
    made = project.run(project.folder / "pipeline.py", **parameters)
    assert made.status == "succeeded", made.error
    return made


def test_a_run_registers_its_model_once_and_is_judged(project: tm.Project) -> None:
    first = trained(project)
    assert first.model == {"name": "small", "version": 1}
    assert first.verdict is not None
    assert first.verdict.passed
    assert {r["name"] for r in first.verdict.rules} >= {"accuracy >= 0.8", "smoke test of the predictor"}
    again = trained(project)
    assert {s.status for s in again.steps} == {"cached"}
    assert again.model == first.model
    assert again.verdict is not None
    assert again.verdict.rules == first.verdict.rules
    other = trained(project, strength=0.01)
    assert other.model == {"name": "small", "version": 2}
    assert "setting strength: 1.0 → 0.01" in project.why(other.run, "fit").why


def test_the_value_of_a_run_is_the_model_itself(project: tm.Project) -> None:
    made = trained(project)
    model = project.value(made.run, "model")
    assert model.classes == ("high", "low")
    assert model.predict(np.array([[25.0, 25.0]], np.float32)).argmax() == 0
    with pytest.raises(NotFound, match="no output 'nothing'"):
        project.value(made.run, "nothing")


def test_a_model_that_fails_its_gate_is_not_released(project: tm.Project) -> None:
    # Also where the same content was released under other rules.
    project.release(trained(project).run)
    settings = project.folder / "tidemill.toml"
    settings.write_text(settings.read_text().replace("accuracy >= 0.8", "accuracy >= 1.01"))
    with tm.open(project.folder) as strict:
        made = trained(strict)
        assert made.verdict is not None
        assert not made.verdict.passed
        with pytest.raises(NotAllowed) as refused:
            strict.release(made.run)
    assert refused.value.code == "gate-not-passed"
    assert "accuracy >= 1.01" in str(refused.value.why)


def test_a_release_is_made_once_and_is_whole_until_a_byte_changes(project: tm.Project) -> None:
    made = trained(project)
    release = project.release(made.run)
    assert (release.name, release.number) == ("small", 1)
    assert not release.already
    assert project.release(made.run) == release
    # The same run from the cache has the same content, so it is no second release.
    again = project.release(trained(project).run)
    assert (again.number, again.run, again.already) == (1, made.run, True)
    assert "Release small/1 is there already" in rendered.created(again)
    assert project.verify("small/1").ok
    digest = next(
        a["id"]
        for a in project.lineage("small/1").nodes
        if a["kind"] == "code" and a["path"] == "pipeline.py"
    )
    file = project.folder / ".tidemill/blobs/sha256" / digest[7:9] / digest[7:]
    file.write_bytes(file.read_bytes() + b"#")
    checked = project.verify("small/1")
    assert not checked.ok
    assert "pipeline.py is damaged" in checked.problems[0]
    [file] = (project.folder / ".tidemill/datasets/points.lance/data").glob("*.lance")
    data = file.read_bytes()
    file.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    assert any(f"data/{file.name}" in problem for problem in project.verify("small/1").problems)


def test_a_release_of_before_commits_had_digests_stays_whole(
    project: tm.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trained(project)
    today = releases.data_facts

    def then(ws: Any, name: str, commit: str) -> dict[str, Any]:
        facts = today(ws, name, commit)
        assert facts.pop("digest").startswith("sha256:")
        return {**facts, "content": releases._files_of(ws.datasets.open(name).snapshot(commit))}

    monkeypatch.setattr(releases, "data_facts", then)
    project.release(made.run)
    monkeypatch.undo()
    [facts] = releases.show_release(project._ws, "small/1")["manifest"]["data"].values()
    assert facts.keys() == {"commit", "number", "rows", "content"}
    assert project.verify("small/1").ok


BRANCHES = """
@tm.step
def is_strong(strength: float) -> bool:
    return strength > 0.5

@tm.step
def is_many(rows: tm.Table, least: int) -> bool:
    return len(rows) > least

@tm.transform(columns="x")
class Center:
    def fit(self, x):
        return {"mean": x.mean(axis=0)}

    def apply(self, x, state):
        return (x - state["mean"]).astype("float32")

@tm.pipeline
def prepare(data: tm.Dataset, least: int = 100):
    rows = scale(parts.keep_labels(data, label="label", allowed=["high", "low"]))
    train, _, test = parts.split(rows, test=0.4, validation=0.0)
    center = lambda: Center().fit(train)
    def centered():
        fitted = Center().fit(train)
        return fitted.apply(train), fitted.apply(test)
    return tm.when(is_many(rows, least), centered, lambda: (train, test))

@tm.pipeline(name="small")
def branches(
    data: tm.Dataset = tm.dataset("points@main"), strength: float = 1.0, least: int = 100, missing: bool = False
):
    train, test = prepare(data, least=least)
    weak = lambda: None if missing else fit(train, strength=0.01)
    model = tm.when(is_strong(strength), then=lambda: fit(train, strength=strength), otherwise=weak)
    report = tm.when(is_strong(strength), lambda: parts.evaluate(model, test, name="small"))
    return {"model": model, "report": report}
"""


@pytest.mark.parametrize("least", [100, 1000])
def test_a_model_of_a_branch_is_released_with_the_rows_that_the_run_made(
    project: tm.Project, least: int
) -> None:
    (project.folder / "branches.py").write_text(
        PIPELINE.replace("@tm.pipeline\ndef small", "def small") + BRANCHES
    )
    file = project.folder / "branches.py"
    made = project.run(file, least=least)
    assert made.status == "succeeded", made.error
    assert made.verdict is not None
    steps = {s.name: s.status for s in made.steps}
    assert [n for n, s in steps.items() if n.startswith("predictor") and s == "computed"] == (
        ["predictor"] if least == 100 else ["predictor-2"]
    )
    release = project.release(made.run)
    assert release.number == 1
    assert project.verify("small/1").ok
    weak = project.run(file, strength=0.1, least=least, missing=True)
    assert weak.status == "succeeded", weak.error
    assert weak.verdict is None
    with pytest.raises(InvalidInput, match="made no model and no report and no predictor"):
        project.release(weak.run)


CHOSEN = """
@tm.step
def strengths() -> list:
    return [0.01, 1.0]

@tm.step
def pick(models: list, best: int) -> tm.TrainedModel:
    return models[best]

@tm.pipeline
def small(data: tm.Dataset = tm.dataset("points@main"), best: int = 1, inside: bool = False):
    rows = scale(parts.keep_labels(data, label="label", allowed=["high", "low"]))
    train, _, test = parts.split(rows, test=0.4, validation=0.0)
    moved = lambda: scale(train) if inside else train
    model = pick(tm.each(strengths(), lambda strength: fit(moved(), strength=strength)), best)
    return {"model": model, "report": parts.evaluate(model, test, name="small")}
"""


def test_a_model_that_is_chosen_of_many_is_released_where_they_take_the_same_rows(
    project: tm.Project,
) -> None:
    (project.folder / "chosen.py").write_text(
        PIPELINE.replace("@tm.pipeline\ndef small", "def of_old") + CHOSEN
    )
    made = project.run(project.folder / "chosen.py")
    assert made.status == "succeeded", made.error
    assert made.verdict is not None
    assert project.release(made.run).number == 1
    told: list[Any] = []
    inside = project.run(project.folder / "chosen.py", inside=True, options={"sink": told.append})
    assert inside.status == "succeeded", inside.error
    assert any("its rows are made in the function of a tm.each" in getattr(e, "text", "") for e in told)


def test_code_of_a_release_is_what_ran_though_the_file_changed_since(project: tm.Project) -> None:
    made = trained(project)
    source = project.folder / "pipeline.py"
    before = source.read_text()
    source.write_text(before + "\n# changed\n")
    project.release(made.run)
    digest = next(n["id"] for n in project.lineage("small/1").nodes if n["kind"] == "code")
    stored = project.folder / ".tidemill/blobs/sha256" / digest[7:9] / digest[7:]
    assert stored.read_text() == before


@pytest.mark.both_stores
def test_gc_frees_what_nothing_needs_and_breaks_nothing(project: tm.Project) -> None:
    made = trained(project)
    project.release(made.run)
    orphan = project._ws.store.blobs.put(b"nobody needs this")
    would = project.gc(dry_run=True, now=True)
    assert {k.kind: k.count for k in would.kinds}["blobs"] >= 1
    assert project._ws.store.blobs.exists(orphan)
    freed = project.gc(now=True)
    assert (freed.kinds, freed.bytes) == (would.kinds, would.bytes)
    assert not project._ws.store.blobs.exists(orphan)
    assert project.verify("small/1").ok
    again = trained(project)
    assert {s.status for s in again.steps} == {"cached"}
    assert {k.kind: k.count for k in project.gc(dry_run=True, now=True).kinds}["blobs"] == 0


@pytest.mark.both_stores
def test_what_a_release_was_made_from_is_not_deleted_and_who_learned_a_forgotten_row_is_named(
    project: tm.Project,
) -> None:
    made = trained(project)
    project.release(made.run)
    with pytest.raises(NotAllowed) as refused:
        project.delete("points")
    assert refused.value.code == "dataset-in-use"
    assert "small/1" in refused.value.message
    row = project.read("points").ids[5]
    done = project.forget("points", f"_id = {row}", "asked for")
    assert (done.rows, done.trained) == (1, ["model:small@1", "small/1"])
    # All of the release is there and as it was, but the data that it was made from.
    problems = project.verify("small/1").problems
    assert len(problems) == 1
    assert "data points@" in problems[0]
    again = trained(project)
    assert again.inputs == made.inputs
    assert "computed" in {s.status for s in again.steps}
    assert project.delete("points", force=True).rows == 299


@pytest.mark.both_stores
def test_gc_waits_for_runs(project: tm.Project) -> None:
    (project.folder / "slow.py").write_text(
        "import pathlib, time\nimport tidemill as tm\n\n@tm.step\ndef wait(go: str) -> int:\n"
        "    pathlib.Path(go + '.started').touch()\n"
        "    while not pathlib.Path(go).exists():\n        time.sleep(0.01)\n    return 1\n\n"
        "@tm.pipeline\ndef slow(go: str):\n    return wait(go)\n"
    )
    go = project.folder / "go"
    command = [
        sys.executable,
        "-m",
        "tidemill",
        "-C",
        str(project.folder),
        "run",
        "slow.py",
        "-p",
        f"go={go}",
    ]
    with subprocess.Popen(
        command, cwd=project.folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as other:
        deadline = time.monotonic() + 60
        while not Path(f"{go}.started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(Conflict) as refused:
            project.gc()
        go.touch()
    assert refused.value.code == "runs-in-progress"
    assert other.returncode == 0
    assert {k.kind: k.count for k in project.gc().kinds}["blobs"] == 0


def test_promotion_keeps_the_order_and_a_rollback_brings_the_one_before_back(project: tm.Project) -> None:
    project.release(trained(project).run)
    with pytest.raises(NotAllowed) as refused:
        project.promote("latest", "prod")
    assert refused.value.code == "promotion-order"
    assert project.promote("latest", "dev").number == 1
    project.release(trained(project, strength=0.5).run)
    second = project.promote("small/2", "dev")
    assert (second.number, second.replaced) == (2, 1)
    assert project.rollback("dev").number == 1
    live = next(e for e in project.environments() if e.environment == "dev")
    assert (live.number, live.running) == (1, True)


@pytest.mark.both_stores
def test_corrections_come_back_as_rows_and_a_merge_refits_and_deploys(project: tm.Project) -> None:
    project.release(trained(project).run)
    project.promote("latest", "dev")
    chance = np.random.RandomState(7)
    points = chance.randint(0, 256, (40, 2)).tolist()
    answers = project.predict("dev", [{"x": p} for p in points])
    assert answers.count == 40
    labels = {
        a["prediction"]: "high" if sum(p) > 255 else "low"
        for a, p in zip(answers.predictions, points, strict=True)
    }
    assert project.feedback("dev", labels).accepted == 40
    collected = project.collect("dev", "points")
    assert (collected.branch, collected.rows.added) == ("feedback", 40)
    assert project.collect("dev", "points").rows.added == 0
    merged = project.merge("points", "feedback")
    assert merged.rows.added == 40
    (fired,) = merged.fired
    assert (fired.trigger, fired.release, fired.deployed) == ("trigger:more", 2, True)
    assert fired.verdict is not None
    rows = project.read("points")
    assert rows.whole().to_arrow().column("_prediction").drop_null().to_pylist() == list(labels)
    again = project.merge("points", "feedback")
    assert again.already
    assert again.fired == []
    lineage = project.lineage(next(iter(labels))).nodes
    assert [n["kind"] for n in lineage][:2] == ["prediction", "release"]
    assert lineage[1]["id"] == "small/1"
    live = next(e for e in project.environments() if e.environment == "dev")
    assert live.number == 2


def test_a_refit_whose_run_fails_leaves_everything_as_it_was_and_is_not_tried_for_ever(
    project: tm.Project,
) -> None:
    project.release(trained(project).run)
    project.promote("latest", "dev")
    source = project.folder / "pipeline.py"
    source.write_text(
        source.read_text().replace(
            "return LogisticRegression", "raise ValueError('no'); return LogisticRegression"
        )
    )
    (project.folder / "more.csv").write_text(csv(2, 20))
    project.branch("points", "more")
    project.import_data("points", project.folder / "more.csv", tensors={"x": "x*:2"}, branch="more")
    (fired,) = project.merge("points", "more").fired
    assert (fired.release, fired.deployed) == (None, False)
    assert "its run failed" in fired.reason
    assert next(e for e in project.environments() if e.environment == "dev").number == 1
    with pytest.raises(Failed) as refused:
        project.refit()
    assert refused.value.code == "run-failed"


def test_a_trigger_whose_pipeline_is_broken_says_so_and_the_merge_stands(project: tm.Project) -> None:
    trained(project)
    (project.folder / "pipeline.py").write_text("import tidemill as tm\n\ndef (:\n")
    (project.folder / "more.csv").write_text(csv(2, 20))
    project.branch("points", "more")
    project.import_data("points", project.folder / "more.csv", tensors={"x": "x*:2"}, branch="more")
    merged = project.merge("points", "more")
    assert merged.rows.added == 20
    assert "line 3" in merged.fired[0].reason
    assert (merged.fired[0].owed, [f.state for f in project.triggers()]) == (True, ["owed"])


def test_refit_says_when_there_is_nothing_to_do(project: tm.Project) -> None:
    with pytest.raises(NotFound) as refused:
        project.refit()
    assert refused.value.code == "nothing-to-refit"
    trained(project)
    assert project.refit().reason == "no data changed since the last run"
    runs = len(project.runs())
    with pytest.raises(NotFound, match="There is no environment 'nope'"):
        project.refit(environment="nope", force=True)
    assert len(project.runs()) == runs, "it was refused after the training"


def test_a_reference_to_nothing_is_refused_by_lineage(project: tm.Project) -> None:
    with pytest.raises(NotFound) as refused:
        project.lineage("nobody")
    assert refused.value.code == "nothing-of-that-name"


def test_a_tensor_that_names_no_columns_is_refused(project: tm.Project) -> None:
    with pytest.raises(InvalidInput) as refused:
        project.import_data("points", project.folder / "points.csv", tensors={"x": "28x28"})
    assert refused.value.code == "invalid-tensor"


def test_a_pipeline_of_the_notebook_itself_runs() -> None:
    # Defined in a function, so no other process can import it: it runs in this one.
    @tm.step
    def double(x: int) -> int:
        return 2 * x

    @tm.pipeline
    def quadruple(n: int = 1) -> int:
        return double(double(n))

    assert quadruple(3) == 12


def test_run_needs_no_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twice.py").write_text(
        "import tidemill as tm\n\n@tm.step\ndef double(x: int) -> int:\n    return 2 * x\n\n"
        "@tm.pipeline\ndef twice(n: int = 1):\n    return double(n)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert tm.run("twice.py", n=4).outputs == {"result": 8}
    assert (tmp_path / ".tidemill").is_dir()
