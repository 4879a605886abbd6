"""Tidemill: results are kept and cached by what the inputs and the code are, with all that the code calls."""

from pathlib import Path

from helper import more

import tidemill as tm

HERE = Path(__file__).parent


@tm.step
def add(x: int) -> int:
    return more(x)


@tm.pipeline
def added(start: int = 0, steps: int = 1) -> int:
    x = start
    for _ in range(steps):
        x = add(x)
    return x


def chain(steps: int, start: int) -> int:
    (HERE / "tidemill.toml").touch()
    with tm.open(HERE) as project:
        project.run(added, start=start, steps=steps)
        return project.value()
