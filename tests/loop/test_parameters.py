"""A parameter's value makes every trip: to a step in another process, through the cache, records, and runs made again."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tidemill as tm
from tidemill.core.errors import InvalidInput
from tidemill.pipeline import load

pytestmark = pytest.mark.both_stores

PIPELINE = """
import datetime as dt
import enum
from pathlib import Path
from typing import Any
import tidemill as tm

class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"

@tm.step
def weighed(weights: dict[int, float], size: tuple[int, int], tags: set[str]) -> str:
    return repr((weights, size, sorted(tags)))

@tm.step
def free(value, more=((1, 2), {3: "4"})) -> str:
    return repr((value, more))

@tm.step
def dated(day: dt.date | None, color: Color, files: list[Path], raw: bytes) -> str:
    return repr((day, color, [f.read_text() for f in files], raw))

@tm.step
def last(text: str, broken: Path) -> str:
    if broken.read_text() == "broken":
        raise OSError("no answer")
    return text

@tm.row_step
def kept(rows: tm.Table, sizes: dict[int, str]) -> tm.Table:
    assert sizes == {1: "one"}, sizes
    return rows

@tm.step
def counted(rows: tm.Table) -> int:
    return len(rows)

@tm.pipeline
def trip(
    folder: str,
    weights: dict[int, float],
    value: Any,
    day: dt.date | None,
    color: Color,
    files: list[Path],
    data=tm.dataset("people"),
    audit: float = 0.5,
    name: str = "n",
    pipeline: str = "p",
    parameters: str = "q",
):
    a = weighed(weights, (28, 28), {"b", "a"})
    b = free(value)
    c = dated(day, color, files, b"\\x00\\xff")
    d = last(f"{audit} {name} {pipeline} {parameters}", Path(folder, "state"))
    return {"a": a, "b": b, "c": c, "d": d, "rows": counted(kept(data, {1: "one"}))}
"""


@pytest.fixture
def project(project_store: None, tmp_path: Path) -> Iterator[tm.Project]:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "people.csv").write_text("name,age\nada,36\ngrace,45\n")
    (tmp_path / "one.txt").write_text("1")
    (tmp_path / "state").write_text("whole")
    with tm.open(tmp_path) as opened:
        opened.import_data("people", tmp_path / "people.csv")
        yield opened
    load.leave()


def values(project: tm.Project, **more: Any) -> dict[str, Any]:
    """What a run is given: each of a kind that JSON does not have, or that looks like another."""
    trip = load.load(project.folder / "pipeline.py")
    color = trip.function.__globals__["Color"].BLUE
    return {
        "folder": str(project.folder),
        "weights": {0: 1.0, 1: 5.0},
        "value": ("1e5", {2: None}, "null", '"1"'),
        "day": dt.date(2026, 11, 30),
        "color": color,
        "files": [project.folder / "one.txt"],
        **more,
    }


ARRIVED = {
    "a": "({0: 1.0, 1: 5.0}, (28, 28), ['a', 'b'])",
    "b": "(('1e5', {2: None}, 'null', '\"1\"'), ((1, 2), {3: '4'}))",
    "c": "(datetime.date(2026, 11, 30), <Color.BLUE: 'blue'>, ['1'], b'\\x00\\xff')",
    "d": "0.7 x y z",
    "rows": 2,
}
NAMED = {"audit": 0.7, "name": "x", "pipeline": "y", "parameters": "z"}


@pytest.mark.parametrize("executor", ["local", "process"])
def test_values_arrive_and_are_found_in_the_cache(project: tm.Project, executor: str) -> None:
    file = project.folder / "pipeline.py"
    first = project.run(file, values(project), options={"executor": executor}, **NAMED)
    assert first.error is None
    assert first.outputs == ARRIVED
    again = project.run(file, values(project, **NAMED), options=tm.RunOptions(executor=executor, audit=1.0))
    assert again.error is None
    assert {s.status for s in again.steps} == {"cached"}
    assert "weighed" in again.audited
    other = project.run(file, values(project, weights={0: 1, 1: 6.0}, **NAMED))
    computed = [s for s in other.steps if s.status == "computed"]
    assert [s.name for s in computed] == ["weighed"]
    assert "weights" in computed[0].why
    why = project.why("latest", "weighed")
    assert [c["name"] for c in why.changes] == ["weights"]


def test_a_file_in_a_list_is_part_of_the_key(project: tm.Project) -> None:
    file = project.folder / "pipeline.py"
    project.run(file, values(project, **NAMED))
    (project.folder / "one.txt").write_text("2")
    view = project.run(file, values(project, **NAMED))
    assert [s.name for s in view.steps if s.status == "computed"] == ["dated"]
    assert "['2']" in view.outputs["c"]


def test_a_run_goes_on_and_is_made_again_with_the_same_values(project: tm.Project) -> None:
    file, state = project.folder / "pipeline.py", project.folder / "state"
    state.write_text("broken")
    assert project.run(file, values(project, **NAMED)).status == "failed"
    state.write_text("whole")
    resumed = project.resume()
    assert resumed.outputs == ARRIVED
    again = project.reproduce()
    assert again.identical, again
    changed = project.run(file, values(project, weights={0: 2.0}, **NAMED))
    explained = project.explain(resumed.run, changed.run, dry_run=True)
    told = {factor.name: factor.changes for factor in explained.factors}
    assert len(told["settings"]) == 1
    assert told["settings"][0].startswith("weights: ")


def test_a_value_that_no_record_holds_runs_and_is_not_gone_on_with(project: tm.Project) -> None:
    (project.folder / "objects.py").write_text(
        "import tidemill as tm\n\nclass Thing:\n    n = 3\n\n@tm.step\ndef one(n: int) -> int:\n"
        "    raise ValueError(n)\n\n@tm.pipeline\ndef p(thing):\n    return one(thing.n)\n"
    )
    thing = type("Thing", (), {"n": 3})()
    assert project.run(project.folder / "objects.py", thing=thing).status == "failed"
    with pytest.raises(InvalidInput) as caught:
        project.resume()
    assert caught.value.code == "wrong-parameter-type"


def test_a_dataset_given_without_annotation_is_one_again(project: tm.Project) -> None:
    text = "import tidemill as tm\n\n@tm.step\ndef count(t: tm.Table) -> int:\n    if len(t) < 3:\n"
    text += (
        "        raise ValueError\n    return len(t)\n\n@tm.pipeline\ndef p(data):\n    return count(data)\n"
    )
    (project.folder / "sets.py").write_text(text)
    failed = project.run(project.folder / "sets.py", data=tm.dataset("people@main"))
    assert failed.status == "failed"
    assert project.resume().error["code"] == "step-failed"  # pyright: ignore[reportOptionalSubscript]
