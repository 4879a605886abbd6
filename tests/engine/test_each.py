"""The steps of a function, once for each item of a list that is known before the run or computed in it."""

import subprocess
import sys
from typing import Any

import pytest

from tests.engine.projects import Project, numbers, statuses, step
from tidemill.core.events import RunStarted, StepsAdded
from tidemill.engine.forecast import forecast
from tidemill.engine.why import why
from tidemill.pipeline.load import load

STEPS = """
import numpy as np
import tidemill as tm

@tm.step
def listed(n: int) -> list:
    return list(range(n))

@tm.step
def given(text: str):
    import json
    return json.loads(text)

@tm.step
def double(x):
    return 2 * x

@tm.step
def fails(x) -> int:
    if x == 2:
        raise ValueError("two")
    return x

@tm.step
def held(x: int, folder: str) -> int:
    from pathlib import Path
    import time
    while x == 5 and not Path(folder, "go").exists():
        time.sleep(0.05)
    return x

@tm.step
def is_odd(x: int) -> bool:
    return x % 2 == 1

@tm.step
def total(xs: list) -> int:
    return sum(xs)

@tm.step
def shape(xs: list) -> list:
    return xs

@tm.step
def array(x: int):
    return np.full(3, x)

@tm.step
def summed(arrays: list) -> int:
    return int(sum(a.sum() for a in arrays))

@tm.step
def two(x: int) -> tuple[int, int]:
    return x, -x

@tm.row_step(columns="x")
def shift(x, by: int):
    return x + by

@tm.transform(columns="x")
class Center:
    def fit(self, x):
        return {"mean": float(x.mean())}

    def apply(self, x, state):
        return x - state["mean"]

@tm.step
def count(rows: tm.Table, more: int) -> int:
    return len(rows) + more
"""


def write(project: Project, body: str, parameters: str = "n: int = 3") -> None:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    project.write(f"{STEPS}\n@tm.pipeline\ndef p({parameters}):\n{lines}\n")


def foretold(project: Project, **values: Any) -> dict[str, tuple[str, str]]:
    pipeline = load(project.folder / "pipeline.py")
    found = forecast(project.store, pipeline.build(values), pipeline_name="p", resolve=project.resolve)
    return {e.step: (e.status, e.why) for e in found}


COMPUTED = "return total(tm.each(listed(n), lambda x: double(x)))"


def test_a_computed_list_is_gone_through_in_its_order(project: Project) -> None:
    write(project, COMPUTED)
    result = project.run(n=3)
    assert project.value(result) == 6
    assert [s.name for s in result.steps] == ["listed", "double[0]", "double[1]", "double[2]", "total"]
    (begun,) = [e for e in project.events if isinstance(e, RunStarted)]
    assert [(s.name, s.after) for s in begun.steps] == [
        ("listed", ()),
        ("double[*]", ("listed",)),
        ("total", ("double[*]",)),
    ]
    (added,) = [e for e in project.events if isinstance(e, StepsAdded)]
    assert [(s.name, s.after, s.template) for s in added.steps] == [
        (f"double[{i}]", ("listed",), "double[*]") for i in range(3)
    ]


def test_one_item_more_computes_that_item_alone(project: Project) -> None:
    write(project, COMPUTED)
    project.run(n=3)
    more = project.run(n=4)
    assert statuses(more) == {
        "listed": "computed",
        "double[0]": "cached",
        "double[1]": "cached",
        "double[2]": "cached",
        "double[3]": "computed",
        "total": "computed",
    }
    assert why(project.store, more.run.id, "double[3]").reason == "it was never computed before"
    assert why(project.store, more.run.id, "total").reason == "input xs changed"


def test_an_item_in_front_computes_that_item_alone(project: Project) -> None:
    write(project, "return shape(tm.each(given(text), lambda x: double(x)))", "text: str")
    project.run(text="[7, 8]")
    result = project.run(text="[6, 7, 8]")
    assert project.value(result) == [12, 14, 16]
    assert [s.name for s in result.steps if s.status == "computed"] == ["given", "double[0]", "shape"]


def test_a_known_list_is_written_out_and_its_steps_are_named_by_it(project: Project) -> None:
    write(project, 'return shape(tm.each(["low", "high", 0.5], lambda x: double(x)))')
    result = project.run()
    assert [s.name for s in result.steps] == ["double[low]", "double[high]", "double[0.5]", "shape"]
    assert project.value(result) == ["lowlow", "highhigh", 1.0]
    write(project, 'return shape(tm.each(["a", "a"], lambda x: double(x)))')
    assert [s.name for s in project.run().steps] == ["double[0]", "double[1]", "shape"]


def test_an_empty_list_comes_to_an_empty_list(project: Project) -> None:
    write(
        project,
        """
return {
    "known": tm.each([], lambda x: double(x)),
    "computed": tm.each(listed(n), lambda x: double(x)),
    "taken": shape(tm.each(listed(n), lambda x: double(x))),
    "both": tm.each(listed(n), lambda x: two(x))[1],
    "inner": tm.each([1], lambda y: tm.each(listed(n), lambda x: double(x))),
}
""",
    )
    result = project.run(n=0)
    values = {name: project.value(result, name) for name in result.outputs}
    assert step(result, "double[*]").why == "the list has no items"
    assert values == {"known": [], "computed": [], "taken": [], "both": [], "inner": [[]]}


def test_the_function_may_hold_whatever_a_pipeline_may(project: Project) -> None:
    project.datasets.create("numbers", numbers(4), message="first")
    write(
        project,
        """
rows = tm.dataset("numbers")
base = double(10)

def one(x):
    moved = shift(rows, by=3)
    centered = Center().fit(moved).apply(moved)
    inner = total(tm.each(listed(n), lambda y: tm.when(is_odd(y), lambda: double(x), lambda: base)))
    return count(centered, inner), tm.when(is_odd(x), lambda: 1, lambda: x)

counts, odd = tm.each(listed(n), one)
return {"counts": counts, "odd": odd, "same": tm.each(counts, lambda c: double(c))}
""",
    )
    result = project.run(n=3)
    # Of three: two even ones give the base (20), one odd one the double of x; four rows.
    expected = [4 + 40 + 2 * x for x in range(3)]
    assert project.value(result, "counts") == expected
    assert project.value(result, "odd") == [0, 1, 2]
    assert project.value(result, "same") == [2 * c for c in expected]
    names = set(statuses(result))
    assert {"Center-fit[2]", "is-odd[0][1]", "double[1][1]", "double[2]", "total[0]"} <= names
    again = project.run(n=3)
    assert {s.status for s in again.steps} == {"cached", "skipped"}


def test_results_of_any_kind_are_joined(project: Project) -> None:
    write(
        project,
        "arrays = tm.each(listed(n), lambda x: array(x))\nreturn {'arrays': arrays, 'sum': summed(arrays)}",
    )
    result = project.run(n=3)
    assert project.value(result, "sum") == 9
    loaded = project.value(result, "arrays")
    assert [a.tolist() for a in loaded] == [[0] * 3, [1] * 3, [2] * 3]


def test_a_list_of_results_is_a_list(project: Project) -> None:
    write(project, "a, b = double(1), double(2)\nreturn shape(tm.each([a, b], lambda x: double(x)))")
    assert project.value(project.run()) == [4, 8]


def test_known_and_computed_items_come_to_the_same_keys_after(project: Project) -> None:
    write(project, COMPUTED)
    project.run(n=2)
    write(project, "return total(tm.each([0, 1], lambda x: double(x)))")
    assert statuses(project.run())["total"] == "cached"


@pytest.mark.parametrize("text", ["3", '{"a": 1}', "null", '"abc"'])
def test_a_list_that_is_none_names_its_step(project: Project, text: str) -> None:
    write(project, "return shape(tm.each(given(text), lambda x: double(x)))", "text: str")
    result = project.run(text=f" {text}")
    assert result.run.error is not None
    assert result.run.error["code"] == "wrong-items"
    assert "what step 'given' returned" in result.run.error["message"]
    assert statuses(result) == {"given": "computed", "double[*]": "skipped", "shape": "skipped"}


@pytest.mark.parametrize(("text", "value"), [("[true, false]", [1, 2]), ("[]", []), ("[true, 1]", None)])
def test_an_item_can_be_a_condition_if_it_is_a_bool(project: Project, text: str, value: Any) -> None:
    write(
        project,
        "return tm.each(given(text), lambda x: tm.when(x, lambda: double(0.5), lambda: 2))",
        "text: str",
    )
    result = project.run(text=f" {text}")
    if value is not None:
        assert project.value(result) == value
        return
    assert result.run.status == "failed"
    assert result.run.error is not None
    assert result.run.error["code"] == "wrong-condition"
    assert "'given'" in result.run.error["message"]


def test_a_condition_from_outside_is_looked_at_for_an_item(project: Project) -> None:
    write(
        project,
        "c, a = double(1), double(2)\nreturn tm.each(listed(n), lambda x: tm.when(c, lambda: a, lambda: c))",
    )
    result = project.run(n=2)
    assert result.run.status == "failed"
    assert result.run.error is not None
    assert result.run.error["code"] == "wrong-condition"
    assert statuses(result) == {"double": "computed", "double-2": "computed", "listed": "computed"}


def test_an_item_that_fails_is_named_and_the_others_are_kept(project: Project) -> None:
    write(project, "return total(tm.each(listed(n), lambda x: fails(x)))")
    result = project.run(n=4)
    assert result.run.error is not None
    assert result.run.error["details"]["step"] == "fails[2]"
    assert statuses(result)["fails[1]"] == "computed"
    assert statuses(result)["total"] == "skipped"


def test_the_forecast_goes_through_a_list_that_is_stored(project: Project) -> None:
    write(project, COMPUTED)
    assert foretold(project) == {
        "listed": ("computed", "it was never computed before"),
        "double[*]": (
            "computed",
            "once for each item of what step 'listed' returns, which is not known before",
        ),
        "total": ("computed", "it was never computed before"),
    }
    project.run(n=3)
    blobs = project.store.blobs.all()
    known = foretold(project, n=3)
    assert {n: s for n, (s, _) in known.items()} == dict.fromkeys(
        ("listed", "double[0]", "double[1]", "double[2]", "total"), "cached"
    )
    assert project.store.blobs.all() == blobs


def test_the_audit_and_another_process_come_to_the_same(project: Project) -> None:
    write(project, COMPUTED)
    first = project.run(n=3)
    assert len(project.run(n=3, audit=1.0).audited) == 5
    other = project.run(n=3, executor="process", audit=1.0)
    assert other.run.status == "succeeded", other.run.error
    assert other.run.outputs == first.run.outputs


def test_lists_of_lists_of_arrays_go_to_another_process(project: Project) -> None:
    write(
        project,
        """
inner = lambda x: tm.each(listed(x), lambda y: array(y))
return shape(tm.each(tm.each(listed(n), inner), lambda arrays: summed(arrays)))
""",
    )
    here = project.run(n=4)
    assert project.value(here) == [0, 0, 3, 9]
    there = project.run(n=4, executor="process", audit=1.0)
    assert there.run.status == "succeeded", there.run.error
    write(project, "return {'all': tm.each(listed(n), lambda x: tm.each(listed(x), lambda y: array(y)))}")
    nested = project.value(project.run(n=3), "all")
    assert [[a.tolist() for a in one] for one in nested] == [[], [[0, 0, 0]], [[0, 0, 0], [1, 1, 1]]]


def test_a_kill_loses_only_the_items_that_were_being_computed(project: Project) -> None:
    write(project, "return total(tm.each(listed(n), lambda x: held(x, folder)))", "folder: str, n: int = 8")
    (project.folder / "tidemill.toml").write_text("workers = 1\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "tidemill", "run", "pipeline.py", "-p", f"folder={project.folder}"],
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert any("held[5]: computing" in line for line in process.stderr)
    process.kill()
    process.wait()
    process.stderr.close()
    (project.folder / "go").touch()
    again = project.run(folder=str(project.folder))
    assert project.value(again) == 28
    assert [s.name for s in again.steps if s.status == "cached"] == [
        "listed",
        *(f"held[{i}]" for i in range(5)),
    ]


def test_items_of_a_step_that_maps_over_rows_are_refused_in_words(project: Project) -> None:
    write(project, "return tm.each(listed(n), lambda x: count(shift(x, by=1), 1))")
    result = project.run(n=1)
    assert result.run.error is not None
    assert result.run.error["code"] == "wrong-input-kind"
    assert "Step 'shift[0]'" in result.run.error["message"]
