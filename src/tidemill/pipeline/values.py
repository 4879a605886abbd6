"""A setting's or parameter's value, as its annotation wants it.

A value from Python stays what it is, or is refused: only what was typed (``core.given``) is read. Whatever changes
its type loses nothing by it: a whole number where a float is wanted, a list where a tuple is, text that names a file,
a dataset, a model or a secret.
"""

import collections.abc
import datetime as dt
import decimal
import enum
import inspect
import json
import os
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from tidemill.core.errors import InvalidInput, TidemillError
from tidemill.core.given import Json, Text
from tidemill.core.names import Reference
from tidemill.pipeline import spelling
from tidemill.pipeline.annotations import shown
from tidemill.pipeline.dataset import Dataset, dataset
from tidemill.pipeline.handles import Handle, port_of
from tidemill.pipeline.model import Model, model
from tidemill.pipeline.outcome import RunOutcome
from tidemill.pipeline.secret import Secret

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_NOTHING = {"none", "null"}
_EMPTY = inspect.Parameter.empty

Source = Literal["python", "json", "text"]
"""Where a value comes from: Python, JSON, or what somebody typed."""


class _Unfit(Exception):
    """The value does not fit the annotation."""


def given(value: object, annotation: Any, default: object = _EMPTY) -> Any:
    """``value`` as ``annotation`` wants it; without an annotation, as the default's type wants it.

    Args:
        value: A value of Python; or ``Text`` or ``Json``, which are read.
        annotation: Of the parameter.
        default: Of the parameter; a secret there makes it a parameter for secrets.

    Raises:
        ValueError: It does not fit.
    """
    annotation = declared(annotation, default)
    try:
        if isinstance(value, Text):
            return _as(value.text, annotation, "text")
        if isinstance(value, Json):
            return _as(value.tree, annotation, "json")
        return _as(value, annotation, "python")
    except (_Unfit, RecursionError):
        raise ValueError("it does not fit") from None


def declared(annotation: Any, default: object = _EMPTY) -> Any:
    """What a parameter says of its values: its annotation; without one, its default's type."""
    if isinstance(default, Secret):
        return Secret
    if annotation is _EMPTY and default is not _EMPTY and default is not None:
        return type(default)
    return annotation


def read(tree: Any, annotation: Any) -> Any:
    """A setting as ``setting`` wrote it, with that annotation.

    Raises:
        ValueError: It does not fit.
    """
    return given(Json(tree), annotation)


def setting(value: Any, annotation: Any, before: Any = _EMPTY) -> Any:
    """A value as JSON spells it, with the kinds left out that the annotation says.

    Args:
        value: As ``given`` gave it.
        annotation: Of the parameter.
        before: As it was before that; the spelling of it is taken where it reads back as ``value``.

    Raises:
        spelling.NoSpelling: As ``spelling.spell``.
    """
    tree = spelling.spell(value)
    for candidate in (before, value):
        try:
            plain = spelling.without_kinds(spelling.spell(candidate))
            if spelling.is_same(spelling.spell(read(plain, annotation)), tree):
                return plain
        except (ValueError, spelling.NoSpelling):
            continue
    return tree


def recorded(value: Any, annotation: Any, default: object = _EMPTY) -> Any:
    """A parameter's value as a run's record has it: read again with the annotation, it is the same.

    What JSON cannot spell is ``{"$object": ...}``, which cannot be read again.
    """
    try:
        return spelling.written(setting(value, declared(annotation, default)))
    except spelling.NoSpelling:
        return {"$object": str(value)[:200]}


# -- one value


def _as(value: Any, annotation: Any, source: Source) -> Any:
    if source == "json" and isinstance(value, dict) and not is_outcome(annotation):
        members = cast("dict[str, Any]", value)
        if spelling.kind_of(members) is not None:
            return _as(_unspelled(members), annotation, "python")
    if is_outcome(annotation) and value is not None:
        return _to_outcome(value)
    annotation = _plain_annotation(annotation)
    if annotation in (_EMPTY, Any, object) or isinstance(annotation, (str, typing.TypeVar)):
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
        kind, arguments = dict, ()
    if kind in _CONTAINERS:
        return _of_container(value, kind, arguments, source)
    if isinstance(kind, enum.EnumType) and source != "python":
        return _member(value, kind)
    return _instance(value, kind, source)


def _plain_annotation(annotation: Any) -> Any:
    """What stands behind an alias, a ``NewType`` and ``Annotated``."""
    while True:
        if typing.get_origin(annotation) is typing.Annotated:
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
        raise _Unfit from None


def _instance(value: Any, kind: Any, source: Source) -> Any:
    value = _unspelled(value) if source == "json" else value
    try:
        fits = not isinstance(kind, type) or isinstance(value, kind)
    except TypeError:
        # A protocol that cannot be asked: what it wants is seen when it is called.
        return value
    if not fits:
        raise _Unfit
    return value


def _of_union(value: Any, arguments: tuple[Any, ...], source: Source) -> Any:
    if type(None) in arguments and (value is None or (source == "text" and value in _NOTHING)):
        return None
    others = [_plain_annotation(a) for a in arguments if a is not type(None)]
    exact = [a for a in others if isinstance(a, type) and type(value) is a] if source != "text" else []
    # Of what was typed text is the last resort: everything fits it.
    order = exact + sorted(others, key=lambda a: a is str)
    for argument in order:
        try:
            return _as(value, argument, source)
        except _Unfit:
            continue
    raise _Unfit


def _of_choices(value: Any, choices: tuple[Any, ...], source: Source) -> Any:
    for choice in choices:
        try:
            found = value if source == "python" else _as(value, type(choice), source)
        except _Unfit:
            continue
        if type(found) is type(choice) and found == choice:
            return choice
    raise _Unfit


def _of_container(value: Any, kind: Any, arguments: tuple[Any, ...], source: Source) -> Any:
    mapping = kind in _MAPPINGS
    if source == "text":
        value, source = _parsed(value, mapping=mapping)
    if mapping:
        if not isinstance(value, Mapping):
            raise _Unfit
        names, members = arguments if len(arguments) == 2 else (Any, Any)
        pairs = cast("Mapping[Any, Any]", value).items()
        read = {_name(k, names, source): _as(v, members, source) for k, v in pairs}
        if len(read) != len(pairs):
            # Two names that are one key: nothing is dropped in silence.
            raise _Unfit
        return read
    wanted, taken = _CONTAINERS[kind]
    if not isinstance(value, taken if source == "python" else (list, tuple, set, frozenset)):
        raise _Unfit
    found = cast("Sequence[Any]", value)
    if kind is tuple and arguments and Ellipsis not in arguments:
        wants = () if arguments == ((),) else arguments
        if len(wants) != len(found):
            raise _Unfit
        return tuple(_as(v, a, source) for v, a in zip(found, wants, strict=True))
    inner = arguments[0] if arguments else Any
    made = [_as(v, inner, source) for v in found]
    try:
        made = (wanted or _plain_type(value))(made)
    except TypeError:
        raise _Unfit from None
    if isinstance(made, (set, frozenset)) and len(made) != len(found):
        # Two of a list are one in a set.
        raise _Unfit
    return made


def _plain_type(value: Any) -> Any:
    return next(kind for kind in (list, tuple, set, frozenset) if isinstance(value, kind))


def _name(name: Any, annotation: Any, source: Source) -> Any:
    """A dict's key. JSON has text alone for keys: there it is read as if it was typed."""
    if source == "json" and isinstance(name, str):
        found = name if annotation in (_EMPTY, Any, str) else _as(name, annotation, "text")
        if not isinstance(found, collections.abc.Hashable):
            raise _Unfit
        return found
    return _as(name, annotation, source)


def _parsed(text: str, *, mapping: bool) -> tuple[Any, Source]:
    """Typed text as a container: JSON, or members with commas between."""
    if text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text), "json"
        except (json.JSONDecodeError, RecursionError):
            raise _Unfit from None
    if mapping:
        raise _Unfit
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
    raise _Unfit


# -- scalars


def _to_int(value: Any, source: Source) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if source == "text":
        return _made(int, value)
    raise _Unfit


def _to_float(value: Any, source: Source) -> float:
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        made = _made(float, value)
        if int(made) != value:
            raise _Unfit
        return made
    if source == "text":
        return _made(float, value)
    raise _Unfit


def _to_bool(value: Any, source: Source) -> bool:
    if isinstance(value, bool):
        return value
    if source == "text" and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise _Unfit


def _to_str(value: Any, source: Source) -> str | Secret:
    del source
    # The step's function gets the secret's text.
    if isinstance(value, (str, Secret)):
        return value
    raise _Unfit


def _to_bytes(value: Any, source: Source) -> bytes:
    if isinstance(value, bytes):
        return value
    if source != "python" and isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    raise _Unfit


def _to_path(value: Any, source: Source) -> Path:
    del source
    if isinstance(value, (str, os.PathLike)) and not isinstance(value, bytes):
        return _made(Path, value)
    raise _Unfit


def _to_none(value: Any, source: Source) -> None:
    if value is not None and not (source == "text" and value in _NOTHING):
        raise _Unfit


def _from_text(kind: Any, read: Callable[[str], Any]) -> Callable[[Any, Source], Any]:
    def converted(value: Any, source: Source) -> Any:
        if isinstance(value, kind):
            return value
        if source != "python" and isinstance(value, str):
            return _made(read, value)
        raise _Unfit

    return converted


def _to_secret(value: Any, source: Source) -> Secret:
    del source
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return _made(Secret.parse, value)
    raise _Unfit


def _to_dataset(value: Any, source: Source) -> Dataset:
    del source
    if isinstance(value, Dataset):
        return value
    if isinstance(value, Reference):
        return Dataset(value)
    if isinstance(value, str):
        return dataset(value)
    raise _Unfit


def _to_model(value: Any, source: Source) -> Model:
    del source
    if isinstance(value, Model):
        return value
    if isinstance(value, str):
        return model(value)
    raise _Unfit


def _made(kind: Any, value: Any) -> Any:
    try:
        return kind(value)
    except TidemillError:
        raise
    except (ValueError, OverflowError, TypeError, ArithmeticError):
        raise _Unfit from None


def _to_outcome(value: Any) -> RunOutcome:
    if isinstance(value, RunOutcome):
        return value
    if isinstance(value, dict):
        return RunOutcome(**cast("dict[str, Any]", value))
    raise _Unfit


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
    complex: _from_text(complex, complex),
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


# -- a component's setting


def plain(value: object, step: str, parameter: str, annotation: Any = _EMPTY, before: Any = _EMPTY) -> Any:
    """A setting as a step's key and record have it. A secret stays a reference.

    Raises:
        InvalidInput: ``not-a-setting``, ``mixed-input``.
    """
    try:
        return setting(value, annotation, before)
    except spelling.NoSpelling as error:
        raise _no_setting(error.value, step, parameter) from None


def _no_setting(value: object, step: str, parameter: str) -> InvalidInput:
    if isinstance(value, Handle):
        return InvalidInput(
            f"The result of step '{port_of(value)}' lies inside a setting, '{parameter}' of step '{step}'.",
            why="A result can be an argument, or a member of a list or dict that holds nothing but results.",
            hint="Pass it in a parameter of its own.",
            code="mixed-input",
        )
    return InvalidInput(
        f"Step '{step}' gets a {type(value).__qualname__} as '{parameter}'.",
        why="A setting is None, bool, int, float, str, bytes, a path, a date or time, an enum member, a NumPy number, "
        "or a list, tuple, set or dict of them: what a record can hold.",
        hint="Make the value in a step of its own and pass that step's result.",
        code="not-a-setting",
    )


def paths_of(tree: Any, annotation: Any) -> list[Path]:
    """Each path in a setting's lists, tuples, sets and dicts, in their order."""
    found: list[Path] = []
    with_paths(tree, annotation, lambda path: found.append(path) or path)
    return found


def with_paths(tree: Any, annotation: Any, change: Callable[[Path], Path]) -> Any:
    """A setting with each of its paths changed."""
    if tree is None or isinstance(tree, (bool, int, float, Secret)):
        return tree
    # Most settings have none, and a secret deep inside is not looked at twice.
    try:
        value = read(tree, annotation)
    except ValueError:
        return tree
    changed = _changed(value, change)
    return tree if changed is value else setting(changed, annotation)


def _changed(value: Any, change: Callable[[Path], Path]) -> Any:
    """``value`` with its paths changed; itself where it has none."""
    if isinstance(value, Path):
        return change(value)
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        made = {name: _changed(v, change) for name, v in pairs}
        return made if any(made[name] is not v for name, v in pairs) else value
    if isinstance(value, (list, tuple, set, frozenset)):
        members = list(cast("Iterable[Any]", value))
        changed = [_changed(v, change) for v in members]
        return (
            type(value)(changed) if any(a is not b for a, b in zip(changed, members, strict=True)) else value
        )
    return value


def wrong_type(
    what: str, name: str, value: object, annotation: Any, default: object = _EMPTY
) -> InvalidInput:
    """The error for a value that does not fit."""
    if annotation is Secret or isinstance(default, Secret):
        # What was given may be the secret itself: it is not repeated.
        return InvalidInput(
            f"{what} '{name}' takes a reference to a secret: env:NAME or file:PATH.",
            why="Values of parameters are stored; a secret is not.",
            hint=f"Put it into a variable or a file, and give {name}=env:NAME; from Python, tm.secret('NAME').",
            code="wrong-parameter-type",
            details={"parameter": name, "wanted": "tm.Secret"},
        )
    wanted = declared(annotation, default)
    told = value.text if isinstance(value, Text) else value.tree if isinstance(value, Json) else value
    return InvalidInput(
        f"{what} '{name}' must be {shown(wanted)}, not {_short(told)}.",
        why="A value from Python is not read as text: it stays what it is."
        if isinstance(value, str) and wanted is not str
        else None,
        hint=_way(name, value, wanted, default),
        code="wrong-parameter-type",
        details={"parameter": name, "wanted": shown(wanted)},
    )


def _way(name: str, value: object, wanted: Any, default: object) -> str | None:
    """What to give instead."""
    if isinstance(value, str):
        try:
            return f"Give {name}={_short(_as(value, wanted, 'text'))}."
        except (_Unfit, TidemillError, RecursionError):
            pass
    plainly = _plain_annotation(wanted)
    if isinstance(plainly, enum.EnumType):
        return f"It has: {', '.join(plainly.__members__)}."
    return f"Give a value such as {default!r}." if default not in (_EMPTY, None) else None


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a value's own __repr__ may raise anything
        text = f"a {type(value).__qualname__}"
    return text if len(text) <= 200 else f"{text[:197]}..."
