"""What a function, a class or an object holds, one step in: where the walk of a closure goes on."""

import dis
import enum
import functools
import inspect
import types
from collections.abc import Iterator, Sequence
from dataclasses import MISSING
from typing import Any, cast

from tidemill.pipeline.component import Component
from tidemill.pipeline.pipelines import Pipeline

_NAMED_TYPES = (
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
"""Compiled code: its name and its package's version are all that there is to say."""


def is_named(value: Any) -> bool:
    """Whether it is code that has a name of its own."""
    if isinstance(value, types.BuiltinFunctionType):
        return value.__self__ is None or isinstance(value.__self__, (types.ModuleType, type))
    return isinstance(value, (Component, Pipeline, types.ModuleType, types.FunctionType, type, *_NAMED_TYPES))


def is_data(value: Any) -> bool:
    """Whether it is a plain value or a container."""
    return value is None or type(value) in (bool, int, float, str, bytes, list, tuple, dict, set, frozenset)


def accessors(value: Any) -> list[Any] | None:
    """The functions behind a descriptor or a cache; None for other things."""
    if isinstance(value, (staticmethod, classmethod)):
        return [cast("Any", value).__func__]
    if isinstance(value, property):
        return [accessor for accessor in (value.fget, value.fset, value.fdel) if accessor is not None]
    if isinstance(value, functools.cached_property):
        return [cast("Any", value).func]
    if isinstance(value, functools.singledispatchmethod):
        return [value.dispatcher]
    if isinstance(value, functools._lru_cache_wrapper):  # noqa: SLF001 - it has no other name
        return [value.__wrapped__]
    return None


def defaults(function: types.FunctionType) -> list[Any]:
    """The values of its parameters where a call gives none."""
    return [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


def of_closure(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Its free variables, by name; those that nothing was assigned to are left out."""
    for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield variable, cell.cell_contents
        except ValueError:
            continue


def of_object(value: Any) -> list[Any]:
    """What a library's object holds, one step in."""
    if isinstance(value, (dict, types.MappingProxyType)):
        return [m for pair in cast("dict[Any, Any]", value).items() for m in pair]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(cast("list[Any]", value))
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, (functools.partial, functools.partialmethod)):
        return [value.func, *value.args, *value.keywords.values()]
    wrapped = getattr(value, "__wrapped__", None)
    return [*([] if wrapped is None else [wrapped]), *getattr(value, "__dict__", {}).values()]


def of_class(kind: type) -> Iterator[tuple[str, Any]]:
    """A class's attributes that are not in its source as it stands."""
    for attribute, held in vars(kind).items():
        if _is_machinery(attribute, held):
            continue
        plain = inspect.unwrap(held) if inspect.isfunction(held) else held
        # What a decorator generated (a dataclass's __init__) follows from the class's own source, or its fields.
        if (
            isinstance(plain, types.FunctionType)
            and plain.__code__.co_filename.startswith("<string>")
            and attribute.startswith("__")
            and ("__dataclass_fields__" in vars(kind) or "_fields" in vars(kind))
        ):
            continue
        yield attribute, held
    for one in vars(kind).get("__dataclass_fields__", {}).values():
        if one.default_factory is not MISSING:
            yield f"{one.name}(factory)", one.default_factory
    if issubclass(kind, enum.Enum):
        for name, member in kind.__members__.items():
            yield f"{name}(value)", member.value


def is_made(kind: type) -> bool:
    """Whether it was made by a call that says ``types`` is its home: ``make_dataclass`` up to Python 3.11, ``new_class``."""
    return kind.__module__ == "types" and vars(types).get(kind.__name__) is not kind


def fields_of(kind: type) -> list[Any]:
    """What a dataclass without source is made of, beside the defaults that are its attributes."""
    fields = vars(kind).get("__dataclass_fields__", {}).values()
    told = [
        [f.name, f.type, f.init, f.repr, f.hash, f.compare, bool(f.kw_only), dict(f.metadata)] for f in fields
    ]
    return [*told, repr(vars(kind)["__dataclass_params__"])] if told else []


def _is_machinery(attribute: str, held: object) -> bool:
    if attribute.startswith("__") and attribute.endswith("__"):
        # Special methods are code; the rest of the double-underscored is what Python notes down itself.
        return not isinstance(held, (types.FunctionType, staticmethod, classmethod, property))
    if attribute.startswith("_abc_") or attribute in ("_member_map_", "_value2member_map_", "_member_names_"):
        return True
    return isinstance(held, (types.GetSetDescriptorType, types.MemberDescriptorType)) or (
        type(held).__module__ == "enum" and isinstance(held, property)
    )


def all_instructions(code: types.CodeType) -> Iterator[list[dis.Instruction]]:
    """The instructions of a function, and of each that is defined in it."""
    yield list(dis.get_instructions(code))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from all_instructions(constant)


def all_names(code: types.CodeType) -> Iterator[str]:
    """The global names, attributes and imports that a function mentions, and each that is defined in it."""
    yield from code.co_names
    yield from code.co_freevars
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from all_names(constant)


def attributes(instructions: Sequence[dis.Instruction], start: int) -> list[str]:
    """The attributes that are taken one after the other, as ``b`` and ``c`` of ``a.b.c``."""
    found: list[str] = []
    for instruction in instructions[start:]:
        if instruction.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
            break
        found.append(str(instruction.argval))
    return found
