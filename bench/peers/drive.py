"""Calls ``pipeline.chain`` inside a peer's own environment, beside a copy of the peer's file and of helper.py.

``drive.py time FEW MANY RUNS``: seconds of each chain of FEW and of MANY steps, after one to warm up; two pairs at
least, and no more of them after a minute.
``drive.py answer``: what a chain of one step gives for 5.
"""

import json
import sys
import time

import pipeline
from helper import CALLS

ENOUGH_SECONDS = 60


def seconds(steps: int, start: int) -> float:
    """Of one chain of steps; each must have been computed."""
    CALLS.write_bytes(b"")
    started = time.perf_counter()
    answer = pipeline.chain(steps, start)
    taken = time.perf_counter() - started
    assert answer == start + steps, answer
    assert CALLS.stat().st_size == steps, "a step was taken from a cache"
    return taken


def main() -> None:
    """Do as told; what was found is the last line that is printed."""
    if sys.argv[1] == "answer":
        found: object = pipeline.chain(1, 5)
    else:
        few, many, runs = map(int, sys.argv[2:])
        seconds(few, 0)
        pairs: list[list[float]] = []
        while len(pairs) < runs and (len(pairs) < 2 or sum(map(sum, pairs)) < ENOUGH_SECONDS):
            start = 1_000_000 * (len(pairs) + 1)
            pairs.append([seconds(n, start + 1_000 * n) for n in (few, many)])
        found = pairs
    print(f"\nfound {json.dumps(found)}", flush=True)


if __name__ == "__main__":
    main()
