"""What every executor does with every step: the suite of the port. A subclass names the executor."""

import os
import textwrap
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.engine.projects import Project, numbers, rows, statuses, step
from tests.services.waiting import until
from tidemill.core.events import Progress
from tidemill.core.names import Digest
from tidemill.engine.run import RunResult
from tidemill.store.catalog import records

MIB = 1024 * 1024

EVERYTHING = """
import numpy as np
import polars as pl
import random
import tidemill as tm
from sklearn.linear_model import LogisticRegression

@tm.step
def plain(n: int) -> dict:
    return {"n": n, "draw": random.random(), "more": [1.5, None, "x"]}

@tm.step
def array(n: int) -> np.ndarray:
    return np.random.default_rng(0).random(n * 1024 * 1024 // 8)

@tm.step
def total(x: np.ndarray) -> float:
    return float(x.sum())

@tm.row_step
def doubled(rows: pl.DataFrame, plain: dict) -> pl.DataFrame:
    return rows.with_columns(y=pl.col("x") * 2 + plain["n"] + random.randrange(1000))

@tm.row_step(columns="image")
def scaled(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) / 16

@tm.step
def table(rows: tm.Table) -> pl.DataFrame:
    return rows.to_polars().select("x", "y")

@tm.step
def labelled(rows: tm.Table) -> tm.Table:
    return rows.with_column("label", ["even" if x % 4 else "odd" for x in rows.to_arrow()["x"].to_pylist()])

learned = tm.trainer(LogisticRegression(), features="image", label="label")

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers"), n: int = 20):
    made = plain(n)
    mapped, filled = doubled(scaled(data), made), array(n)
    return {"plain": made, "array": filled, "total": total(filled), "rows": mapped, "table": table(mapped),
            "model": learned(labelled(mapped))}
"""


def source(body: str) -> str:
    """A pipeline of one step whose body this is."""
    return (
        "import os, signal, subprocess, sys, threading, time\nfrom pathlib import Path\nimport tidemill as tm\n\n"
        "@tm.step\ndef odd(folder: str) -> int:\n"
        + textwrap.indent(textwrap.dedent(body).strip(), "    ")
        + "\n\n@tm.step\ndef after(x: int) -> int:\n    print('after')\n    return x + 1\n\n"
        "@tm.pipeline\ndef p(folder: str):\n    return after(odd(folder))\n"
    )


def is_alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def unfinished(project: Project) -> list[Path]:
    """What steps left in the store; a warm worker's folder is empty, and there before its step."""
    found = project.store.blobs.unfinished.iterdir()
    return [p for p in found if p.is_symlink() or not p.is_dir() or any(p.iterdir())]


class ExecutorSuite:
    """Each test is one thing that a step may do."""

    name: ClassVar[str]
    begins_within_seconds: ClassVar[float] = 4.0
    """How long it may take, on a machine that is busy with other tests, until a step has begun."""

    def run(self, project: Project, body: str) -> RunResult:
        """Run a step of that body, and one after it."""
        project.write(source(body))
        return project.run(executor=self.name, folder=str(project.folder))

    def error(self, project: Project, body: str) -> dict[str, Any]:
        """What the run of that body fails with; another run works then as if nothing had been."""
        error = self.run(project, body).run.error
        assert error is not None
        assert "'odd'" in error["message"]
        assert self.value(project, "return 7") == 8
        return error

    def value(self, project: Project, body: str) -> Any:
        return project.value(self.run(project, body))

    def log(self, project: Project, record: records.Step) -> str:
        assert record.log is not None
        return project.store.blobs.get(Digest(record.log)).decode()

    def test_every_kind_of_result(self, project: Project):
        project.datasets.create("numbers", numbers(20), message="first")
        for start in (20, 30):
            project.datasets.open("numbers").commit(numbers(10, start), message="more")
        project.write(EVERYTHING)
        result = project.run(executor=self.name, workers=2)
        assert set(statuses(result).values()) == {"computed"}, result.run.error
        assert project.value(result, "plain")["more"] == [1.5, None, "x"]
        array = project.value(result, "array")
        # The type that the step returned, over memory that is mapped and not read.
        assert type(array) is np.ndarray
        assert isinstance(array.base, np.memmap)
        assert array.nbytes == 20 * MIB
        assert project.value(result, "total") == float(array.sum())
        assert {r["x"] for r in rows(project.value(result, "rows")).values()} == set(range(40))
        assert len(project.value(result, "model").classes) == 2
        again = project.run(executor=self.name)
        assert set(statuses(again).values()) == {"cached"}

    def test_a_step_that_raises(self, project: Project):
        error = self.error(project, "raise ValueError('no good')")
        assert error["code"] == "step-failed"
        assert "raised ValueError: no good" in error["message"]
        assert "in odd" in error["details"]["traceback"]

    def test_a_wrong_type(self, project: Project):
        assert self.error(project, "return 'x'")["code"] == "step-returned-wrong-type"

    @pytest.mark.parametrize(
        "body", ["return (i for i in ())", "return lambda: 1", "return open(folder + '/x', 'w')"]
    )
    def test_what_cannot_be_stored(self, project: Project, body: str):
        project.write(source(body).replace("-> int", "", 1))
        result = project.run(executor=self.name, folder=str(project.folder))
        assert result.run.error is not None
        assert result.run.error["code"] == "no-artifact-kind"

    def test_what_it_prints_is_its_log(self, project: Project):
        result = self.run(
            project,
            """
            print("from Python")
            print("an error", file=sys.stderr)
            os.write(1, b"from C\\n")
            subprocess.run(["echo", "from a child"], check=True)
            return 1
            """,
        )
        assert project.value(result) == 2
        log = self.log(project, step(result, "odd"))
        assert log == "from Python\nan error\nfrom C\nfrom a child\n"
        assert self.log(project, step(result, "after")) == "after\n"

    def test_a_step_that_breaks_its_own_output(self, project: Project):
        result = self.run(
            project,
            """
            sys.stdout.close()
            sys.stderr = None
            os.close(2)
            return 1
            """,
        )
        assert project.value(result) == 2
        assert self.log(project, step(result, "after")) == "after\n"

    def test_a_log_is_bounded(self, project: Project):
        result = self.run(
            project,
            """
            print("the beginning")
            for _ in range(50):
                sys.stdout.write("x" * 1023 + "\\n")
                os.write(1, b"y" * 1024 * 1024)
            print("the end")
            return 1
            """,
        )
        assert project.value(result) == 2
        log = self.log(project, step(result, "odd"))
        assert len(log) == MIB
        assert log.endswith("the end\n")
        assert log.startswith("(")
        assert "bytes before these are left out" in log.partition("\n")[0]

    def test_progress(self, project: Project):
        result = self.run(project, "tm.progress(1, 2, 'halves', 'parts')\nreturn 1")
        assert project.value(result) == 2
        assert Progress("odd: halves", 1, 2, "parts") in project.events

    def test_a_step_that_is_killed(self, project: Project):
        error = self.error(project, "print('last words', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)")
        assert error["code"] == "worker-died"
        assert "was killed by SIGKILL" in error["message"]
        assert error["details"]["printed"].endswith("last words\n")

    def test_a_step_that_ends_its_process(self, project: Project):
        assert "ended with status 3" in self.error(project, "os._exit(3)")["message"]

    def test_a_step_that_exits(self, project: Project):
        assert "raised SystemExit: 3" in self.error(project, "sys.exit(3)")["message"]

    def test_recursion_without_end(self, project: Project):
        error = self.error(project, "def deeper():\n    return deeper()\nreturn deeper()")
        assert "raised RecursionError" in error["message"]

    @pytest.mark.parametrize(
        ("body", "code", "words"),
        [
            (
                """
                class Odd(Exception):
                    def __str__(self):
                        raise RuntimeError
                raise Odd
                """,
                "step-failed",
                "raised Odd: (its message cannot be shown: __str__ raised RuntimeError)",
            ),
            (
                """
                from tidemill.core.errors import InvalidInput
                class Text(str):
                    def __reduce__(self):
                        os._exit(3)
                class Odd:
                    def __repr__(self):
                        raise RuntimeError
                raise InvalidInput(Text("own"), details={Text("a"): [threading.Lock(), Odd(), Text("b")]})
                """,
                "invalid-input",
                "own",
            ),
            ("raise KeyboardInterrupt", "step-failed", "raised KeyboardInterrupt"),
            ("tm.progress(lambda: 1); return 1", "wrong-call", "takes numbers, not a function"),
        ],
    )
    def test_what_cannot_be_sent_back_is_told_in_words(
        self, project: Project, body: str, code: str, words: str
    ):
        error = self.error(project, body)
        assert error["code"] == code
        assert words in error["message"]

    def test_a_result_that_holds_itself(self, project: Project):
        text = source("members = []\nmembers.append(members)\nreturn members")
        project.write(text.replace("-> int:", "-> list:").replace("(x: int)", "(x: list)"))
        error = project.run(executor=self.name, folder=str(project.folder)).run.error
        assert error is not None
        assert error["code"] == "no-artifact-kind"
        assert "'odd' returned a list as 'result' that holds itself" in error["message"]

    def test_a_thread_that_is_left_behind(self, project: Project):
        body = """
        def work():
            while True:
                print("still here")
                time.sleep(0.01)
        threading.Thread(target=work).start()
        Path(folder, "pid").write_text(str(os.getpid()))
        return 1
        """
        result = self.run(project, body)
        assert project.value(result) == 2
        assert self.log(project, step(result, "after")) == "after\n"
        until(lambda: not is_alive(int((project.folder / "pid").read_text())))

    @pytest.mark.parametrize("how", ["fork", "new program"])
    def test_a_child_that_outlives_its_step(self, project: Project, how: str):
        body = """
        child = os.fork() if how == "fork" else subprocess.Popen(["sleep", "1000"]).pid
        if child == 0:
            time.sleep(1000)
        Path(folder, "pid").write_text(str(child))
        return 1
        """
        assert self.value(project, f"how = {how!r}\n{textwrap.dedent(body)}") == 2
        until(lambda: not is_alive(int((project.folder / "pid").read_text())))

    def test_a_child_that_comes_back_from_the_step_is_no_second_answer(self, project: Project):
        body = """
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return 1 if child else 2
        """
        assert self.value(project, body) == 2

    @pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)"])
    def test_a_step_that_dies_while_its_child_lives(self, project: Project, end: str):
        body = """
        child = os.fork()
        if child == 0:
            time.sleep(1000)
        Path(folder, "pid").write_text(str(child))
        """
        error = self.error(project, f"{textwrap.dedent(body)}\n{end}")
        assert error["code"] == "worker-died"
        until(lambda: not is_alive(int((project.folder / "pid").read_text())))

    def test_a_process_that_cannot_answer_while_a_thread_of_its_step_lives(self, project: Project):
        error = self.error(
            project, "threading.Thread(target=time.sleep, args=(1000,)).start()\nos.closerange(3, 256)"
        )
        assert error["code"] == "worker-died"
        assert "Bad file descriptor" in error["details"]["printed"]

    def test_threads_tell_how_far_they_are_while_the_answer_is_sent(self, project: Project):
        body = """
        from contextvars import copy_context
        told = threading.Event()
        def tell():
            while True:
                tm.progress(1, 1, "y" * 10_000)
                told.set()
        threading.Thread(target=copy_context().run, args=(tell,)).start()
        told.wait()
        raise ValueError("x" * 1_000_000)
        """
        assert "xxx" in self.error(project, body)["message"]
        assert {e.label for e in project.events if isinstance(e, Progress)} == {f"odd: {'y' * 10_000}"}

    def test_a_child_of_a_step_tells_nothing(self, project: Project):
        body = """
        child = os.fork()
        if child == 0:
            tm.progress(1, 1, "child")
            os._exit(0)
        os.waitpid(child, 0)
        return 1
        """
        assert self.value(project, body) == 2
        assert [e for e in project.events if isinstance(e, Progress)] == []

    def test_a_step_has_no_terminal_that_could_stop_it(self, project: Project):
        """Who asks for a password in the background of a terminal is stopped, and never told why."""
        assert self.value(project, "return int(os.getsid(0) == os.getpid())") == 2

    def test_the_working_directory_is_empty_and_its_own(self, project: Project, monkeypatch: Any):
        (project.folder / "here.txt").write_text("of the project")
        monkeypatch.chdir(project.folder)
        body = """
        assert os.listdir() == [], os.listdir()
        assert Path.cwd() == tm.scratch()
        Path("mine.txt").write_text("x")
        os.chdir("/")
        return 1
        """
        assert self.value(project, body) == 2
        assert not (project.folder / "mine.txt").exists()
        assert unfinished(project) == []
        error = self.error(project, "return len(open('here.txt').read())")
        assert "raised FileNotFoundError" in error["message"]
        assert "an empty folder of its own" in error["why"]

    @pytest.mark.parametrize(
        "leaves",
        [
            "Path('file').write_text('x')",
            "Path('folder/deeper').mkdir(parents=True)",
            "tm.scratch().rename(Path(folder, 'taken'))",
            "tm.scratch().rmdir()",
            "tm.scratch().chmod(0o500)",
            "here = Path.cwd(); here.rmdir(); here.symlink_to(folder)",
            "here = Path.cwd(); here.rmdir(); here.write_text('a file')",
        ],
    )
    def test_the_next_working_directory_is_as_new(self, project: Project, leaves: str):
        project.write(
            source(leaves + "\nreturn 1").replace(
                "    print('after')\n",
                "    assert not os.listdir(tm.scratch()) and Path.cwd() == tm.scratch()\n"
                "    assert not tm.scratch().is_symlink()\n"
                "    Path('made').write_text('x')\n",
            )
        )
        result = project.run(executor=self.name, folder=str(project.folder))
        assert project.value(result) == 2, result.run.error
        assert unfinished(project) == []

    def test_a_file_is_found_by_a_parameter_that_is_a_relative_path(self, project: Project, monkeypatch: Any):
        (project.folder / "here.txt").write_text("of the project")
        monkeypatch.chdir(project.folder)
        project.write(
            """
from pathlib import Path
import tidemill as tm

@tm.step
def read(file: Path) -> Path:
    Path("copy.txt").write_text(file.read_text())
    return Path("copy.txt")

@tm.step
def length(file: Path) -> int:
    return len(file.read_text())

@tm.pipeline
def p(file: Path = Path("here.txt")):
    return length(read(file))
"""
        )
        assert project.value(project.run(executor=self.name)) == len("of the project")

    def test_an_input_that_is_changed_in_place(self, project: Project):
        """The step after it, and the record, see what its digest says."""
        project.write(
            """
import numpy as np
import tidemill as tm

@tm.step
def made() -> dict:
    return {"a": [1, 2]}

@tm.step
def spoils(made: dict) -> int:
    made["a"].append(3)
    made["b"] = 1
    return len(made["a"])

@tm.step
def reads(made: dict, spoiled: int) -> dict:
    return {"made": made, "spoiled": spoiled}

@tm.step
def array() -> np.ndarray:
    return np.zeros(3)

@tm.step
def writes(x: np.ndarray) -> int:
    x[0] = 1
    return 1

@tm.pipeline
def p():
    m = made()
    return reads(m, spoils(m))

@tm.pipeline
def q():
    return writes(array())
"""
        )
        result = project.run(pipeline_name="p", executor=self.name)
        assert project.value(result) == {"made": {"a": [1, 2]}, "spoiled": 3}
        assert project.load(step(result, "made")) == {"a": [1, 2]}
        failed = project.run(pipeline_name="q", executor=self.name)
        assert failed.run.error is not None
        assert "read-only" in failed.run.error["message"]

    def test_a_step_whose_time_is_over_is_ended_with_all_that_it_started(self, project: Project):
        body = """
        child = subprocess.Popen(["sleep", "1000"])
        Path(folder, "pids").write_text(f"{os.getpid()} {child.pid}")
        Path("large").write_bytes(bytes(1000))
        os.write(1, b"last words")
        while True:
            time.sleep(1000)
        """
        seconds = self.begins_within_seconds
        project.write(source(body).replace("@tm.step", f"@tm.step(timeout_seconds={seconds})", 1))
        result = project.run(executor=self.name, folder=str(project.folder))
        error = result.run.error
        assert error is not None
        assert error["code"] == "step-timeout"
        assert error["message"] == (
            f"Step 'odd' was ended: it took longer than the {seconds:g} seconds that it may take."
        )
        assert error["details"]["printed"] == "last words"
        assert (step(result, "odd").status, step(result, "after").status) == ("failed", "skipped")
        pids = [int(p) for p in (project.folder / "pids").read_text().split()]
        until(lambda: not any(map(is_alive, pids)))
        assert list((project.store.folder / "blobs" / "tmp").iterdir()) == []
        assert self.value(project, "return 7") == 8

    def test_what_is_within_its_time_goes_on_beside_what_is_not(self, project: Project):
        """The one that ends in time is kept; the other is tried again, as often as it says."""
        project.write(
            """
import time
from pathlib import Path
import tidemill as tm

@tm.step(timeout_seconds=SECONDS, retries=1)
def slow(folder: str) -> int:
    with open(folder + "/tries", "a") as tries:
        tries.write("x")
    while not Path(folder, "never").exists():
        time.sleep(0.01)
    return 1

@tm.step(timeout_seconds=600)
def quick(folder: str) -> int:
    while not Path(folder, "tries").exists() or Path(folder, "tries").read_text() != "xx":
        time.sleep(0.01)
    return 2

@tm.pipeline
def p(folder: str):
    return {"slow": slow(folder), "quick": quick(folder)}
""".replace("SECONDS", str(self.begins_within_seconds))
        )
        result = project.run(executor=self.name, workers=2, folder=str(project.folder))
        assert statuses(result) == {"slow": "failed", "quick": "computed"}
        assert result.run.error is not None
        assert result.run.error["code"] == "step-timeout"
        assert step(result, "slow").parts["attempts"] == 2

    def test_a_stop_leaves_no_process_behind(self, project: Project):
        from tidemill.core.errors import Interrupted

        body = """
        child = subprocess.Popen(["sleep", "1000"])
        Path(folder, "pids").write_text(f"{os.getpid()} {child.pid}")
        tm.progress(1, 2)
        time.sleep(1000)
        """
        project.write(source(body))

        def stop(event: object) -> None:
            if isinstance(event, Progress):
                raise KeyboardInterrupt

        project.sink = stop
        with pytest.raises(Interrupted):
            project.run(executor=self.name, folder=str(project.folder))
        pids = [int(p) for p in (project.folder / "pids").read_text().split()]
        until(lambda: not any(map(is_alive, pids)))
        assert os.getpid() not in pids
