"""Cells as text, for files whose cells are text: those that Arrow's own CSV does not write, or does not read again.

Bytes are base64, lists and records are JSON, a duration is the number of its units, a UUID its usual form. Inside of
JSON, what JSON has no word for is text: times in ISO form, decimals by their digits, bytes in base64, ``"NaN"``.
"""

import base64
import binascii
import itertools
import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from tidemill.data.casting import cast_exactly
from tidemill.data.cell_images import digits
from tidemill.data.nested import entry_type, make_lists, rebuilt

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
        made = _array(values, plain)
    except (pa.ArrowTypeError, OverflowError, TypeError, KeyError, ValueError) as error:
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
    own = types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)
    return kind if own else pa.string()


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
        # Records, so that whoever reads them finds one type.
        return [{"key": _for_json(key, kind.key_type), "value": item} for key, item in pairs]
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


def _array(values: Sequence[Any], plain: Any) -> Any:
    """What JSON has, as an array of a type; raises ``ValueError`` where it is something else."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    types, mask = pa.types, _absent(values)
    if types.is_struct(plain):
        return _records(values, plain)
    if not types.is_nested(plain):
        return _leaves(values, plain)
    if types.is_map(plain):
        values = [list(cast("Any", v).items()) if isinstance(v, dict) else v for v in values]
    _check(values, {list}, plain)
    if types.is_fixed_size_list(plain):
        size = plain.list_size
        if any(v is not None and len(v) != size for v in values):
            raise ValueError(f"one of the lists has not {size} members")
        inner = _array([m for v in values for m in (v or [None] * size)], plain.value_type)
        return pa.FixedSizeListArray.from_arrays(inner, type=plain, mask=mask)
    lengths = np.fromiter((len(v or ()) for v in values), np.int64, len(values))
    members = list(itertools.chain.from_iterable(v for v in values if v))
    inner = _entries(members, plain) if types.is_map(plain) else _array(members, plain.value_type)
    return make_lists(inner, lengths, plain, mask)


def _entries(entries: Sequence[Any], plain: Any) -> Any:
    """Entries of maps, as records or as pairs."""
    import pyarrow as pa  # noqa: PLC0415

    pairs = [(e["key"], e["value"]) if isinstance(e, dict) and len(e) == 2 else e for e in entries]
    if any(not isinstance(p, (list, tuple)) or len(p) != 2 or p[0] is None for p in pairs):
        raise ValueError("an entry of a map is a key and a value")
    keys, items = (list(part) for part in zip(*pairs, strict=True)) if pairs else ([], [])
    cells = [_array(keys, plain.key_type), _array(items, plain.item_type)]
    return pa.StructArray.from_arrays(cells, fields=list(entry_type(plain)))


def _records(values: Sequence[Any], plain: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    _check(values, {dict}, plain)
    fields = [plain.field(at) for at in range(plain.num_fields)]
    names = {field.name for field in fields}
    if any(v is not None and not v.keys() <= names for v in values):
        raise ValueError(f"one of the records has another field than {', '.join(names)}")
    cells = [_array([None if v is None else v.get(f.name) for v in values], f.type) for f in fields]
    return pa.StructArray.from_arrays(cells, fields=fields, mask=_absent(values))


def _leaves(values: Sequence[Any], plain: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    if types.is_floating(plain):
        values = [NOT_FINITE.get(v, v) if type(v) is str else v for v in values]
    wanted = {bool} if types.is_boolean(plain) else {str} if types.is_string(plain) else {int, float}
    _check(values, wanted, plain)
    if types.is_floating(plain):
        return cast_exactly(pa.array(values, pa.float64()), plain)
    if types.is_integer(plain):
        # Arrow would cut a fraction off.
        values = [_whole(v) if type(v) is float else v for v in values]
    return pa.array(values, plain)


def _whole(number: float) -> int:
    if not number.is_integer():
        raise ValueError(f"{number} is no whole number")
    return int(number)


def _check(values: Sequence[Any], kinds: set[type], plain: Any) -> None:
    others = set(map(type, values)) - kinds - {type(None)}
    if others:
        raise ValueError(f"{others.pop().__name__} is not {plain}")


def _absent(values: Sequence[Any]) -> Any:
    """Which values are missing, as a mask for Arrow; None where none is."""
    import pyarrow as pa  # noqa: PLC0415

    absent = [v is None for v in values]
    return pa.array(absent, pa.bool_()) if any(absent) else None
