"""What CI's script does with a suite that fails, on small suites: every test runs for real."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ["awk", "bash", "cat", "dirname", "env", "grep", "id", "mktemp", "rm", "tail", "tee", "wc"]
"""What the script calls. The package manager is left out, so that no test waits for its lists."""

GREEN = "def test_green(): pass\n"
RED = "def test_red(): assert False\n"
FLAKY = """
from pathlib import Path
def first_time(name):
    if Path(name).exists(): return False
    Path(name).touch()
    return True
"""
FLAKY_TEST = "def test_flaky(): assert not first_time('flaky')\n"
CRASHING_TEST = "def test_crash():\n    import os\n    if first_time('crashed'): os._exit(9)\n"
HANGING_TEST = "def test_hang():\n    import time\n    if first_time('hung'): time.sleep(600)\n"
BROKEN_TEARDOWN = """
import pytest
@pytest.fixture
def bad():
    yield
    raise OSError("not put away")
def test_teardown(bad): pass
"""
LUCK = "import random\ndef test_luck(): assert random.random() > 2\n"


class Suite:
    """A project that has CI's script, a README, and one file of tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / ".ci", folder / ".ci")
        tools = folder / ".venv" / "bin"
        tools.mkdir(parents=True)
        for program in PROGRAMS:
            found = shutil.which(program)
            assert found, program
            (tools / program).symlink_to(found)
        (tools / "python3").symlink_to(sys.executable)
        self.tool("pytest", f'exec {sys.executable} -m pytest "$@"')
        self.tool("just", "exit 0")
        (folder / "pytest.ini").write_text(
            "[pytest]\naddopts = -ra\nfaulthandler_timeout = 5\nfaulthandler_exit_on_timeout = true\n",
            "utf-8",
        )

    def tool(self, name: str, line: str) -> None:
        path = self.folder / ".venv" / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n", "utf-8")
        path.chmod(0o755)

    def run(
        self, tests: str, command: str = "true && .venv/bin/pytest -n 2 --dist worksteal"
    ) -> tuple[int, list[str]]:
        (self.folder / "test_it.py").write_text(tests, "utf-8")
        (self.folder / "README.md").write_text(f"# It\n\n## Test it\n\n```sh\n{command}\n```\n", "utf-8")
        done = subprocess.run(
            [self.folder / ".ci" / "run"],
            env={"PATH": str(self.folder / ".venv" / "bin")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        return done.returncode, done.stdout.splitlines()


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def test_a_green_suite_runs_once(suite: Suite):
    status, lines = suite.run(GREEN)
    assert status == 0
    assert "1 passed in" in lines[-1]
    assert not [line for line in lines if "once more" in line]


def test_what_failed_once_is_named_and_what_fails_twice_is_red(suite: Suite):
    status, lines = suite.run(FLAKY + GREEN + RED + FLAKY_TEST)
    assert status == 1
    assert "failed once, passed alone: test_it.py::test_flaky" in lines
    assert "failed twice: test_it.py::test_red" in lines
    assert "1 failed, 1 passed, 1 passed alone in" in lines[-1]


def test_a_suite_whose_every_failure_passes_alone_is_green(suite: Suite):
    status, lines = suite.run(FLAKY + GREEN + FLAKY_TEST)
    assert status == 0
    assert "==== 1 passed, 1 passed alone in" in lines[-1]


@pytest.mark.parametrize(("test", "name"), [(CRASHING_TEST, "test_crash"), (HANGING_TEST, "test_hang")])
def test_a_worker_that_dies_or_hangs_is_one_failed_test(suite: Suite, test: str, name: str):
    status, lines = suite.run(FLAKY + GREEN + test)
    assert f"failed once, passed alone: test_it.py::{name}" in lines
    assert "==== 1 passed, 1 passed alone in" in lines[-1]
    assert status == 0


def test_what_crashes_each_time_is_red(suite: Suite):
    status, lines = suite.run(GREEN + "def test_crash():\n    import os\n    os._exit(0)\n")
    assert "failed twice: test_it.py::test_crash" in lines
    assert "==== 1 failed, 1 passed in" in lines[-1]
    assert status == 1


def test_an_error_in_a_fixture_is_a_failure(suite: Suite):
    status, lines = suite.run(BROKEN_TEARDOWN)
    assert status == 1
    assert "failed twice: test_it.py::test_teardown" in lines


def test_a_file_that_cannot_be_imported_is_red_at_once(suite: Suite):
    status, lines = suite.run("import not_there\n" + GREEN)
    assert status != 0
    assert "1 error" in lines[-1]
    assert not [line for line in lines if "once more" in line]


def test_too_many_failures_are_red_at_once(suite: Suite):
    status, lines = suite.run(
        "import pytest\n@pytest.mark.parametrize('n', range(21))\ndef test_red(n): assert 0\n"
    )
    assert status == 1
    assert "==== 21 failed in" in lines[-1]
    assert not [line for line in lines if "once more" in line]


@pytest.mark.parametrize(
    "command", ["false && .venv/bin/pytest", "true && .venv/bin/pytest -k nothing_has_this_name"]
)
def test_a_suite_that_did_not_run_is_red_and_said_so(suite: Suite, command: str):
    status, lines = suite.run(GREEN, command)
    assert status != 0
    assert "did not run" in lines[-1]


def test_the_second_time_has_the_same_seed(suite: Suite):
    _, lines = suite.run(LUCK)
    drawn = {line.partition(" > 2")[0] for line in lines if line.startswith("E ") and " > 2" in line}
    assert len(drawn) == 1


def test_red_checks_are_red_after_a_green_suite(suite: Suite):
    suite.tool("just", "exit 3")
    status, lines = suite.run(GREEN)
    assert status == 3
    assert "1 passed in" in lines[-1]
