"""A few changed rows of a dataset through clean, normalise, encode and split, beside the run that computed them all."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .commands import again
from .measure import Line, seconds
from .project import Project

if TYPE_CHECKING:
    from tidemill.store.table import Table

CHANGED = 100
BATCH = 70_000


def measure(folder: Path, rows: int, runs: int) -> list[Line]:
    """The share must be under 5 % of the full time for 70,000 rows, under 8 % for more."""
    import numpy as np

    random = np.random.default_rng(0)
    project = Project(folder / f"rows-{rows}")
    create(project, "few", 1_000)
    create(project, "images", rows)
    # The workers have loaded what they need before anything is timed.
    project.run("prepare", {"computed"}, data="few")
    full = seconds(lambda: project.run("prepare", {"computed"}))
    ids = project.datasets.open("images").snapshot().ids()
    taken: list[float] = []
    computed: list[int] = []
    for _ in range(runs):
        dataset = project.datasets.open("images")
        some = dataset.snapshot().read(ids=random.choice(ids, CHANGED, replace=False))
        labels = random.integers(0, 10, CHANGED).astype(str).tolist()
        dataset.commit(some.with_column("label", labels), message="Change")
        taken.append(seconds(lambda: project.run("prepare")))
        computed += [s.rows_computed or 0 for s in project.last.steps]
    project.close()
    few = statistics.median(taken)
    return [
        Line(f"{rows:,} images cleaned, normalised, encoded, split", full, "s"),
        Line(f"the same after {CHANGED} of them changed", few, "s"),
        Line("of the full time", few / full * 100, "%", 5 if rows <= 70_000 else 8),
        Line("most rows that a step of it computed", max(computed), ""),
        Line("the same, nothing changed, as a command", again(project.folder, "prepare", runs), "s", 1),
    ]


def create(project: Project, name: str, rows: int) -> None:
    """A dataset of random images. One label in eleven is none of the classes, for the cleaning to find."""
    import numpy as np

    from tidemill.store.table import Table

    random = np.random.default_rng(1)

    def batches() -> "Iterator[Table]":
        for first in range(0, rows, BATCH):
            count = min(BATCH, rows - first)
            labels = random.integers(0, 11, count).astype(str).tolist()
            pixels = random.integers(0, 256, (count, 28, 28), np.uint8)
            yield Table.of({"label": labels}).with_column("image", pixels)

    project.datasets.create(name, batches(), message="First")
