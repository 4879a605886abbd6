"""What a process must have in its environment before Python starts, so that the same step gives the same bits."""

import functools
import os
from importlib import metadata

from tidemill.core import codes
from tidemill.core.config import backends
from tidemill.core.errors import InvalidInput
from tidemill.engine import packages
from tidemill.engine.orders import Order, Outcome

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def threads() -> int:
    """How many threads the numeric libraries of a step use: the cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def variables() -> dict[str, str]:
    """By name. What the user's own environment says of a framework counts."""
    return backends() | dict.fromkeys(_THREAD_VARIABLES, str(threads())) | {"PYTHONHASHSEED": "0"}


def difference(order: Order) -> Outcome | None:
    """The outcome of an order that this environment cannot carry out: its key says other versions than are here."""
    here = {name: _version(name) for name in order.packages}
    others = {n: (v, here[n]) for n, v in order.packages.items() if here[n] != v}
    if not others:
        return None
    listed = ", ".join(
        f"{n} {there or 'not at all'} instead of {wanted}" for n, (wanted, there) in others.items()
    )
    error = InvalidInput(
        f"Step '{order.step}' cannot be computed here: there is {listed}.",
        why="Its result would be kept under a key that says otherwise.",
        hint="Let whoever computes have the environment that the run was planned in.",
        code=codes.ENVIRONMENT_DIFFERS,
        details={"step": order.step},
    )
    return Outcome(error=error.to_json())


def _version(name: str) -> str | None:
    if name == "python":
        return packages.python_version()
    if name == "tidemill":
        return packages.tidemill_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
