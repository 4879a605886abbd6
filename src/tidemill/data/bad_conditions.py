"""What is wrong with an SQL condition over a dataset's rows, in the words of its columns instead of the engine's."""

import re
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import did_you_mean, listed
from tidemill.store.table import SYSTEM_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

_LITERAL = re.compile(r"Received literal \w+\((.*?)\) and could not convert to literal of type '(\w+)")
_NO_FIELD = re.compile(r"No field named (.+?)\. ")
_KINDS = {
    "text": ("Utf8", "LargeUtf8"),
    "a number": ("Int", "UInt", "Float", "Decimal"),
    "true or false": ("Boolean",),
    "a date": ("Date",),
    "a time": ("Timestamp", "Time"),
}


def bad_condition(condition: str, text: str, schema: "pa.Schema") -> InvalidInput:
    """The error for a condition that the engine refused with ``text``, over columns of ``schema``."""
    columns = [n for n in schema.names if n not in SYSTEM_COLUMNS]
    first = text.splitlines()[0] if text else ""
    why = first.partition(", /")[0]
    hint = f"Write SQL over the columns, text in single quotes; there are: {listed(columns, 10)}."
    if found := _LITERAL.search(first):
        value, wanted = found[1], found[2]
        kind = next((k for k, starts in _KINDS.items() if wanted.startswith(starts)), wanted)
        named = [n for n in columns if re.search(rf"\b{re.escape(n)}\b", condition)]
        those = [n for n in named if _KINDS.get(_kind(schema.field(n).type)) == _KINDS.get(kind)]
        where = f"Column '{those[0]}'" if len(those) == 1 else "A column that it compares"
        why = f"{where} is {kind}, and {value} is not."
        if kind == "text":
            hint = f"Write {_in_quotes(value)}, in single quotes."
        elif kind in ("a date", "a time"):
            hint = "Write it as '2026-11-30' or '2026-11-30 12:00:00', in single quotes."
    elif found := _NO_FIELD.search(first):
        name = found[1].strip('"')
        why = f"There is no column '{name}'."
        columns_are = f"Columns are: {listed(columns, 10)}."
        hint = f"Text stands in single quotes: {_in_quotes(name)}. {did_you_mean(name, columns, columns_are)}"
    return InvalidInput(
        f"'{condition}' is no condition on these rows.", why=why, hint=hint, code=codes.INVALID_WHERE
    )


def _in_quotes(value: str) -> str:
    return "'" + value.strip('"').replace("'", "''") + "'"


def _kind(type_: Any) -> str:
    """Which of ``_KINDS`` a column is of."""
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    tests = {
        "text": (types.is_string, types.is_large_string),
        "a number": (types.is_integer, types.is_floating, types.is_decimal),
        "true or false": (types.is_boolean,),
        "a date": (types.is_date,),
        "a time": (types.is_timestamp, types.is_time),
    }
    return next((kind for kind, some in tests.items() if any(test(type_) for test in some)), str(type_))
