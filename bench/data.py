"""What changes of a dataset cost: of the reference table (70,000 x 785), and of narrow tables from small to large.

    python bench/data.py [--rows 70000] [--growth 7000 70000 700000 7000000] [--runs 7]

Each figure is the median of some runs, each of which opens the dataset anew. Beside a change stands its floor:
what Lance alone takes to append as many rows to a table of its own, and to read one. What it costs peers is in
bench/data_peers.py. Writes bench/results/data.json.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

PIXELS = 784
FEW = 100
BATCH = 100_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=70_000)
    parser.add_argument("--growth", type=int, nargs="*", default=[7_000, 70_000, 700_000, 7_000_000])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--narrow", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.narrow is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(narrow(Path(folder), options.narrow, options.runs)))
        return
    with tempfile.TemporaryDirectory() as folder:
        results: dict[str, Any] = {
            "rows": options.rows,
            "wide": wide(Path(folder), options.rows, options.runs),
        }
    print(f"{options.rows:,} x {PIXELS + 1}", *lines(results["wide"]), sep="\n")
    results["growth"] = [in_child(rows, options.runs) for rows in options.growth]
    if results["growth"]:
        print("\nnarrow tables", *table(results["growth"]), sep="\n")
    out = Path(__file__).parent / "results" / "data.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def wide(folder: Path, rows: int, runs: int) -> dict[str, float]:
    """The reference table: what each change costs, in seconds, and its bytes."""
    import lance

    from tidemill.data import Datasets, Diff
    from tidemill.store.open import Store
    from tidemill.store.table import Table

    store = Store.create(folder / "store")
    datasets = Datasets(store, "bench")
    rng = np.random.default_rng(6)

    def images(count: int) -> Table:
        pixels = rng.integers(0, 256, (count, 28, 28), np.uint8)
        return Table.of({"label": rng.integers(0, 10, count)}).with_column("image", pixels)

    datasets.create("d", images(rows), message="First")
    ids = datasets.open("d").snapshot().ids()
    found: dict[str, float] = {}

    def relabelled(count: int) -> Table:
        some = datasets.open("d").snapshot().read(ids=rng.choice(ids, count, replace=False))
        return some.with_column("label", (some.numpy("label") + 1) % 10)

    def put(new: Table, branch: str = "main") -> None:
        datasets.open("d").commit(new, branch=branch, message="Put")

    appended = [images(FEW) for _ in range(runs)]
    found["append 100 rows"], found["append 100 rows, bytes"] = changing(
        folder, [lambda n=n: put(n) for n in appended]
    )
    changed = [relabelled(FEW) for _ in range(runs)]
    found["change 100 labels"], found["change 100 labels, bytes"] = changing(
        folder, [lambda n=n: put(n) for n in changed]
    )
    put(relabelled(2 * FEW))
    head = datasets.open("d").head().number
    a, b = str(head - 1), str(head)
    found["diff, 200 rows apart, cells"] = median(runs, lambda: datasets.open("d").diff(a, b).cells())

    def merge(turn: int) -> Callable[[], object]:
        for side in ("ours", "theirs"):
            datasets.open("d").branch(f"{side}{turn}", b)
            put(relabelled(FEW), f"{side}{turn}")
        return lambda: datasets.open("d").merge(f"theirs{turn}", into=f"ours{turn}")

    found["merge, 100 changed rows each"] = timed([merge(turn) for turn in range(runs)])
    names = iter(range(10_000))
    found["branch"] = median(runs, lambda: datasets.open("d").branch(f"b{next(names)}", "1"))
    found["tag"] = median(runs, lambda: datasets.open("d").tag(f"t{next(names)}", "1"))
    past = datasets.open("d").resolve("1").id
    for name, at in (("number", "1"), ("id", past), ("tag", f"t{next(names) - 1}")):
        found[f"open a past commit by its {name}"] = median(
            runs, lambda at=at: datasets.open("d").snapshot(at).schema
        )
    some = [rng.choice(ids, 1000, replace=False) for _ in range(runs)]
    found["1,000 random rows of a past commit"] = timed(
        [lambda s=s: datasets.open("d").snapshot("2").read(ids=s) for s in some]
    )
    found["whole table of a past commit"] = median(runs, lambda: datasets.open("d").snapshot("2").read())
    assert isinstance(datasets.open("d").diff(a, b), Diff)

    own = str(folder / "own.lance")
    lance.write_dataset(images(rows).to_arrow(), own)
    more = [images(FEW).to_arrow() for _ in range(runs)]
    found["floor: Lance appends 100 rows"] = timed(
        [lambda m=m: lance.write_dataset(m, own, mode="append") for m in more]
    )
    found["floor: Lance reads the table"] = median(runs, lambda: lance.dataset(own).to_table())
    return found


def narrow(folder: Path, rows: int, runs: int) -> dict[str, float]:
    """A keyed table of three narrow columns: its import in batches, and what changes of a fixed size cost."""
    from tidemill.data import Datasets
    from tidemill.data.profile import profile
    from tidemill.store.open import Store
    from tidemill.store.table import Table

    datasets = Datasets(Store.create(folder / "store"), "bench")

    def batch(first: int, count: int, label: str) -> Table:
        n = np.arange(first, first + count)
        return Table.of({"id": n, "label": [label] * count, "weight": n / 7})

    def batches() -> Iterator[Table]:
        for first in range(0, rows, BATCH):
            yield batch(first, min(BATCH, rows - first), "a")

    found: dict[str, float] = {"rows": rows}
    started = time.perf_counter()
    datasets.create("d", batches(), message="First", key=["id"])
    found["import"] = time.perf_counter() - started
    found["import, peak MB"] = peak_megabytes()
    started = time.perf_counter()
    assert datasets.open("d").commit(batches(), message="Again")[1].added == 0
    found["the same again"] = time.perf_counter() - started

    def put(new: Table) -> None:
        datasets.open("d").commit(new, message="Put")

    found["append 100"] = timed([lambda n=n: put(batch(rows + FEW * n, FEW, "b")) for n in range(runs)])
    found["change 100"] = timed([lambda n=n: put(batch(FEW * n, FEW, "c")) for n in range(runs)])
    names = iter(range(10_000))
    found["branch"] = median(runs, lambda: datasets.open("d").branch(f"b{next(names)}"))
    put(batch(rows // 2, 2 * FEW, "d"))
    head = datasets.open("d").head().number
    a, b = str(head - 1), str(head)
    found["diff of 200"] = median(runs, lambda: datasets.open("d").diff(a, b).cells())
    found["read all"] = median(3, lambda: datasets.open("d").snapshot().read())
    found["profile"] = median(1, lambda: profile(datasets.open("d").snapshot(), "label"))
    return found


def peak_megabytes() -> float:
    """The most memory that this process had: what Linux says of it alone, not of what started it."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def in_child(rows: int, runs: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--narrow", str(rows), "--runs", str(runs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def changing(folder: Path, changes: list[Callable[[], object]]) -> tuple[float, float]:
    """Seconds of a change, and the bytes that it leaves in the store."""
    before = size(folder)
    seconds = timed(changes)
    return seconds, (size(folder) - before) / len(changes)


def size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def median(runs: int, do: Callable[[], object]) -> float:
    return timed([do] * runs)


def timed(works: list[Callable[[], object]]) -> float:
    seconds: list[float] = []
    for work in works:
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def lines(found: dict[str, float]) -> list[str]:
    return [
        f"  {name:36} {value / 1e6:10.3f} MB"
        if name.endswith("bytes")
        else f"  {name:36} {value * 1e3:10.1f} ms"
        for name, value in found.items()
    ]


def table(growth: list[dict[str, float]]) -> list[str]:
    rows = [f"  {'':18}" + "".join(f"{int(g['rows']):>14,}" for g in growth)]
    for name in growth[0]:
        if name != "rows":
            unit = "" if name.endswith("MB") else " s"
            rows.append(f"  {name:18}" + "".join(f"{g[name]:>12.4f}{unit}" for g in growth))
    return rows


if __name__ == "__main__":
    main()
