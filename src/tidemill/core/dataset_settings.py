"""The settings of datasets: which branches take changes by review only, and what their rows must be."""

import datetime as dt
import math
import re
from dataclasses import dataclass, field

from tidemill.core.wrong_setting import WrongSettingError, check_above_zero, check_ranges

Scalar = str | int | float | bool
Bound = int | float | dt.date | dt.datetime
"""What a cell is compared with. A whole number stays one: not each above 2 ** 53 is a float."""


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
        check_ranges(self, approvals=(0, math.inf))
        if self.by and len(set(self.by)) < self.approvals:
            raise WrongSettingError(
                "approvals", f"must be {len(set(self.by))} or less: 'by' names no more people"
            )


@dataclass(frozen=True, slots=True)
class ColumnCheckSettings:
    """What the cells of one column must be. A missing cell is judged by ``max_missing`` alone.

    Attributes:
        type: The type of its cells, such as ``uint8`` or ``string``; of a tensor, of the cells inside.
        shape: The shape of each tensor.
        minimum: The least number, date or time that a cell may be; of a tensor, that any cell inside may be.
        maximum: The greatest, likewise.
        one_of: Every value that a cell may be.
        matches: A regular expression that the whole of a text must match, in the syntax of Rust's ``regex``.
        unique: Whether no two rows of the dataset may have the same value.
        max_missing: The greatest share of the dataset's rows that may lack it; 0 to 1.
        max_drift: How far its distribution may move from the parent commit's; the population stability index,
            of which 0.1 is commonly called small and 0.25 large.
    """

    type: str | None = None
    shape: tuple[int, ...] = ()
    minimum: Bound | None = None
    maximum: Bound | None = None
    one_of: tuple[Scalar, ...] = ()
    matches: str | None = None
    unique: bool = False
    max_missing: float | None = None
    max_drift: float | None = None

    def __post_init__(self) -> None:
        if self.type is not None and self.type not in TYPES:
            raise WrongSettingError("type", f"must be one of {', '.join(TYPES)}, not '{self.type}'")
        if any(length < 1 for length in self.shape):
            raise WrongSettingError("shape", f"must be lengths of 1 or more, not {list(self.shape)}")
        for name, bound in (("minimum", self.minimum), ("maximum", self.maximum)):
            if isinstance(bound, float) and math.isnan(bound):
                raise WrongSettingError(name, "must be a number, and nan is none")
        if self.minimum is not None and self.maximum is not None:
            _check_order(self.minimum, self.maximum)
        if self.max_missing is not None and not 0 <= self.max_missing <= 1:
            raise WrongSettingError("max_missing", f"must be a share from 0 to 1, not {self.max_missing:g}")
        check_above_zero(self, "max_drift")


def _check_order(minimum: Bound, maximum: Bound) -> None:
    numbers = isinstance(minimum, int | float), isinstance(maximum, int | float)
    if numbers[0] != numbers[1]:
        raise WrongSettingError("minimum", f"and 'maximum', {maximum}, cannot be compared")
    try:
        above = minimum > maximum  # pyright: ignore[reportOperatorIssue]
    except TypeError:
        # A date and a time, or a time with a zone and one without: the column says which of them is wrong.
        return
    if above:
        raise WrongSettingError("minimum", f"must not be above 'maximum', {maximum}")


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """What the rows of a dataset must be, on the branches that are named. A commit to them that is not is refused.

    Attributes:
        branches: The branches to which each commit is checked.
        min_rows: How few rows the dataset may have.
        max_rows: How many rows it may have.
        columns: By column.
        functions: Python functions of the project, each as ``file.py:function``.
    """

    branches: tuple[str, ...] = ("main",)
    min_rows: int = 0
    max_rows: int | None = None
    columns: dict[str, ColumnCheckSettings] = field(default_factory=dict)
    functions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_ranges(self, min_rows=(0, math.inf))
        if self.max_rows is not None and self.max_rows < self.min_rows:
            raise WrongSettingError("max_rows", f"must be {self.min_rows} or more, not {self.max_rows}")
        for number, name in enumerate(self.functions):
            if not re.fullmatch(r"[^:]+\.py:[^\W\d]\w*", name):
                raise WrongSettingError(
                    f"functions[{number}]", f"must be written as 'file.py:function', not '{name}'"
                )


TYPES = (
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("float32", "float64", "bool", "string", "date", "time", "timestamp"),
)
"""The types of cells, by the names that an import takes and that are shown."""
