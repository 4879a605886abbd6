"""What a step may take: time, and what the machine has."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import tidemill as tm
from tests.engine.projects import Project, numbers, rows, statuses, step
from tests.suites.executors import is_alive
from tidemill.core.errors import InvalidInput
from tidemill.engine import machine
from tidemill.engine.executors import memory
from tidemill.engine.room import Room
from tidemill.engine.run import RunResult, run
from tidemill.pipeline.pipelines import Pipeline


def here(project: Project, pipeline: Pipeline[..., Any], **values: Any) -> RunResult:
    """Run what no other process can import, such as what a notebook's cell defines."""
    return run(
        project.store, pipeline.build(values), pipeline_name=pipeline.name, file=None, parameters=values
    )


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"timeout_seconds": 0}, "a number of seconds above 0"),
        ({"timeout_seconds": -1.5}, "a number of seconds above 0"),
        ({"timeout_seconds": "10m"}, "a number of seconds above 0"),
        ({"timeout_seconds": True}, "a number of seconds above 0"),
        ({"timeout_seconds": float("inf")}, "a number of seconds above 0"),
        ({"retries": -1}, "a whole number, 0 or more"),
        ({"retries": 1.5}, "a whole number, 0 or more"),
        ({"retry_seconds": float("nan")}, "a number of seconds, 0 or more"),
    ],
)
@pytest.mark.parametrize("kind", ["step", "row_step", "transform", "trainer", "check"])
def test_what_means_nothing_is_refused_where_it_is_written(kind: str, options: dict[str, Any], wanted: str):
    with pytest.raises(InvalidInput) as caught:
        getattr(tm, kind)(**options)
    (option, value), *_ = options.items()
    assert caught.value.code == "wrong-definition"
    assert caught.value.message == f"tm.{kind} says {option}={value!r}; it must be {wanted}."


LIMITED = """
import tidemill as tm

@tm.step{options}
def one() -> int:
    return 1

@tm.pipeline
def p():
    return one()
"""


def test_what_a_step_may_take_is_no_part_of_its_key(project: Project):
    project.write(LIMITED.format(options=""))
    assert statuses(project.run()) == {"one": "computed"}
    project.write(LIMITED.format(options="(timeout_seconds=600)"))
    assert statuses(project.run()) == {"one": "cached"}


def test_a_row_step_is_held_to_its_time_too(project: Project):
    project.datasets.create("numbers", numbers(20), message="first")
    project.write(
        """
import time
import polars as pl
import tidemill as tm

@tm.row_step(timeout_seconds=1)
def slow(rows: pl.DataFrame) -> pl.DataFrame:
    time.sleep(1000)
    return rows

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers")):
    return slow(data)
"""
    )
    error = project.run().run.error
    assert error is not None
    assert error["code"] == "step-timeout"


def test_a_step_of_a_notebook_is_ended_amid_its_python(project: Project):
    @tm.step(timeout_seconds=2)  # so long that a busy machine comes to its first line
    def slow() -> int:
        print("last words")  # noqa: T201 - what a step prints
        try:
            while True:
                time.sleep(0.01)
        except Exception:  # noqa: BLE001 - not even this stops it
            return 1

    @tm.pipeline
    def p():
        return slow()

    result = here(project, p)
    assert result.run.error is not None
    assert result.run.error["code"] == "step-timeout"
    assert result.run.error["details"]["printed"] == "last words\n"
    assert statuses(result) == {"slow": "failed"}


class _Alarming:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGALRM)


class _Failing:
    def __del__(self) -> None:
        raise ValueError("of the step's own")


def test_an_alarm_that_a_finalizer_swallowed_comes_again_and_is_not_printed(project: Project):
    """What else fails in a finalizer goes where it always went."""
    dropped: list[object] = []
    previous = sys.unraisablehook

    def notice(args: "sys.UnraisableHookArgs") -> None:
        dropped.append(args.exc_type)

    @tm.step(timeout_seconds=2)
    def slow() -> int:
        _Alarming()
        _Failing()
        while True:
            time.sleep(0.01)

    @tm.pipeline
    def p():
        return slow()

    sys.unraisablehook = notice
    try:
        result = here(project, p)
        assert sys.unraisablehook is notice
    finally:
        sys.unraisablehook = previous
    assert result.run.error is not None
    assert result.run.error["code"] == "step-timeout"
    assert dropped == [ValueError]


def test_a_step_of_a_notebook_in_another_thread_fails_when_it_is_done(project: Project):
    """Nobody can end it there: that is said by its error, not by a result that came too late."""
    done = threading.Event()

    @tm.step(timeout_seconds=0.05, ignore=("done",))
    def slow() -> int:
        time.sleep(0.1)
        done.set()
        return 1

    @tm.pipeline
    def p():
        return slow()

    results: list[RunResult] = []
    thread = threading.Thread(target=lambda: results.append(here(project, p)))
    thread.start()
    thread.join()
    assert done.is_set()
    record = step(results[0], "slow")
    assert record.status == "failed"
    assert record.error is not None
    assert record.error["code"] == "step-timeout"
    assert "could not be ended sooner" in record.error["why"]


@pytest.mark.parametrize(
    ("given", "memory_bytes"),
    [("4GB", 4_000_000_000), ("1.5 GiB", 3 * 2**29), ("512 MiB", 2**29), (4096, 4096), ("100 B", 100)],
)
def test_memory_is_said_with_its_unit(given: str | int, memory_bytes: int):
    assert tm.resources(memory=given).memory_bytes == memory_bytes


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"cpu": 0}, "tm.resources is told cpu=0; it must be a number of CPUs above 0."),
        ({"cpu": float("nan")}, "cpu=nan"),
        ({"cpu": True}, "cpu=True"),
        ({"memory": "4 Gb"}, "memory='4 Gb'; it must be bytes, or a number with B, kB"),
        ({"memory": "much"}, "memory='much'"),
        ({"memory": -1}, "memory=-1"),
        ({"memory": 1.5}, "memory=1.5"),
        ({"gpu": 0.5}, "gpu=0.5; it must be a whole number of GPUs"),
    ],
)
def test_what_no_machine_has_is_refused_where_it_is_written(said: dict[str, Any], words: str):
    with pytest.raises(InvalidInput) as caught:
        tm.resources(**said)
    assert caught.value.code == "wrong-definition"
    assert words in caught.value.message


def test_resources_are_what_resources_makes():
    with pytest.raises(InvalidInput) as caught:
        tm.step(resources={"cpu": 2})  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert "resources={'cpu': 2}; it must be what tm.resources() makes" in caught.value.message


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("cpu=1000", "1000 CPUs, and there are"),
        ('memory="1000TB"', "1,000,000 GB of memory, and there are"),
        ("gpu=3", "3 GPUs, and there are 2"),
    ],
)
def test_a_step_that_no_machine_like_this_can_carry_out_fails_before_anything_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch, said: str, words: str
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    project.write(
        f"""
import tidemill as tm

@tm.step
def first() -> int:
    return 1

@tm.step(resources=tm.resources({said}))
def large(x: int) -> int:
    return x

@tm.pipeline
def p():
    return large(first())
"""
    )
    result = project.run()
    error = result.run.error
    assert error is not None
    assert error["code"] == "resources-lacking"
    assert f"Step 'large' needs {words}" in error["message"]
    assert statuses(result) == {"first": "skipped", "large": "failed"}


def test_what_is_stored_needs_nothing(project: Project):
    project.write(LIMITED.format(options=""))
    project.run()
    project.write(LIMITED.format(options="(resources=tm.resources(cpu=1000))"))
    assert statuses(project.run()) == {"one": "cached"}


AT_ONCE = """
import os
import time
from pathlib import Path
import tidemill as tm

def at_once(folder, name):
    \"\"\"How many were there while this one was, at most.\"\"\"
    (Path(folder) / f"{name}.here").touch()
    most = 0
    for _ in range(20):
        most = max(most, len(list(Path(folder).glob("*.here"))))
        time.sleep(0.01)
    (Path(folder) / f"{name}.here").unlink()
    return most

@tm.step(RESOURCES)
def some(folder: str, number: int) -> dict:
    return {"most": at_once(folder, number), "devices": os.environ.get("CUDA_VISIBLE_DEVICES")}

@tm.step
def other(folder: str, number: int) -> int:
    return at_once(folder, f"other-{number}")

@tm.pipeline
def p(folder: str, others: int = 0):
    return {**{f"some{n}": some(folder, n) for n in range(4)},
            **{f"other{n}": other(folder, n) for n in range(others)}}
"""


def test_only_so_much_is_started_at_once_as_the_machine_has(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine, "cpus", lambda: 4.0)
    project.write(AT_ONCE.replace("RESOURCES", "resources=tm.resources(cpu=3)"))
    result = project.run(workers=4, folder=str(project.folder), others=2)
    assert [project.value(result, f"some{n}")["most"] <= 2 for n in range(4)] == [True] * 4
    assert {s.status for s in result.steps} == {"computed"}


def test_memory_that_is_spoken_for_is_not_given_twice(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 4 * 10**9)
    project.write(AT_ONCE.replace("RESOURCES", 'resources=tm.resources(memory="3GB")'))
    result = project.run(workers=4, folder=str(project.folder))
    assert [project.value(result, f"some{n}")["most"] for n in range(4)] == [1] * 4


@pytest.mark.parametrize("executor", ["local", "process"])
def test_a_gpu_is_one_steps_own(project: Project, monkeypatch: pytest.MonkeyPatch, executor: str):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-7")
    project.write(AT_ONCE.replace("RESOURCES", "resources=tm.resources(gpu=1, cpu=0.1)"))
    result = project.run(workers=4, executor=executor, folder=str(project.folder))
    made = [project.value(result, f"some{n}") for n in range(4)]
    assert {m["devices"] for m in made} <= {"2", "GPU-7"}
    assert max(m["most"] for m in made) <= 2


def test_a_row_step_is_parted_into_no_more_than_there_is_room_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine, "cpus", lambda: 2.0)
    project.datasets.create("numbers", numbers(10), message="first")
    for start in (10, 20, 30):
        project.datasets.open("numbers").commit(numbers(10, start), message="more")
    project.write(
        """
import os
import polars as pl
import tidemill as tm

@tm.row_step(resources=tm.resources(cpu=2))
def mapped(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(worker=pl.lit(os.getpid()))

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers")):
    return mapped(data)
"""
    )
    result = project.run(workers=4)
    assert len({r["worker"] for r in rows(project.value(result)).values()}) == 1


def room(cpus: float = 4, memory: int = 100, gpus: int = 1) -> Room:
    return Room(machine.Machine(cpus, memory, tuple(map(str, range(gpus)))))


def test_the_first_that_waits_is_not_overtaken_in_what_it_waits_for():
    here = room()
    here.take(tm.resources(cpu=1, gpu=1))
    waiting = [
        tm.resources(cpu=1, gpu=1),
        tm.resources(cpu=1),
        tm.resources(cpu=1, gpu=1),
        tm.resources(cpu=1, memory=100),
        tm.resources(cpu=1, memory=1),
    ]
    assert here.chosen(waiting) == [False, True, False, True, False]
    here.leave(tm.resources(cpu=1, gpu=1), ("0",))
    assert here.chosen(waiting) == [True, True, False, True, False]
    here.take(tm.resources(cpu=3))
    assert here.chosen([tm.resources(cpu=2), tm.resources(), tm.resources(cpu=0.5)]) == [False, False, False]


def test_steps_that_say_nothing_are_limited_by_workers_alone():
    here = room(cpus=1)
    assert here.chosen([tm.resources()] * 8) == [True] * 8
    here.take(tm.resources())
    assert here.chosen([tm.resources(cpu=1)]) == [False]
    assert here.chosen([tm.resources(memory=100)]) == [True]


@pytest.mark.parametrize("executor", ["local", "process"])
def test_a_step_that_takes_more_memory_than_it_said_is_ended(project: Project, executor: str):
    project.write(
        """
import subprocess
import sys
import time
from pathlib import Path
import tidemill as tm

@tm.step(resources=tm.resources(memory="300MB"), retries=1)
def grows(folder: str) -> int:
    with open(folder + "/tries", "a") as tries:
        tries.write("x")
    print("last words", flush=True)
    child = "import time; x = b'x' * 500_000_000; time.sleep(1000)"
    with subprocess.Popen([sys.executable, "-c", child]) as started:
        Path(folder, "pid").write_text(str(started.pid))
    return 1

@tm.step(resources=tm.resources(memory="300MB"))
def stays(folder: str) -> int:
    return len(b"x" * 10_000_000)

@tm.pipeline
def p(folder: str):
    return {"stays": stays(folder), "grows": grows(folder)}
"""
    )
    result = project.run(executor=executor, workers=2, folder=str(project.folder))
    error = result.run.error
    assert error is not None
    assert error["code"] == "out-of-memory"
    assert "Step 'grows' was ended: it used" in error["message"]
    assert "and may use 300 MB" in error["message"]
    assert error["details"]["used_bytes"] > error["details"]["allowed_bytes"] == 300_000_000
    assert error["details"]["printed"] == "last words\n"
    assert (project.folder / "tries").read_text() == "xx"
    assert not is_alive(int((project.folder / "pid").read_text()))
    assert statuses(result)["stays"] == "computed"


def test_files_that_are_only_mapped_are_nobodys_memory(project: Project):
    project.write(
        """
import numpy as np
import tidemill as tm

@tm.step
def array() -> np.ndarray:
    return np.ones(400_000_000, np.uint8)

@tm.step(resources=tm.resources(memory="300MB"))
def total(x: np.ndarray) -> int:
    import time
    made = int(x.sum(dtype=np.int64))
    time.sleep(0.5)
    return made

@tm.pipeline
def p():
    return total(array())
"""
    )
    assert project.value(project.run()) == 400_000_000


def test_what_forked_processes_share_is_counted_once():
    script = (
        "import os, sys, time\n"
        "x = b'x' * 100_000_000\n"
        "children = [os.fork() for _ in range(1)]\n"
        "if all(children): os.fork()\n"
        "sys.stdout.write('ready\\n'); sys.stdout.flush(); time.sleep(1000)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, process_group=0
    )
    try:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == ["ready\n"] * 3
        assert (memory.of_group(process.pid, 10**12) or 0) > 300_000_000
        assert 100_000_000 < (memory.of_group(process.pid, 150_000_000) or 0) < 150_000_000
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def cgroup(groups: Path, **files: str) -> Path:
    """A folder of cgroups; names of files with ``__`` for ``/`` and ``_dot_`` for ``.``."""
    for name, text in files.items():
        file = groups / name.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return groups


def test_a_cgroups_limits_are_the_machines(tmp_path: Path):
    two = cgroup(
        tmp_path / "two",
        a__b__memory_dot_max="max\n",
        a__memory_dot_max="123456789\n",
        a__cpu_dot_max="50000 100000\n",
    )
    one = cgroup(
        tmp_path / "one",
        memory__a__memory_dot_limit_in_bytes="234567890\n",
        cpu__cpu_dot_cfs_quota_us="-1\n",
        cpu__cpu_dot_cfs_period_us="100000\n",
    )
    mine = tmp_path / "mine"
    mine.write_text("0::/a/b\n")
    assert machine.memory_bytes(two, mine) == 123456789
    assert machine.cpus(two, mine) == 0.5
    mine.write_text("4:memory:/a\n1:cpu:/elsewhere\n")
    assert machine.memory_bytes(one, mine) == 234567890
    assert machine.cpus(one, mine) == len(os.sched_getaffinity(0))
    assert machine.memory_bytes(tmp_path, tmp_path / "none") > 10**8


@pytest.mark.parametrize(
    ("told", "names"),
    [("", ()), ("-1", ()), ("0", ("0",)), ("1, GPU-a", ("1", "GPU-a")), ("0,-1,2", ("0",))],
)
def test_gpus_are_those_that_cuda_would_see(
    monkeypatch: pytest.MonkeyPatch, told: str, names: tuple[str, ...]
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", told)
    assert machine.gpus() == names
