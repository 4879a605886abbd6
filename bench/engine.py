"""What the engine costs: a trivial step beside its floor, a run of hits, and preparation after new rows.

    python bench/engine.py [--steps 50] [--rows 70000]

The floor of a step is what it cannot do without: one call in another process, and one durable transaction.
Writes bench/results/engine.json.
"""

import argparse
import json
import multiprocessing
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PIPELINES = """
import numpy as np
import tidemill as tm

@tm.step
def add(x: int) -> int:
    return x + 1

@tm.pipeline
def chain(start: int = 0, steps: int = 50):
    x = start
    for _ in range(steps):
        x = add(x)
    return x

@tm.row_step
def kept(rows: tm.Table) -> tm.Table:
    return rows.filter(rows.numpy("label") < 10)

@tm.row_step(columns="image")
def scaled(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) / 255

@tm.row_step(columns="label", to="target")
def encoded(label: np.ndarray) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[label]

@tm.pipeline
def prepare(data: tm.Dataset = tm.dataset("images")):
    return encoded(scaled(kept(data)))
"""
RERUN = """
import sys, time
from pathlib import Path
from tidemill.engine.run import run
from tidemill.pipeline.load import load
from tidemill.store.open import Store
file, folder, name = sys.argv[1:]
pipeline = load(Path(file), name)
result = run(Store.open(Path(folder)), pipeline.build(), pipeline_name=name, file=Path(file), parameters={})
assert {s.status for s in result.steps} == {"cached"}, result.steps
"""


def add(x: int) -> int:
    """What the floor's process does."""
    return x + 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rows", type=int, default=70_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [*floors(Path(folder)), *steps(Path(folder), options.steps), *data(Path(folder), options.rows)]
    width = max(len(r["what"]) for r in rows)
    for row in rows:
        print(f"{row['what']:<{width}}  {row['value']:>10.3f} {row['unit']}")
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "engine.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


def row(what: str, value: float, unit: str) -> dict[str, Any]:
    """One line of the table."""
    return {"what": what, "value": value, "unit": unit}


def median_ms(work: Callable[[int], object], times: int) -> float:
    """The median time of one call, in milliseconds."""
    taken: list[float] = []
    for number in range(times):
        started = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def floors(folder: Path) -> list[dict[str, Any]]:
    """A call in a warm process, and a durable transaction, with nothing around them."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(add, (0,))
        call = median_ms(lambda n: pool.apply(add, (n,)), 200)
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    for setting in ("journal_mode=wal", "synchronous=full"):
        connection.execute(f"pragma {setting}")
    connection.execute("create table t (n integer)")

    def write(number: int) -> None:
        connection.execute("begin immediate")
        connection.execute("insert into t values (?)", (number,))
        connection.execute("commit")

    transaction = median_ms(write, 200)
    connection.close()
    return [
        row("floor: call in a warm process pool", call, "ms"),
        row("floor: durable SQLite transaction", transaction, "ms"),
    ]


def steps(folder: Path, count: int) -> list[dict[str, Any]]:
    """A chain of trivial steps: computed, then all hits, then as a fresh process."""
    from tidemill.engine.run import run
    from tidemill.pipeline.load import load
    from tidemill.store.open import Store

    store = Store.create(folder / "store")
    file = folder / "bench_pipelines.py"
    file.write_text(PIPELINES, "utf-8")
    chain = load(file, "chain")

    def once(start: int) -> list[float]:
        graph = chain.build({"start": start, "steps": count})
        started = time.perf_counter()
        result = run(store, graph, pipeline_name="chain", file=file, parameters={}, workers=1)
        taken = time.perf_counter() - started
        assert result.run.status == "succeeded", result.run.error
        return [taken, *(s.seconds for s in result.steps)]

    once(10_000)
    walls = [once(20_000 * (n + 1))[0] for n in range(3)]
    hits = [once(20_000)[0] for _ in range(3)]
    small = chain.build({"steps": count})
    run(store, small, pipeline_name="chain", file=file, parameters={}, workers=1)
    return [
        row("trivial step, computed, durable record included", min(walls) / count * 1000, "ms"),
        row("trivial step, cached", min(hits) / count * 1000, "ms"),
        row(f"run of {count} cached steps as a fresh process", fresh(file, folder, "chain"), "s"),
    ]


def fresh(file: Path, folder: Path, name: str) -> float:
    """Seconds of a whole process that finds nothing to do; the best of three."""
    taken: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", RERUN, file, folder / "store", name], check=True)
        taken.append(time.perf_counter() - started)
    return min(taken)


def data(folder: Path, count: int) -> list[dict[str, Any]]:
    """Preparation of images: first, after 1,000 new rows, and with nothing new."""
    import numpy as np
    import pyarrow as pa

    from tidemill.data.datasets import Datasets
    from tidemill.engine.run import RunResult, run
    from tidemill.pipeline.load import load
    from tidemill.store.open import Store
    from tidemill.store.table import Table

    random = np.random.default_rng(0)
    store = Store.open(folder / "store")
    datasets = Datasets(store, "bench")
    file = folder / "bench_pipelines.py"
    prepare = load(file, "prepare")

    def images(start: int, number: int) -> Table:
        ids = Table(pa.table({"_id": pa.array(range(start, start + number), pa.uint64())}))
        pixels = random.integers(0, 255, (number, 28, 28), np.uint8)
        return ids.with_column("image", pixels).with_column("label", random.integers(0, 11, number))

    def once() -> tuple[float, RunResult]:
        started = time.perf_counter()
        result = run(
            store,
            prepare.build(),
            pipeline_name="prepare",
            file=file,
            parameters={},
            resolve=lambda r: datasets.open(r.name).snapshot(r.at),
        )
        assert result.run.status == "succeeded", result.run.error
        return time.perf_counter() - started, result

    datasets.create("images", images(0, count), message="first")
    first, result = once()
    peak = max(s.peak_bytes or 0 for s in result.steps) / 1e6
    datasets.open("images").commit(images(count, 1000), message="more")
    second, result = once()
    computed = max(s.rows_computed or 0 for s in result.steps)
    return [
        row(f"preparation of {count} images, first", first, "s"),
        row("preparation after 1,000 new rows", second, "s"),
        row("of the first", second / first * 100, "%"),
        row("most rows computed by one step of it", computed, "rows"),
        row("preparation with nothing new, as a fresh process", fresh(file, folder, "prepare"), "s"),
        row("peak memory of a worker", peak, "MB"),
        row("peak memory of the parent", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, "MB"),
    ]


if __name__ == "__main__":
    main()
