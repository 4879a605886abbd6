"""What goes wrong while a run is on: it says what, keeps what is finished, and running again goes on."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.engine.projects import Project, numbers, statuses, step
from tests.services.waiting import until
from tidemill.core import events
from tidemill.core.errors import InvalidInput
from tidemill.core.names import Digest
from tidemill.engine.run import mark_interrupted
from tidemill.engine.why import why
from tidemill.store.catalog import records

BROKEN = """
import tidemill as tm

@tm.step
def first(x: int) -> int:
    return x + 1

def divide(x, by):
    return x // by

@tm.step
def second(x: int, by: int) -> int:
    print("about to divide")
    return divide(x, by)

@tm.step
def third(x: int) -> int:
    return x

@tm.pipeline
def p(by: int = 0):
    return third(second(first(1), by))
"""


def test_a_step_that_raises_shows_its_own_traceback_and_nothing_else(project: Project) -> None:
    file = project.write(BROKEN)
    result = project.run()
    assert result.run.status == "failed"
    assert result.outputs == {}
    error = result.run.error
    assert error is not None
    assert error["code"] == "step-failed"
    assert error["message"] == "Step 'second' raised ZeroDivisionError: integer division or modulo by zero."
    lines = error["details"]["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line.strip() for line in lines if line.startswith("  File")] == [
        f'File "{file}", line 14, in second',
        f'File "{file}", line 9, in divide',
    ]
    assert "tidemill" not in error["details"]["traceback"].replace(str(file), "")
    assert statuses(result) == {"first": "computed", "second": "failed", "third": "skipped"}
    assert project.store.blobs.get(Digest(step(result, "second").log or "")) == b"about to divide\n"


def test_what_was_finished_is_not_computed_again(project: Project) -> None:
    project.write(BROKEN)
    project.run()
    result = project.run(by=2)
    assert project.value(result) == 1
    assert statuses(result) == {"first": "cached", "second": "computed", "third": "computed"}


def test_a_failure_is_not_cached(project: Project) -> None:
    project.write(BROKEN)
    assert project.run().run.status == "failed"
    again = project.run()
    assert statuses(again)["second"] == "failed"
    told = why(project.store, again.run.id, "third")
    assert told.reason == "a step before it failed"


@pytest.mark.parametrize(
    ("returns", "value", "code", "words"),
    [
        ("float", "float('nan')", "step-returned-nan", "returned NaN"),
        ("float", "float('inf')", "step-returned-nan", "returned infinity"),
        ("dict", "{'a': [1.0, float('nan')]}", "step-returned-nan", "NaN at a[1]"),
        ("float", "'0.5'", "step-returned-wrong-type", "must return float, not str '0.5'"),
        ("int", "1.5", "step-returned-wrong-type", "must return int, not float 1.5"),
        ("bool", "1", "step-returned-wrong-type", "must return bool, not int 1"),
        ("str", "None", "step-returned-wrong-type", "must return str, not NoneType"),
        ("None", "1", "step-returned-wrong-type", "must return None, not int 1"),
        ("'tm.Table'", "1", "step-returned-wrong-type", "must return Table"),
        ("tm.Table", "[1]", "step-returned-wrong-type", "must return Table, not list"),
        ("tuple[int, int]", "(1, 2, 3)", "step-returned-wrong-type", "a tuple of 2"),
        ("tuple[int, str]", "(1, 2)", "step-returned-wrong-type", "must return str as '1', not int 2"),
        ("object", "object()", "no-artifact-kind", "returned a builtins.object"),
        ("object", "{1: object()}", "no-artifact-kind", "returned a builtins.object at [1]"),
        ("dict", "{'a': object()}", "no-artifact-kind", "cannot be stored"),
    ],
)
def test_a_wrong_result_is_refused_by_name(
    project: Project, returns: str, value: str, code: str, words: str
) -> None:
    project.write(
        f"""
import tidemill as tm

@tm.step
def odd() -> {returns}:
    return {value}

@tm.pipeline
def p():
    return odd()
"""
    )
    result = project.run()
    assert result.run.error is not None, result.outputs
    assert result.run.error["code"] == code
    assert words in result.run.error["message"]
    assert "'odd'" in result.run.error["message"]


def test_whole_numbers_and_numpy_scalars_pass_as_what_they_are(project: Project) -> None:
    project.write(
        """
import numpy as np
import tidemill as tm

@tm.step
def a() -> float:
    return 1

@tm.step
def b() -> float:
    return np.float32(0.5)

@tm.step
def c() -> int:
    return np.int64(3)

@tm.pipeline
def p():
    return {"a": a(), "b": b(), "c": c()}
"""
    )
    result = project.run()
    assert [project.value(result, n) for n in "abc"] == [1, 0.5, 3]


@pytest.mark.parametrize(
    ("ids", "body", "words"),
    [
        ("ids", "return rows[list(range(len(rows)))[::-1]]", "its rows in another order, or twice"),
        ("ids", "return pl.concat([rows, rows])", "its rows in another order, or twice"),
        ("ids", "return rows.with_columns(_id=pl.col('_id') + 100)", "rows that it did not get"),
        ("ids", "return rows.drop('_id')", "without the column '_id'"),
        ("", "return rows[list(range(len(rows)))[::-1]]", "nothing shows that its rows are in the order"),
        ("", "return pl.concat([rows, rows])", "of 10 rows for 5"),
        ("", "return rows.with_columns(_id=pl.col('x'))", "a name that Tidemill keeps for itself"),
        ("", "return 3", "must return a table, not a int"),
    ],
)
def test_a_row_step_that_is_not_row_wise_is_refused(
    project: Project, ids: str, body: str, words: str
) -> None:
    project.datasets.create("numbers", numbers(5), message="first")
    project.write(
        f"""
import polars as pl
import tidemill as tm

@tm.row_step(ids={bool(ids)})
def odd(rows: pl.DataFrame):
    {body}

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers")):
    return odd(data)
"""
    )
    error = project.run().run.error
    assert error is not None
    assert words in error["message"], error


@pytest.mark.parametrize("raised", ["SystemExit(3)", "BaseException('odd')"])
def test_what_is_no_ordinary_exception_fails_the_step_too(project: Project, raised: str) -> None:
    project.write(
        f"""
import tidemill as tm

@tm.step
def leaves() -> int:
    raise {raised}

@tm.pipeline
def p():
    return leaves()
"""
    )
    error = project.run().run.error
    assert error is not None
    assert error["code"] == "step-failed"
    assert f"raised {raised.partition('(')[0]}" in error["message"]


def test_a_check_that_fails_fails_the_run(project: Project) -> None:
    project.write(
        """
import tidemill as tm

@tm.check
def enough(x: int, least: int):
    return [] if x >= least else [f"{x} is less than {least}"]

@tm.step
def three() -> int:
    return 3

@tm.pipeline
def p(least: int = 3):
    x = three()
    enough(x, least)
    return x
"""
    )
    assert project.value(project.run()) == 3
    result = project.run(least=4)
    assert result.run.error is not None
    assert result.run.error["message"] == "Check 'enough' failed: 4 is less than 4.".replace("4 is", "3 is")
    assert result.run.error["code"] == "check-failed"


DYING = """
import os
import signal
from pathlib import Path
import tidemill as tm

@tm.step
def before() -> int:
    return 1

@tm.step{options}
def dies(x: int, folder: str, times: int) -> int:
    there = len(list(Path(folder).glob("death-*")))
    if there < times:
        Path(folder, f"death-{{there}}").touch()
        print("last words", flush=True)
        {how}
    return x

@tm.pipeline
def p(folder: str, times: int = 1):
    return dies(before(), folder, times)
"""
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"


def deaths(project: Project) -> int:
    return len(list(project.folder.glob("death-*")))


@pytest.mark.parametrize(
    ("how", "words", "tried"),
    [(KILLED, "was killed by SIGKILL", 2), ("os._exit(3)", "ended with status 3", 1)],
)
def test_a_worker_that_dies_fails_its_step_only(project: Project, how: str, words: str, tried: int) -> None:
    project.write(DYING.format(how=how, options=""))
    result = project.run(folder=str(project.folder), times=tried)
    assert result.run.status == "failed"
    error = result.run.error
    assert error is not None
    assert error["code"] == "worker-died"
    assert words in error["message"], error
    assert "'dies'" in error["message"]
    assert error["details"]["printed"] == "last words\n"
    assert deaths(project) == tried
    again = project.run(folder=str(project.folder), times=tried)
    assert statuses(again) == {"before": "cached", "dies": "computed"}


def test_a_killed_worker_is_tried_once_more_unasked(project: Project) -> None:
    project.write(DYING.format(how=KILLED, options=""))
    result = project.run(folder=str(project.folder))
    assert statuses(result) == {"before": "computed", "dies": "computed"}
    assert {s.name: s.parts.get("attempts") for s in result.steps} == {"before": None, "dies": 2}
    (note,) = [e.text for e in project.events if isinstance(e, events.Note)]
    assert note.startswith("Step 'dies' is tried again (attempt 2): "), note


@pytest.mark.parametrize("how", ["raise OSError('no answer')", "os._exit(3)", KILLED])
def test_a_step_is_tried_again_as_often_as_it_says(project: Project, how: str) -> None:
    project.write(DYING.format(how=how, options="(retries=2, retry_seconds=0.01)"))
    assert statuses(project.run(folder=str(project.folder), times=2))["dies"] == "computed"
    assert deaths(project) == 2
    failed = project.run(folder=str(project.folder), times=5)
    assert failed.run.status == "failed"
    assert deaths(project) == 5


def test_what_stays_wrong_is_not_tried_again(project: Project) -> None:
    project.write(DYING.format(how="return 'text'", options="(retries=5)"))
    assert project.run(folder=str(project.folder)).run.status == "failed"
    assert deaths(project) == 1


def test_retries_are_no_part_of_the_key(project: Project) -> None:
    project.write(DYING.format(how="raise OSError", options=""))
    project.run(folder=str(project.folder), times=0)
    project.write(DYING.format(how="raise OSError", options="(retries=3)"))
    assert statuses(project.run(folder=str(project.folder), times=0))["dies"] == "cached"


SLOW = """
import os
import time
from pathlib import Path
import tidemill as tm

@tm.step
def first(folder: str) -> int:
    with open(folder + "/first", "a") as file:
        file.write("x")
    return 1

@tm.step
def slow(x: int, folder: str) -> int:
    Path(folder, "slow.part").write_text(str(os.getpid()))
    Path(folder, "slow.part").rename(Path(folder, "slow.pid"))
    while not Path(folder, "go").exists():
        time.sleep(0.01)
    with open(folder + "/slow", "a") as file:
        file.write("x")
    return x + 1

@tm.pipeline
def p(folder: str):
    return slow(first(folder), folder)
"""


def start(project: Project, marker: Path) -> "subprocess.Popen[str]":
    """Run the pipeline in a process of its own; its last line of output is what came of it."""
    code = f"""
    from pathlib import Path
    from tidemill.core.errors import TidemillError
    from tidemill.engine.run import run
    from tidemill.pipeline.load import load
    from tidemill.store.open import Store

    store = Store.open(Path({str(project.store.folder)!r}))
    pipeline = load(Path({str(project.folder / "pipeline.py")!r}))
    graph = pipeline.build({{"folder": {str(marker)!r}}})
    try:
        result = run(store, graph, pipeline_name="p", file=pipeline.file, parameters={{}})
    except TidemillError as error:
        print(error.code)
    else:
        print(result.run.status, *(s.status for s in result.steps))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
        if Path(f"/proc/{pid}/stat").exists()
        else False
    )


def test_a_killed_run_is_marked_and_the_next_one_goes_on(project: Project) -> None:
    project.write(SLOW)
    process = start(project, project.folder)
    until((project.folder / "slow.pid").exists)
    assert mark_interrupted(project.store) == []
    process.kill()
    process.communicate()
    worker = int((project.folder / "slow.pid").read_text())
    until(lambda: not is_alive(worker))
    (killed,) = mark_interrupted(project.store)
    with project.store.catalog.read() as transaction:
        record = transaction.first(records.Run, {"id": killed})
    assert record is not None
    assert record.status == "interrupted"
    (project.folder / "go").touch()
    result = project.run(folder=str(project.folder))
    assert statuses(result) == {"first": "cached", "slow": "computed"}
    assert (project.folder / "first").read_text() == "x"


def test_ctrl_c_stops_the_run_and_its_workers(project: Project) -> None:
    project.write(SLOW)
    process = start(project, project.folder)
    until((project.folder / "slow.pid").exists)
    worker = int((project.folder / "slow.pid").read_text())
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=180)
    assert out.split() == ["interrupted"]
    until(lambda: not is_alive(worker))
    with project.store.catalog.read() as transaction:
        (record,) = transaction.find(records.Run)
    assert record.status == "interrupted"
    assert record.finished_at is not None


def test_two_runs_at_once_compute_a_step_once(project: Project) -> None:
    project.write(SLOW)
    one = start(project, project.folder)
    until((project.folder / "slow.pid").exists)
    two = start(project, project.folder)

    def both_run() -> bool:
        with project.store.catalog.read() as transaction:
            return len(transaction.find(records.Run, {"status": "running"})) == 2

    until(both_run)
    (project.folder / "go").touch()
    outs = sorted(p.communicate(timeout=180)[0].strip() for p in (one, two))
    assert outs == ["succeeded cached cached", "succeeded computed computed"]
    assert (project.folder / "slow").read_text() == "x"


def test_code_that_changes_while_the_run_is_on_is_not_mixed_up(project: Project) -> None:
    text = """
import tidemill as tm

@tm.step
def edit(file: str) -> int:
    from pathlib import Path
    path = Path(file)
    path.write_text(path.read_text().replace("return x", "return x + 1"))
    return 1

@tm.step
def after(x: int) -> int:
    return x

@tm.pipeline
def p(file: str):
    return after(edit(file))
"""
    file = project.write(text)
    from tidemill.engine.run import run
    from tidemill.pipeline.load import load

    pipeline = load(file)
    made = run(
        project.store,
        pipeline.build({"file": str(file)}),
        pipeline_name="p",
        file=file,
        parameters={},
        workers=1,
    )
    assert made.run.error is not None
    assert made.run.error["code"] == "code-changed"
    assert statuses(made) == {"edit": "computed", "after": "failed"}


def test_a_step_of_a_lock_is_refused_before_anything_is_recorded(project: Project) -> None:
    project.write(
        """
import threading
import tidemill as tm

guard = threading.Lock()

@tm.step
def guarded() -> int:
    with guard:
        return 1

@tm.pipeline
def p():
    return guarded()
"""
    )
    with pytest.raises(InvalidInput) as caught:
        project.run()
    assert caught.value.code == "no-code-digest"
    with project.store.catalog.read() as transaction:
        assert transaction.find(records.Run) == []


def test_a_dataset_that_is_not_there_is_named(project: Project) -> None:
    project.datasets.create("numbers", numbers(3), message="first")
    project.write(
        """
import tidemill as tm

@tm.step
def count(rows: tm.Table) -> int:
    return len(rows)

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("number")):
    return count(data)
"""
    )
    result = project.run()
    assert result.run.error is not None
    assert result.run.error["code"] == "dataset-not-found"
    assert result.run.error["hint"] == "Did you mean 'numbers'?"


def test_a_full_disk_says_so(project: Project, small_disk: Path) -> None:
    from tidemill.engine.run import run
    from tidemill.pipeline.load import load
    from tidemill.store.open import Store

    file = project.write(
        """
import numpy as np
import tidemill as tm

@tm.step
def large(n: int) -> np.ndarray:
    return np.arange(n)

@tm.pipeline
def p(n: int = 1_000_000):
    return large(n)
"""
    )
    store = Store.create(small_disk / "store")
    pipeline = load(file)
    result = run(store, pipeline.build(), pipeline_name="p", file=file, parameters={})
    assert result.run.error is not None
    assert result.run.error["code"] == "disk-full"
    result = run(store, pipeline.build({"n": 10}), pipeline_name="p", file=file, parameters={})
    assert result.run.status == "succeeded"
    store.close()
