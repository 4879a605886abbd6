"""Plain Python values, as JSON and databases give them, as columns: which type they share, and in that type."""

import datetime as dt
import decimal
import json
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from tidemill.core.errors import InvalidInput
from tidemill.data.casting import has_known_years
from tidemill.data.cell_text import NOT_FINITE, from_json, text_form
from tidemill.data.cell_types import words
from tidemill.data.sources.narrowing import LARGE, narrowest_whole, widest
from tidemill.data.sources.source import Group, Place

if TYPE_CHECKING:
    import pyarrow as pa


class _NotFinite:
    """The kind of a text that may say a number that JSON has not, or be the word itself."""


_WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    decimal.Decimal: "a number",
    str: "a text",
    bytes: "bytes",
    dt.datetime: "a time",
    dt.date: "a date",
    dt.time: "a time of day",
    _NotFinite: "a text",
}
_NUMBERS = {int, float, decimal.Decimal}


class Kinds:
    """What kinds of values a column has, and which whole numbers, as one piece after another is seen.

    Args:
        name: The column's name.
        place: Gives a row's ``Place`` by its number, counted over all pieces.
        as_json: Whether numbers that are not finite are the texts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, as
            an export writes them. Beside numbers they are such numbers; a column of nothing else keeps its texts,
            unless it is known to hold floats.
    """

    def __init__(self, name: str, place: Callable[[int], Place], *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._name = name
        self._place = place
        self._first: dict[type, int] = {}
        self._low, self._high = 0, 0
        self._zoned: set[bool] = set()

    def see(self, values: Sequence[Any], start: int) -> None:
        """Take these values into account, of which the first is in row ``start``.

        Raises:
            InvalidInput: ``nested-value``, ``mixed-types``.
        """
        of: list[type] = list(map(type, values))
        if self._as_json and str in of and any(word in values for word in NOT_FINITE):
            of = [_NotFinite if type(v) is str and v in NOT_FINITE else type(v) for v in values]
        kinds = set(of) - {type(None)}
        # In the order of the rows, so that the later one of two is told.
        for kind in sorted(kinds - self._first.keys(), key=of.index):
            row = start + of.index(kind)
            self._check(kind, row)
            self._first[kind] = row
        if int in kinds:
            whole = [v for v in values if type(v) is int]
            self._low, self._high = min(self._low, *whole), max(self._high, *whole)
        if dt.datetime in kinds:
            self._zoned |= {v.tzinfo is not None for v in values if type(v) is dt.datetime}

    def found(self, group: Group) -> "pa.DataType":
        """The narrowest type that all values fit; text where there is none."""
        import pyarrow as pa  # noqa: PLC0415

        kinds: set[type] = set(self._first)
        if _NotFinite in kinds:
            known = group.known is not None and pa.types.is_floating(group.known)
            others = kinds - {_NotFinite}
            kinds = others | ({float} if others <= _NUMBERS and (others or known) else {str})
        if not kinds:
            kind = group.known or pa.string()
        elif kinds == {int}:
            kind = self._whole(group)
        elif kinds <= _NUMBERS:
            held = decimal.Decimal not in kinds and max(-self._low, self._high) <= LARGE
            kind = pa.float64() if held else pa.string()
        else:
            zone = "UTC" if True in self._zoned else None
            plain: dict[type, pa.DataType] = {
                bool: pa.bool_(),
                bytes: pa.binary(),
                dt.datetime: pa.timestamp("us", zone),
                dt.date: pa.date32(),
                dt.time: pa.time64("us"),
            }
            kind = plain.get(next(iter(kinds)), pa.string())
        return kind if group.known is None else widest(group.known, kind)

    def _whole(self, group: Group) -> "pa.DataType":
        import pyarrow as pa  # noqa: PLC0415

        if group.tensor or (group.known is not None and pa.types.is_integer(group.known)):
            return narrowest_whole(self._low, self._high)
        if self._high < 2**63 and self._low >= -(2**63):
            return pa.int64()
        return pa.uint64() if self._low >= 0 and self._high < 2**64 else pa.string()

    def _check(self, kind: type, row: int) -> None:
        place = self._place
        if kind not in _WORDS:
            raise InvalidInput(
                f"{place(row)}, column '{self._name}': the value is {_article(kind)}, and a cell is one value.",
                why="Lists and records have no place in a table of cells.",
                hint="Spread it over columns of its own first.",
                code="nested-value",
                details=place(row).details(self._name),
            )
        for other, before in self._first.items():
            says, said = _WORDS[kind], _WORDS[other]
            if says != said and not (_NotFinite in (kind, other) and {says, said} == {"a number", "a text"}):
                raise InvalidInput(
                    f"{place(row)}, column '{self._name}': it is {says} here and {said} in "
                    f"{place(before).unit} {place(before).number}.",
                    why="A column has one type.",
                    hint=f"Correct one of them, or take all as text: --type {self._name}=string.",
                    code="mixed-types",
                    details=place(row).details(self._name),
                )


def column(values: Sequence[Any], kind: Any, name: str, place: Callable[[int], Place]) -> Any:
    """Values as a column of this type, every one of them.

    Args:
        values: The values.
        kind: The type.
        name: The column's name, for the complaint.
        place: Gives a value's ``Place`` by its number in ``values``.

    Raises:
        InvalidInput: ``wrong-type``, for the first value that does not fit; ``nested-value``.
    """
    import pyarrow as pa  # noqa: PLC0415

    if text_form(kind) or (pa.types.is_time(kind) and str in set(map(type, values))):
        try:
            return _said(values, kind)
        except pa.ArrowInvalid:
            row = next(n for n, v in enumerate(values) if not _is_said(v, kind))
            raise _wrong(values[row], kind, name, place(row)) from None
    if pa.types.is_string(kind):
        nested = next((n for n, v in enumerate(values) if isinstance(v, (list, dict))), None)
        if nested is not None:
            Kinds(name, place).see([values[nested]], nested)
        return pa.array([v if v is None or type(v) is str else _text(v) for v in values], kind)
    array = _array(values, kind)
    if array is not None:
        return array
    row = next(n for n, v in enumerate(values) if _array([v], kind) is None)
    Kinds(name, place).see([values[row]], row)
    raise _wrong(values[row], kind, name, place(row))


def _said(values: Sequence[Any], kind: Any) -> Any:
    """Values of a type that have a form in JSON (see ``cell_text``), in it or as they are; raises ``ArrowInvalid``."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        return from_json(values, kind)
    except pa.ArrowInvalid:
        # Arrow leaves out the fields of a record that the type does not have.
        if any(isinstance(value, str) or _holds_record(value) for value in values):
            raise
    try:
        # A database gives bytes, times and lists of them as such.
        return pa.array(values, kind)
    except (pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError, ValueError) as error:
        raise pa.ArrowInvalid(str(error)) from error


def _holds_record(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_record, cast("Sequence[Any]", value)))
    return isinstance(value, dict)


def _is_said(value: Any, kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    try:
        _said([value], kind)
    except pa.ArrowInvalid:
        return False
    return True


def _wrong(value: Any, kind: Any, name: str, at: Place) -> InvalidInput:
    shown = repr(value)
    return InvalidInput(
        f"{at}, column '{name}': {shown if len(shown) <= 60 else shown[:59] + '…'} is not {words(kind)}.",
        why=f"The column's type is {words(kind)}.",
        hint="Correct that value, or give the column another type when the dataset is made; to change a dataset's "
        "type, add --allow-schema-change.",
        code="wrong-type",
        details=at.details(name),
    )


def plain(value: Any) -> Any:
    """A database's value as one of the kinds that are known here."""
    if isinstance(value, decimal.Decimal):
        number = float(value)
        return number if decimal.Decimal(repr(number)) == value else str(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


def _array(values: Sequence[Any], kind: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    wrong = (
        pa.ArrowInvalid,
        pa.ArrowTypeError,
        pa.ArrowNotImplementedError,
        OverflowError,
        TypeError,
        ValueError,
    )
    if pa.types.is_floating(kind):
        values = [NOT_FINITE.get(v, v) if type(v) is str else v for v in values]
    kinds = set(map(type, values))
    if bool in kinds and not pa.types.is_boolean(kind):
        return None
    if decimal.Decimal in kinds and pa.types.is_floating(kind):  # It has more digits than a float holds.
        return None
    if not (float in kinds and pa.types.is_integer(kind)):  # Arrow would cut them off.
        try:
            made = pa.array(values, kind)
        except wrong:
            pass
        else:
            return made if has_known_years(made) else None
    try:
        # A text that says a number or a time, a float that is whole: as in CSV.
        made = pa.array(values).cast(kind)
    except wrong:
        return None
    return made if has_known_years(made) else None


def _text(value: Any) -> str:
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return str(value) if isinstance(value, decimal.Decimal) else json.dumps(value, default=str)


def _article(kind: type) -> str:
    return {dict: "a record", list: "a list", tuple: "a list"}.get(kind, f"a {kind.__name__}")
