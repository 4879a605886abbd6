"""The narrowest type that every cell of a text column, or of a tensor's text columns, fits without losing a digit."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

LARGE = 2**53
"""From here on float64 does not hold every whole number."""


def whole_number_types() -> "tuple[pa.DataType, ...]":
    """The types of a tensor's whole numbers, the narrowest first."""
    import pyarrow as pa  # noqa: PLC0415

    return (pa.uint8(), pa.int8(), pa.uint16(), pa.int16(), pa.uint32(), pa.int32(), pa.int64())


def narrowest_whole(low: int, high: int) -> "pa.DataType":
    """The first whole number type that holds both; int64 if none does."""
    for kind in whole_number_types():
        least, most = _limits(kind)
        if least <= low and high <= most:
            return kind
    return whole_number_types()[-1]


def holds(wide: "pa.DataType", narrow: "pa.DataType") -> bool:
    """Whether each value of ``narrow`` is one of ``wide`` too."""
    import pyarrow as pa  # noqa: PLC0415

    if wide == narrow or pa.types.is_null(narrow):
        return True
    if pa.types.is_integer(narrow):
        least, most = _limits(narrow)
        if pa.types.is_integer(wide):
            return _limits(wide)[0] <= least and most <= _limits(wide)[1]
        exact = {pa.float32(): 2**24, pa.float64(): LARGE}.get(wide)
        return exact is not None and -exact <= least and most <= exact
    return pa.types.is_float32(narrow) and pa.types.is_float64(wide)


def widest(one: "pa.DataType", other: "pa.DataType") -> "pa.DataType":
    """The narrowest type that holds what both hold; text, where only that does."""
    import pyarrow as pa  # noqa: PLC0415

    for wide, narrow in ((one, other), (other, one)):
        if holds(wide, narrow):
            return wide
    both = (one, other)
    if all(pa.types.is_fixed_size_list(kind) for kind in both):
        same = one.list_size == other.list_size
        return pa.list_(widest(one.value_type, other.value_type), one.list_size) if same else other
    if all(pa.types.is_integer(kind) for kind in both):
        limits = [_limits(kind) for kind in both]
        least, most = min(low for low, _ in limits), max(high for _, high in limits)
        return pa.float64() if most > _limits(pa.int64())[1] else narrowest_whole(least, most)
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in both):
        return pa.float64()
    if all(pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None) for kind in both):
        return max(both, key=lambda kind: _UNITS.index(getattr(kind, "unit", "day")))
    return pa.string()


_UNITS = ("day", "s", "ms", "us", "ns")


def _limits(kind: Any) -> tuple[int, int]:
    import pyarrow as pa  # noqa: PLC0415

    bits = kind.bit_width
    return (
        (0, 2**bits - 1) if pa.types.is_unsigned_integer(kind) else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )


class PlainNarrowing:
    """For one column: int64, uint64, bool, date, time, timestamp, float64, or text.

    Args:
        known: A type that comes before all these, where every cell fits it.
    """

    def __init__(self, known: "pa.DataType | None" = None) -> None:
        import pyarrow as pa  # noqa: PLC0415

        ladder = [
            pa.int64(),
            pa.uint64(),
            pa.bool_(),
            pa.date32(),
            pa.time32("s"),
            pa.timestamp("s"),
            pa.timestamp("ns"),
            pa.float64(),
        ]
        self._known = known
        self._left: list[pa.DataType] = [*([known] if known else []), *(k for k in ladder if k != known)]
        self._whole = True

    def see(self, texts: Any) -> None:
        """Take these cells into account."""
        import pyarrow.compute as pc  # noqa: PLC0415

        self._left = [kind for kind in self._left if fits(texts, kind)]
        if self._whole:
            digits = pc.match_substring_regex(texts, r"^[+-]?\d+$")
            self._whole = pc.all(digits).as_py() is not False

    def found(self) -> "pa.DataType":
        """The narrowest type that all cells fit that were seen."""
        import pyarrow as pa  # noqa: PLC0415

        left = [*self._left, pa.string()]
        # A whole number that no whole number type holds would lose digits as a float64.
        first = left[0]
        if self._whole and first == pa.float64() and first != self._known:
            return pa.string()
        return first if self._known in (None, first) else widest(self._known, first)


class TensorNarrowing:
    """For all columns that fold into one tensor: the narrowest whole number type, float64, or text."""

    def __init__(self, known: "pa.DataType | None" = None) -> None:
        self._known = known
        self._known_fits = known is not None
        self._low, self._high = 0, 0
        self._whole = self._number = True

    def see(self, texts: Any) -> None:
        """Take these cells into account."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        self._known_fits = self._known_fits and fits(texts, self._known)
        if self._whole:
            try:
                found = pc.min_max(texts.cast(pa.int64())).as_py()
                self._low = min(self._low, found["min"] or 0)
                self._high = max(self._high, found["max"] or 0)
            except pa.ArrowInvalid:
                self._whole = False
        if not self._whole and self._number:
            self._number = fits(texts, pa.float64())

    def found(self) -> "pa.DataType":
        """The narrowest type that all cells fit that were seen."""
        import pyarrow as pa  # noqa: PLC0415

        if self._known_fits and self._known is not None:
            return self._known
        if self._whole:
            kind = narrowest_whole(self._low, self._high)
        else:
            kind = pa.float64() if self._number else pa.string()
        return kind if self._known is None else widest(self._known, kind)


def fits(cells: Any, kind: Any) -> bool:
    """Whether each cell can be cast to ``kind`` without losing anything."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        cells.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return False
    return True
