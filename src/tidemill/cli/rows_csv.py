"""CSV rows as the plain values that a prediction is asked for with. Not the import of a dataset: nothing is kept."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

from tidemill.core.errors import InvalidInput
from tidemill.core.given import Text

_TENSOR = re.compile(r"(?P<prefix>[^*]+)\*:(?P<shape>[1-9]\d*(?:x[1-9]\d*)*)")


def rows(name: str, text: str, tensors: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of a CSV text: each cell as ``Text``, which the model's signature reads; tensors as lists of numbers.

    Args:
        name: The file, for errors.
        text: What is in it.
        tensors: Column to the numbered columns that are folded into it, and their shape (``pixel*:28x28``).

    Raises:
        InvalidInput: ``invalid-rows``, naming line and column.
        click.UsageError: When a tensor cannot be read.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        repeated = {column for column in header if header.count(column) > 1}
        if not header or repeated:
            reason = f"the column '{min(repeated)}' is there twice" if repeated else "there is no header"
            raise _invalid(name, 1, reason)
        folds = [_fold(name, column, pattern, header) for column, pattern in tensors.items()]
        folded = {place for _, places, _ in folds for place in places}
        found: list[dict[str, Any]] = []
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise _invalid(
                    name, reader.line_num, f"{len(cells)} cells where the header has {len(header)}"
                )
            row: dict[str, Any] = {c: Text(cells[i]) for i, c in enumerate(header) if i not in folded}
            for column, places, shape in folds:
                row[column] = _shaped(
                    [_number(name, reader.line_num, header[i], cells[i]) for i in places], shape
                )
            found.append(row)
    except csv.Error as error:
        raise _invalid(name, reader.line_num, str(error)) from error
    return found


def _fold(
    name: str, column: str, pattern: str, header: Sequence[str]
) -> tuple[str, list[int], tuple[int, ...]]:
    match = _TENSOR.fullmatch(pattern)
    if match is None:
        raise click.UsageError(
            f"--tensor takes COLUMN=PREFIX*:SHAPE, such as image=pixel*:28x28, not '{column}={pattern}'."
        )
    prefix, shape = match["prefix"], tuple(int(n) for n in match["shape"].split("x"))
    numbered = {
        int(c.removeprefix(prefix)): i
        for i, c in enumerate(header)
        if c.startswith(prefix) and c.removeprefix(prefix).isdecimal()
    }
    if len(numbered) != math.prod(shape):
        wanted = f"{match['shape']} takes {math.prod(shape)}"
        raise _invalid(name, 1, f"{len(numbered)} columns are called '{prefix}' and a number, where {wanted}")
    return column, [numbered[number] for number in sorted(numbered)], shape


def _value(cell: str) -> int | float | str | None:
    if not cell:
        return None
    for kind in (int, float):
        try:
            value = kind(cell)
        except ValueError:
            continue
        # JSON has no such numbers, and int() takes digits that no CSV means as one.
        return value if math.isfinite(value) and cell.isascii() and "_" not in cell else cell
    return cell


def _number(name: str, line: int, column: str, cell: str) -> int | float:
    value = _value(cell)
    if value is None or isinstance(value, str):
        raise _invalid(name, line, f"column '{column}' holds '{cell}', which is no number")
    return value


def _shaped(flat: Sequence[Any], shape: tuple[int, ...]) -> Any:
    if len(shape) == 1:
        return list(flat)
    step = len(flat) // shape[0]
    return [_shaped(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


def _invalid(name: str, line: int, reason: str) -> InvalidInput:
    return InvalidInput(
        f"{name}, line {line}: {reason}.",
        why="Nothing was asked.",
        hint="Correct the file.",
        code="invalid-rows",
    )
