"""One line of the table, and how a time is taken: the median of some runs."""

import re
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """What was measured. ``must`` is the most that it may be; a floor has none."""

    what: str
    value: float
    unit: str
    must: float | None = None

    def __str__(self) -> str:
        text = f"{self.what:58} {self.value:10.3f} {self.unit:2}"
        if self.must is None:
            return text
        return f"{text}  {self.must:>7,g} {self.unit:2}  {'reached' if self.value <= self.must else 'MISSED'}"


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median(work: Callable[[int], object], times: int) -> float:
    """Of the seconds that each call takes; it is told its number."""
    return statistics.median(seconds(lambda n=n: work(n)) for n in range(times))


def command(words: list[str], folder: Path) -> str:
    """What a command printed; that it fails is an error that says what it wrote."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def peak_megabytes() -> float:
    """The most memory that this process had: what Linux says of it alone, not of what started it."""
    status = Path("/proc/self/status").read_text("utf-8")
    found = re.search(r"VmHWM:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) / 1024
