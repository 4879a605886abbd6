"""A constant as a tree of plain values that has an identity; and such a tree as text for a person."""

import copyreg
import enum
import pprint
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from tidemill.core import identity
from tidemill.pipeline.component import Component, Fitted
from tidemill.pipeline.digests import registered
from tidemill.pipeline.pipelines import Pipeline

_PLAIN = {bool, int, float, str, bytes}
CODE = (type, types.FunctionType, types.ModuleType, types.BuiltinFunctionType, Component, Pipeline)
"""What is told by its name, once its content is in the closure."""


class NoContent(Exception):
    """An object's own pickling protocol does not say what it is made of."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


@dataclass(slots=True)
class Describer:
    """Makes trees of values.

    Attributes:
        enter: Walks into code that is found in a value; gives the name that it has in the closure.
    """

    enter: Callable[[Any], str]
    _open: list[int] = field(default_factory=list[int])

    def describe(self, value: Any) -> Any:
        """``value`` as a tree. The same content gives the same tree, in every process.

        Raises:
            NoContent: When there is none.
        """
        if value is None or type(value) in _PLAIN:
            return value
        if id(value) in self._open:
            return ["again", len(self._open) - self._open.index(id(value))]
        self._open.append(id(value))
        try:
            return self._describe(value)
        finally:
            self._open.pop()

    def _describe(self, value: Any) -> Any:
        if type(value) in (list, tuple):
            return [type(value).__name__, *map(self.describe, value)]
        if type(value) in (dict, types.MappingProxyType):
            pairs = cast("dict[Any, Any]", value).items()
            return ["dict", *([self.describe(k), self.describe(v)] for k, v in pairs)]
        if type(value) in (set, frozenset):
            members = [self.describe(v) for v in cast("set[Any]", value)]
            return [type(value).__name__, *sorted(members, key=lambda m: identity.pre_image("sort", m))]
        if isinstance(value, types.BuiltinFunctionType) and _is_bound(value):
            return ["method", value.__name__, self.describe(value.__self__)]
        if isinstance(value, CODE):
            return ["code", self.enter(value)]
        if isinstance(value, types.MethodType):
            return ["method", self.describe(value.__func__), self.describe(value.__self__)]
        if isinstance(value, (types.GenericAlias, types.UnionType)) or type(value).__module__ == "typing":
            return ["type", repr(value), *(self.describe(a) for a in typing.get_args(value) if a is not ...)]
        return self._object(value)

    def _object(self, value: Any) -> Any:
        kind = self.enter(type(value))
        if (told := registered(value)) is not None:
            return ["declared", kind, self.describe(told(value))]
        if isinstance(value, enum.Enum):
            return ["enum", type(value).__qualname__, value.name]
        if type(value) is object:
            return ["object"]
        if isinstance(value, Fitted):
            return ["fitted", self.describe(value.component), self.describe(value.state)]
        if hasattr(value, "get_config") and hasattr(value, "get_weights"):
            # A Keras object pickles as a dated archive: its configuration and weights are its content.
            return ["keras", self.describe(value.get_config()), self.describe(value.get_weights())]
        return self._reduced(kind, value)

    def _reduced(self, kind: str, value: Any) -> Any:
        """By the object's own pickling protocol, read as a tree."""
        try:
            reducer = copyreg.dispatch_table.get(type(value))
            reduced = reducer(value) if reducer else value.__reduce_ex__(4)
        except Exception as error:
            raise NoContent(value) from error
        if isinstance(reduced, str):
            return ["named", type(value).__module__, reduced]
        function, arguments, *rest = reduced
        parts = [list(p) if isinstance(p, Iterator) else p for p in rest]
        return ["instance", kind, name_of(function), *map(self.describe, (*arguments, *parts))]


def _is_bound(value: types.BuiltinFunctionType) -> bool:
    return value.__self__ is not None and not isinstance(value.__self__, (types.ModuleType, type))


def name_of(thing: Any) -> str:
    """``module:qualname`` of code."""
    if isinstance(thing, types.ModuleType):
        return thing.__name__
    if isinstance(thing, (Component, Pipeline)):
        thing = thing.function
    return f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', type(thing).__qualname__)}"


class _Words(str):
    """Text that is shown without quotation marks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def readable(tree: Any) -> str:
    """A tree of ``describe`` as a person would write the constant, on as many lines as it takes."""
    return pprint.pformat(_shown(tree), width=100, sort_dicts=False)


def _shown(tree: Any) -> Any:
    if not isinstance(tree, list) or not tree:
        return tree
    tag, *members = cast("list[Any]", tree)
    match tag:
        case "list":
            return [_shown(m) for m in members]
        case "tuple":
            return tuple(_shown(m) for m in members)
        case "dict":
            return {_Words(repr(_shown(k))): _shown(v) for k, v in members}
        case "set" | "frozenset":
            return _Words("{" + ", ".join(repr(_shown(m)) for m in members) + "}")
        case "code" | "type":
            return _Words(members[0])
        case "enum":
            return _Words(".".join(members))
        case "instance":
            kind, _, *parts = members
            return (_Words(str(kind).rpartition(":")[2]), *map(_shown, parts))
        case _:
            return tuple(_Words(m) if at == 0 else _shown(m) for at, m in enumerate([tag, *members]))
