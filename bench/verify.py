"""What it costs that stored files are held against their digests: the same command with each ``--verify``, warm and cold.

    python bench/verify.py [--rounds 5] [--rows 70000]

The table is of random bytes, 28x28 a row. "Cold" is a machine that has not seen the store: without its ``seen.db`` (the
files are in the system's cache all the same). Writes bench/results/verify.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAKE = """
import sys
import numpy as np
from tidemill.loop.workspace import open_workspace
from tidemill.store.table import Table
rows = int(sys.argv[1])
cells = np.random.default_rng(1).integers(0, 256, (rows, 28, 28), np.uint8)
ws = open_workspace(make=True)
ws.datasets.create("d", Table.of({"k": list(range(rows)), "x": cells}), message="All", key=["k"])
for n in range(20):
    ws.datasets.open("d").commit(Table.of({"k": [rows + n], "x": cells[n : n + 1]}), message="One")
ws.close()
"""
READ = """
from tidemill.loop.workspace import open_workspace
ws = open_workspace()
ws.datasets.open("d").snapshot().read()
ws.close()
"""
COMMIT = """
import time
from tidemill.loop.workspace import open_workspace
ws = open_workspace()
d = ws.datasets.open("d")
row = d.snapshot().first(1).select(["k", "x"]).to_arrow()
import pyarrow as pa
from tidemill.store.table import Table
d.commit(Table(row.set_column(0, "k", pa.array([time.time_ns()], row.schema.field("k").type))), message="One")
ws.close()
"""


def main() -> None:
    """Make, time in turn, tell, write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--rows", type=int, default=70_000)
    asked = words.parse_args()
    tool = [sys.executable, "-m", "tidemill", "--log", "off"]
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tidemill.toml").write_text("", "utf-8")
        _seconds([sys.executable, "-c", MAKE, str(asked.rows)], folder)
        found["the table, MB"] = sum(f.stat().st_size for f in folder.rglob("*.lance") if f.is_file()) / 1e6
        tried = {
            f"{what}, {verify}{', cold' if cold else ''}": (command, verify, cold)
            for what, command in (
                ("read all", [sys.executable, "-c", READ]),
                ("commit a row", [sys.executable, "-c", COMMIT]),
                ("data log", [*tool, "data", "log", "d", "--limit", "3"]),
            )
            for verify, cold in (("never", False), ("first", False), ("first", True), ("always", False))
        }
        tried["doctor, cold"] = ([*tool, "doctor"], "first", True)
        tried["doctor"] = ([*tool, "doctor"], "first", False)
        tried["doctor --deep"] = ([*tool, "doctor", "--deep"], "first", False)
        for _ in range(asked.rounds):
            for label, (command, verify, cold) in tried.items():
                if cold:
                    (folder / ".tidemill/seen.db").unlink(missing_ok=True)
                seconds = _seconds(command, folder, verify)
                found[label] = min(seconds, found.get(label, seconds))
    for label, value in found.items():
        print(f"{label:32s} {value:8.2f}")
    out = Path(__file__).parent / "results" / "verify.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def _seconds(command: list[str], folder: Path, verify: str = "first") -> float:
    started = time.perf_counter()
    environment = {**os.environ, "TIDEMILL_VERIFY": verify}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
