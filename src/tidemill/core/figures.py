"""A measured number, as a person reads it."""


def figure(value: float, digits: int = 4, form: str = "") -> str:
    """A number that was measured with the digits that matter: ``0.1235``, ``62060``; every whole digit is there.

    It is for metrics, never for the cells of a dataset: those are shown with all their digits.

    Args:
        value: Any number; beyond 1e16 it has an exponent.
        digits: That matter; a number that has more before the point is a whole one.
        form: ``+`` shows the sign of one above 0, ``,`` separates thousands.
    """
    whole = 10.0**digits - 0.5 <= abs(value) < 1e16
    return f"{value:{form}.0f}" if whole else f"{value:{form}.{digits}g}"
