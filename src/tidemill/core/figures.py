"""Numbers as a person reads them: measured ones, and counts of things."""


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


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count and what is counted: ``1 row``, ``1,200 rows``, ``1 file is``, ``2 files are``.

    Args:
        count: How many.
        one: What stands behind 1.
        many: What stands behind any other number; None for ``one`` with an s.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
