"""Two runs side by side: each thing that differs is told, and nothing that is equal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.loop.views import MetricSides, RowCounts
from tidemill.pipeline import load

PIPELINE = """
import tidemill as tm

def share(rows, least):
    return sum(x >= least for x in rows["x"].to_list()) / len(rows)

def unused():
    return 1

@tm.step
def judge(rows: tm.Table, least: int) -> tm.Report:
    value = share(rows.to_polars(), least)
    return tm.Report("small", {"accuracy": value, "n": 2.0}, curves={"loss": [0.9, 1 - value]})

@tm.step
def note(word: str) -> str:
    if word == "bad":
        raise ValueError("bad")
    return word + " & <co>"

@tm.pipeline
def small(data: tm.Dataset = tm.dataset("numbers@main"), least: int = 2, word: str = "one"):
    return {"report": judge(data, least), "note": note(word)}
"""


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "numbers.csv").write_text("id,x\n1,1\n2,2\n3,3\n4,4\n")
    with tm.open(tmp_path) as opened:
        opened.import_data("numbers", tmp_path / "numbers.csv", key="id")
        yield opened
    load.leave()


def run(project: tm.Project, **parameters: Any) -> str:
    return project.run(project.folder / "pipeline.py", **parameters).run


def edit(project: tm.Project, before: str, after: str) -> None:
    file = project.folder / "pipeline.py"
    file.write_text(file.read_text().replace(before, after))


def test_runs_of_the_same_are_equal(project: tm.Project):
    first, second = run(project), run(project)
    found = project.compare(first)
    assert (found.a.run, found.b.run) == (first, second)
    assert (found.code, found.packages, found.settings) == ([], [], [])
    assert all(s.equal for s in [*found.parameters, *found.data, *found.artifacts])
    assert [m.difference for m in found.metrics] == [0.0, 0.0]
    assert {(s.a, s.b, s.results) for s in found.steps if s.name != "data"} == {
        ("computed", "cached", "equal")
    }


def test_each_thing_that_differs_is_told(project: tm.Project):
    first = run(project)
    (project.folder / "numbers.csv").write_text("id,x\n1,5\n2,2\n5,5\n6,6\n")
    project.import_data("numbers", project.folder / "numbers.csv", key=["id"], sync=True)
    edit(project, "/ len(rows)", "/ max(1, len(rows))")
    edit(project, "return 1", "return 2")
    second = run(project, least=3)
    found = project.compare(first, second)
    assert [(s.name, s.equal, s.b) for s in found.parameters] == [
        ("data", True, "numbers@main"),
        ("least", False, 3),
        ("word", True, "one"),
    ]
    [data] = found.data
    assert (data.name, data.equal, data.rows) == ("numbers", False, RowCounts(2, 1, 2))
    [code] = found.code
    assert (code.name, code.steps) == ("pipeline:share", ["judge"])
    assert "max(1, len(rows))" in str(code.diff)
    assert [(s.name, s.a, s.b) for s in found.settings] == [("judge.least", 2, 3)]
    assert found.metrics == [MetricSides("accuracy", 0.75, 0.75, 0.0), MetricSides("n", 2.0, 2.0, 0.0)]
    assert {s.name: s.equal for s in found.artifacts} == {"report": True, "note": True}
    assert {s.name: s.results for s in found.steps} == {
        "data": "different",
        "judge": "equal",
        "note": "equal",
    }


def test_a_run_that_failed_says_nothing_of_the_steps_it_did_not_get_to(project: tm.Project):
    first = run(project)
    second = run(project, word="bad")
    found = project.compare(first, second)
    assert (found.code, found.packages) == ([], [])
    assert [(s.name, s.a, s.b) for s in found.settings] == [("note.word", "one", "bad")]
    assert {s.name: (s.a, s.b) for s in found.artifacts}["note"] == ("one & <co>", None)
    note = next(s for s in found.steps if s.name == "note")
    assert (note.a, note.b, note.results) == ("computed", "failed", None)
    assert found.metrics[0].difference is None


def test_the_page_has_both_sides_escaped_and_needs_nothing_else(project: tm.Project):
    first = run(project)
    edit(project, 'return word + " & <co>"', 'return " " + word + " & <co>"')
    second = run(project, word="two", least=4)
    page = project.folder / "pages" / "comparison.html"
    assert project.compare(first, second, page).path == str(page)
    text = page.read_text("utf-8")
    assert first in text
    assert second in text
    assert "one &amp; &lt;co&gt;" in text
    assert "<co>" not in text
    assert text.count("<svg") == 2
    assert "What changed in the code" in text
    assert "-0.5" in text
    assert "http" not in text.replace("http://www.w3.org", "").replace("http-equiv", "")


def test_what_cannot_be(project: tm.Project):
    run(project)
    with pytest.raises(NotFound, match="'nothing'"):
        project.compare("nothing")
    with pytest.raises(InvalidInput, match="is a file, not a folder"):
        project.compare("latest", "latest", project.folder / "pipeline.py" / "page.html")
