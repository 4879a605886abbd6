"""How much memory a process group takes: what no other can have, not the files that are only mapped."""

from collections.abc import Iterator
from pathlib import Path

_PROCESSES = Path("/proc")
_OWN = ("RssAnon:", "RssShmem:", "VmSwap:")
_OWN_PARTED = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")


def of_group(group: int, limit_bytes: int) -> int | None:
    """What the processes of a group take together; None where the system does not say.

    What forked processes still share is counted once, which takes long to find out: only where the sum of what each
    has passes ``limit_bytes``.
    """
    if not (_PROCESSES / "self" / "stat").exists():
        return None
    members = list(_members(group))
    total = sum(_sum(_PROCESSES / m / "status", _OWN) or 0 for m in members)
    if total <= limit_bytes or len(members) < 2:
        return total
    parted = [_sum(_PROCESSES / m / "smaps_rollup", _OWN_PARTED) for m in members]
    return total if None in parted else sum(p or 0 for p in parted)


def _members(group: int) -> Iterator[str]:
    for process in _PROCESSES.iterdir():
        if process.name.isdecimal():
            try:
                stat = (process / "stat").read_text()
            except OSError:
                continue
            # Its name, in brackets, may hold anything.
            if int(stat.rpartition(")")[2].split()[2]) == group:
                yield process.name


def _sum(file: Path, fields: tuple[str, ...]) -> int | None:
    """The bytes of some lines of a file of /proc; None where it is not there or has none of them."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith(fields)]
    return sum(found) if found else None
