"""Between ``tidemill.toml`` and the dataclasses of its settings: reading one into the other, and its JSON Schema."""

import dataclasses
import datetime as dt
import json
import re
import types
import typing
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import did_you_mean
from tidemill.core.settings import FILE, Settings
from tidemill.core.wrong_setting import WrongSettingError

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_key(name: str) -> str:
    """A name as a key of TOML: in quotation marks where it has a dot, which would part it."""
    return name if _BARE.fullmatch(name) else toml_text(name)


def toml_text(text: str) -> str:
    """A text as TOML's basic string."""
    # JSON escapes the same characters in the same way, but for one.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dt.date: "a date",
    dt.datetime: "a time",
}


def schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of ``tidemill.toml``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FILE,
        **_schema(Settings),
    }


def read(kind: type[Any], raw: object, file: str, path: str = "") -> Any:
    """What was parsed of a settings file as a dataclass; every complaint names the setting by its dotted path.

    Args:
        kind: The dataclass.
        raw: What was parsed.
        file: What the complaint calls the file.
        path: The table's dotted path; empty for the file itself.

    Raises:
        InvalidInput: ``invalid-settings``.
    """
    if not isinstance(raw, dict):
        raise _wrong(file, path, "a table", raw)
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}
    for name in raw:
        if name not in known:
            raise InvalidInput(
                f"{file} has a setting '{_join(path, str(name))}' that Tidemill does not know.",
                hint=did_you_mean(str(name), known, before=f"{path}." if path else ""),
                code=codes.INVALID_SETTINGS,
            )
    values = {n: _value(hints[n], v, file, _join(path, n)) for n, v in raw.items()}
    for name, spec in known.items():
        no_default = spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        if no_default and name not in values:
            raise InvalidInput(
                f"{file} does not say '{_join(path, name)}'.", hint="Add it.", code=codes.INVALID_SETTINGS
            )
    try:
        return kind(**values)
    except WrongSettingError as error:
        where = f"{path}.{error.name}" if path else error.name
        raise InvalidInput(
            f"{file}: '{where}' {error.reason}.",
            hint=error.hint,
            code=codes.INVALID_SETTINGS,
        ) from error


def _value(hint: Any, raw: object, file: str, path: str) -> object:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [a for a in arguments if a is not type(None)]
        if len(kinds) == 1:
            return _value(kinds[0], raw, file, path)
        if type(raw) not in kinds:
            words = [_WORDS[k] for k in kinds if not (k is int and float in kinds)]
            raise _wrong(file, path, f"{', '.join(words[:-1])}, or {words[-1]}", raw)
        return raw
    if dataclasses.is_dataclass(hint):
        return read(typing.cast("type[Any]", hint), raw, file, path)
    if origin is dict:
        if not isinstance(raw, dict):
            raise _wrong(file, path, "a table", raw)
        return {str(n): _value(arguments[1], v, file, _join(path, str(n))) for n, v in raw.items()}
    if origin is tuple:
        if not isinstance(raw, list):
            raise _wrong(file, path, "a list", raw)
        return tuple(_value(arguments[0], v, file, f"{path}[{i}]") for i, v in enumerate(raw))
    return _plain(hint, raw, file, path)


def _plain(hint: Any, raw: object, file: str, path: str) -> object:
    """A value that holds no others."""
    arguments = typing.get_args(hint)
    if arguments:
        if raw not in arguments:
            raise _wrong(file, path, f"one of {', '.join(map(repr, arguments))}", raw)
        return raw
    if hint is float and isinstance(raw, int) and not isinstance(raw, bool):
        try:
            return float(raw)
        except OverflowError:
            raise _wrong(
                file, path, "a number that a float holds", f"one of {len(str(abs(raw)))} digits"
            ) from None
    if type(raw) is not hint:
        raise _wrong(
            file,
            path,
            _WORDS[hint],
            raw,
        )
    return raw


def _join(path: str, name: str) -> str:
    return f"{path}.{toml_key(name)}" if path else toml_key(name)


def _wrong(file: str, path: str, wanted: str, got: object) -> InvalidInput:
    return InvalidInput(
        f"{file}: '{path}' must be {wanted}, not {got!r}.",
        hint="Correct that setting.",
        code=codes.INVALID_SETTINGS,
    )


def _schema(hint: Any) -> dict[str, object]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [_schema(a) for a in arguments if a is not type(None)]
        return kinds[0] if len(kinds) == 1 else {"type": list(dict.fromkeys(k["type"] for k in kinds))}
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        fields = dataclasses.fields(hint)
        required = [
            f.name
            for f in fields
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        ]
        body: dict[str, object] = {
            "type": "object",
            "description": (hint.__doc__ or "").strip().splitlines()[0],
            "additionalProperties": False,
            "properties": {f.name: _schema(hints[f.name]) for f in fields},
        }
        return body | ({"required": required} if required else {})
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    # TOML has dates and times of its own; a schema sees them as text.
    texts = dict.fromkeys((str, dt.date, dt.datetime), "string")
    return {"type": {**texts, int: "integer", float: "number", bool: "boolean"}[hint]}
