"""What a step needs of the machine that carries it out: ``tm.resources(cpu=2, memory="4GB", gpu=1)``."""

import math
import re
from dataclasses import dataclass

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

_UNITS = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


@dataclass(frozen=True, slots=True)
class Resources:
    """What a step needs; it says nothing of what it does not name.

    Attributes:
        cpu: CPUs that it keeps busy; may be a part of one. None: not said.
        memory_bytes: The most memory that it takes, with all processes that it starts. None: not said.
        gpu: GPUs that it has for itself.
    """

    cpu: float | None = None
    memory_bytes: int | None = None
    gpu: int = 0


def resources(*, cpu: float | None = None, memory: str | int | None = None, gpu: int = 0) -> Resources:
    """What a step needs, for ``resources=`` of its decorator.

    It decides which steps are carried out at once, and where. It changes no result: it is no part of a key.

    Args:
        cpu: CPUs, more than 0; parts of one too (0.5).
        memory: The most that it takes: bytes, or a text such as ``4GB`` (10⁹ bytes) or ``4GiB`` (2³⁰ bytes).
            A step that takes more is ended.
        gpu: Whole GPUs, for itself.

    Raises:
        InvalidInput: ``wrong-definition``.
    """
    if cpu is not None and not (_is_number(cpu) and math.isfinite(cpu) and cpu > 0):
        raise _wrong(f"cpu={cpu!r}", "a number of CPUs above 0", "cpu=2")
    if type(gpu) is not int or gpu < 0:
        raise _wrong(f"gpu={gpu!r}", "a whole number of GPUs, 0 or more", "gpu=1")
    return Resources(None if cpu is None else float(cpu), None if memory is None else _bytes(memory), gpu)


def shown_bytes(count: int) -> str:
    """Bytes for a person: ``4.2 GB``."""
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.4g} {unit}"
        value /= 1000
    return f"{value:.4g} GB" if value < 1000 else f"{value:,.0f} GB"


def _bytes(memory: str | int) -> int:
    size = 0
    if isinstance(memory, str):
        found = _SIZE.fullmatch(memory)
        size = round(float(found[1]) * _UNITS[found[2]]) if found and found[2] in _UNITS else 0
    elif type(memory) is int:
        size = memory
    if size <= 0:
        raise _wrong(
            f"memory={memory!r}",
            "bytes, or a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB",
            'memory="4GB"',
        )
    return size


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _wrong(said: str, wanted: str, example: str) -> InvalidInput:
    return InvalidInput(
        f"tm.resources is told {said}; it must be {wanted}.",
        hint=f"Type such as tm.resources({example}).",
        code=codes.WRONG_DEFINITION,
    )
