"""The executors that come with Tidemill: each passes the suite of the port, and all give the same digests."""

import os
import textwrap
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.engine.projects import Project, numbers, statuses, step
from tests.suites.executors import EVERYTHING, ExecutorSuite, source
from tidemill.core.errors import InvalidInput
from tidemill.engine.executors import adapters, environment, local
from tidemill.engine.executors.process import ProcessExecutor
from tidemill.engine.orders import Order
from tidemill.engine.run import RunResult
from tidemill.pipeline import load
from tidemill.store.open import Store


class TestLocal(ExecutorSuite):
    name: ClassVar[str] = "local"

    def test_a_worker_killed_amid_its_answer_while_a_child_of_its_step_holds_the_line(self, project: Project):
        body = """
        if os.fork() == 0:
            time.sleep(1000)
        os.write(int(sys.argv[1]), (1000).to_bytes(8, "big") + b"half of it")
        os.kill(os.getpid(), signal.SIGKILL)
        """
        assert self.error(project, textwrap.dedent(body))["code"] == "worker-died"


class TestProcess(ExecutorSuite):
    name: ClassVar[str] = "process"
    begins_within_seconds: ClassVar[float] = 10.0


def everything(project: Project, executor: str, workers: int) -> RunResult:
    """A run of every kind of step over a dataset of several commits."""
    project.datasets.create("numbers", numbers(20), message="first")
    for start in (20, 30):
        project.datasets.open("numbers").commit(numbers(10, start), message="more")
    project.write(EVERYTHING)
    return project.run(executor=executor, workers=workers, n=1)


def test_keys_and_digests_are_the_same_whoever_computes(tmp_path: Path):
    found: list[Any] = []
    for name, workers in (("local", 1), ("local", 2), ("process", 2)):
        folder = tmp_path / f"{name}-{workers}"
        folder.mkdir()
        project = Project(folder)
        result = everything(project, name, workers)
        assert result.run.status == "succeeded", result.run.error
        # A commit is of its time, so the key of what is read from it is, too.
        found.append({s.name: (s.key if s.name != "data" else "", s.outputs) for s in result.steps})
        project.store.close()
        load.leave()
    assert found[0] == found[1] == found[2]


def test_one_takes_what_the_other_computed(project: Project):
    assert set(statuses(few(project, "process")).values()) == {"computed"}
    assert set(statuses(project.run()).values()) == {"cached"}


FEW = """
import numpy as np
import tidemill as tm

@tm.row_step(columns="x")
def doubled(x: np.ndarray) -> np.ndarray:
    return x * 2

@tm.step
def column(rows: tm.Table) -> np.ndarray:
    return rows.numpy("x")

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers")):
    return column(doubled(data))
"""


def few(project: Project, executor: str) -> RunResult:
    """A run of a few steps over a dataset."""
    project.datasets.create("numbers", numbers(20), message="first")
    project.write(FEW)
    return project.run(executor=executor)


@pytest.mark.parametrize("executor", ["local", "process"])
def test_a_store_named_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str):
    monkeypatch.chdir(tmp_path)
    project = Project(Path(), Store.create("store"))
    result = few(project, executor)
    assert project.value(result).sum() == 380
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__") == ["pipeline.py", "store"]
    project.store.close()
    load.leave()


@pytest.mark.parametrize("executor", ["local", "process"])
def test_a_store_in_s3_is_reached_by_the_process_itself(
    s3: Any, postgres: Any, tmp_path: Path, executor: str
):
    store = Store.create(s3.fresh(), local=tmp_path / "local", catalog=postgres.catalog())
    project = Project(tmp_path, store)
    result = few(project, executor)
    assert set(statuses(result).values()) == {"computed"}, result.run.error
    assert project.value(result).sum() == 380
    store.close()
    load.leave()


WHO = """
import os
import numpy as np
import tidemill as tm
from sklearn.ensemble import RandomForestClassifier

@tm.step
def first(n: int) -> int:
    return os.getpid()

@tm.step
def fitted(n: int) -> int:
    model = RandomForestClassifier(4, n_jobs=2, random_state=0)
    model.fit(np.arange(20).reshape(10, 2), np.arange(10) % 2)
    return os.getpid()

@tm.step
def child(n: int) -> int:
    os.system("true")
    return os.getpid()

@tm.pipeline
def p():
    a = first(0)
    b = fitted(a)
    return {"a": a, "b": b, "c": child(b)}
"""


def test_a_worker_stays_when_nothing_is_left_running(project: Project):
    """A pool of threads, and a child that has ended, are nothing that runs."""
    project.write(WHO)
    result = project.run()
    assert len({project.value(result, name) for name in "abc"}) == 1
    assert project.value(result, "a") != os.getpid()


def test_an_unknown_executor_is_named_before_anything_is_recorded(project: Project):
    project.write(WHO)
    with pytest.raises(InvalidInput) as caught:
        project.run(executor="proces")
    assert caught.value.code == "unknown-executor"
    assert caught.value.hint == "Did you mean 'process'?"
    with pytest.raises(InvalidInput, match="no executor 'kubernetes'") as caught:
        adapters.executor("kubernetes")
    assert caught.value.hint == "There are: local, process."


def test_an_outsiders_executor_is_found_by_its_entry_point(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A package with an executor of its own, as it lies on the path when it is installed."""
    site = tmp_path / "site"
    about = site / "elsewhere-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[tidemill.executors]\nelsewhere = elsewhere:Elsewhere\n")
    (site / "elsewhere.py").write_text(
        "from tidemill.engine.executors.process import ProcessExecutor\n\nmade = []\n\n"
        "class Elsewhere(ProcessExecutor):\n    def start(self, order, task):\n"
        "        made.append(order.step)\n        super().start(order, task)\n"
    )
    monkeypatch.syspath_prepend(str(site))
    project.write(WHO)
    result = project.run(executor="elsewhere")
    assert result.run.status == "succeeded", result.run.error
    import elsewhere  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    assert elsewhere.made == ["first", "fitted", "child"]
    with pytest.raises(InvalidInput) as caught:
        adapters.executor("elsewere")
    assert caught.value.hint == "Did you mean 'elsewhere'?"


class Orders(ProcessExecutor):
    """Changes what is ordered on its way."""

    changed: ClassVar[dict[str, Any]] = {}

    def start(self, order: Order, task: object) -> None:
        super().start(replace(order, **self.changed), task)


def ordered(project: Project, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> dict[str, Any]:
    """The error of a run whose orders arrive with other contents."""
    monkeypatch.setattr(Orders, "changed", changed)
    monkeypatch.setattr(
        adapters, "TABLE", (*adapters.TABLE, adapters.Row("orders", f"{__name__}:Orders", None))
    )
    project.write(WHO)
    result = project.run(executor="orders")
    assert result.run.error is not None
    return result.run.error


def test_who_has_other_packages_refuses(project: Project, monkeypatch: pytest.MonkeyPatch):
    packages = {"python": "2.7", "numpy": "0.1", "nowhere-to-be-had": "1.0"}
    error = ordered(project, monkeypatch, packages=packages)
    assert error["code"] == "environment-differs"
    assert "instead of 0.1" in error["message"]
    assert "nowhere-to-be-had not at all instead of 1.0" in error["message"]
    assert step(project.run(), "first").status == "computed", "nothing was kept of it"


def test_who_has_other_code_refuses(project: Project, monkeypatch: pytest.MonkeyPatch):
    error = ordered(project, monkeypatch, files={"pipeline.py": "sha256:0"})
    assert error["code"] == "code-changed"


def test_code_is_found_in_whatever_folder_it_was_brought_to(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    away = tmp_path / "away"
    away.mkdir()
    (away / "pipeline.py").write_text(WHO)
    monkeypatch.setattr(Orders, "changed", {"folder": str(away)})
    monkeypatch.setattr(
        adapters, "TABLE", (*adapters.TABLE, adapters.Row("orders", f"{__name__}:Orders", None))
    )
    project.write(WHO)
    assert project.run(executor="orders").run.status == "succeeded"


def test_what_results_depend_on_is_set_before_python_starts():
    variables = environment.variables()
    assert variables["PYTHONHASHSEED"] == "0"
    assert variables["OMP_NUM_THREADS"] == str(environment.threads())


class Unborn(local.LocalExecutor):
    """Its workers die before they read an order, which is larger than a socket takes."""

    def start(self, order: Order, task: object) -> None:
        environment = {**order.environment, "PYTHONHOME": str(Path(__file__))}
        super().start(replace(order, environment=environment, settings={"x": "x" * 10_000_000}), task)


def test_a_worker_that_dies_at_its_start_is_not_started_for_ever(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        adapters, "TABLE", (*adapters.TABLE, adapters.Row("unborn", f"{__name__}:Unborn", None))
    )
    project.write(source("return 1"))
    error = project.run(executor="unborn", folder="").run.error
    assert error is not None
    assert error["code"] == "worker-died"
    assert "PYTHONHOME" in error["details"]["printed"]


def test_a_forked_process_leaves_the_workers_to_its_parent(project: Project):
    project.write(source("return os.getpid()"))
    worker = project.value(project.run(folder="first"))
    with warnings.catch_warnings():
        # Lance and newer Pythons warn of what may go wrong here; the child does nothing that could.
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        try:
            local.close()
        finally:
            os._exit(len(local._idle))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert project.value(project.run(folder="second")) == worker


PLACE = """
import os
import signal
import time
from pathlib import Path
import tidemill as tm

@tm.step
def place(folder: str, end: str) -> str:
    here = Path.cwd()
    if end:
        Path("large").write_bytes(b"x" * 1024 * 1024)
        Path(folder, "place").write_text(str(here))
        if end == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
    return str(here)

@tm.pipeline
def p(folder: str, end: str = ""):
    return place(folder, end)
"""


@pytest.mark.parametrize("name", ["local", "process"])
def test_what_a_killed_step_leaves_is_removed(project: Project, name: str):
    project.write(PLACE)
    assert project.run(executor=name, folder=str(project.folder), end="killed").run.status == "failed"
    assert (project.folder / "place").exists()
    assert list(project.store.blobs.unfinished.iterdir()) == []


@pytest.mark.parametrize("name", ["local", "process"])
def test_nothing_is_left_in_the_store_when_the_workers_have_gone(project: Project, name: str):
    project.write(PLACE)
    assert project.run(executor=name, folder=str(project.folder), end="well").run.status == "succeeded"
    local.close()
    assert list(project.store.blobs.unfinished.iterdir()) == []


def test_a_thread_that_stays_knows_no_later_steps_folder(project: Project):
    project.write(
        PLACE.replace(
            "    here =",
            "    if end:\n        threading.Thread(target=rest, daemon=True).start()\n    here =",
        )
        .replace(
            "import tidemill as tm",
            "import threading\nimport tidemill as tm\n\ndef rest():\n    time.sleep(1000)",
        )
        .replace(
            "return place(folder, end)", "return place(folder, 'first'), place(place(folder, 'first'), '')"
        )
    )
    result = project.run(folder=str(project.folder))
    assert len({str(project.value(result, name)) for name in result.outputs}) == 2, result.run.error
    local.close()


def test_two_workers_at_once_have_two_folders(project: Project):
    project.write(
        PLACE.replace("return str(here)", "meet(Path(folder), end)\n    return str(here)")
        .replace("@tm.step", MEET, 1)
        .replace("return place(folder, end)", "return place(folder, 'a'), place(folder, 'b')")
    )
    result = project.run(workers=2, folder=str(project.folder))
    assert len({str(project.value(result, name)) for name in result.outputs}) == 2, result.run.error


MEET = """
def meet(folder: Path, name: str) -> None:
    (folder / f"at-{name}").touch()
    deadline = time.monotonic() + 180
    while len(list(folder.glob("at-*"))) < 2:
        assert time.monotonic() < deadline, "the other one never came"
        time.sleep(0.01)

@tm.step"""
