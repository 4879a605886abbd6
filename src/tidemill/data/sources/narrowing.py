"""The narrowest type that every cell of a text column, or of a tensor's text columns, fits without losing a digit."""

from typing import TYPE_CHECKING, Any

from tidemill.data.spelling import exact, first_loss, loose, only_digits, spelling_of

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
        return pa.string() if most > _limits(pa.int64())[1] else narrowest_whole(least, most)
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in both):
        return pa.float64()
    if all(pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None) for kind in both):
        return max(both, key=lambda kind: _UNITS.index(getattr(kind, "unit", "day")))
    if all(pa.types.is_decimal(kind) for kind in both):
        scale = max(kind.scale for kind in both)
        digits = scale + max(kind.precision - kind.scale for kind in both)
        if digits <= 76:
            return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)
    if all(pa.types.is_list(kind) for kind in both):
        inner = [kind.value_type for kind in both]
        kind = widest(*inner)
        if not pa.types.is_string(kind) or kind in inner:
            return pa.list_(kind)
    return pa.string()


_UNITS = ("day", "s", "ms", "us", "ns")


def _limits(kind: Any) -> tuple[int, int]:
    import pyarrow as pa  # noqa: PLC0415

    bits = kind.bit_width
    return (
        (0, 2**bits - 1) if pa.types.is_unsigned_integer(kind) else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )


class PlainNarrowing:
    """For one column of text cells: the first type that takes every one of them exactly, or text.

    Args:
        known: A type that comes before all others, where every cell fits it.

    Attributes:
        decided: The cell that made it text, with its number and the type that held until then; None where no
            cell before it was anything but text.
    """

    def __init__(self, known: "pa.DataType | None" = None) -> None:
        import pyarrow as pa  # noqa: PLC0415

        ladder = [
            pa.int64(),
            pa.uint64(),
            pa.bool_(),
            pa.date32(),
            pa.time32("s"),
            *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
            pa.float64(),
        ]
        self._known = known
        self._left: list[pa.DataType] = [*([known] if known else []), *(k for k in ladder if k != known)]
        self._whole = True
        self._seen = False
        self._missing = self._quoted = False
        self._truths: str | None = None
        self.decided: tuple[int, str, pa.DataType] | None = None

    def see(self, texts: Any, start: int = 0, rows: int = 0) -> None:
        """Take these cells into account, of which the first is in row ``start``."""
        import pyarrow as pa  # noqa: PLC0415

        del rows
        if not self._left:
            return
        before = self._left
        cells = self._without_empty(texts)
        if len(cells) > cells.null_count:
            self._left = [
                kind for kind in self._left if exact(cells, kind) is not None and self._alike(cells, kind)
            ]
            self._whole = self._whole and only_digits(cells)
            if self._missing and self._quoted:
                # In a column of text a missing cell and an empty text are two things; in another they would be one.
                self._left = [kind for kind in self._left if pa.types.is_string(kind)]
            if self._whole and self._left == [pa.float64()] != [self._known]:
                # A whole number that no whole number type takes would lose digits, or its sign, as a float64.
                self._left = []
            if not self._left:
                self._decide(cells, before, start)
            self._seen = True

    def found(self) -> "pa.DataType":
        """The first type that takes all cells that were seen."""
        import pyarrow as pa  # noqa: PLC0415

        if not self._seen:
            return self._known or pa.string()
        first = [*self._left, pa.string()][0]
        return first if self._known in (None, first) else widest(self._known, first)

    def _without_empty(self, texts: Any) -> Any:
        """The cells; an empty text is a missing cell where none is missing without it."""
        cells, quoted = without_empty(texts)
        self._missing |= texts.null_count > 0
        self._quoted |= quoted > 0
        return cells

    def _alike(self, cells: Any, kind: "pa.DataType") -> bool:
        """Whether true and false are spelled in one way all along."""
        import pyarrow as pa  # noqa: PLC0415

        if not pa.types.is_boolean(kind) or kind == self._known:
            return True
        spelling = spelling_of(cells, kind)
        self._truths = self._truths or spelling
        return spelling is not None and spelling == self._truths

    def _decide(self, cells: Any, before: "list[pa.DataType]", start: int) -> None:
        lost = {kind: first_loss(cells, kind) for kind in before}
        kind = max(before, key=lambda k: lost[k])
        at = lost[kind]
        if at == len(cells):
            return
        text: str = cells[at].as_py()
        reached = self._seen or at > _first(cells)
        if not reached:
            kind = next((k for k in before if loose(cells.slice(at, 1), k) is not None), None)
        if kind is not None:
            self.decided = start + at, text, kind


class TensorNarrowing:
    """For all columns that fold into one tensor: the narrowest whole number type, float64, or text.

    Attributes:
        decided: The cell that made them text, with its row and the type that held until then.
        column: The number of the column that it is in.
    """

    def __init__(self, known: "pa.DataType | None" = None) -> None:
        self._known = known
        self._known_fits = known is not None
        self._low, self._high = 0, 0
        self._whole = self._number = True
        self.decided: tuple[int, str, pa.DataType] | None = None
        self.column = 0

    def see(self, texts: Any, start: int = 0, rows: int = 0) -> None:
        """Take these cells into account: column after column, each of so many rows, the first of them ``start``."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        cells, _ = without_empty(texts)
        self._known_fits = self._known_fits and exact(cells, self._known) is not None
        if self._whole:
            numbers = exact(cells, pa.int64())
            if numbers is None:
                self._whole = False
            else:
                found = pc.min_max(numbers).as_py()
                self._low = min(self._low, found["min"] or 0)
                self._high = max(self._high, found["max"] or 0)
        if not self._whole and self._number:
            self._number = exact(cells, pa.float64()) is not None
            if not self._number:
                at = first_loss(cells, pa.float64())
                self.column = at // (rows or len(cells))
                self.decided = start + at % (rows or len(cells)), cells[at].as_py(), pa.float64()

    def found(self) -> "pa.DataType":
        """The narrowest type that takes all cells that were seen."""
        import pyarrow as pa  # noqa: PLC0415

        if self._known_fits and self._known is not None:
            return self._known
        if self._whole:
            kind = narrowest_whole(self._low, self._high)
        else:
            kind = pa.float64() if self._number else pa.string()
        return kind if self._known is None else widest(self._known, kind)


def without_empty(texts: Any) -> tuple[Any, int]:
    """Text cells with each empty text missing, and how many of those there were."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    empty = pc.equal(pc.binary_length(texts), 0)
    count = pc.sum(empty).as_py() or 0
    return (pc.if_else(empty, pa.scalar(None, texts.type), texts) if count else texts), count


def _first(cells: Any) -> int:
    import pyarrow.compute as pc  # noqa: PLC0415

    return pc.index(pc.is_valid(cells), True).as_py()


def fits(cells: Any, kind: Any) -> bool:
    """Whether each cell can be cast to ``kind`` without losing anything."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        cells.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return False
    return True
