"""Which type plain Python values share, as JSON and databases give them: one at each place of their lists and records."""

import datetime as dt
import decimal
import itertools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.codes import ErrorCode
from tidemill.core.errors import InvalidInput
from tidemill.data.cell_text import NOT_FINITE
from tidemill.data.cell_types import MOST_DEEP, MOST_DIGITS, NotKeptError, kept
from tidemill.data.sources.narrowing import LARGE, narrowest_whole, widest
from tidemill.data.sources.source import Group, Place

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_FIELDS = 1000
"""Of a record: where there are more, their names are values."""


@dataclass(frozen=True, slots=True)
class Unkept:
    """A value of a database that no dataset keeps.

    Attributes:
        text: As the database writes it.
        why: As a sentence.
    """

    text: str
    why: str

    def __repr__(self) -> str:
        return self.text


class _NotFinite:
    """The kind of a text that may say a number that JSON has not, or be the word itself."""


WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    decimal.Decimal: "a number",
    str: "a text",
    bytes: "bytes",
    dt.datetime: "a time",
    dt.date: "a date",
    dt.time: "a time of day",
    dt.timedelta: "a duration",
    uuid.UUID: "a UUID",
    list: "a list",
    dict: "a record",
    _NotFinite: "a text",
}
"""What a person calls a cell of each type."""
_NUMBERS = {int, float, decimal.Decimal}


class Kinds:
    """What kinds of values a column has, and which whole numbers, as one piece after another is seen.

    Args:
        name: The column's name.
        place: Gives a row's ``Place`` by its number, counted over all pieces.
        as_json: Whether the values are JSON's. A decimal is then a number that no float64 holds, and numbers that are
            not finite are the texts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, as an export writes them. Beside
            numbers they are such numbers; a column of nothing else keeps its texts, unless it is known to hold floats.
        path: Where in the column's cells the values are: ``[].score``; empty for the cells.
        depth: How many lists and records are around them.
    """

    def __init__(
        self,
        name: str,
        place: Callable[[int], Place],
        *,
        as_json: bool = False,
        path: str = "",
        depth: int = 0,
    ) -> None:
        self._as_json = as_json
        self._name = name
        self._place = place
        self._path = path
        self._depth = depth
        self._first: dict[type, int] = {}
        self._low, self._high = (0, 0), (0, 0)
        self._whole = self._scale = 0
        self._zoned: set[bool] = set()
        self._members: Kinds | None = None
        self._fields: dict[str, Kinds] = {}

    def see(self, values: Sequence[Any], rows: Sequence[int]) -> None:
        """Take these values into account, each of which is in a row.

        Raises:
            InvalidInput: ``mixed-types``, ``unknown-cells``.
        """
        of: list[type] = list(map(type, values))
        if self._as_json and str in of and any(word in values for word in NOT_FINITE):
            of = [_NotFinite if type(v) is str and v in NOT_FINITE else type(v) for v in values]
        kinds = set(of) - {type(None)}
        # In the order of the rows, so that the later one of two is told.
        for kind in sorted(kinds - self._first.keys(), key=of.index):
            row = rows[of.index(kind)]
            self._check(kind, row, values[of.index(kind)])
            self._first[kind] = row
        if int in kinds:
            whole = [v if type(v) is int else 0 for v in values]
            low, high = min(whole), max(whole)
            self._low = min(self._low, (low, rows[whole.index(low)]))
            self._high = max(self._high, (high, rows[whole.index(high)]))
        if dt.datetime in kinds:
            self._zoned |= {v.tzinfo is not None for v in values if type(v) is dt.datetime}
        if decimal.Decimal in kinds and not self._as_json:
            self._see_digits(values)
        if list in kinds:
            self._see_members(values, rows)
        if dict in kinds:
            self._see_fields(values, rows)

    def found(self, group: Group) -> "pa.DataType":
        """The narrowest type that all values fit; text where there is none.

        Raises:
            InvalidInput: ``mixed-types``, ``unknown-cells``, for what lies in lists and records.
        """
        import pyarrow as pa  # noqa: PLC0415

        try:
            kind = kept(self.shared(group))
        except NotKeptError as error:
            raise self._refused(min(self._first.values()), error.why, codes.UNKNOWN_CELLS) from error
        if group.known is None:
            return kind
        wide = widest(group.known, kind)
        # Lists and records do not become text: the first cell that does not fit their type is told.
        return group.known if pa.types.is_nested(group.known) and pa.types.is_string(wide) else wide

    def _see_digits(self, values: Sequence[Any]) -> None:
        for value in values:
            if type(value) is decimal.Decimal:
                _, digits, exponent = value.as_tuple()
                assert isinstance(exponent, int), "a database's number that is not finite is refused before"
                self._scale = max(self._scale, -exponent)
                self._whole = max(self._whole, len(digits) + exponent)

    def _see_members(self, values: Sequence[Any], rows: Sequence[int]) -> None:
        if self._members is None:
            self._members = self._inside("[]")
        lists = [(v, row) for v, row in zip(values, rows, strict=True) if v]
        members = list(itertools.chain.from_iterable(v for v, _ in lists))
        if members:
            inner = list(itertools.chain.from_iterable(itertools.repeat(row, len(v)) for v, row in lists))
            self._members.see(members, inner)

    def _see_fields(self, values: Sequence[Any], rows: Sequence[int]) -> None:
        records = [(v, row) for v, row in zip(values, rows, strict=True) if v is not None]
        for record, row in records:
            if not record.keys() <= self._fields.keys():
                self._fields |= {n: self._inside(f".{n}") for n in record if n not in self._fields}
                if len(self._fields) > _MOST_FIELDS:
                    why = "Their names seem to be values: write a list of records with the name as a field."
                    says = f"its records have more than {_MOST_FIELDS:,} different fields."
                    raise self._refused(row, says, codes.UNKNOWN_CELLS, why)
        for name, field in self._fields.items():
            field.see([v.get(name) for v, _ in records], [row for _, row in records])

    def _inside(self, path: str) -> "Kinds":
        return Kinds(
            self._name, self._place, as_json=self._as_json, path=self._path + path, depth=self._depth + 1
        )

    def shared(self, group: Group) -> "pa.DataType":
        """As ``found``, whether a dataset keeps such cells or not."""
        import pyarrow as pa  # noqa: PLC0415

        kinds: set[type] = set(self._first)
        if _NotFinite in kinds:
            known = group.known is not None and pa.types.is_floating(group.known)
            others = kinds - {_NotFinite}
            kinds = others | ({float} if others <= _NUMBERS and (others or known) else {str})
        if not kinds:
            return group.known or pa.string()
        if kinds <= _NUMBERS:
            return self._number(kinds, group)
        if self._members is not None:
            return pa.list_(self._members.shared(Group(())))
        if dict in kinds:
            return pa.struct(
                [pa.field(name, field.shared(Group(()))) for name, field in self._fields.items()]
            )
        plain: dict[type, Any] = {
            bool: pa.bool_(),
            bytes: pa.binary(),
            dt.datetime: pa.timestamp("us", "UTC" if True in self._zoned else None),
            dt.date: pa.date32(),
            dt.time: pa.time64("us"),
            dt.timedelta: pa.duration("us"),
            uuid.UUID: pa.uuid(),
        }
        return plain.get(next(iter(kinds)), pa.string())

    def _number(self, kinds: set[type], group: Group) -> "pa.DataType":
        import pyarrow as pa  # noqa: PLC0415

        most = max(self._high, (-self._low[0], self._low[1]))
        kind: pa.DataType | None = None
        if kinds == {int}:
            kind = self._integer(group)
        elif float not in kinds and not self._as_json:
            digits = self._scale + max(self._whole, len(str(most[0])) if int in kinds else 1)
            if digits <= MOST_DIGITS:
                # As many digits as the type has, so that larger numbers fit later.
                kind = pa.decimal128(38, self._scale) if digits <= 38 else pa.decimal256(76, self._scale)
        elif decimal.Decimal not in kinds and most[0] <= LARGE:
            kind = pa.float64()
        if kind is not None or not self._depth:
            return kind or pa.string()
        says = (
            f"in '{self._name}{self._path}', there are numbers of more digits than one type of number holds."
        )
        why = "Whole numbers are int64 or uint64; beside other numbers they are float64, where that is exact."
        raise self._refused(self._first.get(decimal.Decimal, most[1]), says, codes.MIXED_TYPES, why)

    def _integer(self, group: Group) -> "pa.DataType | None":
        import pyarrow as pa  # noqa: PLC0415

        low, high = self._low[0], self._high[0]
        if group.tensor or (group.known is not None and pa.types.is_integer(group.known)):
            return narrowest_whole(low, high)
        if high < 2**63 and low >= -(2**63):
            return pa.int64()
        return pa.uint64() if low >= 0 and high < 2**64 else None

    def _check(self, kind: type, row: int, value: Any) -> None:
        if isinstance(value, Unkept):
            raise self._refused(row, f"a dataset cannot keep {value.text}.", codes.UNKNOWN_CELLS, value.why)
        if kind not in WORDS:
            raise self._refused(
                row, f"no dataset keeps a value of type '{kind.__name__}'.", codes.UNKNOWN_CELLS
            )
        if kind in (list, dict) and self._depth >= MOST_DEEP:
            says = f"lists and records lie deeper in each other than {MOST_DEEP} levels."
            raise self._refused(row, says, codes.UNKNOWN_CELLS)
        for other, before in self._first.items():
            says, said = WORDS[kind], WORDS[other]
            if says != said and not (_NotFinite in (kind, other) and {says, said} == {"a number", "a text"}):
                there = self._place(before)
                where = f"in {there.unit} {there.number}" if row != before else "before it"
                inside = f"in '{self._name}{self._path}', " if self._path else ""
                why = f"A column has one type{', at each place in its cells' if inside else ''}."
                raise self._refused(
                    row, f"{inside}it is {says} here and {said} {where}.", codes.MIXED_TYPES, why
                )

    def _refused(self, row: int, says: str, code: ErrorCode, why: str | None = None) -> InvalidInput:
        at = self._place(row)
        nested = self._path or self._first.keys() & {list, dict}
        what = "each cell as JSON text" if nested else "all as text"
        return InvalidInput(
            f"{at}, column '{self._name}': {says}",
            why=why,
            hint=f"Correct it, or keep {what}: --type {self._name}=string.",
            code=code,
            details=at.details(self._name),
        )
