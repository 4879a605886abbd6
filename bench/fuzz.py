"""How many damaged files and odd command lines the way in takes, and what of its promises broke.

    python bench/fuzz.py [--files 100000] [--lines 100000] [--processes 500] [--first 0]

A damaged file is brought in as one of its kind is: an import (and what it kept exported, and compared), settings,
rows to predict, labels, choices, answers, the store's own files. A command line is made of the real commands and
options. Both in one process, with a time limit for each; some of the same as processes of their own. Writes
bench/results/fuzz.json, with every finding.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))


def main() -> None:
    from tests.fuzz import campaign, processes

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=500)
    parser.add_argument(
        "--first", type=int, default=0, help="The first case's number, which decides all of it."
    )
    asked = parser.parse_args()
    rows: dict[str, object] = {}
    print(f"{'':24} {'tried':>8} {'seconds':>8} {'longest':>8} {'broken':>7}")
    for name, count, run in (
        ("damaged files", asked.files, lambda n: campaign.run("files", first=asked.first, count=n)),
        ("command lines", asked.lines, lambda n: campaign.run("lines", first=asked.first, count=n)),
        ("as processes", asked.processes, lambda n: processes.run(first=asked.first, count=n)),
    ):
        if not count:
            continue
        done = run(count)
        print(
            f"{name:24} {done.tried:8} {done.seconds:8.0f} {done.longest_seconds:8.1f} {len(done.findings):7}",
            flush=True,
        )
        for (promise, where), found in sorted(done.kinds().items(), key=lambda kind: -len(kind[1])):
            print(f"    {len(found):6}  {promise}: {where}  (case {found[0]['number']})", flush=True)
        rows[name] = {
            "tried": done.tried,
            "seconds": round(done.seconds, 1),
            "longest_seconds": round(done.longest_seconds, 2),
            "findings": done.findings,
        }
    target = Path(__file__).parent / "results" / "fuzz.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(
        json.dumps({"python": sys.version.split()[0], "first": asked.first, "rows": rows}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
