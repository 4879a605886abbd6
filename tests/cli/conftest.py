"""The command line as its users meet it: a real process in a real folder."""

import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

PIPELINES = """
import tidemill as tm

@tm.step
def double(x: int) -> int:
    return 2 * x

@tm.step
def unlucky(x: int) -> int:
    raise ValueError("no luck")

@tm.pipeline
def quadruple(n: int = 1) -> int:
    return double(double(n))

@tm.pipeline
def hopeless(n: int = 1) -> int:
    return double(unlucky(double(n)))
"""


class Tidemill(Protocol):
    """Runs one command line."""

    def __call__(
        self, *words: str | Path, stdin: str | None = None
    ) -> "subprocess.CompletedProcess[str]": ...


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with two pipelines in ``quadruple.py``."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "tidemill.toml").write_text("", "utf-8")
    (folder / "quadruple.py").write_text(PIPELINES, "utf-8")
    return folder


@pytest.fixture
def tidemill(project: Path) -> Tidemill:
    """``tidemill`` in the project folder."""

    def run(*words: str | Path, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "tidemill", *map(str, words)],
            cwd=project,
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run
