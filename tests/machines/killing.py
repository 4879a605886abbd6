"""Work that a process is killed in, at a random moment of it."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class Worker:
    """The process that is killed; the next one warms up while the test goes on.

    Args:
        slowest_seconds: The latest moment of a kill after the work began.
    """

    def __init__(self, slowest_seconds: float) -> None:
        self._slowest = slowest_seconds
        self._ready: subprocess.Popen[str] | None = None

    def killed(self, order: dict[str, Any]) -> bool:
        """Have work done and kill who does it; whether it said that it was done."""
        process = self._ready or _new()
        self._ready = None
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        begun = process.stdout.readline()
        assert begun == "begun\n", process.communicate()[1]
        time.sleep(random.random() * self._slowest)
        process.kill()
        said, complaint = process.communicate()
        assert "Traceback" not in complaint, complaint
        self._ready = _new()
        return said == "done\n"

    def stop(self) -> None:
        if self._ready:
            self._ready.kill()
            self._ready.communicate()
            self._ready = None


def _new() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.machines.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
