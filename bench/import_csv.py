"""Import the study's CSV (70,000 x 785) into a fresh store: seconds and peak memory, beside what others need.

    python bench/import_csv.py [FASHION.csv] [--runs 3]

Without a file it writes the demo's own, whole. Each run is a fresh process, so that loading the libraries counts. The floors: reading the bytes, parsing them
with Polars or Arrow and nothing else, storing the parsed table. Writes bench/results/import_csv.json.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SIZE, PREFIX = (28, 28), "pixel"


def floor_bytes(path: Path) -> None:
    path.read_bytes()


def floor_polars(path: Path) -> None:
    import polars as pl

    pl.read_csv(path)


def floor_arrow(path: Path) -> None:
    from pyarrow import csv

    csv.read_csv(path)


def tidemill(path: Path, *, again: bool = False, wide: bool = False) -> None:
    from tidemill.data import Datasets, Tensor, import_files
    from tidemill.store.open import Store

    with tempfile.TemporaryDirectory() as folder:
        datasets = Datasets(Store.create(Path(folder)), "bench")
        tensors = {} if wide else {"image": Tensor(PREFIX, SIZE)}
        done = import_files(datasets, "fashion", path, tensors=tensors, label="label")
        assert done.rows.added == done.commit.rows
        if again:
            started = time.perf_counter()
            assert not import_files(datasets, "fashion", path, label="label").rows
            print(f"again {time.perf_counter() - started:.3f}", file=sys.stderr)


WAYS: dict[str, Callable[[Path], None]] = {
    "read the bytes": floor_bytes,
    "polars.read_csv": floor_polars,
    "pyarrow.csv.read_csv": floor_arrow,
    "tidemill data import, folded": tidemill,
    "tidemill data import, 785 columns": lambda path: tidemill(path, wide=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        started, cpu = time.perf_counter(), time.process_time()
        WAYS[given.way](given.file)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps([time.perf_counter() - started, time.process_time() - cpu, peak]))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(given.file or written(Path(folder) / "fashion.csv"), given.runs)


def written(file: Path) -> Path:
    from tidemill.loop import fashion

    fashion.write_csv(fashion.load(), file)
    return file


def compare(file: Path, count: int) -> None:
    table: list[dict[str, object]] = []
    print(f"{'what':36} {'seconds':>9} {'cpu':>7} {'peak MB':>8}   (best of {count})")
    for way in WAYS:
        command = [sys.executable, __file__, str(file), "--way", way]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(count)
        ]
        seconds, cpu, peak = min(runs)
        print(f"{way:36} {seconds:9.2f} {cpu:7.2f} {peak / 1e6:8.0f}", flush=True)
        table.append({"what": way, "seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak})
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    body = {"file_bytes": file.stat().st_size, "runs": count, "rows": table}
    (results / "import_csv.json").write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
