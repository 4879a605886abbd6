"""Cells that are text, as the values that a served model takes: read by its signature, never by their look."""

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.given import Text

Fold = tuple[str, Sequence[int]]
"""How numbered columns make a tensor: what they are called before their number, and its shape."""
_DIGITS = 20
"""No file has a column of a number as long."""
_NUMBERED = re.compile(r"(.*\D)[0-9]+")
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


def folded(
    row: Mapping[str, Any], lacking: Sequence[Mapping[str, Any]], folds: Mapping[str, Fold], number: int
) -> Mapping[str, Any]:
    """A row with the tensors that it has only as numbered columns.

    Args:
        row: By column.
        lacking: The tensors that some row lacks, as the model's metadata lists them.
        folds: Those of which it is known how they fold. Where it is not known, the error says how to tell.
        number: Which row, from 1; for errors.

    Raises:
        InvalidInput: ``missing-column``, where columns could fold into a tensor; ``invalid-rows``, where one of a
            tensor's cells is no number.
    """
    made: dict[str, Any] = {}
    for tensor in lacking:
        name, shape = str(tensor["name"]), [int(n) for n in tensor["shape"][1:]]
        if name in row:
            continue
        prefix, known = folds.get(name, ("", ()))
        columns = numbered(prefix, row) if known else []
        if columns and len(columns) == math.prod(known):
            made[name] = shaped([_inner(row[c], c, number) for c in columns], known)
        elif prefixes := _prefixes(row, shape):
            wanted = f"{name}={prefixes[0]}*:{'x'.join(map(str, shape))}"
            raise InvalidInput(
                f"Row {number} lacks '{name}'.",
                why=f"It has {math.prod(shape)} columns that are called '{prefixes[0]}' and a number.",
                hint=f"If they are its cells, add --tensor {shlex.quote(wanted)}.",
                code=codes.MISSING_COLUMN,
                details={"field": name, "row": number},
            )
    return {**row, **made} if made else row


def _inner(cell: Any, column: str, at: int) -> Any:
    value = spelled_number(cell.text) if isinstance(cell, Text) else cell
    if isinstance(value, str):
        raise _wrong(column, value, at, "a number")
    return value


def _prefixes(row: Mapping[str, Any], shape: Sequence[int]) -> list[str]:
    """What the columns are called that could fold into a tensor of a shape."""
    counted = Counter(m[1] for column in row if (m := _NUMBERED.fullmatch(column)))
    return [prefix for prefix, count in counted.items() if count == math.prod(shape)]


def numbered(prefix: str, columns: Iterable[str]) -> list[str]:
    """The columns that are called ``prefix`` and a number, in the order of the numbers."""
    found = {
        int(end): column
        for column in columns
        if column.startswith(prefix)
        and (end := column.removeprefix(prefix)).isdecimal()
        and len(end) < _DIGITS
    }
    return [found[number] for number in sorted(found)]


def spelled_number(text: str) -> int | float | str | None:
    """A cell of text as the number that it spells; None where it is empty, the text where it spells none."""
    if not text:
        return None
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        # JSON has no such numbers, and int() takes digits that no CSV means as one.
        return value if math.isfinite(value) and text.isascii() and "_" not in text else text
    return text


def shaped(flat: Sequence[Any], shape: Sequence[int]) -> Any:
    """Cells as nested lists of a shape."""
    if len(shape) == 1:
        return list(flat)
    step = len(flat) // shape[0]
    return [shaped(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


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
        code=codes.INVALID_ROWS,
        details={"row": number, "column": name},
    )
