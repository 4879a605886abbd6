"""How the process of a command ends."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.cli.conftest import Tidemill
from tidemill.cli.main import main
from tidemill.loop.workspace import Workspace

PROCESS = """
    import atexit
    import sys
    import threading
    import time

    from tidemill.cli.main import run
    from tidemill.data.sources import unpacking

    # A thread of a library that has Python's code to run yet when the command is done.
    unpacking._Lent.__del__ = lambda lent: time.sleep(3)
    unpacking._LET_GO_SECONDS = 0
    atexit.register(lambda: print("exit handler"))
    threading.Thread(target=lambda: (time.sleep(1), print("thread"))).start()
    sys.argv = ["tidemill", "data", "import", "rows", sys.argv[1]]
    run()
"""


def test_a_thread_of_a_library_does_not_abort_the_process(tidemill: Tidemill, project: Path):
    rows = [f"key{number},1\n" for number in range(800_000)]
    rows[3] = "a,b,c\n"
    (project / "early.csv").write_text("k,v\n" + "".join(rows))
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROCESS), "early.csv"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "thread\nexit handler\n"), ended.stderr
    assert "early.csv, line 5" in ended.stderr


def test_a_command_closes_the_project_that_it_works_on(project: Path, monkeypatch: pytest.MonkeyPatch):
    closed: list[Path] = []
    monkeypatch.setattr(Workspace, "close", lambda ws: closed.append(ws.folder))
    with pytest.raises(SystemExit):
        main(["-C", str(project), "data", "list"])
    assert closed == [project]


@pytest.mark.parametrize(
    ("closed", "code", "said"),
    [
        (">&-", 1, "error[output-not-written]: The output could not be written."),
        (">&- 2>&-", 1, ""),
        ("2>&- <&-", 0, ""),
    ],
)
def test_a_stream_that_is_closed_is_no_bug(project: Path, closed: str, code: int, said: str):
    listed = f"'{sys.executable}' -m tidemill data list {closed}"
    ended = subprocess.run(
        ["sh", "-c", listed], cwd=project, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr.partition("\n")[0]) == (code, said), ended.stderr


def test_a_profiler_writes_what_it_saw(project: Path):
    words = [sys.executable, "-m", "cProfile", "-o", "seen", "-m", "tidemill", "data", "list"]
    subprocess.run(words, cwd=project, capture_output=True, timeout=120, check=True)
    assert (project / "seen").stat().st_size
