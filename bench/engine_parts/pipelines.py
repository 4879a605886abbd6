"""What is run by the bench of the engine: a user's file, copied into its project."""

import time
from pathlib import Path

import numpy as np

import tidemill as tm
from tidemill import parts

CLASSES = [str(n) for n in range(10)]


@tm.step
def add(x: int) -> int:
    return x + 1


@tm.step
def add_at(x: int, n: int) -> int:
    return x + n


@tm.step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@tm.pipeline
def chain(start: int = 0, steps: int = 50) -> int:
    x = start
    for _ in range(steps):
        x = add(x)
    return x


@tm.pipeline
def fan(start: int = 0, steps: int = 1000) -> int:
    return total([add_at(start, n) for n in range(steps)])


def array(rows: int, first: float) -> np.ndarray:
    """Float32, as the images of the reference table are when they are normalised."""
    return np.full((rows, 784), first, np.float32)


def note(file: str) -> None:
    """The time, by a clock that all processes of the machine share."""
    Path(file).write_text(str(time.perf_counter()), "utf-8")


@tm.step
def make(rows: int, first: float, noted: str) -> np.ndarray:
    made = array(rows, first)
    note(noted)
    return made


@tm.step
def look(given: np.ndarray, noted: str) -> float:
    found = float(given.sum(dtype=np.float64))
    note(noted)
    return found


@tm.pipeline
def handover(made: str, looked: str, rows: int = 70_000, first: float = 1.0) -> float:
    return look(make(rows, first, made), looked)


@tm.row_step(columns="image")
def normalise(image: np.ndarray) -> np.ndarray:
    return image.astype("float32") / 255


@tm.pipeline
def prepare(data: tm.Dataset = tm.dataset("images")):
    rows = parts.keep_labels(parts.drop_missing(data), label="label", allowed=CLASSES)
    rows = parts.one_hot(normalise(rows), label="label", classes=CLASSES)
    return parts.split(rows)
