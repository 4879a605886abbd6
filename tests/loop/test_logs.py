"""What steps printed, by step, by text, and from the run that computed them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tidemill as tm
from tidemill.core.errors import NotFound
from tidemill.pipeline import load

PIPELINE = """
import os
import sys
import tidemill as tm

@tm.step
def loud(n: int) -> int:
    print("loud has", n)
    print("Warning: too loud", file=sys.stderr)
    os.write(1, b"from below\\n")
    sys.stdout.write("1/2\\r2/2\\r\\n\\x1b[31mred\\x1b[0m\\n")
    return n

@tm.step
def quiet(n: int) -> int:
    return n + 1

@tm.step
def many(n: int, lines: int) -> int:
    for line in range(lines):
        print("line", line, "warning" if line == 7 else "")
    return n

@tm.pipeline
def talk(n: int = 1, lines: int = 20) -> int:
    return many(quiet(loud(n)), lines)

@tm.step
def dies(n: int) -> int:
    print("last words", flush=True)
    os._exit(3)

@tm.pipeline
def doomed(n: int = 1) -> int:
    return dies(n)
"""


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    with tm.open(tmp_path) as opened:
        yield opened
    load.leave()


def run(project: tm.Project, name: str, **parameters: Any) -> str:
    return project.run(load.load(project.folder / "pipeline.py", name), **parameters).run


def texts(
    project: tm.Project, run: str = "latest", step: str | None = None, grep: str | None = None
) -> list[str]:
    return [line.text for line in project.logs(run, step, grep=grep).lines]


def test_standard_output_and_error_of_python_and_below_in_order(project: tm.Project):
    run(project, "talk")
    assert texts(project, "latest", "loud") == [
        "loud has 1",
        "Warning: too loud",
        "from below",
        "1/2",
        "2/2",
        "red",
    ]
    assert texts(project, "latest", "quiet") == []


def test_lines_that_hold_a_text_come_with_their_step_and_number(project: tm.Project):
    made = run(project, "talk")
    found = project.logs("latest", grep="WARNING")
    assert [(x.run, x.step, x.number, x.text) for x in found.lines] == [
        (made, "loud", 2, "Warning: too loud"),
        (made, "many", 8, "line 7 warning"),
    ]
    assert texts(project, "latest", "quiet", grep="warning") == []


def test_the_last_lines_are_kept_and_the_rest_is_counted(project: tm.Project):
    run(project, "talk")
    view = project.logs("latest", limit=3)
    assert [x.text for x in view.lines] == ["line 17", "line 18", "line 19"]
    assert view.left_out == 23


def test_a_cached_step_shows_what_it_printed_when_it_was_computed(project: tm.Project):
    first = run(project, "talk")
    second = run(project, "talk", lines=2)
    assert first != second
    assert {(x.run, x.step) for x in project.logs(second).lines} == {(first, "loud"), (second, "many")}


def test_the_last_words_of_a_worker_that_died(project: tm.Project):
    run(project, "doomed")
    assert texts(project) == ["last words"]


def test_a_step_that_is_not_there(project: tm.Project):
    run(project, "talk")
    with pytest.raises(NotFound, match="'lod'") as caught:
        project.logs("latest", "lod")
    assert (caught.value.code, caught.value.hint) == ("step-not-found", "Did you mean 'loud'?")
