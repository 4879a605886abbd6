"""What the record of a step says of how it was computed: when, where, with how much memory and traffic."""

import socket

import pytest

from tests.engine.projects import Project, numbers, step
from tidemill.core import clock
from tidemill.core.names import Digest

NUMBERS = 1_000_000
BYTES = 8 * NUMBERS


def test_each_step_says_when_where_and_how_much(project: Project):
    project.write(
        """
        import numpy as np
        import tidemill as tm

        @tm.step
        def make(n: int) -> np.ndarray:
            return np.arange(n)

        @tm.step
        def double(a: np.ndarray) -> np.ndarray:
            return a * 2

        @tm.step
        def total(a: np.ndarray, b: np.ndarray) -> int:
            return int(a.sum() + b.sum())

        @tm.pipeline
        def small(n: int):
            made = make(n)
            return total(made, double(made))
        """.replace("\n        ", "\n")
    )
    before = clock.stamp(clock.now())
    result = project.run(n=NUMBERS)
    make, double, total = (step(result, n) for n in ("make", "double", "total"))
    assert before <= str(make.started_at) <= make.finished_at <= str(double.started_at) <= double.finished_at
    assert {s.host for s in result.steps} == {socket.gethostname()}
    assert (make.read_bytes, total.written_bytes) == (0, 0)
    # The header of an array's file is small.
    assert make.written_bytes == pytest.approx(BYTES, abs=200)
    assert double.read_bytes == pytest.approx(BYTES, abs=200)
    assert total.read_bytes == pytest.approx(2 * BYTES, abs=400)
    assert all(s.peak_bytes is None or s.peak_bytes > BYTES for s in result.steps)
    again = step(project.run(n=NUMBERS), "double")
    assert again.status == "cached"
    assert (again.started_at, again.host, again.read_bytes, again.written_bytes) == (None, None, None, None)


def test_a_dataset_that_is_read_and_a_step_that_fails_say_it_too(project: Project):
    project.datasets.create("numbers", numbers(10), message="first")
    project.write(
        """
        import tidemill as tm

        @tm.step
        def count(rows: tm.Table) -> int:
            raise ValueError("no")

        @tm.step
        def after(x: int) -> int:
            return x

        @tm.pipeline
        def small(data: tm.Dataset = tm.dataset("numbers")):
            return after(count(data))
        """.replace("\n        ", "\n")
    )
    data, failed, skipped = project.run().steps
    assert (data.host, failed.host, skipped.host) == (socket.gethostname(), socket.gethostname(), None)
    assert str(data.started_at) <= data.finished_at <= str(failed.started_at) <= failed.finished_at
    assert skipped.started_at is None
    assert failed.read_bytes


PRINTS = """
import polars as pl
import tidemill as tm

@tm.row_step
def same(rows: pl.DataFrame) -> pl.DataFrame:
    print("from", rows["x"][0])
    return rows

@tm.pipeline
def small(data: tm.Dataset = tm.dataset("numbers")):
    return same(data)
"""


def test_what_all_workers_of_a_step_printed_is_kept(project: Project):
    project.datasets.create("numbers", numbers(10), message="first")
    project.datasets.open("numbers").commit(numbers(10, start=10), message="more")
    project.write(PRINTS)
    same = step(project.run(workers=2), "same")
    assert same.log is not None
    lines = project.store.blobs.get(Digest(same.log)).decode().splitlines()
    assert sorted(lines) == ["from 0", "from 10"]
