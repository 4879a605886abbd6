"""Settings of the right type with a value that makes no sense."""

import math


class WrongSettingError(ValueError):
    """A setting of the right type with a value that makes no sense.

    Args:
        name: The setting, within its table.
        reason: What is wrong, as the end of a sentence that the setting's name begins.
        hint: What to do about it.
    """

    def __init__(self, name: str, reason: str, hint: str = "Correct that setting.") -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason
        self.hint = hint


def check_ranges(table: object, **ranges: tuple[float, float]) -> None:
    """Hold numbers of a table against their least and their greatest value; one that is None is not asked for.

    Raises:
        WrongSettingError: The first that is outside, or is not a number.
    """
    for name, (least, most) in ranges.items():
        value = getattr(table, name)
        if value is not None and not least <= value <= most:
            bounds = f"be {least:g} or more" if math.isinf(most) else f"be from {least:g} to {most:g}"
            raise WrongSettingError(name, f"must {bounds}, not {value:g}")


def check_above_zero(table: object, *names: str) -> None:
    """Hold numbers of a table that must be above 0 and finite; one that is None is not asked for.

    Raises:
        WrongSettingError: The first that is 0, below, infinite or not a number.
    """
    for name in names:
        value = getattr(table, name)
        if value is not None and not 0 < value < math.inf:
            finite = " and finite" if value > 0 else ""
            raise WrongSettingError(name, f"must be above 0{finite}, not {value:g}")
