"""What the engine costs, each figure beside its floor of the same run and beside what it must reach.

    python bench/engine.py [--only PART ...] [--steps 1000] [--many 10000] [--rows 70000 700000] [--runs 5]

Parts: steps (one, a chain, a fan-out, very many), handover (220 MB from step to step), commands (nothing has
changed), rows (100 changed rows of a dataset), memory (of the driving process).
What is measured, and how, is in bench/engine_parts/; what a step costs in other tools in bench/engine_peers.py.
Writes bench/results/engine.json.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from engine_parts import changed_rows, commands, handover, memory, steps
from engine_parts.measure import Line

PARTS = ("steps", "handover", "commands", "rows", "memory")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="PART", choices=PARTS, default=PARTS)
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=10_000, help="0 leaves the longest chain out")
    parser.add_argument("--rows", type=int, nargs="*", default=[70_000, 700_000])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    lines: list[Line] = []
    began, load = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        for line in measured(Path(folder), options):
            lines.append(line)
            print(line, flush=True)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    body = {
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "load_before": load,
        "seconds": time.monotonic() - began,
        "lines": [asdict(n) for n in lines],
    }
    print(f"{body['seconds']:.0f} s in all; {load:.1f} processes were at work before")
    (results / "engine.json").write_text(json.dumps(body, indent=1) + "\n", "utf-8")


def measured(folder: Path, options: argparse.Namespace) -> Iterator[Line]:
    """The lines of the parts that are wanted."""
    wanted = options.only
    if "steps" in wanted:
        yield from steps.measure(folder, options.steps, options.many, options.runs)
    if "handover" in wanted:
        yield from handover.measure(folder, 70_000, options.runs)
    if "commands" in wanted:
        yield from commands.measure(folder, options.runs)
    if "rows" in wanted:
        for rows in options.rows:
            yield from changed_rows.measure(folder, rows, options.runs)
    if "memory" in wanted:
        yield from memory.measure(folder, options.steps)


if __name__ == "__main__":
    main()
