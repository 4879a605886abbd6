"""Trivial steps: one, a chain, a fan with its join, very many; and the floor that one cannot go below."""

import itertools
import multiprocessing
import sqlite3
from pathlib import Path

from .measure import Line, median, seconds
from .project import Project

SHORT, LONG = 5, 105


def add(x: int) -> int:
    """What the floor's process does."""
    return x + 1


def floor_of_a_step(folder: Path) -> tuple[float, float]:
    """A call in a warm process, and a durable transaction, with nothing around them."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(add, (0,))
        call = median(lambda n: pool.apply(add, (n,)), 200)
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    for setting in ("journal_mode=wal", "synchronous=full"):
        connection.execute(f"pragma {setting}")
    connection.execute("create table t (n integer)")

    def write(number: int) -> None:
        connection.execute("begin immediate")
        connection.execute("insert into t values (?)", (number,))
        connection.execute("commit")

    transaction = median(write, 200)
    connection.close()
    return call, transaction


def measure(folder: Path, steps: int, many: int, runs: int) -> list[Line]:
    """Of one step by the slope between two chains, of ``steps`` and of ``many`` as a whole."""
    call, transaction = floor_of_a_step(folder)
    lines = [
        Line("floor: call in a warm process", call * 1e3, "ms"),
        Line("floor: durable SQLite transaction", transaction * 1e3, "ms"),
    ]
    project = Project(folder / "steps")
    # No two runs share a number, so that no step of one is a hit for another.
    start = itertools.count(1_000_000, 1_000_000)
    new = {"computed"}

    def chain(length: int) -> float:
        return median(lambda _: project.run("chain", new, start=next(start), steps=length), runs)

    project.run("chain", new, steps=SHORT)
    one = (chain(LONG) - chain(SHORT)) / (LONG - SHORT)
    lines.append(Line("one trivial step, recorded and cached", one * 1e3, "ms", 2))
    whole = chain(steps)
    lines.append(Line(f"chain of {steps:,} steps", whole, "s", 3 * steps / 1000))
    wide = median(lambda _: project.run("fan", new, start=next(start), steps=steps), runs)
    lines.append(Line(f"fan-out of {steps:,} and join", wide, "s", 3 * steps / 1000))
    if many:
        began = next(start)
        longest = seconds(lambda: project.run("chain", new, start=began, steps=many))
        share = longest / many / (whole / steps)
        lines += [
            Line(f"chain of {many:,} steps", longest, "s", 3 * many / 1000),
            Line(f"a step of {many:,}, in one of {steps:,}", share, "x", 1.2),
        ]
        planned = median(lambda _: project.plan("chain", start=began, steps=many), runs)
        again = median(lambda _: project.run("chain", {"cached"}, start=began, steps=many), runs)
        lines += [
            Line(f"{many:,} cached steps planned", planned, "s", 2 * many / 10_000),
            Line(f"{many:,} cached steps run again, and recorded", again, "s"),
        ]
    project.close()
    return lines
