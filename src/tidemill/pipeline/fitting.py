"""One value as an annotation wants it: of Python as it is, of JSON and of typed text read."""

import collections.abc
import datetime as dt
import decimal
import enum
import os
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from tidemill.core.errors import TidemillError
from tidemill.core.given import out_of_range, tree_of
from tidemill.core.names import Reference
from tidemill.pipeline import spelling
from tidemill.pipeline.dataset import Dataset, dataset
from tidemill.pipeline.model import Model, model
from tidemill.pipeline.outcome import RunOutcome
from tidemill.pipeline.parameters import EMPTY
from tidemill.pipeline.secret import Secret

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_NOTHING = {"none", "null"}

_MARKS = (typing.Annotated, typing.Final, typing.Required, typing.NotRequired)

Source = Literal["python", "json", "text"]
"""Where a value comes from: Python, JSON, or what somebody typed."""


class Unfit(Exception):
    """The value does not fit the annotation; the text says why, where the annotation alone does not."""


def fitted(value: Any, annotation: Any, source: Source) -> Any:
    """``value`` as ``annotation`` wants it.

    Raises:
        Unfit: It does not fit.
    """
    if source == "json" and isinstance(value, dict) and not is_outcome(annotation):
        members = cast("dict[str, Any]", value)
        if spelling.kind_of(members) is not None:
            return fitted(_unspelled(members), annotation, "python")
    if is_outcome(annotation) and value is not None:
        return _to_outcome(value)
    annotation = plain_annotation(annotation)
    if annotation in (EMPTY, Any, object) or isinstance(annotation, (str, typing.TypeVar)):
        return _unspelled(value) if source == "json" else value
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _of_union(value, arguments, source)
    if origin is typing.Literal:
        return _of_choices(value, arguments, source)
    kind = origin or annotation
    if kind in _SCALARS:
        return _SCALARS[kind](value, source)
    if typing.is_typeddict(kind):
        return _of_typed_dict(value, kind, source)
    if kind in _CONTAINERS:
        return _of_container(value, kind, arguments, source)
    if isinstance(kind, enum.EnumType) and source != "python":
        return _member(value, kind)
    return _instance(value, kind, source)


def plain_annotation(annotation: Any) -> Any:
    """What stands behind an alias, a ``NewType``, ``Annotated``, ``Final`` and what marks a ``TypedDict``'s members."""
    while True:
        if typing.get_origin(annotation) in _MARKS:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _unspelled(tree: Any) -> Any:
    try:
        return spelling.unspell(tree)
    except ValueError:
        raise Unfit from None


def _instance(value: Any, kind: Any, source: Source) -> Any:
    value = _unspelled(value) if source == "json" else value
    try:
        fits = not isinstance(kind, type) or isinstance(value, kind)
    except TypeError:
        # A protocol that cannot be asked: what it wants is seen when it is called.
        return value
    if not fits:
        raise Unfit
    return value


def _of_union(value: Any, arguments: tuple[Any, ...], source: Source) -> Any:
    if type(None) in arguments and (value is None or (source == "text" and value in _NOTHING)):
        return None
    others = [plain_annotation(a) for a in arguments if a is not type(None)]
    exact = [a for a in others if isinstance(a, type) and type(value) is a] if source != "text" else []
    order = exact + sorted(others, key=_last_of if source == "text" else lambda a: a is str)
    reasons: list[Any] = []
    for argument in order:
        try:
            return fitted(value, argument, source)
        except Unfit as error:
            reasons += error.args
    raise Unfit(*reasons[:1])


def _last_of(annotation: Any) -> int:
    """The place of a member of a union for what was typed.

    Digits are a whole number, as they are in Python and JSON, though a bool and others read them too. Text is the
    last resort: everything fits it.
    """
    return 0 if annotation is int else 2 if annotation is str else 1


def _of_choices(value: Any, choices: tuple[Any, ...], source: Source) -> Any:
    # What is typed for 1 is 1, where True is a choice too.
    for choice in sorted(choices, key=lambda c: type(c) is bool) if source == "text" else choices:
        try:
            found = value if source == "python" else fitted(value, type(choice), source)
        except Unfit:
            continue
        if type(found) is type(choice) and found == choice:
            return choice
    raise Unfit


def _of_container(value: Any, kind: Any, arguments: tuple[Any, ...], source: Source) -> Any:
    mapping = kind in _MAPPINGS
    if source == "text":
        value, source = _parsed(value, mapping=mapping)
    _check_plain(value)
    if mapping:
        if not isinstance(value, Mapping):
            raise Unfit
        names, members = arguments if len(arguments) == 2 else (Any, Any)
        pairs = cast("Mapping[Any, Any]", value).items()
        read = {_name(k, names, source): fitted(v, members, source) for k, v in pairs}
        if len(read) != len(pairs):
            # Two names that are one key: nothing is dropped in silence.
            raise Unfit
        return read
    wanted, taken = _CONTAINERS[kind]
    if not isinstance(value, taken if source == "python" else (list, tuple, set, frozenset)):
        raise Unfit
    found = cast("Sequence[Any]", value)
    if kind is tuple and arguments and Ellipsis not in arguments:
        wants = () if arguments == ((),) else arguments
        if len(wants) != len(found):
            raise Unfit
        return tuple(fitted(v, a, source) for v, a in zip(found, wants, strict=True))
    inner = arguments[0] if arguments else Any
    made = [fitted(v, inner, source) for v in found]
    try:
        made = (wanted or _plain_type(value))(made)
    except TypeError:
        raise Unfit from None
    if isinstance(made, (set, frozenset)) and len(made) != len(found):
        # Two of a list are one in a set.
        raise Unfit
    return made


def _of_typed_dict(value: Any, kind: Any, source: Source) -> dict[str, Any]:
    """Each member by its own annotation; of the names, all that are required and none that is unknown."""
    if source == "text":
        value, source = _parsed(value, mapping=True)
    _check_plain(value)
    if not isinstance(value, dict):
        raise Unfit
    given = cast("dict[Any, Any]", value)
    members = _members(kind)
    for name in given:
        if name not in members:
            raise Unfit(f"{kind.__name__} has no {name!r}: it has {', '.join(members)}")
    for name, (_, is_required) in members.items():
        if is_required and name not in given:
            raise Unfit(f"{kind.__name__} needs {name!r}")
    read: dict[str, Any] = {}
    for name, member in given.items():
        try:
            read[name] = fitted(member, members[name][0], source)
        except Unfit as error:
            raise Unfit(*error.args or (f"{name!r} does not fit",)) from None
    return read


def _members(kind: Any) -> dict[str, tuple[Any, bool]]:
    """What a ``TypedDict`` has: the annotation of each name, and whether it is required."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001 - it names what is imported for type checkers only
        hints = {
            name: hint.__forward_arg__ if isinstance(hint, typing.ForwardRef) else hint
            for name, hint in kind.__annotations__.items()
        }
    # Where annotations are text, __required_keys__ does not see the marks.
    marks: dict[Any, bool] = {typing.Required: True, typing.NotRequired: False}
    return {
        name: (hint, marks.get(typing.get_origin(hint), name in kind.__required_keys__))
        for name, hint in hints.items()
    }


def _check_plain(value: Any) -> None:
    """Refuse what would arrive as a plain container in silence: a ``Counter``, a named tuple, a list of one's own."""
    for kind in (dict, list, tuple, set, frozenset):
        if isinstance(value, kind) and type(value) is not kind:
            raise Unfit(
                f"it is a {type(value).__name__}, which would arrive as a plain {kind.__name__}: "
                f"give {kind.__name__}(...) of it"
            )


def _plain_type(value: Any) -> Any:
    return next(kind for kind in (list, tuple, set, frozenset) if isinstance(value, kind))


def _name(name: Any, annotation: Any, source: Source) -> Any:
    """A dict's key. JSON has text alone for keys: there it is read as if it was typed."""
    if source == "json" and isinstance(name, str):
        found = name if annotation in (EMPTY, Any, str) else fitted(name, annotation, "text")
        if not isinstance(found, collections.abc.Hashable):
            raise Unfit
        return found
    return fitted(name, annotation, source)


def _parsed(text: str, *, mapping: bool) -> tuple[Any, Source]:
    """Typed text as a container: JSON, or members with commas between."""
    if text.lstrip().startswith(("[", "{")):
        try:
            return tree_of(text), "json"
        except (ValueError, RecursionError) as error:
            raise Unfit(str(error)) from None
    if mapping:
        raise Unfit
    return [part.strip() for part in text.split(",")] if text.strip() else [], "text"


def _member(value: Any, kind: Any) -> Any:
    """An enum's member by its name, else by its value."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and value in kind.__members__:
        return kind[value]
    for member in kind:
        held = member.value
        if type(held) is type(value) and held == value:
            return member
        if isinstance(value, str) and type(held) in (int, float) and str(held) == value:
            return member
    raise Unfit


def _to_int(value: Any, source: Source) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if source == "text":
        return _made(int, value)
    raise Unfit


def _to_float(value: Any, source: Source) -> float:
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        made = _made(float, value)
        if int(made) != value:
            raise Unfit(f"the nearest float is {int(made)}")
        return made
    if source == "text" and isinstance(value, str):
        return _from_typed(value)
    raise Unfit


def _from_typed(text: str) -> float:
    """A float of what was typed; infinity where it is asked for by name."""
    made = _made(float, text)
    _check_range(text, made)
    try:
        whole = int(text)
    except ValueError:
        return made
    if int(made) != whole:
        raise Unfit(f"the nearest float is {int(made)}")
    return made


def _complex(text: str) -> complex:
    made = complex(text)
    _check_range(text, made)
    return made


def _check_range(text: str, number: complex) -> None:
    if lost := out_of_range(text, number):
        raise Unfit(lost)


def _to_bool(value: Any, source: Source) -> bool:
    if isinstance(value, bool):
        return value
    if source == "text" and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise Unfit


def _to_str(value: Any, source: Source) -> str | Secret:
    del source
    # The step's function gets the secret's text.
    if isinstance(value, (str, Secret)):
        return value
    raise Unfit


def _to_bytes(value: Any, source: Source) -> bytes:
    if isinstance(value, bytes):
        return value
    if source != "python" and isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    raise Unfit


def _to_path(value: Any, source: Source) -> Path:
    del source
    if isinstance(value, (str, os.PathLike)) and not isinstance(value, bytes):
        return _made(Path, value)
    raise Unfit


def _to_none(value: Any, source: Source) -> None:
    if value is not None and not (source == "text" and value in _NOTHING):
        raise Unfit


def _from_text(kind: Any, read: Callable[[str], Any]) -> Callable[[Any, Source], Any]:
    def converted(value: Any, source: Source) -> Any:
        if isinstance(value, kind):
            return value
        if source != "python" and isinstance(value, str):
            return _made(read, value)
        raise Unfit

    return converted


def _to_secret(value: Any, source: Source) -> Secret:
    del source
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return _made(Secret.parse, value)
    raise Unfit


def _to_dataset(value: Any, source: Source) -> Dataset:
    del source
    if isinstance(value, Dataset):
        return value
    if isinstance(value, Reference):
        return Dataset(value)
    if isinstance(value, str):
        return dataset(value)
    raise Unfit


def _to_model(value: Any, source: Source) -> Model:
    del source
    if isinstance(value, Model):
        return value
    if isinstance(value, str):
        return model(value)
    raise Unfit


def _made(kind: Any, value: Any) -> Any:
    try:
        return kind(value)
    except TidemillError:
        raise
    except (ValueError, OverflowError, TypeError, ArithmeticError):
        raise Unfit from None


def _to_outcome(value: Any) -> RunOutcome:
    if isinstance(value, RunOutcome):
        return value
    if isinstance(value, dict):
        return RunOutcome(**cast("dict[str, Any]", value))
    raise Unfit


def is_outcome(annotation: Any) -> bool:
    """Whether a parameter asks for what became of the run."""
    if isinstance(annotation, str):
        return any(part.strip().rpartition(".")[2] == RunOutcome.__name__ for part in annotation.split("|"))
    return annotation is RunOutcome or RunOutcome in typing.get_args(annotation)


_SCALARS: dict[Any, Callable[[Any, Source], Any]] = {
    int: _to_int,
    float: _to_float,
    bool: _to_bool,
    str: _to_str,
    bytes: _to_bytes,
    Path: _to_path,
    dt.datetime: _from_text(dt.datetime, dt.datetime.fromisoformat),
    dt.date: _from_text(dt.date, dt.date.fromisoformat),
    dt.time: _from_text(dt.time, dt.time.fromisoformat),
    decimal.Decimal: _from_text(decimal.Decimal, decimal.Decimal),
    uuid.UUID: _from_text(uuid.UUID, uuid.UUID),
    complex: _from_text(complex, _complex),
    Secret: _to_secret,
    Dataset: _to_dataset,
    Model: _to_model,
    type(None): _to_none,
    None: _to_none,
}
_MAPPINGS = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})
_LISTS, _SETS = (list, tuple), (set, frozenset)
_CONTAINERS: dict[Any, tuple[Any, tuple[type, ...]]] = {
    list: (list, _LISTS),
    tuple: (tuple, _LISTS),
    set: (set, _SETS),
    frozenset: (frozenset, _SETS),
    collections.abc.MutableSequence: (list, _LISTS),
    collections.abc.Sequence: (None, _LISTS),
    collections.abc.Set: (None, _SETS),
    collections.abc.Collection: (None, (*_LISTS, *_SETS)),
    collections.abc.Iterable: (None, (*_LISTS, *_SETS)),
    **dict.fromkeys(_MAPPINGS, (dict, (dict,))),
}
"""What an annotation of a container makes (None: what was given), and of what."""
