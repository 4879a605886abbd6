"""A parameter's value, from text or from Python, as its annotation wants it."""

import inspect
import json
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill.core.errors import InvalidInput
from tidemill.core.names import Reference
from tidemill.pipeline.annotations import shown
from tidemill.pipeline.dataset import Dataset, dataset
from tidemill.pipeline.handles import Handle, port_of
from tidemill.pipeline.model import Model, model
from tidemill.pipeline.outcome import RunOutcome
from tidemill.pipeline.secret import Secret, read_spelling

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


class _Unfit(Exception):
    """The value does not fit the annotation."""


def convert(value: object, annotation: Any, default: object = inspect.Parameter.empty) -> Any:
    """``value`` as ``annotation`` wants it; without an annotation, as the default's type wants it.

    Raises:
        ValueError: It does not fit.
    """
    if annotation is inspect.Parameter.empty and default not in (inspect.Parameter.empty, None):
        annotation = type(default)
    if isinstance(default, Secret):
        annotation = Secret
    try:
        return _convert(value, annotation)
    except _Unfit:
        raise ValueError from None


def _convert(value: object, annotation: Any) -> Any:
    value = _unspelled(value)
    if is_outcome(annotation) and value is not None:
        return _to_outcome(value)
    if annotation in (inspect.Parameter.empty, Any) or isinstance(annotation, (str, typing.TypeVar)):
        return _guess(value) if isinstance(value, str) else value
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, arguments)
    if origin is typing.Literal:
        for choice in arguments:
            if value == choice or (isinstance(value, str) and value == str(choice)):
                return choice
        raise _Unfit
    if origin is typing.Annotated:
        return _convert(value, arguments[0])
    plain = origin or annotation
    if plain in _SCALARS:
        return _SCALARS[plain](value)
    if plain in (list, tuple, Sequence, dict, Mapping):
        return _convert_container(value, plain, arguments)
    if isinstance(plain, type) and not isinstance(value, plain):
        raise _Unfit
    return value


def _unspelled(value: object) -> object:
    """A secret, where JSON spells one."""
    try:
        return read_spelling(value) or value
    except ValueError:
        raise _Unfit from None


def _convert_union(value: object, arguments: tuple[Any, ...]) -> Any:
    if type(None) in arguments and (value is None or (isinstance(value, str) and value in {"none", "null"})):
        return None
    exact = [a for a in arguments if isinstance(a, type) and type(value) is a]
    # Text is the last resort: everything that was typed fits it.
    order = exact + sorted((a for a in arguments if a is not type(None)), key=lambda a: a is str)
    for argument in order:
        try:
            return _convert(value, argument)
        except _Unfit:
            continue
    raise _Unfit


def _convert_container(value: object, plain: Any, arguments: tuple[Any, ...]) -> Any:
    mapping = plain in (dict, Mapping)
    if isinstance(value, str):
        value = _parse(value, mapping=mapping)
    if mapping:
        if not isinstance(value, Mapping):
            raise _Unfit
        inner = arguments[1] if arguments else Any
        return {str(k): _convert(v, inner) for k, v in typing.cast("Mapping[object, object]", value).items()}
    if not isinstance(value, (list, tuple)):
        raise _Unfit
    members = typing.cast("Sequence[object]", value)
    if plain is tuple and arguments and Ellipsis not in arguments:
        if len(arguments) != len(members):
            raise _Unfit
        return tuple(_convert(v, a) for v, a in zip(members, arguments, strict=True))
    inner = arguments[0] if arguments else Any
    converted = [_convert(v, inner) for v in members]
    return tuple(converted) if plain is tuple else converted


def _parse(text: str, *, mapping: bool) -> object:
    if text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise _Unfit from None
    if mapping:
        raise _Unfit
    return [part.strip() for part in text.split(",") if part.strip()]


def _guess(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _to_int(value: object) -> int:
    if isinstance(value, bool):
        raise _Unfit
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            raise _Unfit from None
    raise _Unfit


def _to_float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _Unfit
    try:
        return float(value)
    except ValueError:
        raise _Unfit from None


def _to_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise _Unfit


def _to_str(value: object) -> str | Secret:
    # The step's function gets the secret's text.
    if isinstance(value, (str, Secret)):
        return value
    raise _Unfit


def _to_secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        try:
            return Secret.parse(value)
        except ValueError:
            raise _Unfit from None
    raise _Unfit


def _to_path(value: object) -> Path:
    if isinstance(value, (str, Path)):
        return Path(value)
    raise _Unfit


def _to_dataset(value: object) -> Dataset:
    if isinstance(value, Dataset):
        return value
    if isinstance(value, Reference):
        return Dataset(value)
    if isinstance(value, str):
        return dataset(value)
    raise _Unfit


def _to_model(value: object) -> Model:
    if isinstance(value, Model):
        return value
    if isinstance(value, str):
        return model(value)
    raise _Unfit


def _to_outcome(value: object) -> RunOutcome:
    if isinstance(value, RunOutcome):
        return value
    if isinstance(value, dict):
        return RunOutcome(**typing.cast("dict[str, Any]", value))
    raise _Unfit


def is_outcome(annotation: Any) -> bool:
    """Whether a parameter asks for what became of the run."""
    if isinstance(annotation, str):
        return any(part.strip().rpartition(".")[2] == RunOutcome.__name__ for part in annotation.split("|"))
    return annotation is RunOutcome or RunOutcome in typing.get_args(annotation)


def _to_none(value: object) -> None:
    if value is not None:
        raise _Unfit


_SCALARS: dict[Any, Any] = {
    int: _to_int,
    float: _to_float,
    bool: _to_bool,
    str: _to_str,
    Path: _to_path,
    Secret: _to_secret,
    Dataset: _to_dataset,
    Model: _to_model,
    type(None): _to_none,
}


def plain(value: object, step: str, parameter: str) -> Any:
    """A setting as JSON can say it: tuples become lists, paths text. A secret stays a reference.

    Raises:
        InvalidInput: ``not-a-setting``.
    """
    if value is None or isinstance(value, (bool, int, float, str, Secret)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(v, step, parameter) for v in typing.cast("Sequence[object]", value)]
    if isinstance(value, dict):
        if (secret := _secret_in(value, step, parameter)) is not None:
            return secret
        return {
            str(k): plain(v, step, parameter) for k, v in typing.cast("dict[object, object]", value).items()
        }
    if isinstance(value, Handle):
        raise InvalidInput(
            f"The result of step '{port_of(value)}' lies inside a setting, '{parameter}' of step '{step}'.",
            why="A result can be an argument, or a member of a list or dict that holds nothing but results.",
            hint="Pass it in a parameter of its own.",
            code="mixed-input",
        )
    raise InvalidInput(
        f"Step '{step}' gets a {type(value).__qualname__} as '{parameter}'.",
        why="A setting is None, bool, int, float, str, or a list or dict of them: what a record can hold.",
        hint="Make the value in a step of its own and pass that step's result.",
        code="not-a-setting",
    )


def _secret_in(value: object, step: str, parameter: str) -> Secret | None:
    try:
        return read_spelling(value)
    except ValueError:
        raise InvalidInput(
            f"'{parameter}' of step '{step}' has a member '$secret' that refers to no secret.",
            hint='Type {"$secret": "env:NAME"} or {"$secret": "file:PATH"}, or call the member something else.',
            code="not-a-setting",
        ) from None


def wrong_type(
    what: str, name: str, value: object, annotation: Any, default: object = inspect.Parameter.empty
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
    if annotation is inspect.Parameter.empty and default is not inspect.Parameter.empty:
        annotation = type(default)
    return InvalidInput(
        f"{what} '{name}' must be {shown(annotation)}, not {value!r}.",
        hint=f"Give a value such as {default!r}." if default not in (inspect.Parameter.empty, None) else None,
        code="wrong-parameter-type",
        details={"parameter": name, "wanted": shown(annotation)},
    )
