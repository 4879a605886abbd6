"""What this machine has for steps: CPUs, memory and GPUs, as far as this process may use them."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_DEVICE = re.compile(r"nvidia\d+")
_UNLIMITED = 2**60
"""Cgroups of version 1 say that there is no limit by a number of this size."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is.

    Attributes:
        cpus: May have a part of one, where a cgroup says so.
        gpus: By the names that ``CUDA_VISIBLE_DEVICES`` gives them.
    """

    cpus: float
    memory_bytes: int
    gpus: tuple[str, ...]


def here() -> Machine:
    """This machine."""
    return Machine(cpus(), memory_bytes(), gpus())


def cpus(groups: Path = Path("/sys/fs/cgroup"), mine: Path = Path("/proc/self/cgroup")) -> float:
    """How many CPUs this process may keep busy: those that it may run on, or less where a cgroup says so."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [float(count)]
    for folder in _folders(groups, mine, "cpu"):
        quota, period = (
            _words(folder / "cpu.max")
            or (
                *_words(folder / "cpu.cfs_quota_us"),
                *_words(folder / "cpu.cfs_period_us"),
            )
            or ("max", "1")
        )
        if quota != "max" and int(quota) > 0:
            shares.append(int(quota) / int(period))
    return min(shares)


def memory_bytes(groups: Path = Path("/sys/fs/cgroup"), mine: Path = Path("/proc/self/cgroup")) -> int:
    """How much memory there is for this process: the machine's, or less where a cgroup says so."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder in _folders(groups, mine, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            said = [int(word) for word in _words(folder / name) if word != "max"]
            sizes += [size for size in said if size < _UNLIMITED]
    return min(sizes)


def gpus() -> tuple[str, ...]:
    """The GPUs that a process started here may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        names = [name.strip() for name in told.split(",")]
        # CUDA itself stops at the first that is none.
        valid = next((at for at, n in enumerate(names) if n in ("", "-1", "NoDevFiles")), len(names))
        return tuple(names[:valid])
    count = sum(1 for device in Path("/dev").glob("nvidia*") if _DEVICE.fullmatch(device.name)) or _listed()
    return tuple(map(str, range(count)))


def _listed() -> int:
    """GPUs that have no device file here, as in WSL."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines()) if not done.returncode else 0


def _folders(groups: Path, mine: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's cgroup and of those around it, for one controller.

    Within a container the path may be the host's, of which only the end, or nothing, is there.
    """
    try:
        lines = mine.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        root = groups / names if names else groups
        inner = Path(path.lstrip("/"))
        yield from (root / part for part in (inner, *inner.parents) if (root / part).is_dir())


def _words(file: Path) -> tuple[str, ...]:
    try:
        return tuple(file.read_text().split())
    except OSError:
        return ()
