"""The candidate against the running release: compared in the metric that the gate asks for, or said why not."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tidemill as tm
from tidemill.core.errors import NotAllowed
from tidemill.pipeline import load

pytestmark = pytest.mark.sklearn

PIPELINE = """
import numpy as np
import tidemill as tm
from tidemill import parts

@tm.row_step(columns=("a", "b"), to="x")
def features(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([a, b], axis=1)

@tm.trainer(features="x", label="y")
def train(rows: tm.Table, off: float):
    from sklearn.linear_model import LinearRegression
    model = LinearRegression().fit(rows.numpy("x"), rows.numpy("y"))
    model.intercept_ += off
    return model

@tm.step
def costs(model: tm.TrainedModel, rows: tm.Table, per_row: bool) -> tm.Report:
    cost = np.abs(model.predict(rows.numpy("x")) - rows.numpy("y")) * 10
    more = {"per_row": {"cost": cost}, "ids": rows.ids} if per_row else {}
    return tm.Report("costs", {"n": len(cost), "cost": float(cost.mean())}, **more)

@tm.step
def wrong(model: tm.TrainedModel, test: tm.Table) -> tm.Report:
    return tm.Report("wrong", {"n": 1, "mae": 0.5})

@tm.pipeline
def sums(data: tm.Dataset = tm.dataset("sums@main"), off: float = 0.0, judge: str = "evaluate"):
    train_rows, _, test = parts.split(features(data), test=0.3, validation=0.0)
    model = train(train_rows, off=off)
    if judge == "evaluate":
        report = parts.evaluate(model, test)
    elif judge == "wrong":
        report = wrong(model, test)
    else:
        report = costs(model, test, per_row=judge == "per row")
    return {"model": model, "report": report}
"""


def settings(*rules: str, more: str = "") -> str:
    return (
        f"[pipelines.sums.gate]\nrules = {list(rules)}\n{more}\n[environments.dev]\n\n[environments.prod]\n"
    )


@pytest.fixture
def folder(project_store: None, tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "pipeline.py").write_text(textwrap.dedent(PIPELINE))
    lines = [f"{i},{i % 17}.5,{i % 11}.25,{i % 17 + i % 11}.75" for i in range(200)]
    (tmp_path / "sums.csv").write_text("id,a,b,y\n" + "\n".join(lines) + "\n")
    (tmp_path / "tidemill.toml").write_text(settings("mae < 1000"))
    with tm.open(tmp_path) as project:
        project.import_data("sums", tmp_path / "sums.csv", key="id")
    yield tmp_path
    with tm.open(tmp_path) as project:
        project.stop("dev")
    load.leave()


def run(folder: Path, toml: str, **parameters: Any) -> tuple[str, dict[str, dict[str, Any]]]:
    """A run under these settings: its id, and the gate's rules by name."""
    (folder / "tidemill.toml").write_text(toml)
    with tm.open(folder) as project:
        made = project.run(folder / "pipeline.py", **parameters)
        assert made.verdict is not None, made.error
        assert made.verdict.passed == all(r["passed"] for r in made.verdict.rules)
        return made.run, {r["name"]: r for r in made.verdict.rules}


def live(folder: Path, run_id: str) -> None:
    with tm.open(folder) as project:
        project.release(run_id)
        project.promote("latest", "dev")


@pytest.mark.both_stores
def test_a_regressor_that_is_off_does_not_replace_an_exact_one(folder: Path) -> None:
    toml = settings("mae < 1000", "rmse < 1000", "r2 > -1000")
    first, rules = run(folder, toml)
    assert not any("release" in name for name in rules)
    # In the first environment alone: it is what runs.
    live(folder, first)

    off, rules = run(folder, toml, off=5.0)
    missed = [name for name, rule in rules.items() if not rule["passed"]]
    assert missed == [f"no worse than release 1 in {m}" for m in ("mae", "rmse", "r2")]
    assert rules[missed[0]]["value"] == pytest.approx(-5)
    with tm.open(folder) as project, pytest.raises(NotAllowed) as refused:
        project.release(off)
    assert refused.value.code == "gate-not-passed"

    # A shift that nobody would notice passes; without a rule the mean absolute error is compared.
    _, rules = run(folder, settings(), off=1e-6)
    assert rules["no worse than release 1 in mae"]["passed"]
    _, rules = run(folder, settings(), off=5.0)
    assert not rules["no worse than release 1 in mae"]["passed"]
    # Who does not want the comparison says so.
    _, rules = run(folder, settings("mae < 1000", more="compare = false"), off=5.0)
    assert list(rules) == ["mae < 1000", "smoke test of the predictor"]


def test_a_release_that_was_judged_before_another_went_live_is_said_to_be(folder: Path) -> None:
    toml = settings("mae < 1000")
    exact, _ = run(folder, toml)
    off, _ = run(folder, toml, off=5.0)
    near, _ = run(folder, toml, off=1e-6)
    with tm.open(folder) as project:
        for each in (exact, off, near):
            project.release(each)
        assert project.promote("sums/1", "dev").notes == []
        # The same run again, from the cache, is judged again: against what is live now.
        run(folder, toml, off=5.0)
        run(folder, toml, off=1e-6)
        (told,) = project.promote("sums/2", "dev").notes
        assert "judged while no release was live. Release 1 is live now, and the gate did not pass it" in told
        assert "tidemill run pipeline.py" in told
        (told,) = project.promote("sums/1", "dev").notes
        assert "Release 2 is live now, and it was not compared with that one." in told
        assert project.promote("sums/3", "dev").notes == []


def test_a_metric_of_one_s_own_is_compared_by_row_or_said_not_to_be(folder: Path) -> None:
    toml = settings("cost < 1000")
    first, _ = run(folder, toml, off=1.0, judge="per row")
    live(folder, first)
    rule = "no worse than release 1 in cost"

    _, rules = run(folder, toml, off=2.0, judge="per row")
    assert rules[rule]["value"] == pytest.approx(-10)
    assert not rules[rule]["passed"]
    _, rules = run(folder, toml, judge="per row")
    assert rules[rule]["passed"]
    assert rules[rule]["value"] == pytest.approx(10)
    # The rules say which way is better.
    _, rules = run(folder, settings("cost > -1"), off=2.0, judge="per row")
    assert rules[rule]["passed"]
    _, rules = run(folder, settings("cost > -1", "cost < 1000"), off=2.0, judge="per row")
    assert "not compared: the rules do not say" in rules[rule]["reason"]
    assert not rules[rule]["passed"]

    _, rules = run(folder, toml, judge="mean only")
    assert not rules[rule]["passed"]
    assert rules[rule]["reason"].startswith("not compared: step 'costs'")
    # A number by a known name that is not what the predictor has on these rows is another metric.
    _, rules = run(folder, settings("mae < 1000"), judge="wrong")
    assert "not compared: the report says 0.5" in rules["no worse than release 1 in mae"]["reason"]


def test_a_row_that_changed_since_is_not_held_against_the_running_release(folder: Path) -> None:
    toml = settings("cost < 1000")
    first, rules = run(folder, toml, judge="per row")
    live(folder, first)
    with tm.open(folder) as project:
        (folder / "more.csv").write_text("id,a,b,y\n" + "".join(f"{i},0,0,1000\n" for i in range(40)))
        project.import_data("sums", folder / "more.csv", key="id")
    _, rules = run(folder, settings("cost < 100000"), judge="per row")
    reason = rules["no worse than release 1 in cost"]["reason"]
    rows = int(reason.partition("the same ")[2].partition(" ")[0])
    with tm.open(folder) as project:
        report = project.report("latest", folder / "page.html")
    assert 0 < rows < report.metrics["n"]


def test_the_running_release_that_cannot_answer_the_rows_of_today_is_said_so(folder: Path) -> None:
    first, _ = run(folder, settings("mae < 1000"))
    live(folder, first)
    renamed = (folder / "pipeline.py").read_text().replace('"a", "b"', '"a", "c"').replace("b: np", "c: np")
    (folder / "pipeline.py").write_text(renamed.replace("[a, b]", "[a, c]"))
    text = (folder / "sums.csv").read_text().replace("id,a,b,y", "id,a,c,y")
    (folder / "sums.csv").write_text(text)
    with tm.open(folder) as project:
        project.import_data("sums", folder / "sums.csv", key="id", allow_schema_change=True, sync=True)
    _, rules = run(folder, settings("mae < 1000"))
    rule = rules["no worse than release 1 in mae"]
    assert not rule["passed"]
    assert rule["reason"].startswith("not compared: ")
    assert "'b'" in rule["reason"]
