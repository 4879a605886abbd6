"""One value that holds no others, as an annotation wants it: a number, a text, a date, a dataset."""

import datetime as dt
import decimal
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from tidemill.core.errors import TidemillError
from tidemill.core.given import out_of_range
from tidemill.core.names import Reference
from tidemill.pipeline.dataset import Dataset, dataset
from tidemill.pipeline.model import Model, model
from tidemill.pipeline.secret import Secret

NOTHING = {"none", "null"}
"""What is typed for None."""

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}

Source = Literal["python", "json", "text"]
"""Where a value comes from: Python, JSON, or what somebody typed."""


class Unfit(Exception):
    """The value does not fit the annotation; the text says why, where the annotation alone does not."""


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
    if value is not None and not (source == "text" and value in NOTHING):
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


SCALARS: dict[Any, Callable[[Any, Source], Any]] = {
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
"""How a value becomes what an annotation names."""
