"""How much memory a step took at most, where the system can say."""

import re
import sys
from contextlib import suppress

_CLEAR = "/proc/self/clear_refs"
_STATUS = "/proc/self/status"
_HIGHEST = re.compile(rb"^VmHWM:\s+(\d+) kB", re.MULTILINE)


class Peak:
    """Measures from its making; not in parallel with another of the same process."""

    def __init__(self) -> None:
        self._exact = False
        if sys.platform == "linux":
            with suppress(OSError), open(_CLEAR, "wb", buffering=0) as file:  # noqa: PTH123 - each step pays for it
                self._exact = file.write(b"5") == 1

    def bytes(self) -> int | None:
        """The highest resident size since the start; None where only the process's whole life is known."""
        if not self._exact:
            return None
        with open(_STATUS, "rb", buffering=0) as file:  # noqa: PTH123
            found = _HIGHEST.search(file.read())
        return int(found[1]) * 1024 if found else None
