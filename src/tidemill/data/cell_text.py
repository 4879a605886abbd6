"""Cells as text, for files whose cells are text: those that Arrow's own CSV does not write, or does not read again.

Bytes are base64, lists and records are JSON, a duration is the number of its units, a UUID its usual form. Inside of
JSON, what JSON has no word for is text: times in ISO form, decimals by their digits, bytes in base64, ``"NaN"``.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidemill.data.casting import cast_exactly
from tidemill.data.cell_images import digits
from tidemill.data.nested import rebuilt

if TYPE_CHECKING:
    import pyarrow as pa

_TIME = re.compile(
    r"(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d)(?:\.(?P<fraction>\d{1,9}))?)?"
)
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""What JSON has no number for, as text."""


def text_form(kind: Any) -> str:
    """How cells of a type are written, for a person: ``JSON``, ``base64``; empty where as in any CSV."""
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    if types.is_nested(kind):
        return "JSON"
    if types.is_binary(kind) or types.is_fixed_size_binary(kind):
        return "base64"
    if types.is_duration(kind):
        return f"a number of {kind.unit}"
    return (
        "text" if isinstance(kind, pa.UuidType) or types.is_float16(kind) or types.is_decimal256(kind) else ""
    )


def to_text(array: Any) -> Any:
    """Cells of such a type as texts."""
    import pyarrow as pa  # noqa: PLC0415

    kind = array.type
    if pa.types.is_float16(kind):
        return array.cast(pa.float32()).cast(pa.string())
    if not pa.types.is_nested(kind):
        return _worded(array, _json_type(kind)).cast(pa.string())
    return pa.array(as_json(array), pa.string())


def from_text(texts: Any, kind: Any) -> Any:
    """The cells of a type that texts say.

    Raises:
        ArrowInvalid: When a text says no such cell.
    """
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_nested(kind):
        return from_json([None if text is None else _loaded(text) for text in texts.to_pylist()], kind)
    return _unworded(texts.cast(_json_type(kind)), kind)


def as_json(array: Any) -> list[str | None]:
    """Each cell as a JSON text; None for a missing one."""
    kind = array.type
    values = rebuilt(array, _json_type(kind), _worded).to_pylist()
    return [None if value is None else _dumped(value, kind) for value in values]


def from_json(values: Sequence[Any], kind: Any) -> Any:
    """The cells of a type that values say, as JSON has them.

    Raises:
        ArrowInvalid: When a value says no such cell.
    """
    import pyarrow as pa  # noqa: PLC0415

    plain = _json_type(kind)
    try:
        made: Any = pa.array([_from_json(value, plain) for value in values], plain)
    except (pa.ArrowTypeError, OverflowError, TypeError, ValueError) as error:
        raise pa.ArrowInvalid(str(error)) from error
    return rebuilt(made, kind, _unworded)


def _json_type(kind: Any) -> "pa.DataType":
    """The type in which JSON can say cells of a type."""
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    if types.is_map(kind):
        return pa.map_(_json_type(kind.key_type), _json_type(kind.item_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(_json_type(kind.value_type), kind.list_size)
    if types.is_list(kind):
        return pa.list_(_json_type(kind.value_type))
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return pa.struct([pa.field(field.name, _json_type(field.type)) for field in fields])
    if types.is_duration(kind):
        return pa.int64()
    if types.is_float16(kind):
        return pa.float32()
    return (
        kind if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) else pa.string()
    )


def _worded(array: Any, plain: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    kind, types = array.type, pa.types
    if types.is_binary(kind) or types.is_fixed_size_binary(kind):
        cells = array.to_pylist()
        return pa.array([None if c is None else base64.b64encode(c).decode() for c in cells], plain)
    if types.is_decimal(kind):
        return digits(array).cast(plain)
    return cast_exactly(array, plain)


def _unworded(array: Any, kind: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_time(kind):
        return (
            pa.array([None if text is None else _units(text, kind.unit) for text in array.to_pylist()])
            .cast(pa.int32() if kind.bit_width == 32 else pa.int64())
            .view(kind)
        )
    if not (pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind)):
        return cast_exactly(array, kind)
    try:
        cells = [None if t is None else base64.b64decode(t, validate=True) for t in array.to_pylist()]
    except (binascii.Error, ValueError) as error:
        raise pa.ArrowInvalid(f"This is not base64: {error}") from error
    return pa.array(cells, pa.binary()).cast(kind)


def _units(text: str, unit: str) -> int:
    """A time of day in units since midnight; Arrow reads no text as such."""
    import pyarrow as pa  # noqa: PLC0415

    match = _TIME.fullmatch(text)
    places = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    fraction = (match["fraction"] or "").rstrip("0") if match else ""
    if match is None or len(fraction) > places:
        raise pa.ArrowInvalid(f"'{text}' is not a time of day in {unit}")
    seconds = int(match["hour"]) * 3600 + int(match["minute"]) * 60 + int(match["second"] or 0)
    return seconds * 10**places + int(fraction.ljust(places, "0") or 0)


def _dumped(value: Any, kind: Any) -> str:
    return json.dumps(_for_json(value, kind), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _for_json(value: Any, kind: Any) -> Any:
    """A value as JSON has it: a map with texts for keys as an object, a number that is not finite as text."""
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    if value is None:
        return None
    if types.is_map(kind):
        pairs = [(key, _for_json(item, kind.item_type)) for key, item in value]
        keys = {key for key, _ in pairs} if types.is_string(kind.key_type) else set[Any]()
        if len(keys) == len(pairs):
            return dict(pairs)
        return [[_for_json(key, kind.key_type), item] for key, item in pairs]
    if types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        return {field.name: _for_json(value[field.name], field.type) for field in fields}
    if types.is_nested(kind):
        return [_for_json(member, kind.value_type) for member in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _loaded(text: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    try:
        return json.loads(text)
    except RecursionError as error:
        raise pa.ArrowInvalid("Its lists and records lie too deep in each other") from error
    except ValueError as error:
        raise pa.ArrowInvalid(f"This is not JSON: {error}") from error


def _from_json(value: Any, plain: Any) -> Any:
    """What JSON has, as Arrow takes it for a type; raises ``ValueError`` where it is something else."""
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    if value is None:
        return None
    if types.is_struct(plain):
        fields = {plain.field(at).name: plain.field(at).type for at in range(plain.num_fields)}
        if not isinstance(value, dict) or value.keys() - fields.keys():
            raise ValueError(f"{value!r} has not the fields {', '.join(fields)}")
        return {name: _from_json(value.get(name), kind) for name, kind in fields.items()}
    if types.is_map(plain):
        pairs = value.items() if isinstance(value, dict) else value
        return [(_from_json(k, plain.key_type), _from_json(v, plain.item_type)) for k, v in pairs]
    if types.is_nested(plain):
        if not isinstance(value, list):
            raise ValueError(f"{value!r} is not a list")
        return [_from_json(member, plain.value_type) for member in value]
    if types.is_floating(plain) and isinstance(value, str):
        if value not in NOT_FINITE:
            raise ValueError(f"{value!r} is not a number")
        return NOT_FINITE[value]
    wanted = bool if types.is_boolean(plain) else str if types.is_string(plain) else (int, float)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ValueError(f"{value!r} is not {plain}")
    return value
