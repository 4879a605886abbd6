"""Steps that do what nobody should do, and machines that do: the run's records stay whole, and say what it was."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.engine.projects import Project, statuses, step
from tests.services.waiting import until
from tests.suites.executors import source
from tidemill.core import clock
from tidemill.core.names import Digest
from tidemill.engine.run import mark_interrupted
from tidemill.store.catalog import records

MIB = 1024 * 1024


def error_of(project: Project, text: str, code: str) -> dict[str, object]:
    project.write(text)
    result = project.run(folder=str(project.folder))
    assert result.run.error is not None
    assert result.run.error["code"] == code, result.run.error
    assert step(result, "odd").status == "failed"
    assert step(result, "after").status == "skipped"
    return result.run.error


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python 3.12 limits recursion through C by itself")
def test_a_step_that_overflows_the_stack_of_c(project: Project):
    """Nothing in Python can catch it: its process is gone, twice, and the next run is as if nothing had been."""
    body = """
    with open(folder + "/tries", "a") as tries:
        tries.write("x")
    sys.setrecursionlimit(10**9)
    def deeper(x):
        return list(map(deeper, [x]))
    deeper(1)
    return 1
    """
    error = error_of(project, source(body), "worker-died")
    assert "was killed by SIGSEGV" in str(error["message"])
    assert (project.folder / "tries").read_text() == "xx"
    project.write(source("return 1"))
    assert project.value(project.run(folder=str(project.folder))) == 2


def test_a_step_that_prints_a_gigabyte(project: Project):
    body = """
    piece = b"y" * 1023 + b"\\n"
    for _ in range(1024):
        os.write(1, piece * 1024)
    os.write(1, b"the end")
    return 1
    """
    project.write(source(body))
    result = project.run(folder=str(project.folder))
    assert project.value(result) == 2
    log = project.store.blobs.get(Digest(step(result, "odd").log or ""))
    assert len(log) == MIB
    assert log.endswith(b"the end")
    assert log.startswith(b"(10")


@pytest.mark.parametrize(
    ("returned", "kind"),
    [
        ("(i for i in ())", "builtins.generator"),
        ("lambda: 1", "builtins.function"),
        ("open(folder + '/x', 'w')", "_io.TextIOWrapper"),
        ("threading.Lock()", "_thread.lock"),
        ("object()", "builtins.object"),
    ],
)
def test_what_has_no_place_in_the_store_is_named(project: Project, returned: str, kind: str):
    error = error_of(project, source(f"return {returned}").replace("-> int", "", 1), "no-artifact-kind")
    assert f"Step 'odd' returned a {kind} as 'result'" in str(error["message"])
    assert "a number, text, list or dict of such" in str(error["hint"])
    assert "tm.scratch()" in str(error["hint"])


def test_memory_that_the_system_refuses_is_an_exception_like_any_other(project: Project):
    body = """
    import resource
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 200_000_000, resource.RLIM_INFINITY))
    try:
        return len(b"x" * 400_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    """
    error = error_of(project, source(body), "step-failed")
    assert "raised MemoryError" in str(error["message"])


def _is_empty(group: Path) -> bool:
    return not (group / "cgroup.procs").read_text()


@pytest.fixture
def small_group() -> Generator[Path]:
    """A cgroup with little memory."""
    for groups, limit in (
        (Path("/sys/fs/cgroup"), "memory.max"),
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    ):
        folder = groups / f"tidemill-test-{os.getpid()}"
        try:
            folder.mkdir()
            if not (folder / "cgroup.procs").exists():
                raise FileNotFoundError("no cgroups are mounted here")
            (folder / limit).write_text("400000000")
        except OSError:
            if folder.is_dir():
                folder.rmdir()
            continue
        yield folder
        until(partial(_is_empty, folder))
        folder.rmdir()
        return
    pytest.skip("this needs the right to make a cgroup with a limit of memory")


LARGE = """
import tidemill as tm

@tm.step
def before() -> int:
    return 1

@tm.step
def large(x: int, folder: str) -> int:
    with open(folder + "/tries", "a") as tries:
        tries.write("x")
    return len(b"x" * 1_000_000_000)

@tm.pipeline
def p(folder: str):
    return large(before(), folder)
"""


def test_a_step_that_the_systems_killer_ends_when_memory_is_out(project: Project, small_group: Path):
    project.write(LARGE)
    script = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        group, folder = map(Path, sys.argv[1:])
        (group / "cgroup.procs").write_text(str(os.getpid()))
        from tests.engine.projects import Project
        from tidemill.store.open import Store
        result = Project(folder, Store.open(folder / ".tidemill")).run(folder=str(folder))
        print(result.run.error["code"], result.run.error["details"]["signal"], *(s.status for s in result.steps))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, small_group, project.folder],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "worker-died SIGKILL computed failed\n"
    assert (project.folder / "tries").read_text() == "xx", "a killed process is tried once more, unasked"
    project.write(LARGE.replace("1_000_000_000", "10"))
    assert statuses(project.run(folder=str(project.folder))) == {"before": "cached", "large": "computed"}


def test_a_clock_that_is_set_back(project: Project, monkeypatch: pytest.MonkeyPatch):
    """Later runs stay later ones, nothing takes less than no time, and what is stored stays stored.

    Only the engine's look at the clock is replaced: the machine's own cannot be set under other tests, and with one
    that is preloaded (libfaketime 0.9.10) Python's ``time.sleep`` fails once it has jumped.
    """
    project.write(source("return 1"))
    first = project.run(folder=".")
    moments = iter(range(1000))
    back = datetime.now(UTC) - timedelta(days=3)
    monkeypatch.setattr("tidemill.engine.ledger.now", lambda: back - timedelta(minutes=next(moments)))
    second = project.run(folder=".")
    project.write(source("return 2"))
    third = project.run(folder=".")
    assert statuses(second) == {"odd": "cached", "after": "cached"}
    assert statuses(third) == {"odd": "computed", "after": "computed"}
    assert step(third, "odd").why == "code pipeline:odd changed"
    with project.store.catalog.read() as transaction:
        runs = transaction.find(records.Run, order=("-started_at",))
    assert [r.id for r in runs] == [third.run.id, second.run.id, first.run.id]
    assert all(r.finished_at is not None and r.finished_at >= r.started_at for r in runs)
    seconds = clock.parse(third.run.finished_at or "") - clock.parse(third.run.started_at)
    assert seconds < timedelta(minutes=5)


def test_a_run_that_was_killed_before_the_clock_was_set_back(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    project.write(source("return 1"))
    run = project.run(folder=".").run
    with project.store.catalog.write() as transaction:
        transaction.change(records.Run, {"id": run.id}, status="running", finished_at=None)
    monkeypatch.setattr("tidemill.engine.ledger.now", lambda: datetime.now(UTC) - timedelta(days=1))
    assert mark_interrupted(project.store) == [run.id]
    with project.store.catalog.read() as transaction:
        record = transaction.first(records.Run, {"id": run.id})
    assert record is not None
    assert record.finished_at == record.started_at
