"""How JSON spells a setting: for keys, records and orders. What JSON does not have is an object ``{"$kind": ...}``.

``spell`` and ``unspell`` are inverse, type and value. They know no annotation: ``values`` leaves the kind out where
the annotation says it. A secret stays a reference; ``secret.spelled`` writes it.
"""

import base64
import datetime as dt
import decimal
import enum
import functools
import importlib
import json
import math
import operator
import sys
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from tidemill.pipeline.dataset import Dataset, dataset
from tidemill.pipeline.model import Model, model
from tidemill.pipeline.secret import Secret, read_spelling, spelled

_NUMPY = "$numpy"
_NUMPY_KINDS = "biufcmM"
_WIDEST_BYTES = {"f": 8, "c": 16}
"""What is wider has bytes that say nothing."""


_WIDEST_INT_BITS = 13_288
"""4,000 digits: Python neither writes nor reads many more as text."""


class NoSpelling(Exception):
    """JSON cannot spell the value.

    Attributes:
        value: What cannot be spelled, which may lie deep inside.
    """

    def __init__(self, value: object) -> None:
        super().__init__(type(value).__qualname__)
        self.value = value


def spell(value: Any) -> Any:
    """``value`` as JSON and secrets. The same value gives the same tree, in every process.

    Raises:
        NoSpelling: It holds something else than None, bool, int, float, str, bytes, paths, dates and times, decimals,
            UUIDs, enum members, NumPy scalars, references, and lists, tuples, sets and dicts of these.
    """
    try:
        return _spell(value)
    except RecursionError:
        raise NoSpelling(value) from None


def _spell(value: Any) -> Any:
    kind = type(value)
    if kind is int and value.bit_length() > _WIDEST_INT_BITS:
        raise NoSpelling(value)
    if value is None or kind in (bool, int, float, str, Secret):
        return value
    if kind is list:
        return [_spell(v) for v in value]
    if kind is dict:
        if all(type(name) is str and not name.startswith("$") for name in value):
            return {name: _spell(v) for name, v in value.items()}
        return {"$dict": [[_spell(name), _spell(v)] for name, v in value.items()]}
    if (named := _BY_TYPE.get(kind)) is not None:
        return {named: _KINDS[named][0](value)}
    if isinstance(value, enum.Enum):
        return {"$enum": _spell_member(value)}
    if kind is type(Path()):
        return {"$path": str(value)}
    if kind.__module__ == "numpy" and _is_scalar(value):
        return {_NUMPY: _spell_scalar(value)}
    raise NoSpelling(value)


def unspell(tree: Any) -> Any:
    """The value that ``spell`` wrote; lists and objects of any JSON.

    Raises:
        ValueError: A member whose name begins with ``$`` is of no known kind, or says something else.
    """
    if isinstance(tree, list):
        return [unspell(v) for v in cast("list[Any]", tree)]
    if not isinstance(tree, dict):
        return tree
    members = cast("dict[str, Any]", tree)
    if (named := kind_of(members)) is None:
        if any(name.startswith("$") for name in members):
            raise ValueError("a member whose name begins with '$' stands for a kind of value")
        return {name: unspell(v) for name, v in members.items()}
    try:
        if named == "$dict":
            return {unspell(name): unspell(v) for name, v in members[named]}
        if named == "$secret":
            return read_spelling(members)
        return _KINDS[named][1](members[named])
    except (KeyError, TypeError, ArithmeticError, AttributeError) as error:
        # A body of another shape; "$object" is what no record holds.
        raise ValueError(f"{named} says something else: {error}") from error


def kind_of(tree: Mapping[str, Any]) -> str | None:
    """The kind of value that an object spells; None where it is an object of its own."""
    if len(tree) != 1:
        return None
    (name,) = tree
    return name if name in _KINDS or name in ("$dict", "$secret", "$object") else None


def without_kinds(tree: Any) -> Any:
    """``tree`` with the bodies alone, as a person would write them.

    Raises:
        ValueError: JSON cannot say it so.
    """
    if isinstance(tree, list):
        return [without_kinds(v) for v in cast("list[Any]", tree)]
    if not isinstance(tree, dict):
        return tree
    members = cast("dict[str, Any]", tree)
    named = kind_of(members)
    if named is None:
        return {name: without_kinds(v) for name, v in members.items()}
    if named in ("$tuple", "$set", "$frozenset", "$path", "$date", "$datetime", "$time", "$decimal", "$uuid"):
        return without_kinds(members[named])
    if named in ("$dataset", "$model"):
        return members[named]
    if named == "$enum":
        _, _, name, held = members[named]
        # A member that is a number or a text of its own type stands for it.
        return held if isinstance(_member(members[named]), (int, str)) else name
    raise ValueError(f"{named} has no form of its own")


def written(tree: Any) -> Any:
    """A tree as a record has it: each secret as JSON spells it, and the numbers that JSON lacks."""
    return _without_odd_numbers(spelled(tree))


def _without_odd_numbers(tree: Any) -> Any:
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"$float": str(tree)}
    if isinstance(tree, list):
        return [_without_odd_numbers(v) for v in cast("list[Any]", tree)]
    if isinstance(tree, dict):
        return {name: _without_odd_numbers(v) for name, v in cast("dict[str, Any]", tree).items()}
    return tree


def reference_in(tree: Any) -> str | None:
    """The text of a parameter's value that may name a dataset, as a run's record has it; None where it cannot."""
    if isinstance(tree, dict) and set(tree) == {"$dataset"}:
        tree = tree["$dataset"]
    return tree if isinstance(tree, str) else None


def has_kinds(tree: Any) -> bool:
    """Whether there is something in a tree that JSON alone does not have."""
    if isinstance(tree, list):
        return any(map(has_kinds, cast("list[Any]", tree)))
    if not isinstance(tree, dict):
        return isinstance(tree, Secret)
    members = cast("dict[str, Any]", tree)
    return kind_of(members) is not None or any(map(has_kinds, members.values()))


def readable(tree: Any) -> str:
    """A tree as a person would write the value in Python. Nothing is imported for it."""
    if isinstance(tree, list):
        return f"[{', '.join(map(readable, cast('list[Any]', tree)))}]"
    if not isinstance(tree, dict):
        return repr(tree)
    members = cast("dict[str, Any]", tree)
    named = kind_of(members)
    if named is None:
        return "{" + ", ".join(f"{name!r}: {readable(v)}" for name, v in members.items()) + "}"
    body = members[named]
    if named == "$dict":
        return "{" + ", ".join(f"{readable(name)}: {readable(v)}" for name, v in body) + "}"
    if named in ("$tuple", "$set", "$frozenset"):
        inner = ", ".join(map(readable, body)) + ("," if named == "$tuple" and len(body) == 1 else "")
        return f"({inner})" if named == "$tuple" else f"{named[1:]}([{inner}])"
    if named == "$enum":
        return f"{str(body[1]).rpartition('.')[2]}.{body[2]}"
    if named == "$object":
        return str(body)
    return f"{named[1:]}({body!r})"


def is_same(a: Any, b: Any) -> bool:
    """Whether two trees spell one value: 1 is not 1.0, nor True; NaN is NaN, and -0.0 is not 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(is_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_same(v, b[name]) for name, v in a.items())
    return repr(a) == repr(b) if isinstance(a, float) else bool(a == b)


# -- each kind


def _spell_set(value: Any) -> list[Any]:
    # Python's order of a set differs from process to process.
    return sorted((_spell(v) for v in value), key=lambda tree: json.dumps(tree, sort_keys=True, default=str))


def _spell_zone(moment: Any) -> list[Any]:
    plain = moment.replace(tzinfo=None, fold=0).isoformat()
    zone = moment.tzinfo
    if zone is None:
        said = None
    elif isinstance(zone, zoneinfo.ZoneInfo) and zone.key:
        said = zone.key
    elif isinstance(zone, dt.timezone) and zone.tzname(None) == dt.timezone(zone.utcoffset(None)).tzname(
        None
    ):
        said = zone.utcoffset(None).total_seconds()
    else:
        raise NoSpelling(moment)
    return [plain, said, moment.fold]


def _spell_moment(moment: Any) -> Any:
    plain, said, fold = _spell_zone(moment)
    return plain if said is None and not fold else [plain, said, fold]


def _moment(kind: Any) -> Callable[[Any], Any]:
    def read(body: Any) -> Any:
        if isinstance(body, str):
            return kind.fromisoformat(body)
        plain, said, fold = body
        zone = None
        if isinstance(said, str):
            zone = zoneinfo.ZoneInfo(said)
        elif said is not None:
            zone = dt.timezone(dt.timedelta(seconds=said))
        return kind.fromisoformat(plain).replace(tzinfo=zone, fold=fold)

    return read


def _spell_member(member: enum.Enum) -> list[Any]:
    kind = type(member)
    # A flag may have bits without a name.
    if not getattr(member, "_name_", None) or _found(kind.__module__, kind.__qualname__) is not kind:
        raise NoSpelling(member)
    # What it stands for belongs to it: a key that has the name alone would be the same after an edit.
    try:
        held = _spell(member.value)
    except NoSpelling:
        held = repr(member.value)
    return [kind.__module__, kind.__qualname__, member.name, held]


def _member(body: Any) -> Any:
    module, qualname, name, _ = body
    kind = _found(module, qualname)
    if not (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        raise ValueError(f"there is no enum {module}:{qualname}")  # noqa: TRY004 - text that is wrong, not a type
    try:
        return functools.reduce(operator.or_, (kind[part] for part in name.split("|")))
    except KeyError:
        raise ValueError(f"{qualname} has no member {name}") from None


def _found(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module)
    if found is None:
        try:
            found = importlib.import_module(module)
        except ImportError:
            return None
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _is_scalar(value: Any) -> bool:
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind is None or getattr(value, "ndim", 1) != 0 or type(value).__name__ == "ndarray":
        return False
    return kind in _NUMPY_KINDS and value.itemsize <= _WIDEST_BYTES.get(kind, 8)


def _spell_scalar(value: Any) -> list[str]:
    return [value.dtype.str, base64.b64encode(value.tobytes()).decode("ascii")]


def _scalar(body: Any) -> Any:
    import numpy as np  # noqa: PLC0415

    kind, data = body
    if np.dtype(kind).kind not in _NUMPY_KINDS:
        raise ValueError(f"there is no number of the kind {kind}")
    return np.frombuffer(base64.b64decode(data, validate=True), np.dtype(kind))[0]


_KINDS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "$tuple": (lambda v: [_spell(m) for m in v], lambda b: tuple(unspell(m) for m in b)),
    "$set": (_spell_set, lambda b: {unspell(m) for m in b}),
    "$frozenset": (_spell_set, lambda b: frozenset(unspell(m) for m in b)),
    "$bytes": (lambda v: base64.b64encode(v).decode("ascii"), lambda b: base64.b64decode(b, validate=True)),
    "$path": (str, Path),
    "$date": (lambda v: v.isoformat(), dt.date.fromisoformat),
    "$datetime": (_spell_moment, _moment(dt.datetime)),
    "$time": (_spell_moment, _moment(dt.time)),
    "$duration": (lambda v: [v.days, v.seconds, v.microseconds], lambda b: dt.timedelta(*b)),
    "$decimal": (str, decimal.Decimal),
    "$uuid": (str, uuid.UUID),
    "$float": (str, float),
    "$complex": (lambda v: [v.real, v.imag], lambda b: complex(*b)),
    "$dataset": (str, dataset),
    "$model": (str, model),
    "$enum": (_spell_member, _member),
    _NUMPY: (_spell_scalar, _scalar),
}
"""What spells a kind's body, and what reads it."""
_BY_TYPE: dict[type, str] = {
    tuple: "$tuple",
    set: "$set",
    frozenset: "$frozenset",
    bytes: "$bytes",
    dt.date: "$date",
    dt.datetime: "$datetime",
    dt.time: "$time",
    dt.timedelta: "$duration",
    decimal.Decimal: "$decimal",
    uuid.UUID: "$uuid",
    complex: "$complex",
    Dataset: "$dataset",
    Model: "$model",
}
