"""What a trivial step costs in ten other tools, and whether they serve a stale result after a helper was edited.

    python bench/engine_peers.py [NAME ...] [--runs 5]

Each tool is used as its user would: its file in bench/peers/ says how, and that is all that the tool is told. The
file is copied into a fresh folder as pipeline.py, beside helper.py with the function that its step calls, and run
by drive.py in an environment of its own (below the user's cache folder, made by the first run).

A step's cost is the slope between a chain of few and of many steps, none of which was seen before, in a process
that has run a chain already: what is paid once a run, and loading, is not in it. Results are persisted. A tool that
takes minutes is run less often than ``--runs`` says; the JSON says how often.

Then a chain of one step is run three times, each in a fresh process: at first, again, and after ``more`` in
helper.py was edited to add 1000 instead of 1. Who gives the old answer then serves a stale result; who computes
in the second run too has no cache, and so none that could be stale.

What cannot be installed or fails is said and left out. Writes bench/results/engine_peers.json.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.environment import environment

HERE = Path(__file__).parent
LIMIT_SECONDS = 900
QUIET = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "HAMILTON_TELEMETRY_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


@dataclass(frozen=True, slots=True)
class Tool:
    """A file of bench/peers/, what it needs, and the two lengths of its chain.

    They are short where a step takes seconds, and far apart where a run does.
    """

    title: str
    file: str
    home: str = ""
    requirements: tuple[str, ...] = ()
    few: int = 5
    many: int = 25


TOOLS = [
    Tool("Tidemill", "tidemill"),
    Tool("Kubeflow Pipelines, local", "kfp", "kfp", ("kfp==2.17.3",)),
    Tool("Metaflow", "metaflow", "metaflow", ("metaflow==2.19.39",), 2, 6),
    Tool("Prefect", "prefect", "prefect", ("prefect==3.9.1",), 5, 405),
    Tool("Dagster, in one process", "dagster", "dagster", ("dagster==1.13.29",)),
    Tool("Dagster, multiprocess", "dagster_processes", "dagster", ("dagster==1.13.29",), 2, 6),
    Tool("ZenML", "zenml", "zenml", ("zenml[local]==0.98.0",)),
    Tool("Kedro", "kedro", "kedro", ("kedro==1.7.0", "kedro-datasets==9.6.0")),
    Tool("Hamilton", "hamilton", "hamilton", ("sf-hamilton==1.90.0",)),
    Tool("redun", "redun", "redun", ("redun==0.44.1",)),
    Tool("dvc repro", "dvc", "dvc", ("dvc==3.67.1",)),
    Tool("Snakemake", "snakemake", "snakemake", ("snakemake==9.27.1",)),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(t.file for t in TOOLS))
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    if unknown := set(options.names) - {t.file for t in TOOLS}:
        parser.error(f"no such tool: {', '.join(sorted(unknown))}")
    chosen = [t for t in TOOLS if not options.names or t.file in options.names]
    began, load = time.monotonic(), os.getloadavg()[0]
    rows = [row for row in (measured(tool, options.runs) for tool in chosen) if row]
    seconds = time.monotonic() - began
    print(*table(rows), sep="\n")
    print(f"{seconds:.0f} s in all; {load:.1f} processes were at work before")
    target = HERE / "results" / "engine_peers.json"
    target.parent.mkdir(exist_ok=True)
    body = {"runs": options.runs, "load_before": load, "seconds": seconds, "rows": rows}
    target.write_text(json.dumps(body, indent=1) + "\n", "utf-8")


def measured(tool: Tool, runs: int) -> dict[str, Any] | None:
    """One line of the table."""
    home = Path(sys.executable).parent
    if tool.home:
        found = environment(tool.home, *tool.requirements)
        if found is None:
            return None
        home = found
    print(f"{tool.title} ...", end=" ", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            seconds, pairs = step_seconds(folder / "time", home, tool, runs)
            cached, stale = edited(folder / "edit", home, tool)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"IS LEFT OUT: {error}", flush=True)
            return None
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    return {
        "tool": tool.title,
        "version": " ".join(tool.requirements),
        "step_seconds": seconds,
        "pairs": pairs,
        "cached": cached,
        "stale": stale,
    }


def step_seconds(folder: Path, home: Path, tool: Tool, runs: int) -> tuple[float, int]:
    """The median slope between the short and the long chain, and of how many pairs of them."""
    project(folder, tool)
    pairs = driven(folder, home, "time", str(tool.few), str(tool.many), str(runs))
    slopes = [(many - few) / (tool.many - tool.few) for few, many in pairs]
    seconds = statistics.median(slopes)
    if seconds <= 0:
        raise RuntimeError(f"{tool.many} steps were not told apart from {tool.few}: {slopes}")
    return seconds, len(pairs)


def edited(folder: Path, home: Path, tool: Tool) -> tuple[bool, bool]:
    """Whether the second run took the first one's result, and whether the third did after the edit."""
    project(folder, tool)
    helper, calls = folder / "helper.py", folder / "calls"
    first = driven(folder, home, "answer")
    assert first == 6, first
    computed = calls.stat().st_size
    driven(folder, home, "answer")
    cached = calls.stat().st_size == computed
    text = helper.read_text("utf-8")
    helper.write_text(text.replace("return x + 1\n", "return x + 1000\n"), "utf-8")
    assert helper.read_text("utf-8") != text
    answer = driven(folder, home, "answer")
    assert answer in {6, 1005}, answer
    return cached, answer == 6


def project(folder: Path, tool: Tool) -> None:
    """The folder of a user of the tool."""
    folder.mkdir()
    shutil.copy(HERE / "peers" / f"{tool.file}.py", folder / "pipeline.py")
    for name in ("helper.py", "drive.py"):
        shutil.copy(HERE / "peers" / name, folder / name)


def driven(folder: Path, home: Path, *words: str) -> Any:
    """What drive.py found."""
    # A tool that starts its own commands finds those of its environment.
    variables = os.environ | QUIET | {"PATH": f"{home}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [home / "python", "drive.py", *words],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    found = [line for line in done.stdout.splitlines() if line.startswith("found ")]
    if done.returncode or not found:
        raise RuntimeError((done.stderr or done.stdout)[-2000:])
    return json.loads(found[-1].removeprefix("found "))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The tools, the cheapest step first, as multiples of Tidemill's where it was measured too."""
    own = next((r["step_seconds"] for r in rows if r["tool"] == "Tidemill"), None)
    lines = [f"{'tool':26} {'ms a step':>10} {'x Tidemill':>11}  {'cached':7} after the helper was edited"]
    for row in sorted(rows, key=lambda r: r["step_seconds"]):
        times = f"{row['step_seconds'] / own:11.1f}" if own else f"{'':11}"
        after = "STALE" if row["stale"] else "right" if row["cached"] else "right: it computes every time"
        cached = "yes" if row["cached"] else "no"
        lines.append(f"{row['tool']:26} {row['step_seconds'] * 1e3:10.1f} {times}  {cached:7} {after}")
    return [*lines, *(best(rows, own) if own else [])]


def best(rows: list[dict[str, Any]], own: float) -> list[str]:
    """How many times Tidemill's step the cheapest peer takes: of all, and of those that have a cache."""
    peers = [r for r in rows if r["tool"] != "Tidemill"]
    lines: list[str] = []
    for kind, some in (("", peers), (" that has a cache", [r for r in peers if r["cached"]])):
        if some:
            first = min(some, key=lambda r: r["step_seconds"])
            times = first["step_seconds"] / own
            lines.append(f"the best peer{kind}: {first['tool']}, {times:.1f} times Tidemill (must be 20)")
    return lines


if __name__ == "__main__":
    main()
