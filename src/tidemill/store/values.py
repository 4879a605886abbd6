"""Python values as JSON that says their types: what is read back equals what was written, in value and in type.

Plain values (None, bool, int, float, str, lists of them, dicts with text keys) are spelled as JSON spells them. Any
other is an object of one member whose name begins with ``$``. Types are compared exactly: a member of an enumeration
is not the number that it is also an instance of. Nothing is imported or called by name when a value is read, so
classes of a project (enumerations, dataclasses, named tuples) have no spelling: whoever reads needs no code.
"""

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import json
import math
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, cast

from tidemill.core.names import is_text

_FACTORIES: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "list": list,
    "dict": dict,
    "set": set,
    "": None,
}
_LONGEST_DIGITS = 4000
"""Python refuses to read longer decimal numbers; those are spelled in hexadecimal."""


class NoSpelling(Exception):
    """A value has no spelling.

    Attributes:
        path: Where in the whole it is, as Python would reach it: ``['a'][0]``.
        value: The part that has none.
        hint: What to do instead.
        is_nan: Whether it is a number that is not finite.
    """

    def __init__(self, path: str, value: object, hint: str, *, is_nan: bool = False) -> None:
        super().__init__(path)
        self.path = path
        self.value = value
        self.hint = hint
        self.is_nan = is_nan


def encode(value: Any) -> Any:
    """The JSON tree of a value.

    Raises:
        NoSpelling: For what cannot be read back as it is; NaN and infinity among them.
    """
    try:
        return _encode(value, "")
    except RecursionError:
        raise NoSpelling("", value, "Return something that does not hold itself.") from None


def decode(tree: Any) -> Any:
    """The value that ``encode`` was given; every list and dict in it is a new one."""
    return _decode(tree, _exact)


def plain(tree: Any) -> Any:
    """The nearest that JSON has: tuples and sets as lists, NumPy's numbers as numbers, anything else as text."""
    return _decode(tree, _nearest)


def is_plain(tree: Any) -> bool:
    """Whether a tree is its value, spelled as JSON alone."""
    if isinstance(tree, list):
        return all(map(is_plain, cast("list[Any]", tree)))
    if isinstance(tree, dict):
        return not _tag(cast("dict[str, Any]", tree)) and all(
            map(is_plain, cast("dict[str, Any]", tree).values())
        )
    return True


def way_out(value: object) -> str:
    """What to return instead of a value that cannot be kept."""
    kind = type(value)
    home, name = kind.__module__.partition(".")[0], kind.__qualname__
    if isinstance(value, enum.Enum):
        return "Return its .value or its .name."
    if dataclasses.is_dataclass(value):
        return "Return dataclasses.asdict(...) of it."
    if isinstance(value, tuple):
        return "Return tuple(...) of it, or ._asdict() with the names."
    if isinstance(value, PurePath):
        return "Return the path by itself, so that its file is kept; or str(path), for its text."
    if home in ("pandas", "polars") and name.endswith(("Series", "Index")):
        return "Return .to_frame() of it."
    if home == "polars" and name == "LazyFrame":
        return "Return .collect() of it."
    if home == "numpy" and name == "MaskedArray":
        return "Return {'data': array.data, 'mask': array.mask}."
    for base in (bool, int, float, str, bytes, dict, list, set, frozenset):
        if isinstance(value, base):
            return f"Return {base.__name__}(...) of it."
    return (
        "Return a number, text, list or dict of such, an array, a table or a model; or write it to a file in "
        "tm.scratch() and return its path."
    )


def _encode(value: Any, path: str) -> Any:
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if _is_short(value) else {"$int": hex(value)}
    if kind is str:
        return value if is_text(value) else {"$text": _base64(value.encode("utf-8", "surrogatepass"))}
    if kind is float:
        return _finite(value, value, path)
    if kind is list:
        return [_encode(v, f"{path}[{i}]") for i, v in enumerate(cast("list[Any]", value))]
    if kind is dict:
        pairs = cast("dict[Any, Any]", value)
        if all(type(k) is str and not k.startswith("$") and is_text(k) for k in pairs):
            return {k: _encode(v, f"{path}[{k!r}]") for k, v in pairs.items()}
        return {"$dict": _pairs(pairs, path)}
    spelled = _SPELLINGS.get(kind)
    if spelled is not None:
        name, spell = spelled
        return {f"${name}": spell(value, path)}
    home = kind.__module__.partition(".")[0]
    if home == "numpy":
        return {"$numpy": _numpy(value, path)}
    if home == "pandas":
        return {"$pandas": _pandas(value, path)}
    raise NoSpelling(path, value, way_out(value))


def _pairs(value: dict[Any, Any], path: str) -> list[list[Any]]:
    return [[_encode(k, f"{path} key"), _encode(v, f"{path}[{k!r}]")] for k, v in value.items()]


def _members(value: "tuple[Any, ...]", path: str) -> list[Any]:
    return [_encode(v, f"{path}[{i}]") for i, v in enumerate(value)]


def _unordered(value: "set[Any]", path: str) -> list[Any]:
    # A set has no order of its own; equal sets must have one spelling.
    return sorted((_encode(v, f"{path} member") for v in value), key=json.dumps)


def _defaultdict(value: "defaultdict[Any, Any]", path: str) -> list[Any]:
    for name, factory in _FACTORIES.items():
        if value.default_factory is factory:
            return [name, _pairs(value, path)]
    raise NoSpelling(path, value, "Return dict(...) of it.")


def _decimal(value: decimal.Decimal, path: str) -> str:
    return _finite(str(value), value, path)


def _complex(value: complex, path: str) -> list[str]:
    _finite(None, value.real, path)
    _finite(None, value.imag, path)
    return [value.real.hex(), value.imag.hex()]


def _datetime(value: dt.datetime, path: str) -> list[Any]:
    return [value.replace(tzinfo=None).isoformat(), value.fold, _zone(value.tzinfo, path)]


def _time(value: dt.time, path: str) -> list[Any]:
    return [value.replace(tzinfo=None).isoformat(), value.fold, _zone(value.tzinfo, path)]


def _zone(zone: dt.tzinfo | None, path: str) -> Any:
    if zone is None:
        return None
    if type(zone) is dt.timezone:
        offset = zone.utcoffset(None)
        named = dt.timezone(offset) != zone or repr(zone) not in (
            repr(dt.timezone(offset)),
            "datetime.timezone.utc",
        )
        if not named:
            return [offset.days, offset.seconds, offset.microseconds]
    if type(zone) is zoneinfo.ZoneInfo and zone.key:
        return zone.key
    raise NoSpelling(path, zone, "Return it with datetime.timezone.utc or a zoneinfo.ZoneInfo.")


def _unzoned(spelled: Any) -> dt.tzinfo | None:
    if spelled is None:
        return None
    if isinstance(spelled, str):
        return zoneinfo.ZoneInfo(spelled)
    offset = dt.timedelta(*spelled)
    return dt.UTC if not offset else dt.timezone(offset)


def _timedelta(value: dt.timedelta, _: str) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


_SPELLINGS: dict[type, tuple[str, Callable[[Any, str], Any]]] = {
    tuple: ("tuple", _members),
    set: ("set", _unordered),
    frozenset: ("frozenset", _unordered),
    bytes: ("bytes", lambda value, _: _base64(value)),
    bytearray: ("bytearray", lambda value, _: _base64(value)),
    complex: ("complex", _complex),
    decimal.Decimal: ("decimal", _decimal),
    fractions.Fraction: ("fraction", lambda value, _: [hex(value.numerator), hex(value.denominator)]),
    uuid.UUID: ("uuid", lambda value, _: str(value)),
    dt.date: ("date", lambda value, _: value.isoformat()),
    dt.datetime: ("datetime", _datetime),
    dt.time: ("time", _time),
    dt.timedelta: ("timedelta", _timedelta),
    OrderedDict: ("ordereddict", _pairs),
    Counter: ("counter", _pairs),
    defaultdict: ("defaultdict", _defaultdict),
}


def _decode(tree: Any, build: "Callable[[str, Any], Any]") -> Any:
    if isinstance(tree, list):
        return [_decode(t, build) for t in cast("list[Any]", tree)]
    if not isinstance(tree, dict):
        return tree
    members = cast("dict[str, Any]", tree)
    name = _tag(members)
    return build(name, members[f"${name}"]) if name else {k: _decode(v, build) for k, v in members.items()}


def _tag(tree: dict[str, Any]) -> str:
    """The name of a spelling of one member; empty for a plain dict."""
    name = next(iter(tree), "") if len(tree) == 1 else ""
    return name[1:] if name.startswith("$") else ""


def _exact(name: str, body: Any) -> Any:
    match name:
        case "int":
            return int(body, 16)
        case "text":
            return base64.b64decode(body).decode("utf-8", "surrogatepass")
        case "tuple" | "set" | "frozenset":
            return {"tuple": tuple, "set": set, "frozenset": frozenset}[name](
                _decode(t, _exact) for t in body
            )
        case "dict" | "ordereddict" | "counter":
            made: Any = {"dict": dict, "ordereddict": OrderedDict, "counter": Counter}[name]()
            made.update(_unpaired(body))
            return made
        case "defaultdict":
            return defaultdict(_FACTORIES[body[0]], _unpaired(body[1]))
        case "bytes" | "bytearray":
            return {"bytes": bytes, "bytearray": bytearray}[name](base64.b64decode(body))
        case "complex":
            return complex(*map(float.fromhex, body))
        case "fraction":
            return fractions.Fraction(int(body[0], 16), int(body[1], 16))
        case "numpy":
            return _from_numpy(*body)
        case "pandas":
            return _from_pandas(*body)
        case _:
            return _of_text(name, body)


def _of_text(name: str, body: Any) -> Any:
    match name:
        case "decimal":
            return decimal.Decimal(body)
        case "uuid":
            return uuid.UUID(body)
        case "date":
            return dt.date.fromisoformat(body)
        case "datetime":
            moment = dt.datetime.fromisoformat(body[0])
            return moment.replace(fold=body[1], tzinfo=_unzoned(body[2]))
        case "time":
            return dt.time.fromisoformat(body[0]).replace(fold=body[1], tzinfo=_unzoned(body[2]))
        case "timedelta":
            return dt.timedelta(*body)
        case _:
            raise ValueError(f"there is no kind of value ${name}")


def _unpaired(body: list[Any]) -> dict[Any, Any]:
    return {_decode(k, _exact): _decode(v, _exact) for k, v in body}


def _nearest(name: str, body: Any) -> Any:
    if name in ("tuple", "set", "frozenset"):
        return [_decode(t, _nearest) for t in body]
    if name in ("dict", "ordereddict", "counter", "defaultdict"):
        pairs = body[1] if name == "defaultdict" else body
        return {_as_key(_decode(k, _nearest)): _decode(v, _nearest) for k, v in pairs}
    if name == "numpy" and body[0][1:2] in tuple("biufU"):
        return body[1]
    if name == "numpy" and body[0] == "g":
        return float(body[1])
    return body if name == "int" else str(_exact(name, body))


def _as_key(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(key)


def _numpy(value: Any, path: str) -> list[Any]:
    """A NumPy scalar: its type, and its value in the least that says it exactly."""
    import numpy as np  # noqa: PLC0415

    if not isinstance(value, np.generic):
        raise NoSpelling(path, value, way_out(value))
    spelled, letter = value.dtype.str, value.dtype.kind
    if type(value) in (np.longdouble, np.clongdouble):
        # Wider than a float, and of another width on another machine: spelled in digits.
        parts = [value] if type(value) is np.longdouble else [value.real, value.imag]
        for part in parts:
            _finite(None, part, path)
        digits = [np.format_float_scientific(part, unique=True) for part in parts]
        return ["g", digits[0]] if len(digits) == 1 else ["G", digits]
    if letter == "f":
        _finite(None, value, path)
    if letter in "biuf" or (letter == "U" and is_text(str(value))):
        return [spelled, value.item()]
    if letter in "Mm":
        return [spelled, int(value.view(np.int64))]
    if letter in "cS":
        return [spelled, _base64(value.tobytes())]
    raise NoSpelling(path, value, "Return .item() of it.")


def _from_numpy(kind: str, body: Any) -> Any:
    import numpy as np  # noqa: PLC0415

    if kind == "g":
        return np.longdouble(body)
    if kind == "G":
        made = np.zeros((), np.clongdouble)
        made.real, made.imag = np.longdouble(body[0]), np.longdouble(body[1])
        return made[()]
    dtype = np.dtype(kind)
    if dtype.kind in "Mm":
        return np.int64(body).view(dtype)
    if dtype.kind in "cS":
        return np.frombuffer(base64.b64decode(body), dtype)[0]
    return dtype.type(body)


def _pandas(value: Any, path: str) -> list[Any]:
    """A scalar of pandas that has no equal in Python."""
    import pandas as pd  # noqa: PLC0415

    if value is pd.NA or value is pd.NaT:
        return ["NA" if value is pd.NA else "NaT"]
    kind = type(value)
    if kind is pd.Timestamp:
        zone = value.tzinfo
        spelled = zone if zone is None or isinstance(zone, (dt.timezone, zoneinfo.ZoneInfo)) else ...
        if spelled is ...:
            raise NoSpelling(path, value, "Return it in UTC: .tz_convert('UTC').")
        return ["Timestamp", int(value.asm8.astype("int64")), value.unit, value.fold, _zone(zone, path)]
    if kind is pd.Timedelta:
        return ["Timedelta", int(value.asm8.astype("int64")), value.unit]
    if kind is pd.Period:
        return ["Period", value.ordinal, value.freqstr]
    if kind is pd.Interval:
        ends = [_encode(value.left, f"{path}.left"), _encode(value.right, f"{path}.right")]
        return ["Interval", *ends, value.closed]
    raise NoSpelling(path, value, way_out(value))


def _from_pandas(name: str, *body: Any) -> Any:
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    match name:
        case "NA":
            return pd.NA
        case "NaT":
            return pd.NaT
        case "Timestamp":
            count, unit, fold, zone = body
            moment = pd.Timestamp(np.int64(count).view(f"M8[{unit}]"))
            if zone is None:
                return moment.replace(fold=fold) if fold else moment
            return moment.tz_localize("UTC").tz_convert(_unzoned(zone))
        case "Timedelta":
            return pd.Timedelta(np.int64(body[0]).view(f"m8[{body[1]}]"))
        case "Period":
            return pd.Period(ordinal=body[0], freq=body[1])
        case _:
            return pd.Interval(_decode(body[0], _exact), _decode(body[1], _exact), closed=body[2])


def _finite(spelled: Any, value: Any, path: str) -> Any:
    if not math.isfinite(value):
        raise NoSpelling(path, value, "", is_nan=True)
    return spelled


def _is_short(value: int) -> bool:
    return value.bit_length() < 3 * _LONGEST_DIGITS


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
