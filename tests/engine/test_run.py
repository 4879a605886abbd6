"""A graph runs: values, records, cache, reasons."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.projects import Project, statuses, step
from tidemill.core.events import Progress, StepFinished, StepStarted
from tidemill.core.names import Digest
from tidemill.engine.why import LOST, why
from tidemill.pipeline.load import load
from tidemill.store.catalog import records
from tidemill.store.open import Store

QUADRUPLE = """
import tidemill as tm

@tm.step
def double(x: int) -> int:
    return 2 * x

@tm.pipeline
def quadruple(n: int = 1) -> int:
    return double(double(n))
"""


def test_the_first_example(project: Project) -> None:
    project.write(QUADRUPLE)
    result = project.run(n=3)
    assert project.value(result) == 12
    assert statuses(result) == {"double": "computed", "double-2": "computed"}
    assert result.run.file == "pipeline.py"


def test_a_second_run_computes_nothing(project: Project) -> None:
    project.write(QUADRUPLE)
    first = project.run(n=3)
    second = project.run(n=3)
    assert statuses(second) == {"double": "cached", "double-2": "cached"}
    assert second.outputs["result"].digest == first.outputs["result"].digest
    assert all(s.why == "" for s in second.steps)


def test_everything_is_in_the_catalog(project: Project) -> None:
    project.write(QUADRUPLE)
    result = project.run(n=3)
    with project.store.catalog.read() as transaction:
        run = transaction.first(records.Run, {"id": result.run.id})
        steps = transaction.find(records.Step, {"run": result.run.id}, order=("position",))
        artifact = transaction.first(records.Artifact, {"digest": result.outputs["result"].digest})
    assert run is not None
    assert (run.status, run.pipeline, run.outputs) == ("succeeded", "quadruple", {"result": artifact.digest})
    assert [s.name for s in steps] == ["double", "double-2"]
    assert all(s.seconds > 0 and s.parts["threads"] >= 1 for s in steps)
    assert artifact.kind == "value"


def test_the_reason_names_what_changed(project: Project) -> None:
    project.write(QUADRUPLE)
    project.run(n=3)
    second = project.run(n=4)
    assert step(second, "double").why == "setting x: 3 → 4"
    assert step(second, "double-2").why == "input x changed"
    told = why(project.store, second.run.id, "double")
    assert [(c.kind, c.name, c.before, c.after) for c in told.changes] == [("setting", "x", 3, 4)]


def test_one_changed_function_misses_and_its_unchanged_result_stops_there(project: Project) -> None:
    text = """
import tidemill as tm

@tm.step
def clean(x: int) -> int:
    return x + 0

@tm.step
def double(x: int) -> int:
    return 2 * x

@tm.pipeline
def both(n: int = 1) -> int:
    return double(clean(n))
"""
    project.write(text)
    project.run()
    project.write(text.replace("x + 0", "0 + x"))
    result = project.run()
    assert statuses(result) == {"clean": "computed", "double": "cached"}
    assert step(result, "clean").why == "code pipeline:clean changed"


def test_a_module_that_only_a_step_imports_is_read_again_when_it_changed(project: Project) -> None:
    project.write("""
import tidemill as tm

@tm.step
def twice() -> int:
    import late
    return late.times(2)

@tm.pipeline
def late_one():
    return twice()
""")
    for factor in (2, 3):
        project.write(f"def times(n):\n    return {factor} * n\n", "late.py")
        assert project.value(project.run()) == 2 * factor


def test_events_tell_what_happens(project: Project) -> None:
    project.write(QUADRUPLE)
    project.run(n=1)
    started = [e.step for e in project.events if isinstance(e, StepStarted)]
    finished = [(e.step, e.status) for e in project.events if isinstance(e, StepFinished)]
    assert started == ["double", "double-2"]
    assert finished == [("double", "computed"), ("double-2", "computed")]


def test_steps_that_do_not_wait_for_each_other_run_at_once(project: Project) -> None:
    # Each waits for the other's file: alone, neither would end.
    project.write(
        """
import time
from pathlib import Path
from typing import Any
import tidemill as tm

@tm.step
def meet(here: str, there: str) -> bool:
    Path(here).touch()
    deadline = time.monotonic() + 180
    while not Path(there).exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True

@tm.pipeline
def both(a: str, b: str):
    return {"a": meet(a, b), "b": meet(b, a)}
"""
    )
    result = project.run(workers=2, a=str(project.folder / "a"), b=str(project.folder / "b"))
    assert project.value(result, "a") is True
    assert project.value(result, "b") is True


def test_several_results_lists_and_dicts_of_results(project: Project) -> None:
    project.write(
        """
import tidemill as tm

@tm.step
def parts(n: int) -> tuple[int, str]:
    return n, "x" * n

@tm.step
def joined(numbers: list, named: dict) -> str:
    return f"{numbers} {sorted(named.items())}"

@tm.pipeline
def all_of_them(n: int = 2):
    number, text = parts(n)
    other, _ = parts(n + 1)
    return {"text": text, "joined": joined([number, other], {"a": text})}
"""
    )
    result = project.run()
    assert project.value(result, "text") == "xx"
    assert project.value(result, "joined") == "[2, 3] [('a', 'xx')]"


def test_printed_text_is_kept_with_the_step(project: Project) -> None:
    project.write(
        """
import os
import sys
import tidemill as tm

@tm.step
def noisy() -> int:
    print("from python")
    os.write(2, b"from below\\n")
    tm.progress(1, 2, "half", "things")
    return 1

@tm.pipeline
def p():
    return noisy()
"""
    )
    result = project.run()
    log = step(result, "noisy").log
    assert log is not None
    assert project.store.blobs.get(Digest(log)) == b"from python\nfrom below\n"
    progress = [e for e in project.events if isinstance(e, Progress)]
    assert [(e.label, e.done, e.total, e.unit) for e in progress] == [("noisy: half", 1, 2, "things")]


def test_random_numbers_repeat(project: Project) -> None:
    project.write(
        """
import random
import tidemill as tm

@tm.step
def draw(name: str) -> list:
    import numpy as np
    return [random.random(), float(np.random.rand()), sorted({"a", "b", name}, key=hash)]

@tm.pipeline
def p():
    return {"a": draw("x"), "b": draw("y")}
"""
    )
    result = project.run(workers=2)
    a, b = project.value(result, "a"), project.value(result, "b")
    assert a[:2] == b[:2]


def test_a_step_of_a_notebook_runs_in_this_process(project: Project) -> None:
    space: dict[str, Any] = {"__name__": "notebook_cell"}
    exec(  # noqa: S102
        compile(
            "import os, tidemill as tm\n@tm.step\ndef pid() -> int:\n    print('hi')\n    return os.getpid()\n"
            "@tm.pipeline\ndef p():\n    return pid()\n",
            "<cell>",
            "exec",
        ),
        space,
    )
    import os

    from tidemill.engine.artifacts import load_value
    from tidemill.engine.run import run

    pipeline = space["p"]
    result = run(project.store, pipeline.build(), pipeline_name="p", file=None, parameters={})
    assert load_value(project.store, result.outputs["result"].digest) == os.getpid()


def test_a_run_of_hits_loads_no_heavy_package(project: Project) -> None:
    file = project.write(QUADRUPLE)
    project.run(n=3)
    code = f"""
import sys
from pathlib import Path
from typing import Any
from tidemill.engine.run import run
from tidemill.pipeline.load import load
from tidemill.store.open import Store
store = Store.open(Path({str(project.store.folder)!r}))
pipeline = load(Path({str(file)!r}))
result = run(store, pipeline.build({{"n": 3}}), pipeline_name="quadruple", file=pipeline.file, parameters={{}})
assert [s.status for s in result.steps] == ["cached", "cached"], result.steps
assert result.outputs["result"].meta["content"] == 12
heavy = {{"numpy", "polars", "pyarrow", "lance", "obstore", "pandas", "keras"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=180)


def test_a_lost_result_is_computed_again(project: Project) -> None:
    project.write(
        """
import numpy as np
import tidemill as tm

@tm.step
def ones(n: int) -> np.ndarray:
    return np.ones(n)

@tm.pipeline
def p():
    return ones(3)
"""
    )
    first = project.run()
    project.store.blobs.delete(Digest(first.outputs["result"].digest))
    second = project.run()
    assert step(second, "ones").why == LOST
    assert project.value(second).tolist() == [1, 1, 1]


def test_two_stores_do_not_share_a_cache(project: Project, tmp_path: Path) -> None:
    project.write(QUADRUPLE)
    project.run(n=3)
    from tidemill.engine.run import run

    other = Store.create(tmp_path / "other")
    pipeline = load(project.folder / "pipeline.py")
    result = run(other, pipeline.build({"n": 3}), pipeline_name="q", file=None, parameters={})
    assert statuses(result) == {"double": "computed", "double-2": "computed"}
    other.close()


def test_why_names_the_nearest_step(project: Project) -> None:
    from tidemill.core.errors import NotFound

    project.write(QUADRUPLE)
    result = project.run()
    with pytest.raises(NotFound, match="no step 'doubel'") as caught:
        why(project.store, result.run.id, "doubel")
    assert caught.value.hint == "Did you mean 'double'?"


def test_two_steps_of_one_key_are_computed_once(project: Project) -> None:
    project.write(
        "import tidemill as tm\n\n@tm.step\ndef one(x: int) -> int:\n    return x + 1\n\n"
        "@tm.step\ndef both(a: int, b: int) -> int:\n    return a + b\n\n"
        "@tm.pipeline\ndef twins(n: int = 1):\n    return both(one(n), one(n))\n"
    )
    result = project.run(workers=2)
    assert project.value(result) == 4
    assert sorted(statuses(result).values()) == ["cached", "computed", "computed"]
