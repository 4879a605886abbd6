"""Dates, times and decimals as text, and back: the inference protocol and JSON have no other word for them.

Text is ISO 8601: ``2026-11-30``, ``08:53:00.5``, ``2026-11-30T08:53:00``, and with an offset from UTC where the column has
a time zone: ``2026-11-30T09:53:00+01:00``, or ``Z``. A decimal is its digits. Text that a column cannot hold exactly is
refused, never rounded.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_TYPE = re.compile(
    r"(?P<kind>date32|date64|time32|time64|timestamp|decimal(?:32|64|128|256))"
    r"(?:\[(?P<unit>day|s|ms|us|ns)(?:, tz=(?P<zone>.+))?\]|\((?P<precision>\d+), (?P<scale>-?\d+)\))"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d\d:\d\d(:\d\d(\.(?P<fraction>\d{1,9}))?)?")
_MOMENT = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)([T ](?P<time>\d\d:\d\d(:\d\d(\.(?P<fraction>\d{1,9}))?)?))?"
    r"(?P<offset>Z|[+-]\d\d(:?\d\d)?)?"
)
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def type_of(kind: "pa.DataType") -> str:
    """The name under which a signature records a column's Arrow type; empty where NumPy's dtype says it all."""
    name = str(kind)
    return name if _TYPE.fullmatch(name) else ""


@dataclass(frozen=True)
class Spelling:
    """How the cells of one type are written.

    Attributes:
        type: The Arrow type's name, as ``type_of`` gives it.
    """

    type: str

    @cached_property
    def _parts(self) -> dict[str, str | None]:
        found = _TYPE.fullmatch(self.type)
        if found is None:
            raise InvalidInput(
                f"The predictor has a column of type '{self.type}', which this Tidemill does not know.",
                hint="Type 'pip install --upgrade tidemill'.",
                code=codes.NO_DATATYPE,
            )
        return found.groupdict()

    @property
    def zone(self) -> str | None:
        """The time zone of a timestamp; None where it has none."""
        return self._parts["zone"]

    @property
    def unit(self) -> str:
        """The finest unit that a time or a timestamp holds: ``s``, ``ms``, ``us`` or ``ns``; ``day`` for a date."""
        return self._parts["unit"] or ""

    @property
    def is_moment(self) -> bool:
        """Whether NumPy holds it as ``datetime64``: a date or a timestamp, the latter in UTC if it has a zone."""
        return self._kind in ("date", "timestamp")

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The dtype of its cells as a step gets them: ``datetime64``, or objects (``time``, ``Decimal``)."""
        import numpy as np  # noqa: PLC0415

        if not self.is_moment:
            return np.dtype(object)
        return np.dtype("datetime64[D]" if self.unit == "day" else f"datetime64[{self.unit}]")

    @property
    def example(self) -> str:
        """A cell as it may be sent."""
        return {
            "date": "2026-11-30",
            "time": "08:53:00",
            "timestamp": f"2026-11-30T08:53:00{'+01:00' if self.zone else ''}",
            "decimal": "12.50",
        }[self._kind]

    @property
    def _kind(self) -> str:
        return re.sub(r"\d", "", str(self._parts["kind"]))

    def cells(self, values: "pa.Array") -> "np.ndarray[Any, Any]":
        """The cells of an Arrow array of the type, in ``dtype``; masked where one is missing."""
        import numpy as np  # noqa: PLC0415

        if self.is_moment:
            found = values.to_numpy(zero_copy_only=False).astype(self.dtype)
        else:
            found = np.empty(len(values), dtype=object)
            found[:] = values.to_pylist()
        return np.ma.MaskedArray(found, mask=np.asarray(values.is_null())) if values.null_count else found

    def write(self, values: "pa.Array") -> "np.ndarray[Any, Any]":
        """The cells of an Arrow array of the type as text, in an object array; an empty text for a missing one."""
        import numpy as np  # noqa: PLC0415

        cells, texts = np.ma.getdata(self.cells(values)), np.empty(len(values), dtype=object)
        if self.is_moment:
            days = cells.astype("datetime64[D]") if self._kind == "date" else cells
            texts[:] = [f"{text}{'Z' if self.zone else ''}" for text in np.datetime_as_string(days)]
        else:
            texts[:] = [_written(cell) for cell in cells]
        texts[np.asarray(values.is_null())] = ""
        return texts

    def read(self, name: str, texts: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """The cells that these texts say, in ``dtype``; masked where the texts are.

        Raises:
            InvalidInput: ``wrong-dtype``, naming the column and the row whose text says no such cell.
        """
        import numpy as np  # noqa: PLC0415

        mask = np.ma.getmaskarray(texts)
        cells: Any = np.empty(texts.shape, dtype=self.dtype)
        cells[mask] = "NaT" if self.is_moment else None
        one: Callable[[str], Any] = getattr(self, f"_{self._kind}")
        for at in np.argwhere(~mask):
            where = tuple(int(n) for n in at)
            text = np.ma.getdata(texts)[where]
            try:
                cells[where] = one(str(text))
            except ValueError as error:
                raise self._refused(name, where[0], str(text), str(error)) from error
        return np.ma.MaskedArray(cells, mask=mask) if mask.any() else cells

    def arrow(self, cells: "np.ndarray[Any, Any]") -> "pa.Array":
        """The cells of ``dtype``, flat, as an Arrow array of the type."""
        import numpy as np  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        mask = np.ma.getmaskarray(cells).reshape(-1)
        flat = np.ma.getdata(cells).reshape(-1)
        kind = self._arrow_type()
        if self._kind == "timestamp":
            return pa.array(flat.astype("int64"), pa.int64(), mask=mask | np.isnat(flat)).view(kind)
        if self._kind == "date":
            return pa.array(flat.astype("datetime64[D]"), pa.date32(), mask=mask | np.isnat(flat)).cast(kind)
        return pa.array([None if m else v for v, m in zip(flat, mask, strict=True)], kind)

    def _arrow_type(self) -> "pa.DataType":
        import pyarrow as pa  # noqa: PLC0415

        parts = self._parts
        kind = getattr(pa, str(parts["kind"]))
        if parts["precision"] is not None:
            return kind(int(parts["precision"]), int(str(parts["scale"])))
        if self._kind == "date":
            return kind()
        return kind(self.unit, self.zone) if self._kind == "timestamp" else kind(self.unit)

    def _date(self, text: str) -> Any:
        import numpy as np  # noqa: PLC0415

        if not _DATE.fullmatch(text):
            raise ValueError("it is no date")
        return np.datetime64(text, "D")

    def _time(self, text: str) -> time:
        found = _TIME.fullmatch(text)
        if found is None:
            raise ValueError("it is no time of day")
        self._refuse_finer(found["fraction"])
        return time.fromisoformat(text)

    def _timestamp(self, text: str) -> Any:
        import numpy as np  # noqa: PLC0415

        found = _MOMENT.fullmatch(text)
        if found is None:
            raise ValueError("it is no date and time")
        if bool(found["offset"]) != bool(self.zone):
            raise ValueError(
                "it has no offset from UTC, and the column has a time zone"
                if self.zone
                else "it has an offset from UTC, and the column has no time zone"
            )
        self._refuse_finer(found["fraction"])
        moment = np.datetime64(f"{found['date']}T{found['time'] or '00:00'}", self.unit)
        return moment - np.timedelta64(_offset_minutes(found["offset"]), "m")

    def _decimal(self, text: str) -> Decimal:
        if not _DECIMAL.fullmatch(text):
            raise ValueError("it is no decimal number")
        precision, scale = int(str(self._parts["precision"])), int(str(self._parts["scale"]))
        value = Decimal(text)
        step = Decimal(1).scaleb(-scale)
        if value % step:
            raise ValueError(f"it has more than {scale} decimals")
        if abs(value) >= Decimal(10) ** (precision - scale):
            raise ValueError(f"it has more than {precision - scale} digits before the point")
        return value.quantize(step)

    def _refuse_finer(self, fraction: str | None) -> None:
        if len((fraction or "").rstrip("0")) > _DIGITS[self.unit]:
            raise ValueError(f"it is finer than {self.unit}, the column's unit")

    def _refused(self, name: str, row: int, text: str, why: str) -> InvalidInput:
        return InvalidInput(
            f"'{name}' of row {row} is '{text[:60]}', which is not a {self.type}.",
            why=f"{why[0].upper()}{why[1:]}.",
            hint=f"Send '{name}' as text such as '{self.example}'; null where it is missing.",
            code=codes.WRONG_DTYPE,
            details={"field": name, "row": row, "wanted": self.type},
        )


def _written(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, time) else f"{value:f}"


def _offset_minutes(offset: str | None) -> int:
    if offset in (None, "Z"):
        return 0
    digits = offset[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        raise ValueError("its offset from UTC is none")
    return (hours * 60 + minutes) * (-1 if offset[0] == "-" else 1)


class TypedColumns(dict[str, Any]):
    """Arrays by the name of their column, as they go from step to step, with what their dtypes do not say.

    Attributes:
        types: The Arrow type, as ``type_of`` gives it, of each column whose dtype does not say it.
    """

    def __init__(self, columns: Mapping[str, Any], types: Mapping[str, str]) -> None:
        super().__init__(columns)
        self.types = dict(types)

    @classmethod
    def after(cls, made: Mapping[str, Any], before: "TypedColumns") -> "TypedColumns":
        """What a step made of ``before``: where it does not say the types, a column that kept its dtype kept its type."""
        if isinstance(made, cls):
            return made
        kept = {n: t for n, t in before.types.items() if n in made and made[n].dtype == before[n].dtype}
        return cls(made, kept)
