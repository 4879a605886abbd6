"""How many damaged files, odd command lines and requests the ways in take, and what of their promises broke.

    python bench/fuzz.py [--files 100000] [--lines 100000] [--processes 500] [--requests 1000000] [--first 0] [--resume]

A damaged file is brought in as one of its kind is: an import (and what it kept exported, and compared), settings,
rows to predict, labels, choices, answers, the store's own files. A command line is made of the real commands and
options. Both in one process, with a time limit for each; some of the same as processes of their own. A request goes to
a real server, by sixteen clients at once, beside one whose good requests must be answered: its longest wait is shown. Writes
bench/results/fuzz.json, with every finding, as it goes: ``--resume`` goes on from what an ended run has left there.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = Path(__file__).parent / "results" / "fuzz.json"
sys.path.insert(0, str(ROOT))


def main() -> None:
    from tests.fuzz import campaign, processes, wire

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=500)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument(
        "--first", type=int, default=0, help="The first case's number, which decides all of it."
    )
    parser.add_argument("--resume", action="store_true", help="Go on from what is in the results' file.")
    asked = parser.parse_args()
    written = _begun(asked)
    print(f"{'':24} {'tried':>8} {'seconds':>8} {'longest':>8} {'broken':>7}")
    runs: tuple[tuple[str, int, Callable[..., campaign.Results]], ...] = (
        ("damaged files", asked.files, lambda **how: campaign.run("files", **how)),
        ("command lines", asked.lines, lambda **how: campaign.run("lines", **how)),
        ("as processes", asked.processes, processes.run),
        ("requests", asked.requests, wire.run),
    )
    for name, count, run in runs:
        if not count:
            continue
        row = written["rows"].setdefault(name, {"commits": []})
        if (commit := _commit()) not in row["commits"]:
            row["commits"].append(commit)
        before = campaign.Results(**{key: value for key, value in row.items() if key != "commits"})
        # What was found behind the last count is tried, and found, again.
        before.findings = [f for f in before.findings if f["number"] < asked.first + before.tried]

        def tell(so_far: campaign.Results, name: str = name, count: int = count) -> None:
            written["rows"][name].update(asdict(so_far))
            _write(written)
            if sys.stderr.isatty():
                _show(name, so_far, f"of {count}", file=sys.stderr, end="\r")

        done = run(first=asked.first, count=count, results=before, tell=tell)
        _show(name, done)
        for (promise, where), found in sorted(done.kinds().items(), key=lambda kind: -len(kind[1])):
            print(f"    {len(found):6}  {promise}: {where}  (case {found[0]['number']})", flush=True)


def _begun(asked: argparse.Namespace) -> dict[str, Any]:
    """What the results' file holds from now on."""
    begun = {"python": sys.version.split()[0], "first": asked.first, "rows": {}}
    if not asked.resume:
        return begun
    if not TARGET.exists():
        raise SystemExit(f"There is no {TARGET} to go on from: leave --resume out.")
    kept = json.loads(TARGET.read_text("utf-8"))
    if kept["first"] != asked.first:
        raise SystemExit(
            f"{TARGET} is of a run with --first {kept['first']}: give it, or leave --resume out."
        )
    return kept


def _write(results: dict[str, Any]) -> None:
    """In one move, so that a run that is killed leaves the last whole one."""
    TARGET.parent.mkdir(exist_ok=True)
    new = TARGET.with_suffix(".new")
    new.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    os.replace(new, TARGET)


def _show(name: str, done: Any, of: str = "", **how: Any) -> None:
    print(
        f"{name:24} {done.tried:8} {done.seconds:8.0f} {done.longest_seconds:8.1f} {len(done.findings):7} {of}".rstrip(),
        flush=True,
        **how,
    )


def _commit() -> str:
    described = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(described, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
