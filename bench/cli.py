"""How long the command line takes to begin, beside Python itself and click: seconds, best and median.

    python bench/cli.py [--times 20]

Each is a fresh process. Writes bench/results/cli.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PIPELINE = """
import tidemill as tm

@tm.step
def double(x: int) -> int:
    return 2 * x

@tm.pipeline
def quadruple(n: int = 1) -> int:
    return double(double(n))
"""
CASES = {
    "python, nothing": ["-c", "pass"],
    "python, import click": ["-c", "import click"],
    "tidemill --help": ["-m", "tidemill", "--help"],
    "tidemill --version": ["-m", "tidemill", "--version"],
    "tidemill run --help": ["-m", "tidemill", "run", "--help"],
    "tidemill runs --json": ["-m", "tidemill", "runs", "--json"],
    "tidemill run, all cached": ["-m", "tidemill", "run", "quadruple.py", "--json"],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tidemill.toml").touch()
        (Path(folder) / "quadruple.py").write_text(PIPELINE, "utf-8")
        for name, words in CASES.items():
            taken = [_seconds(words, folder) for _ in range(times + 1)][1:]
            rows.append(
                {"what": name, "best_seconds": min(taken), "median_seconds": statistics.median(taken)}
            )
            print(f"{name:28} {min(taken):7.3f} {statistics.median(taken):7.3f}")
    target = Path(__file__).parent / "results" / "cli.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(
        json.dumps({"python": sys.version.split()[0], "times": times, "rows": rows}, indent=2) + "\n"
    )


def _seconds(words: list[str], folder: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
