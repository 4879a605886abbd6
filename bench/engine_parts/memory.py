"""Memory of the process that drives a run, over that of a Python which imports the same third-party libraries.

Both are fresh processes: ``python -m engine_parts.memory FOLDER STEPS`` drives a chain and the preparation of a
dataset, then says what it has loaded; ``python -m engine_parts.memory`` imports what it is told. Each prints the
most memory that it had.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path

from .changed_rows import create
from .measure import Line, peak_megabytes
from .project import Project

BENCH = Path(__file__).parents[1]
ROWS = 7_000


def measure(folder: Path, steps: int) -> list[Line]:
    """Of a chain of this many steps and of a dataset, computed and then found in the cache."""
    project = Project(folder / "memory")
    create(project, "images", ROWS)
    project.close()
    driver = child(str(project.folder), str(steps))
    floor = child(given=driver["libraries"])
    return [
        Line("floor: peak memory of a Python with the same libraries", floor["peak"], "MB"),
        Line(f"peak memory of the process that drives {steps:,} steps", driver["peak"], "MB"),
        Line("over the floor: the engine itself", driver["peak"] - floor["peak"], "MB", 150),
    ]


def child(*words: str, given: object = None) -> dict:
    """What this file printed in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "engine_parts.memory", *words],
        cwd=BENCH,
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def drive(folder: Path, steps: int) -> dict:
    project = Project(folder)
    for status in ("computed", "cached"):
        project.run("chain", {status}, steps=steps)
        project.run("prepare", {status})
    project.close()
    return {"peak": peak_megabytes(), "libraries": libraries()}


def libraries() -> list[str]:
    """The third-party modules that this process has loaded, in the order in which it did."""
    return [
        name
        for name, module in list(sys.modules.items())
        if "site-packages" in (getattr(module, "__file__", None) or "") and not name.startswith("tidemill")
    ]


def load(names: list[str]) -> dict:
    for name in names:
        importlib.import_module(name)
    return {"peak": peak_megabytes()}


if __name__ == "__main__":
    found = drive(Path(sys.argv[1]), int(sys.argv[2])) if sys.argv[1:] else load(json.load(sys.stdin))
    print(json.dumps(found))
