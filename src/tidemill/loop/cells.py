"""Cells that are text, as the values that a served model takes: read by its signature, never by their look."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.core.errors import InvalidInput
from tidemill.core.given import Text

_WHOLE = re.compile(r"[+-]?[0-9]+")
_TRUTH = {"true": True, "false": False}


def by_signature(row: Mapping[str, Any], tensors: Sequence[Mapping[str, Any]], number: int) -> dict[str, Any]:
    """The cells of one row that a model takes; those that are ``Text`` as its datatype says.

    Args:
        row: By column; what the model does not take is left out, so that a label may stay in the file.
        tensors: What it takes, as the model's metadata lists it: ``name``, ``datatype``, ``shape``.
        number: Which row, from 1; for errors.

    Raises:
        InvalidInput: ``invalid-rows``, naming row and column.
    """
    found: dict[str, Any] = {}
    for tensor in tensors:
        name = str(tensor["name"])
        if name in row:
            cell = row[name]
            found[name] = _read(name, cell.text, tensor, number) if isinstance(cell, Text) else cell
    return found


def _read(name: str, text: str, tensor: Mapping[str, Any], number: int) -> Any:
    datatype = str(tensor["datatype"])
    if not text:
        return None
    if len(tensor["shape"]) > 1:
        raise _wrong(
            name, text, number, "a tensor", f"Fold numbered columns into it: --tensor {name}=PREFIX*:SHAPE."
        )
    if datatype == "BYTES":
        return text
    if datatype == "BOOL":
        if text.strip().lower() in _TRUTH:
            return _TRUTH[text.strip().lower()]
        raise _wrong(name, text, number, "true or false")
    if datatype.startswith("FP"):
        return _float(name, text, number)
    if _WHOLE.fullmatch(text.strip()):
        return int(text)
    raise _wrong(name, text, number, f"a whole number ({datatype})")


def _float(name: str, text: str, number: int) -> float | int:
    stripped = text.strip()
    # As it is written: a server that takes whole numbers too sees that it is one.
    if _WHOLE.fullmatch(stripped):
        return int(stripped)
    try:
        value = float(stripped)
    except ValueError:
        value = math.nan
    # float() takes digits and underscores that no CSV means as a number, and JSON has no infinity.
    if not math.isfinite(value) or not stripped.isascii() or "_" in stripped:
        raise _wrong(name, text, number, "a number")
    return value


def _wrong(name: str, text: str, number: int, wanted: str, hint: str | None = None) -> InvalidInput:
    return InvalidInput(
        f"Row {number}, column '{name}': '{text[:80]}' is not {wanted}.",
        why="The model was trained on a column of that type, and nothing was asked.",
        hint=hint or "Correct the cell; leave it empty where the value is missing.",
        code="invalid-rows",
        details={"row": number, "column": name},
    )
