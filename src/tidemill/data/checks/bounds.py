"""The least and the greatest that a cell may be, compared as exact numbers: no cell and no bound goes through float64.

Where a bound lies between two values that the column can have, the nearer one inside takes its place: what is above
2.5 among whole numbers is what is above 2.
"""

import datetime as dt
import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from tidemill.core.dataset_settings import Bound

Side = Literal["minimum", "maximum"]
_UNITS = {"s": 10**3, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units a second by Arrow's name of them, as Polars counts: it has no whole seconds, and takes these as thousandths."""
_EPOCH = dt.date(1970, 1, 1).toordinal()
_EXACT = Context(prec=400)


def mismatch(bound: "Bound", kind: "pa.DataType") -> str | None:
    """Why such cells cannot be compared with a bound, as the end of a sentence; None where they can."""
    import pyarrow as pa  # noqa: PLC0415

    of_time = isinstance(bound, dt.date)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "is a time, and the column is numbers" if of_time else None
    if pa.types.is_date(kind):
        plain = of_time and not isinstance(bound, dt.datetime)
        return None if plain else "is no date, and the column is dates"
    if pa.types.is_timestamp(kind):
        if not of_time:
            return "is no time, and the column is times"
        zoned = isinstance(bound, dt.datetime) and bound.tzinfo is not None
        if isinstance(bound, dt.datetime) and zoned != (kind.tz is not None):
            return f"has {'a' if zoned else 'no'} time zone, and the column has {'none' if zoned else 'one'}"
        return None
    return "compares numbers and times"


def within(cell: "pl.Expr", kind: "pa.DataType", bound: "Bound", side: Side) -> "pl.Expr":
    """Whether a cell is not below a minimum, or not above a maximum; null where it is missing."""
    import polars as pl  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_floating(kind):
        return _compared(cell, pl.lit(_as_float(bound, kind, side)), side)
    if isinstance(bound, float) and math.isinf(bound):
        return _always(cell, holds=(bound < 0) == (side == "minimum"))
    if pa.types.is_decimal(kind):
        return _decimal(cell, kind, bound, side)
    if pa.types.is_temporal(kind):
        cell, units = cell.to_physical(), _as_units(bound, kind)
        bits, signed = kind.bit_width, True
    else:
        assert isinstance(bound, int | float)
        units, bits, signed = Fraction(bound), kind.bit_width, pa.types.is_signed_integer(kind)
    whole = math.ceil(units) if side == "minimum" else math.floor(units)
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if not least <= whole <= most:
        return _always(cell, holds=(whole < least) == (side == "minimum"))
    name = f"{'Int' if signed else 'UInt'}{bits}"
    return _compared(cell, pl.lit(whole, dtype=getattr(pl, name)), side)


def _compared(cell: "pl.Expr", limit: "pl.Expr", side: Side) -> "pl.Expr":
    return cell >= limit if side == "minimum" else cell <= limit


def _always(cell: "pl.Expr", *, holds: bool) -> "pl.Expr":
    import polars as pl  # noqa: PLC0415

    return pl.when(cell.is_not_null()).then(pl.lit(holds))


def _as_float(bound: "Bound", kind: "pa.DataType", side: Side) -> float:
    """Of float64 exactly; a narrower column has its own nearest value of what was written, 0.1 for one."""
    import pyarrow as pa  # noqa: PLC0415

    assert isinstance(bound, int | float)
    if isinstance(bound, float) or not pa.types.is_float64(kind):
        return float(bound)
    nearest = float(bound)
    if side == "minimum" and int(nearest) < bound:
        return math.nextafter(nearest, math.inf)
    if side == "maximum" and int(nearest) > bound:
        return math.nextafter(nearest, -math.inf)
    return nearest


def _decimal(cell: "pl.Expr", kind: Any, bound: "Bound", side: Side) -> "pl.Expr":
    import polars as pl  # noqa: PLC0415

    # As it was written: 0.1 is a tenth.
    exact = Decimal(repr(bound))
    rounding = ROUND_CEILING if side == "minimum" else ROUND_FLOOR
    limit = exact.quantize(Decimal(1).scaleb(-kind.scale), rounding, _EXACT)
    if len(limit.as_tuple().digits) > kind.precision:
        return _always(cell, holds=(limit < 0) == (side == "minimum"))
    return _compared(cell, pl.lit(limit, dtype=pl.Decimal(kind.precision, kind.scale)), side)


def _as_units(bound: "Bound", kind: Any) -> Fraction:
    """A date or time as the column counts: days, or parts of a second, since 1970."""
    import pyarrow as pa  # noqa: PLC0415

    assert isinstance(bound, dt.date)
    days = bound.toordinal() - _EPOCH
    if pa.types.is_date32(kind):
        return Fraction(days)
    if pa.types.is_date64(kind):
        return Fraction(days * 86_400_000)
    seconds = Fraction(days * 86_400)
    if isinstance(bound, dt.datetime):
        if bound.tzinfo is not None:
            bound = bound.astimezone(dt.UTC)
            seconds = Fraction((bound.toordinal() - _EPOCH) * 86_400)
        seconds += bound.hour * 3600 + bound.minute * 60 + bound.second + Fraction(bound.microsecond, 10**6)
    return seconds * _UNITS[kind.unit]
