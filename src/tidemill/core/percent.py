"""A share in percent, as a person reads it."""


def percent(share: float, digits: int = 1) -> str:
    """``0.1234`` as ``12.3 %``. Only a whole is 100 %, and only nothing is 0 %: what rounding would make so is told apart.

    Args:
        share: 0 to 1.
        digits: After the point.
    """
    text = f"{share * 100:.{digits}f}"
    least = 10.0**-digits
    if 0 < share < 1 and float(text) == 0:
        return f"<{least:.{digits}f} %"
    if 0 < share < 1 and float(text) == 100:
        return f">{100 - least:.{digits}f} %"
    return f"{text} %"
