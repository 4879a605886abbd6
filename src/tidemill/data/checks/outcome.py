"""What a check found."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Outcome:
    """What one check says of a commit.

    Attributes:
        check: Its name: ``label.one_of``, ``max_rows``, ``checks.py:plausible``.
        reason: What is wrong, in words; empty where nothing is.
        rows: The ``_id``s of the judged rows that it says no to; uint64. Some checks say no to no row in
            particular.
    """

    check: str
    reason: str
    rows: "np.ndarray[Any, Any]"

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.reason


def outcome(check: str, reason: str = "", rows: "np.ndarray[Any, Any] | None" = None) -> Outcome:
    """An outcome; without rows, of no row in particular."""
    import numpy as np  # noqa: PLC0415

    return Outcome(check, reason, np.zeros(0, np.uint64) if rows is None else rows)


def invalid_check(path: str, reason: str, hint: str) -> InvalidInput:
    """The complaint about a setting that cannot be asked of this dataset; ``path`` is its dotted path."""
    return InvalidInput(
        f"tidemill.toml: '{path}' {reason}.", hint=hint, code=codes.INVALID_CHECK, details={"setting": path}
    )
