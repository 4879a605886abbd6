"""What ``tidemill data profile`` costs as a whole command, on the 70,000 x 785 reference data, folded and wide.

    python bench/profile.py [--rounds 3]

Must reach 5 s. Beside it the floor: the same process that only reads the table. Writes bench/results/profile.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

READ = """
from tidemill.loop.workspace import open_workspace
import sys
open_workspace().datasets.open(sys.argv[1]).snapshot().read()
"""


def main() -> None:
    """Import, time, tell, write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=3)
    rounds = words.parse_args().rounds
    from tidemill.loop import fashion

    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tidemill.toml").write_text("", "utf-8")
        fashion.write_csv(fashion.load(), folder / "fashion.csv")
        command = [sys.executable, "-m", "tidemill"]
        made = [*command, "data", "import"]
        _best([*made, "folded", "fashion.csv", "--tensor", "image=pixel*:28x28"], folder, 1)
        _best([*made, "wide", "fashion.csv"], folder, 1)
        for data in ("folded", "wide"):
            results[f"{data}, read alone"] = _best([sys.executable, "-c", READ, data], folder, rounds)
            results[f"{data}, profile"] = _best([*command, "data", "profile", data], folder, rounds)
            page = [*command, "data", "profile", data, "--html", f"{data}.html"]
            results[f"{data}, profile with its page"] = _best(page, folder, rounds)
            results[f"{data}, the page's size in bytes"] = (folder / f"{data}.html").stat().st_size
    for name_, value in results.items():
        print(f"{name_:36s} {value:,.2f}" if value < 1000 else f"{name_:36s} {value:,.0f}")
    out = Path(__file__).parent / "results" / "profile.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def _best(command: list[str], folder: Path, rounds: int) -> float:
    """The least seconds of several runs."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        best = min(best, time.perf_counter() - started)
    return best


if __name__ == "__main__":
    main()
