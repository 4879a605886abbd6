"""The whole demo, stage by stage; then the same pipeline again with nothing changed, as a whole command.

    python bench/demo.py [--data fashion|digits] [--framework keras|sklearn] [--again 5]

The images are fetched into the user's cache first, which is not measured. Writes bench/results/demo.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TIDEMILL = [sys.executable, "-m", "tidemill"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=["fashion", "digits"], default="fashion")
    parser.add_argument("--framework", choices=["keras", "sklearn"], default="keras")
    parser.add_argument("--again", type=int, default=5)
    options = parser.parse_args()
    if options.data == "fashion":
        from tidemill.loop import fashion

        fashion.load()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "tidemill-demo"
        command = [*TIDEMILL, "demo", str(folder), "--data", options.data, "--framework", options.framework]
        seconds, summary = _timed([*command, "--json"], Path(name))
        facts = summary["facts"]
        parameters = [f"data={options.data}@main"]
        if options.data == "fashion":
            parameters.append(f"framework={options.framework}")
        again = [
            *TIDEMILL, "run", "pipeline.py", "--json", *(w for p in parameters for w in ("-p", p)),
        ]  # fmt: skip
        # The first sees that the refit's run has computed it all; the rest are what is measured.
        _timed(again, folder)
        taken: list[float] = []
        for _ in range(options.again):
            passed, view = _timed(again, folder)
            statuses = {s["status"] for s in view["steps"]}
            assert statuses == {"cached"}, statuses
            taken.append(passed)
    rows: list[dict[str, Any]] = [
        *({"what": f"stage {s['name']}", "seconds": s["seconds"]} for s in summary["stages"]),
        {"what": "whole demo, as a command", "seconds": seconds},
        {"what": "second run, nothing changed, as a command", "seconds": statistics.median(taken)},
        {"what": "first preparation", "seconds": facts["preparation_seconds"]},
        {"what": "refit's preparation", "seconds": facts["refit_preparation_seconds"]},
    ]
    for row in rows:
        print(f"{row['what']:44} {row['seconds']:9.3f} s")
    share = facts["refit_preparation_seconds"] / facts["preparation_seconds"]
    print(f"{'refit share of the first preparation':44} {share:9.1%}")
    print(f"{'requests during the refit, none failed':44} {facts['requests_during_refit']:9}")
    print(f"{'accuracy':44} {facts['accuracy']:9.4f}")
    print(f"{'element-wise accuracy':44} {facts['elementwise_accuracy']:9.4f}")
    target = Path(__file__).parent / "results" / "demo.json"
    target.parent.mkdir(exist_ok=True)
    facts.pop("lineage")
    body = {"cores": os.cpu_count(), "refit_share": share, "facts": facts, "rows": rows}
    target.write_text(json.dumps(body, indent=2) + "\n")


def _timed(command: list[str], folder: Path) -> tuple[float, Any]:
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr[-2000:]}")
    return time.perf_counter() - started, json.loads(done.stdout)


if __name__ == "__main__":
    main()
