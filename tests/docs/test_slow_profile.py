"""The tests that take minutes run where they are asked for, and nowhere else; their last result is a page."""

import importlib.util
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import pytest
@pytest.mark.slow_profile
def test_slow(): pass
@pytest.mark.slow_profile
def test_red(): assert False
@pytest.mark.slow_profile
def test_skipped(): pytest.skip("not here")
def test_quick(): pass
"""


def collected(folder: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:randomly", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return [line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with this one's settings for pytest, and three slow tests and a quick one."""
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    hook = (ROOT / "tests" / "conftest.py").read_text("utf-8").partition("def pytest_collection_modifyitems")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text(f"import pytest\n{hook[1]}{hook[2]}", "utf-8")
    (tmp_path / "tests" / "test_it.py").write_text(TESTS, "utf-8")
    return tmp_path


@pytest.mark.parametrize("arguments", [[], ["tests/test_it.py"], ["-m", "not slow"]])
def test_the_default_suite_leaves_it_out(project: Path, arguments: list[str]):
    assert collected(project, *arguments) == ["test_quick"]


def test_it_alone_runs_where_the_marker_is_named(project: Path):
    assert collected(project, "-m", "slow_profile") == ["test_slow", "test_red", "test_skipped"]


def test_the_page_says_what_ran_and_how_it_went(project: Path):
    results = project / "results.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "slow_profile", f"--junitxml={results}"],
        cwd=project,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    spec = importlib.util.spec_from_file_location("slow_tests", ROOT / "docs" / "slow_tests.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = script.page(results.read_text("utf-8"), datetime(2026, 5, 4, 12, 30, tzinfo=UTC))
    assert "2026-05-04 12:30 UTC" in page
    assert "1 failed, 1 passed, 1 skipped in" in page
    assert "| `tests/test_it.py::test_red` | failed |" in page
    assert "test_quick" not in page
