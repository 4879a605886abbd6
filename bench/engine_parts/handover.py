"""A large array from one step to the next, beside ``numpy.save`` and a memory-mapped ``numpy.load``.

Measured from where the first step has made it to where the second has read all of it: the first notes the time
before it returns, the second when it has the sum.
"""

import statistics
from pathlib import Path

from .measure import Line, seconds
from .pipelines import array
from .project import Project


def measure(folder: Path, rows: int, runs: int) -> list[Line]:
    """Both in turn, so that what else the disk does falls on both."""
    import numpy as np

    project = Project(folder / "handover")
    project.run("chain")
    made, looked, plain = (folder / n for n in ("made", "looked", "plain.npy"))
    ours: list[float] = []
    floor: list[float] = []
    for number in range(runs):
        first = float(number + 1)
        values = array(rows, first)

        def save_and_load(values: "np.ndarray" = values) -> None:
            np.save(plain, values)
            np.load(plain, mmap_mode="r").sum(dtype=np.float64)

        floor.append(seconds(save_and_load))
        plain.unlink()
        del values, save_and_load
        project.run("handover", {"computed"}, made=str(made), looked=str(looked), rows=rows, first=first)
        ours.append(float(looked.read_text("utf-8")) - float(made.read_text("utf-8")))
    project.close()
    megabytes = rows * 784 * 4 / 1e6
    own, plainly = statistics.median(ours), statistics.median(floor)
    return [
        Line(f"floor: numpy.save, mapped numpy.load, sum of {megabytes:.0f} MB", plainly, "s"),
        Line(f"{megabytes:.0f} MB of float32 from step to step, and its sum", own, "s"),
        Line("of the floor", own / plainly, "x", 1.5),
    ]
