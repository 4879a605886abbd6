"""Plain Python values, as JSON and databases give them, as columns: which type they share, and in that type."""

import datetime as dt
import decimal
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data.casting import cast_exactly, has_known_years
from tidemill.data.cell_text import NOT_FINITE, from_json, text_form
from tidemill.data.cell_types import words
from tidemill.data.nested import make_lists
from tidemill.data.sources.kinds import Kinds, Unkept
from tidemill.data.sources.source import Group, Place
from tidemill.data.spelling import exact, loose

_OF_DATABASES: dict[type, tuple[Callable[[Any, Any], bool], Callable[[Any, bool], Any]]] = {
    bytes: (lambda t, k: t.is_binary(k) or t.is_fixed_size_binary(k), lambda pa, _: pa.binary()),
    dt.datetime: (
        lambda t, k: t.is_timestamp(k) or t.is_date(k),
        lambda pa, zoned: pa.timestamp("us", "UTC" if zoned else None),
    ),
    dt.date: (lambda t, k: t.is_timestamp(k) or t.is_date(k), lambda pa, _: pa.date32()),
    dt.time: (lambda t, k: t.is_time(k), lambda pa, _: pa.time64("us")),
    dt.timedelta: (lambda t, k: t.is_duration(k), lambda pa, _: pa.duration("us")),
    decimal.Decimal: (lambda t, k: t.is_decimal(k) or t.is_integer(k) or t.is_floating(k), lambda *_: None),
    uuid.UUID: (lambda _, k: words(k) == "uuid", lambda pa, _: pa.uuid()),
}
"""Of each kind of value that JSON has not: which types it may become, and its own."""
_WRONG = (OverflowError, TypeError, ValueError, NotImplementedError)
"""What Arrow raises of values that a type does not hold; its own errors are some of these."""

Pieces = Callable[[], Iterator[tuple[int, Callable[[str], Sequence[Any]]]]]

if TYPE_CHECKING:
    import pyarrow as pa


def types_of(
    groups: Sequence[Group], pieces: Pieces, place: Callable[[int], Place], *, as_json: bool = False
) -> "dict[str, pa.DataType]":
    """The type of each source column of the groups: the dataset's where every value fits it, else the narrowest.

    Args:
        groups: What is to be found.
        pieces: Gives all rows, some at a time: the number of the first, and the values of a column by its name.
        place: Gives a row's ``Place`` by its number.
        as_json: Whether the values are JSON's (see ``Kinds``).

    Raises:
        InvalidInput: ``mixed-types``, ``unknown-cells``.
    """
    kinds: dict[str, Kinds] = {}
    for group in groups:
        # The columns of a tensor share one type, so they share what is known of it.
        kinds |= dict.fromkeys(group.sources, Kinds(group.sources[0], place, as_json=as_json))
    known = {s: g.known for g in groups for s in g.sources if g.known is not None}
    for start, values in pieces():
        for name, kind in kinds.items():
            cells = values(name)
            kind.see(cells, range(start, start + len(cells)))
        known = {name: kind for name, kind in known.items() if _made(values(name), kind) is not None}
    return {
        s: known[s] if known.keys() >= set(g.sources) else kinds[s].found(g)
        for g in groups
        for s in g.sources
    }


def plain(value: Any) -> Any:
    """A database's value as one of the kinds that are known here."""
    if isinstance(value, list):
        # Arrow makes no lists of UUIDs: inside of one, a UUID is its text.
        return [str(v) if isinstance(v, uuid.UUID) else plain(v) for v in cast("list[Any]", value)]
    if isinstance(value, decimal.Decimal) and not value.is_finite():
        return Unkept(str(value), "A decimal is a finite number; a float64 may be NaN or infinite.")
    if isinstance(value, dt.time) and value.tzinfo is not None:
        return Unkept(str(value), "A time of day has no zone here.")
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


def column(
    values: Sequence[Any], kind: Any, name: str, place: Callable[[int], Place], *, given: bool = False
) -> Any:
    """Values as a column of this type, every one of them.

    Args:
        values: The values.
        kind: The type.
        name: The column's name, for the complaint.
        place: Gives a value's ``Place`` by its number in ``values``.
        given: Whether a person gave the type: lists and records then become JSON text in a column of text.

    Raises:
        InvalidInput: ``wrong-type``, for the first value that does not fit.
    """
    array = _made(values, kind, given=given)
    if array is not None:
        return array
    row = next(n for n, v in enumerate(values) if _made([v], kind, given=given) is None)
    raise _wrong(values[row], kind, name, place(row))


def _made(values: Sequence[Any], kind: Any, *, given: bool = False) -> Any:
    """Values as an array of a type, each the same value; None where one of them does not fit.

    Never by Arrow's own conversion of Python values, which cuts off fractions and zones.
    """
    import pyarrow as pa  # noqa: PLC0415

    of = set(map(type, values)) - {type(None)}
    try:
        if text_form(kind) or (pa.types.is_time(kind) and of == {str}):
            made = _in_form(values, kind)
        elif pa.types.is_string(kind):
            made = _texts(values, of, given=given)
        elif of & _OF_DATABASES.keys():
            made = _of_database(values, kind)
        else:
            made = _of_json(values, of, kind, given=given)
    except _WRONG:
        return None
    return made if made is not None and has_known_years(made) else None


def _in_form(values: Sequence[Any], kind: Any) -> Any:
    try:
        return from_json(values, kind)
    except _WRONG:
        return _of_database(values, kind)


def _texts(values: Sequence[Any], of: set[type], *, given: bool) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if bytes in of or (not given and of & {list, dict, Unkept}):
        return None
    return pa.array([v if v is None or type(v) is str else _text(v) for v in values], pa.string())


def _of_json(values: Sequence[Any], of: set[type], kind: Any, *, given: bool) -> Any:
    """Truth values, numbers and texts as an array of a type; a text may say a number or a time, as in CSV."""
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    if types.is_floating(kind):
        values = [NOT_FINITE.get(v, v) if type(v) is str else v for v in values]
        of = set(map(type, values)) - {type(None)}
    if of <= {str}:
        texts = pa.array(values, pa.string())
        if types.is_date(kind) or types.is_timestamp(kind):
            return texts.cast(kind)
        return (loose if given else exact)(texts, kind)
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if of - ({int, float} if number else {bool} if types.is_boolean(kind) else set[type]()):
        return None
    if of == {int}:
        return pa.array(values, kind) if not types.is_float16(kind) else None
    return cast_exactly(pa.array(values, pa.float64() if float in of else None), kind)


def _of_database(values: Sequence[Any], kind: Any) -> Any:
    """Values of one kind that JSON has not, or lists of such, as an array of a type."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    of = set(map(type, values)) - {type(None)}
    if of <= {list} and pa.types.is_list(kind):
        lengths = np.fromiter((len(v or ()) for v in values), np.int64, len(values))
        inner = _of_database([m for v in values for m in (v or ())], kind.value_type)
        return (
            None if inner is None else make_lists(inner, lengths, kind, pa.array([v is None for v in values]))
        )
    if not of:
        return pa.nulls(len(values), kind)
    own = _OF_DATABASES.get(of.pop()) if len(of) == 1 else None
    zoned = {getattr(v, "tzinfo", None) is not None for v in values if v is not None}
    has_zone = getattr(kind, "tz", None) is not None
    if own is None or not own[0](pa.types, kind) or zoned != {has_zone}:
        return None
    return cast_exactly(pa.array(values, own[1](pa, has_zone)), kind)


def _wrong(value: Any, kind: Any, name: str, at: Place) -> InvalidInput:
    import pyarrow as pa  # noqa: PLC0415

    shown, why = repr(value), f"The column's type is {words(kind)}."
    hint = (
        "Correct that value, or give the column another type when the dataset is made; to change a dataset's "
        "type, add --allow-schema-change."
    )
    if isinstance(value, (list, dict)) and pa.types.is_string(kind):
        hint = f"Correct that value, or keep each cell as JSON text: --type {name}=string."
    elif isinstance(value, Unkept):
        why, hint = value.why, f"Convert it in the query, or keep all as text: --type {name}=string."
    elif pa.types.is_nested(kind):
        hint = (
            "Correct that value, or import the rows as a new dataset, whose types are found in all of them."
        )
    return InvalidInput(
        f"{at}, column '{name}': {shown if len(shown) <= 60 else shown[:59] + '…'} is not {words(kind)}.",
        why=why,
        hint=hint,
        code=codes.WRONG_TYPE,
        details=at.details(name),
    )


def _text(value: Any) -> str:
    """A value as text; of a list or a record, its JSON with all digits of its numbers."""
    if isinstance(value, Unkept):
        return value.text
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return "{" + ", ".join(f"{_json(name)}: {_inner(member)}" for name, member in pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inner, cast("list[Any]", value))) + "]"
    if isinstance(value, (bool, int, float)):
        return _json(value)
    return value.isoformat() if isinstance(value, (dt.date, dt.time)) else str(value)


def _inner(value: Any) -> str:
    plain = value is None or isinstance(value, (bool, int, float, decimal.Decimal, list, dict))
    return ("null" if value is None else _text(value)) if plain else _json(_text(value))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
