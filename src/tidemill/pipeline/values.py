"""A setting's or parameter's value, as its annotation wants it.

A value from Python stays what it is, or is refused: only what was typed (``core.given``) is read. Whatever changes
its type loses nothing by it: a whole number where a float is wanted, a list where a tuple is, text that names a file,
a dataset, a model or a secret.
"""

import enum
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Any, cast

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, TidemillError
from tidemill.core.given import Json, Text
from tidemill.core.kinds import type_name
from tidemill.pipeline import spelling
from tidemill.pipeline.annotations import shown
from tidemill.pipeline.fitting import fitted, plain_annotation
from tidemill.pipeline.handles import Handle, port_of
from tidemill.pipeline.parameters import EMPTY
from tidemill.pipeline.scalars import Unfit
from tidemill.pipeline.secret import Secret


def given(value: object, annotation: Any, default: object = EMPTY) -> Any:
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
            return fitted(value.text, annotation, "text")
        if isinstance(value, Json):
            return fitted(value.tree, annotation, "json")
        return fitted(value, annotation, "python")
    except (Unfit, RecursionError) as error:
        reason = f": {error}" if isinstance(error, Unfit) and error.args else ""
        raise ValueError(f"it does not fit{reason}") from None


def declared(annotation: Any, default: object = EMPTY) -> Any:
    """What a parameter says of its values: its annotation; without one, its default's type."""
    if isinstance(default, Secret):
        return Secret
    if annotation is EMPTY and default is not EMPTY and default is not None:
        return type(default)
    return annotation


def read(tree: Any, annotation: Any) -> Any:
    """A setting as ``setting`` wrote it, with that annotation.

    Raises:
        ValueError: It does not fit.
    """
    return given(Json(tree), annotation)


def setting(value: Any, annotation: Any, before: Any = EMPTY) -> Any:
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


def recorded(value: Any, annotation: Any, default: object = EMPTY) -> Any:
    """A parameter's value as a run's record has it: read again with the annotation, it is the same.

    What JSON cannot spell is ``{"$object": ...}``, which cannot be read again.
    """
    try:
        return spelling.written(setting(value, declared(annotation, default)))
    except spelling.NoSpelling:
        return {"$object": _short(value)}


def plain(value: object, step: str, parameter: str, annotation: Any = EMPTY, before: Any = EMPTY) -> Any:
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
            code=codes.MIXED_INPUT,
        )
    return InvalidInput(
        f"Step '{step}' gets a {type_name(value)} as '{parameter}'.",
        why="A setting is None, bool, int, float, str, bytes, a path, a date or time, an enum member, a NumPy number, "
        "or a list, tuple, set or dict of them: what a record can hold."
        + (" A whole number has 4,000 digits at most." if isinstance(value, int) else ""),
        hint="Make the value in a step of its own and pass that step's result.",
        code=codes.NOT_A_SETTING,
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


def wrong_type(what: str, name: str, value: object, annotation: Any, default: object = EMPTY) -> InvalidInput:
    """The error for a value that does not fit."""
    if annotation is Secret or isinstance(default, Secret):
        # What was given may be the secret itself: it is not repeated.
        return InvalidInput(
            f"{what} '{name}' takes a reference to a secret: env:NAME or file:PATH.",
            why="Values of parameters are stored; a secret is not.",
            hint=f"Put it into a variable or a file, and give {name}=env:NAME; from Python, tm.secret('NAME').",
            code=codes.WRONG_PARAMETER_TYPE,
            details={"parameter": name, "wanted": "tm.Secret"},
        )
    wanted = declared(annotation, default)
    told = value.text if isinstance(value, Text) else value.tree if isinstance(value, Json) else value
    return InvalidInput(
        f"{what} '{name}' must be {shown(wanted)}, not {_short(told)}.",
        why="A value from Python is not read as text: it stays what it is."
        if isinstance(value, str) and wanted is not str
        else _reason(value, wanted),
        hint=_way(name, value, wanted, default),
        code=codes.WRONG_PARAMETER_TYPE,
        details={"parameter": name, "wanted": shown(wanted)},
    )


def _reason(value: object, wanted: Any) -> str | None:
    """Why it does not fit, where the annotation alone does not say it."""
    try:
        given(value, wanted)
    except ValueError as error:
        reason = str(error).partition(": ")[2]
        return f"{reason[:1].upper()}{reason[1:]}." if reason else None
    return None


def _way(name: str, value: object, wanted: Any, default: object) -> str | None:
    """What to give instead."""
    if isinstance(value, str):
        try:
            return f"Give {name}={_short(Typed(fitted(value, wanted, 'text')))}."
        except (Unfit, TidemillError, RecursionError):
            pass
    plainly = plain_annotation(wanted)
    if isinstance(plainly, enum.EnumType):
        return f"It has: {', '.join(plainly.__members__)}."
    if default is EMPTY or default is None:
        return None
    return f"Give a value such as {Typed(default)!r}."


class Typed:
    """A value whose ``repr`` is what a person types for it: ``Kind.RIDGE``, not ``<Kind.RIDGE: 'ridge'>``."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        value = self._value
        if isinstance(value, enum.Flag):
            return " | ".join(f"{type(value).__name__}.{member.name}" for member in value) or repr(value)
        if isinstance(value, enum.Enum):
            return f"{type(value).__name__}.{value.name}"
        if isinstance(value, PurePath):
            return f"Path({str(value)!r})"
        if type(value) is dict:
            return repr({Typed(k): Typed(v) for k, v in cast("dict[Any, Any]", value).items()})
        if type(value) in (list, tuple, set, frozenset):
            return repr(cast("Any", type(value))(map(Typed, cast("list[Any]", value))))
        return repr(value)


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a value's own __repr__ may raise anything
        text = f"a {type_name(value)}"
    return text if len(text) <= 200 else f"{text[:197]}..."
