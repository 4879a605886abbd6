"""One value as an annotation wants it: of Python as it is, of JSON and of typed text read."""

import collections.abc
import enum
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, cast

from tidemill.core.given import tree_of
from tidemill.core.kinds import type_name
from tidemill.pipeline import spelling
from tidemill.pipeline.outcome import RunOutcome
from tidemill.pipeline.parameters import EMPTY
from tidemill.pipeline.scalars import NOTHING, SCALARS, Source, Unfit

_MARKS = (typing.Annotated, typing.Final, typing.Required, typing.NotRequired)


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
    if kind in SCALARS:
        return SCALARS[kind](value, source)
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
    if type(None) in arguments and (value is None or (source == "text" and value in NOTHING)):
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
                f"it is a {type_name(value)}, which would arrive as a plain {kind.__name__}: "
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
