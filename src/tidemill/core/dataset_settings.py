"""The settings of datasets: which branches take changes by review only."""

from dataclasses import dataclass


class WrongSettingError(ValueError):
    """A setting of the right type with a value that makes no sense.

    Args:
        name: The setting, within its table.
        reason: What is wrong, as the end of a sentence that the setting's name begins.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ReviewSettings:
    """What a review of a dataset must have before it may be merged.

    Attributes:
        approvals: How many people must approve what is merged; with 0, nobody must, and nothing is protected.
        by: Whose approval counts; empty for anybody's.
        branches: The branches that take changes by review only.
        own: Whether the author of a review may approve it too.
    """

    approvals: int = 1
    by: tuple[str, ...] = ()
    branches: tuple[str, ...] = ("main",)
    own: bool = False

    def __post_init__(self) -> None:
        if self.approvals < 0:
            raise WrongSettingError("approvals", f"must be 0 or more, not {self.approvals}")
        if self.by and len(set(self.by)) < self.approvals:
            raise WrongSettingError(
                "approvals", f"must be {len(set(self.by))} or less: 'by' names no more people"
            )
