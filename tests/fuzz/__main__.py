"""Tries cases in this one process, and prints what was found: ``python -m tests.fuzz files --first 0 --count 1000``.

Each finding is a line of JSON on standard output, and so is, now and then and at the end, how far it is. ``--at FILE``
says in a file which case is tried, for whoever watches: code in C that hangs or crashes takes the process with it.
"""

import argparse
import faulthandler
import importlib
import json
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

_TOLD_EVERY = 100
"""Cases from one line on how far it is to the next."""


def main() -> None:
    """Try the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["files", "lines"])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="End after so many.")
    parser.add_argument("--at", type=Path)
    asked = parser.parse_args()
    faulthandler.enable()
    # Who watches sends it to a process that hears no alarm: it writes its stacks, and ends as the signal has it.
    faulthandler.register(signal.SIGUSR1, chain=True)
    # The threads of the libraries would take the cores from each other, for files of a few hundred bytes.
    os.environ.update(
        {
            "POLARS_MAX_THREADS": "1",
            "RAYON_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "LANCE_CPU_THREADS": "1",
        }
    )
    os.environ.pop("TIDEMILL_STORE", None)
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        os.environ.update({"HOME": folder, "TMPDIR": folder, "TIDEMILL_AUTHOR": "ada"})
        _try(asked, Path(folder))


def _try(asked: argparse.Namespace, root: Path) -> None:
    # Loaded before any case, so that none pays for it.
    importlib.import_module("sklearn.ensemble")

    from tests.fuzz import session, shop
    from tests.fuzz.files import Files
    from tests.fuzz.lines import Lines

    made = root / "made"
    shop.make(made)
    session.limit_memory()
    here = session.Session(root)
    tries = Files(here, made) if asked.kind == "files" else Lines(here, made)
    began, done, longest = time.monotonic(), 0, (0.0, -1)

    def tell(*, ended: bool) -> None:
        so_far = {"tried": done, "longest_seconds": longest[0], "longest": longest[1], "ended": ended}
        print(json.dumps(so_far), flush=True)

    for number in range(asked.first, asked.first + asked.count):
        if time.monotonic() - began > asked.seconds:
            break
        if asked.at:
            asked.at.write_text(str(number), "utf-8")
        start = time.monotonic()
        for finding in tries.try_one(number):
            print(json.dumps({"number": number, **asdict(finding)}), flush=True)
        longest = max(longest, (time.monotonic() - start, number))
        done += 1
        if done % _TOLD_EVERY == 0:
            tell(ended=False)
    tell(ended=True)


if __name__ == "__main__":
    main()
