"""The same three changes of one table (70,000 x 785) in Tidemill, DVC 3 and Git LFS: seconds and bytes.

    python bench/data_peers.py [FASHION.csv] [--runs 3]

The changes: 100 rows appended, 100 labels changed, and the switch back to the version before. DVC and Git LFS
version files, so they are given the whole table as a Parquet file (a fifth of the CSV) that holds the change
already: writing that file is not in their time. Tidemill is given the 100 rows. DVC is timed twice: as commands
and by its Python interface in a process that has loaded it; so is Tidemill.

DVC goes into a virtual environment of the user's cache folder, made by the first run; `git lfs` must be there
(Debian: apt-get install git-lfs). What cannot be had is said and left out. Writes bench/results/data_peers.json.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from peers.environment import environment

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 100
DVC = "dvc==3.67.1"
TIDEMILL = Path(sys.executable).parent / "tidemill"
QUIET = {
    "DVC_NO_ANALYTICS": "1",
    "GIT_AUTHOR_NAME": "bench",
    "GIT_AUTHOR_EMAIL": "bench@localhost",
    "GIT_COMMITTER_NAME": "bench",
    "GIT_COMMITTER_EMAIL": "bench@localhost",
    "GIT_CONFIG_NOSYSTEM": "1",
}
DVC_INSIDE = """
import json, subprocess, sys, time
from dvc.repo import Repo
repo = Repo(".")
def timed(do):
    started = time.perf_counter()
    do()
    return time.perf_counter() - started
for line in sys.stdin:
    word = line.strip()
    do = (lambda: repo.add("table.parquet")) if word == "add" else repo.checkout
    print("\\nseconds", timed(do), flush=True)
"""


def size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink())


def run(folder: Path, *command: str | Path) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        [str(c) for c in command],
        cwd=folder,
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return time.perf_counter() - started


def others(labels: "pa.ChunkedArray", rows: Iterable[int]) -> "pa.Array":
    """The labels with another class at these rows: the next in the order of names."""
    import pyarrow as pa

    values = labels.to_pylist()
    names = sorted(set(values))
    for row in rows:
        values[row] = names[(names.index(values[row]) + 1) % len(names)]
    return pa.array(values, labels.type)


class Versions:
    """The whole table before, with 100 rows more, and with 100 labels changed, as Parquet files."""

    def __init__(self, csv: Path, folder: Path) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq
        from pyarrow import csv as arrow_csv

        table = arrow_csv.read_csv(csv)
        narrow = pa.schema(
            [pa.field(f.name, pa.uint8() if pa.types.is_integer(f.type) else f.type) for f in table.schema]
        )
        table = table.cast(narrow)
        self.first, self.more, self.other = (folder / f"{n}.parquet" for n in ("first", "more", "other"))
        self.rows, self.labels = folder / "rows.parquet", folder / "labels.parquet"
        kept = table.slice(0, len(table) - ROWS)
        pq.write_table(kept, self.first)
        pq.write_table(table, self.more)
        pq.write_table(table.slice(len(kept)), self.rows)
        chosen = np.random.default_rng(0).choice(len(table), ROWS, replace=False)
        labels = others(table["label"], chosen)
        at = table.schema.get_field_index("label")
        pq.write_table(table.set_column(at, table.schema.field(at), labels), self.other)
        self.chosen = chosen


def tidemill_inside(versions: Versions, folder: Path) -> list[tuple[str, float, int]]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tidemill.data import Datasets
    from tidemill.store.open import Store
    from tidemill.store.table import ID, Table

    def folded(path: Path) -> Table:
        wide = pq.read_table(path)
        pixels = [wide[n].combine_chunks() for n in wide.column_names if n != "label"]
        cells = np.column_stack([np.asarray(p.fill_null(0)) for p in pixels]).reshape(-1)
        missing = np.column_stack([np.asarray(p.is_null()) for p in pixels]).reshape(-1)
        images = pa.FixedSizeListArray.from_arrays(pa.array(cells, pa.uint8(), mask=missing), len(pixels))
        return Table(pa.table({"label": wide["label"], "image": images}))

    store = Store.create(folder / "store")
    datasets = Datasets(store, "bench")
    datasets.create("table", folded(versions.first), message="first")
    dataset, rows = datasets.open("table"), folded(versions.rows)
    found: list[tuple[str, float, int]] = []

    def timed(what: str, do: Callable[[], object]) -> None:
        before = size(store.folder)
        started = time.perf_counter()
        do()
        found.append((what, time.perf_counter() - started, size(store.folder) - before))

    timed("append", lambda: dataset.commit(rows, message="more"))
    table = dataset.snapshot().read().to_arrow()
    some = table.take(versions.chosen)
    at = some.schema.get_field_index("label")
    changed = some.set_column(at, some.schema.field(at), others(some["label"], range(some.num_rows)))
    assert ID in changed.column_names
    timed("relabel", lambda: dataset.commit(Table(changed), message="other"))
    timed("switch", lambda: dataset.snapshot("2").read(["label"], ids=some[ID].to_numpy()))
    timed("switch, whole table read", lambda: dataset.snapshot("2").read())
    store.close()
    return found


def tidemill_commands(versions: Versions, folder: Path) -> list[tuple[str, float, int]]:
    run(folder, TIDEMILL, "data", "import", "table", versions.first, "--tensor", "image=pixel*:28x28")
    store = folder / ".tidemill"
    found: list[tuple[str, float, int]] = []
    for what, command in (
        ("append", ["data", "import", "table", versions.rows]),
        ("switch", ["data", "show", "table@1"]),
    ):
        before = size(store)
        found.append((what, run(folder, TIDEMILL, *command), size(store) - before))
    return found


def start_dvc(home: Path, folder: Path, versions: Versions) -> None:
    run(folder, "git", "init", "--quiet")
    run(folder, home / "dvc", "init", "--quiet")
    run(folder, home / "dvc", "config", "core.check_update", "false")
    shutil.copy(versions.first, folder / "table.parquet")
    run(folder, home / "dvc", "add", "--quiet", "table.parquet")
    run(folder, "git", "add", ".")
    run(folder, "git", "commit", "--quiet", "-m", "first")


def dvc_commands(home: Path, versions: Versions, folder: Path) -> list[tuple[str, float, int]]:
    start_dvc(home, folder, versions)
    return _files(
        folder,
        versions,
        lambda: (
            run(folder, home / "dvc", "add", "--quiet", "table.parquet")
            + run(folder, "git", "commit", "--quiet", "-a", "-m", "next")
        ),
        lambda: (
            run(folder, "git", "checkout", "--quiet", "HEAD~1")
            + run(folder, home / "dvc", "checkout", "--quiet")
        ),
    )


def dvc_inside(home: Path, versions: Versions, folder: Path) -> list[tuple[str, float, int]]:
    start_dvc(home, folder, versions)
    with subprocess.Popen(
        [home / "python", "-c", DVC_INSIDE],
        cwd=folder,
        env=os.environ | QUIET,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as dvc:
        assert dvc.stdin is not None
        assert dvc.stdout is not None
        stdin, stdout = dvc.stdin, dvc.stdout

        def told(word: str) -> float:
            stdin.write(f"{word}\n")
            stdin.flush()
            # DVC prints to the same pipe.
            return next(float(line.split()[1]) for line in stdout if line.startswith("seconds "))

        def add() -> float:
            seconds = told("add")
            return seconds + run(folder, "git", "commit", "--quiet", "-a", "-m", "next")

        def switch() -> float:
            return run(folder, "git", "checkout", "--quiet", "HEAD~1") + told("checkout")

        return _files(folder, versions, add, switch)


def git_lfs(versions: Versions, folder: Path) -> list[tuple[str, float, int]]:
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "lfs", "install", "--local")
    run(folder, "git", "lfs", "track", "*.parquet")
    shutil.copy(versions.first, folder / "table.parquet")
    run(folder, "git", "add", ".")
    run(folder, "git", "commit", "--quiet", "-m", "first")
    return _files(
        folder,
        versions,
        lambda: run(folder, "git", "commit", "--quiet", "-a", "-m", "next"),
        lambda: run(folder, "git", "checkout", "--quiet", "HEAD~1"),
    )


def _files(
    folder: Path, versions: Versions, commit: Callable[[], float], switch: Callable[[], float]
) -> list[tuple[str, float, int]]:
    found: list[tuple[str, float, int]] = []
    table = folder / "table.parquet"
    for what, file in (("append", versions.more), ("relabel", versions.other)):
        before = _kept(folder)
        table.unlink()
        shutil.copy(file, table)
        found.append((what, commit(), _kept(folder) - before))
    before = _kept(folder)
    found.append(("switch", switch(), _kept(folder) - before))
    return found


def _kept(folder: Path) -> int:
    """What the tools keep, without the working file."""
    return sum(size(folder / n) for n in (".git", ".dvc") if (folder / n).exists())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        versions = Versions(given.file or _written(folder / "fashion.csv"), folder)
        ways: dict[str, Callable[[Path], list[tuple[str, float, int]]]] = {
            "Tidemill, in process": lambda f: tidemill_inside(versions, f),
            "Tidemill, as commands": lambda f: tidemill_commands(versions, f),
        }
        home = environment("dvc", DVC)
        if home:
            ways["DVC, in process"] = lambda f: dvc_inside(home, versions, f)
            ways["DVC, as commands"] = lambda f: dvc_commands(home, versions, f)
        if subprocess.run(["git", "lfs", "version"], capture_output=True, check=False).returncode == 0:
            ways["Git LFS, as commands"] = lambda f: git_lfs(versions, f)
        else:
            print("Git LFS is left out: 'git lfs' is not installed (Debian: apt-get install git-lfs).")
        compare(ways, given.runs, folder)


def _written(file: Path) -> Path:
    from tidemill.loop import fashion

    fashion.write_csv(fashion.load(), file)
    return file


def compare(
    ways: dict[str, Callable[[Path], list[tuple[str, float, int]]]], count: int, folder: Path
) -> None:
    rows: list[dict[str, object]] = []
    base: dict[str, tuple[float, int]] = {}
    print(
        f"{'tool':24} {'what':26} {'seconds':>9} {'MB':>9} {'x time':>8} {'x bytes':>8}   (median of {count})"
    )
    for tool, way in ways.items():
        runs: list[list[tuple[str, float, int]]] = []
        for turn in range(count):
            place = folder / f"{tool.replace(' ', '-')}-{turn}"
            place.mkdir()
            runs.append(way(place))
            shutil.rmtree(place)
        for position, (what, _, _) in enumerate(runs[0]):
            seconds = statistics.median(r[position][1] for r in runs)
            grown = int(statistics.median(r[position][2] for r in runs))
            base.setdefault(what, (seconds, grown))
            times = seconds / base[what][0]
            more = grown / base[what][1] if base[what][1] else float("nan")
            print(
                f"{tool:24} {what:26} {seconds:9.4f} {grown / 1e6:9.3f} {times:8.1f} {more:8.1f}", flush=True
            )
            rows.append({"tool": tool, "what": what, "seconds": seconds, "bytes": grown})
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "data_peers.json").write_text(json.dumps({"runs": count, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
