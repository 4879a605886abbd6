"""Why, with what only the loop can tell: the rows of a dataset, and that a kept run keeps its code."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import tidemill as tm
from tidemill.pipeline import load

PIPELINE = """
import tidemill as tm

@tm.step
def count(rows: tm.Table, by: int = 1) -> int:
    return len(rows) // by

@tm.step
def after(x: int) -> int:
    return x + 1

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("points@main")):
    return after(count(data))
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "tidemill.toml").write_text("", "utf-8")
    (tmp_path / "pipeline.py").write_text(PIPELINE, "utf-8")
    with tm.open(tmp_path) as opened:
        yield opened
    load.leave()


def import_rows(project: tm.Project, rows: str) -> None:
    file = project.folder / "points.csv"
    file.write_text("id,x\n" + rows, "utf-8")
    project.import_data("points", file, key=["id"], sync=True)


def test_changed_rows_are_counted_and_their_commits_named(project: tm.Project) -> None:
    import_rows(project, "1,10\n2,20\n3,30\n")
    file = project.folder / "pipeline.py"
    first = project.run(file)
    import_rows(project, "1,10\n2,21\n4,40\n5,50\n")
    second = project.run(file)
    (change,) = project.why("latest", "count").changes
    assert change["kind"] == "input"
    assert (change["made_by"], change["dataset"]) == ("data", "points")
    assert change["rows"] == {"added": 2, "changed": 1, "removed": 1}
    assert change["commits"] == [first.inputs["points"], second.inputs["points"]]
    (read,) = project.why("latest", "data").changes
    assert read["rows"] == change["rows"]
    (made,) = project.why("latest", "after").changes
    assert made["made_by"] == "count"


def test_gc_keeps_the_code_of_runs_that_it_keeps(project: tm.Project) -> None:
    import_rows(project, "1,10\n")
    file = project.folder / "pipeline.py"
    project.run(file)
    file.write_text(PIPELINE.replace("// by", "* by"), "utf-8")
    project.run(file)
    project.gc()
    (change,) = project.why("latest", "count").changes
    assert change["name"] == "pipeline:count"
    assert "-    return len(rows) // by\n+    return len(rows) * by" in change["diff"]


def test_a_forecast_counts_the_rows_that_changed_and_makes_no_run(project: tm.Project) -> None:
    import_rows(project, "1,10\n2,20\n")
    file = project.folder / "pipeline.py"
    project.run(file)
    import_rows(project, "1,10\n2,21\n3,30\n")
    found = project.forecast(file)
    assert [(s.name, s.status) for s in found.steps] == [
        ("data", "computed"),
        ("count", "computed"),
        ("after", "computed"),
    ]
    (change,) = found.steps[0].changes
    assert change["rows"] == {"added": 1, "changed": 1, "removed": 0}
    assert (found.computed, found.cached, len(project.runs())) == (3, 0, 1)
