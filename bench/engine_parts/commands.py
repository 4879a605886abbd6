"""A run in which nothing has changed, as a whole command, beside the start of Python with the same libraries."""

import json
import sys
from pathlib import Path

from .measure import Line, command, median
from .project import Project


def measure(folder: Path, runs: int) -> list[Line]:
    """Fifty steps without data; the same of a dataset is measured where its rows are changed."""
    project = Project(folder / "commands")
    project.run("chain")
    project.close()
    plain = median(
        lambda _: command([sys.executable, "-c", "import numpy, pyarrow, sqlalchemy"], folder), runs
    )
    return [
        Line("floor: Python that imports NumPy, Arrow and SQLAlchemy", plain, "s"),
        Line(
            "50 steps run again, nothing changed, as a command", again(project.folder, "chain", runs), "s", 1
        ),
    ]


def again(folder: Path, name: str, runs: int) -> float:
    """Median seconds of ``tidemill run`` that finds every step in the cache."""
    words = [sys.executable, "-m", "tidemill", "run", f"pipeline.py:{name}", "--json"]

    def run(_: int) -> None:
        view = json.loads(command(words, folder))
        found = {s["status"] for s in view["steps"]}
        assert found == {"cached"}, found

    return median(run, runs)
