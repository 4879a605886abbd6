"""A process that merges, and is killed at one moment of it: ``python dying.py MOMENT FOLDER``.

What it calls is the real thing; around one function of it, the process ends by SIGKILL before or after the call.
"""

import functools
import importlib
import os
import signal
import sys
from typing import Any

import tidemill as tm

MOMENTS = {
    "owed": ("tidemill.watch.triggers:owe", "after"),
    "landed": ("tidemill.data.history:History.change", "after"),
    "began": ("tidemill.watch.triggers:began", "after"),
    "ran": ("tidemill.loop.refitting:create_release", "before"),
    "released": ("tidemill.loop.refitting:create_release", "after"),
    "promoted": ("tidemill.loop.refitting:promote", "after"),
    "answered": ("tidemill.watch.triggers:settle", "before"),
}
"""What is done last: around which function the process dies."""


def die_at(moment: str) -> None:
    """Let this process be killed at a moment of its work."""
    place, when = MOMENTS[moment]
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    real = getattr(owner, name)

    @functools.wraps(real)
    def deadly(*arguments: Any, **named: Any) -> None:
        if when == "after":
            real(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


if __name__ == "__main__":
    with tm.open(sys.argv[2]) as project:
        die_at(sys.argv[1])
        project.merge("points", "more")
