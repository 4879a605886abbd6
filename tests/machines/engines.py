"""Engines in processes of their own, as other people's commands are; some are killed in the middle of their work.

They are forked from one process that has imported what they need, before it starts any thread: so a kill hits the
work, and the next engine is there at once.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn


class Engines:
    """Engines, one at a time.

    Args:
        slowest_seconds: The latest moment of a kill after the work began.
    """

    def __init__(self, slowest_seconds: float) -> None:
        self._slowest = slowest_seconds
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.machines.engines"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # A thread of its own, as NumPy's, would not be forked with the rest.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[2],
        )

    def killed(self, order: dict[str, Any]) -> bool:
        """Have work done and kill who does it; whether it was done before."""
        engine = self.begin(order)
        time.sleep(random.random() * self._slowest)
        os.kill(engine, signal.SIGKILL)
        status = self._asked("end")
        assert status in (0, -signal.SIGKILL), status
        return status == 0

    def begin(self, order: dict[str, Any]) -> int:
        """Have work done; the process that has begun it, which stays known until it is asked for its end."""
        return self._asked(json.dumps(order))

    def end(self) -> None:
        """Wait until what was begun is done."""
        assert self._asked("end") == 0

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _asked(self, line: str) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def perform(order: dict[str, Any]) -> None:
    from tidemill.engine.executors import local
    from tidemill.loop import runs
    from tidemill.loop.gc import gc
    from tidemill.loop.workspace import open_workspace

    try:
        import_module("lance")
        workspace = open_workspace(Path(order["folder"]))
        assert workspace.store.catalog
    finally:
        say(os.getpid())
    if order["do"] == "run":
        runs.run(workspace, workspace.folder / "pipeline.py", order["parameters"])
    else:
        gc(workspace, everything=True)
    workspace.close()
    local.close()


def engine(order: dict[str, Any]) -> NoReturn:
    """What a forked process does: the work, and nothing of what its parent would do at its end."""
    status = 1
    try:
        perform(order)
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, the parent's code must not go on here
        traceback.print_exc()
    finally:
        os._exit(status)


def main() -> None:
    for name in ("sqlalchemy", "tidemill.engine.run", "tidemill.data", "tidemill.loop.runs"):
        import_module(name)
    child = 0
    for line in sys.stdin:
        if line == "end\n":
            say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        else:
            child = os.fork()
            if not child:
                engine(json.loads(line))


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
