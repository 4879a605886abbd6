"""How much memory a step took at most, where the system can say."""

import sys
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class Peak:
    """Measures from its making; not in parallel with another of the same process."""

    def __init__(self) -> None:
        self._exact = False
        if sys.platform == "linux":
            try:
                _CLEAR.write_text("5")
                self._exact = True
            except OSError:
                pass

    def bytes(self) -> int | None:
        """The highest resident size since the start; None where only the process's whole life is known."""
        if not self._exact:
            return None
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return None
