"""What a long history costs: time, bytes and files of each commit, and what opening an old one takes.

    python bench/history.py [--commits 10000] [--equal 160000] [--git URL-OR-FOLDER --file data/vix-daily.csv --key DATE]
                            [--only commits equal csv]

- Seeded commits of one row each (three in ten change a row that is there): what one costs near the 100th and near the
  last, what each takes on the disk before and after `gc`, and opening old ones beside the newest.
- CPU time of importing equal rows without a key, beside as many different ones, as commands.
- The history of a public CSV file, each of its versions imported: beside the sum of the versions and git's own pack of
  them, made of nothing else. The file is the daily VIX of github.com/datasets/finance-vix (655 versions with its present key).

Writes bench/results/history.json.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NAME = "d"
WINDOW = 128
TOOL = Path(sys.executable).with_name("tidemill")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="*", choices=["commits", "equal", "csv"], default=["commits", "equal", "csv"]
    )
    parser.add_argument("--commits", type=int, default=10_000)
    parser.add_argument("--equal", type=int, default=160_000)
    parser.add_argument("--git", default="https://github.com/datasets/finance-vix")
    parser.add_argument("--file", default="data/vix-daily.csv")
    parser.add_argument("--key", default="DATE")
    parser.add_argument("--most", type=int, help="of the CSV's versions, the first so many")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    parts: dict[str, Callable[[Path], dict[str, float]]] = {
        "commits": lambda folder: commits(folder, options.commits),
        "equal": lambda folder: equal(folder, options.equal),
        "csv": lambda folder: csv(folder, options),
    }
    for part in options.only:
        with tempfile.TemporaryDirectory() as folder:
            results[part] = parts[part](Path(folder))
        print(part, *(f"  {name:46} {value:14,.4g}" for name, value in results[part].items()), sep="\n")
    out = Path(__file__).parent / "results" / "history.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def commits(folder: Path, count: int) -> dict[str, float]:
    """Many commits of one row: seconds, bytes and files of each."""
    import pyarrow as pa

    from tidemill.core.events import silent
    from tidemill.data import Datasets, collect
    from tidemill.store.open import Store
    from tidemill.store.table import Table

    store = Store.create(folder / "store")
    datasets = Datasets(store, "bench")
    rng = random.Random(13)
    took: list[float] = []
    cpu: list[float] = []

    def row(number: int) -> Table:
        key = rng.randrange(number) if number and rng.random() < 0.3 else number
        return Table(pa.table({"id": [key], "v": [rng.random()], "text": [f"row {rng.randrange(1000)}"]}))

    datasets.create(NAME, row(0), message="First", key=["id"])
    for number in range(1, count):
        rows = row(number)
        started, computed = time.perf_counter(), time.process_time()
        datasets.open(NAME).commit(rows, message=f"Row {number}")
        took.append(time.perf_counter() - started)
        cpu.append(time.process_time() - computed)
    early, early_cpu = (statistics.mean(t[100 - WINDOW // 2 : 100 + WINDOW // 2]) for t in (took, cpu))
    late, late_cpu = (statistics.mean(t[-WINDOW:]) for t in (took, cpu))
    found: dict[str, float] = {
        "commits": count,
        "near commit 100, ms": early * 1e3,
        "near the last, ms": late * 1e3,
        "times that near commit 100 (at most 1.5)": late / early,
        "CPU near commit 100, ms": early_cpu * 1e3,
        "CPU near the last, ms": late_cpu * 1e3,
        "times the CPU near commit 100": late_cpu / early_cpu,
        "slowest, ms": max(took) * 1e3,
        "bytes a commit before gc": size(folder) / count,
        "files a commit before gc": files(folder) / count,
    }
    started = time.perf_counter()
    collect(store, NAME, [], dry_run=False, sink=silent)
    found |= {
        "gc, s": time.perf_counter() - started,
        "bytes a commit after gc (at most 5,000)": size(folder) / count,
        "files a commit after gc (at most 1.5)": files(folder) / count,
    }

    def opened(at: str) -> float:
        # Each time as by another process; the quicker of two, since the machine may be busy with something else.
        times: list[float] = []
        for _ in range(2):
            started = time.perf_counter()
            datasets.open(NAME).snapshot(at).first(1)
            times.append(time.perf_counter() - started)
        return min(times)

    newest = statistics.median(opened("main") for _ in range(9))
    ids = [c.id for c in datasets.open(NAME).log()]
    old = [opened(ids[-1 - at]) for at in rng.sample(range(count - WINDOW), min(40, count // 2))]
    return found | {
        "open the newest, ms": newest * 1e3,
        "open an old one, median, ms": statistics.median(old) * 1e3,
        "slowest old one of the newest (at most 3)": max(old) / newest,
        "median old one of the newest": statistics.median(old) / newest,
    }


def equal(folder: Path, rows: int) -> dict[str, float]:
    """CPU seconds of importing equal rows and different ones, of one width, as commands."""
    (folder / "tidemill.toml").touch()

    def cpu(name: str, lines: Iterator[str]) -> float:
        path = folder / f"{name}.csv"
        path.write_text("a,b\n" + "".join(lines), "utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        command = [str(TOOL), "data", "import", name, path.name]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

    different = cpu("different", (f"{1_000_000 + n},x\n" for n in range(rows)))
    alike = cpu("equal", ("1000000,x\n" for _ in range(rows)))
    return {
        "rows": rows,
        "different, CPU s": different,
        "equal, CPU s": alike,
        "times as long (at most 1.5)": alike / different,
    }


def csv(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """The versions of a CSV file in a git repository, imported one after the other."""
    from tidemill.core.events import silent
    from tidemill.data import Datasets, collect, import_files
    from tidemill.store.open import Store

    repository = Path(options.git)
    if not repository.is_dir():
        repository = folder / "git"
        subprocess.run(["git", "clone", "-q", "--bare", options.git, str(repository)], check=True)

    def git(*arguments: str, given: bytes = b"") -> bytes:
        command = ["git", "-C", str(repository), *arguments]
        return subprocess.run(command, check=True, input=given, capture_output=True).stdout

    log = git("log", "--reverse", "--first-parent", "--format=%H", "--", options.file).decode().split()
    every = [text for commit in log if (text := shown(git, f"{commit}:{options.file}"))]
    # Under another key it was another table: the first versions called the column otherwise.
    versions = [t for t in every if options.key in t.splitlines()[0].decode().split(",")][: options.most]
    blobs = [git("hash-object", "--stdin", given=text) for text in versions]
    pack = git(
        "pack-objects", "--stdout", "-q", "--window=250", "--depth=50", given=b"".join(dict.fromkeys(blobs))
    )
    store = Store.create(folder / "store")
    datasets, path, made = Datasets(store, "bench"), folder / "version.csv", 0
    started = time.perf_counter()
    for text in versions:
        path.write_bytes(text)
        made += (
            import_files(
                datasets,
                NAME,
                path,
                key=None if made else [options.key],
                sync=made > 0,
                allow_schema_change=made > 0,
            ).commit
            is not None
        )
    took = time.perf_counter() - started
    before = size(folder / "store")
    collect(store, NAME, [], dry_run=False, sink=silent)
    after, copies = size(folder / "store"), sum(map(len, versions))
    return {
        "versions": len(versions),
        "import of each, ms": took / len(versions) * 1e3,
        "whole copies, MB": copies / 1e6,
        "git's pack of them, MB": len(pack) / 1e6,
        "before gc, MB": before / 1e6,
        "after gc, MB": after / 1e6,
        "of whole copies (at most 0.1)": after / copies,
        "of git's pack (aim: 3)": after / len(pack),
    }


def shown(git: Callable[..., bytes], what: str) -> bytes | None:
    """A file of a commit; None where it is not there."""
    try:
        return git("show", what)
    except subprocess.CalledProcessError:
        return None


def size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def files(folder: Path) -> int:
    return sum(f.is_file() for f in folder.rglob("*"))


if __name__ == "__main__":
    main()
