"""Import narrow rows (a number, a measure, a word) of growing count: seconds and peak memory must grow as little as they can.

    python bench/import_rows.py [--rows 7000 70000 700000 7000000] [--formats csv parquet jsonl]

Each run is a fresh process with a fresh store. Beside each import stand the same file only read in the same pieces,
as the floor. Writes bench/results/import_rows.json.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

PIECE_ROWS = 100_000


def pieces(rows: int) -> Iterator[Any]:
    import pyarrow as pa

    rng = np.random.default_rng(0)
    words = np.array(["coat", "bag", "hat", "scarf"])
    for start in range(0, rows, PIECE_ROWS):
        count = min(PIECE_ROWS, rows - start)
        yield pa.table(
            {
                "id": np.arange(start, start + count),
                "measure": rng.normal(size=count).round(4),
                "word": words[rng.integers(0, 4, count)],
            }
        )


def write_csv(rows: int, path: Path) -> None:
    from pyarrow import csv

    first = next(pieces(1)).schema
    with csv.CSVWriter(path, first) as writer:
        for piece in pieces(rows):
            writer.write_table(piece)


def write_parquet(rows: int, path: Path) -> None:
    from pyarrow import parquet

    with parquet.ParquetWriter(path, next(pieces(1)).schema) as writer:
        for piece in pieces(rows):
            writer.write_table(piece)


def write_jsonl(rows: int, path: Path) -> None:
    with path.open("w") as file:
        for piece in pieces(rows):
            file.writelines(json.dumps(row) + "\n" for row in piece.to_pylist())


WRITERS: dict[str, Callable[[int, Path], None]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "jsonl": write_jsonl,
}


def read(path: Path) -> None:
    from tidemill.data.sources.opening import open_files
    from tidemill.data.sources.source import Group

    source = open_files([path])
    own = {f.name: f.type for f in source.fields()}
    unknown = [Group((name,)) for name, kind in own.items() if str(kind) == "null"]
    found = source.types(unknown, {}) if unknown else {}
    for _ in source.pieces(own | found):
        pass


def imported(path: Path, *, key: bool) -> None:
    from tidemill.data import Datasets, import_files
    from tidemill.store.open import Store

    with tempfile.TemporaryDirectory() as folder:
        datasets = Datasets(Store.create(Path(folder)), "bench")
        import_files(datasets, "rows", path, key=["id"] if key else None)


WAYS: dict[str, Callable[[Path], None]] = {
    "only read": read,
    "import": lambda path: imported(path, key=False),
    "import --key id": lambda path: imported(path, key=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[7_000, 70_000, 700_000, 7_000_000])
    parser.add_argument("--formats", nargs="+", choices=WRITERS, default=["csv"])
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        started = time.perf_counter()
        WAYS[given.way](given.file)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps([time.perf_counter() - started, peak]))
        return
    table: list[dict[str, object]] = []
    print(f"{'format':8} {'rows':>10} {'way':16} {'seconds':>8} {'rows/s':>10} {'peak MB':>8}")
    for kind in given.formats:
        for rows in given.rows:
            table += measured(kind, rows)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "import_rows.json").write_text(json.dumps(table, indent=1) + "\n")


def measured(kind: str, rows: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"rows.{kind}"
        WRITERS[kind](rows, file)
        for way in WAYS:
            command = [sys.executable, __file__, "--way", way, "--file", str(file)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds, peak = json.loads(done.stdout)
            print(
                f"{kind:8} {rows:10,} {way:16} {seconds:8.2f} {rows / seconds:10,.0f} {peak / 1e6:8.0f}",
                flush=True,
            )
            found.append({"format": kind, "rows": rows, "way": way, "seconds": seconds, "peak_bytes": peak})
    return found


if __name__ == "__main__":
    main()
