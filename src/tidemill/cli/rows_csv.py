"""CSV rows as the plain values that a prediction is asked for with. Not the import of a dataset: nothing is kept."""

import csv
import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.figures import counted
from tidemill.core.given import Text
from tidemill.loop.cells import numbered, shaped, spelled_number

_TENSOR = re.compile(r"(?P<prefix>[^*]+)\*:(?P<shape>[1-9]\d*(?:x[1-9]\d*)*)")


def rows(
    name: str, data: bytes, tensors: Mapping[str, str], limit: int | None = None
) -> list[dict[str, Any]]:
    """The rows of a CSV file: each cell as ``Text``, which the model's signature reads; tensors as lists of numbers.

    Args:
        name: The file, for errors.
        data: What is in it.
        tensors: Column to the numbered columns that are folded into it, and their shape (``pixel*:28x28``). An empty
            cell of theirs is a missing one: None.
        limit: How many rows are read; what follows them may be anything.

    Raises:
        InvalidInput: ``invalid-rows``, naming line and column.
        click.UsageError: When a tensor cannot be read.
    """
    reader = csv.reader(_lines(name, data), strict=True)
    try:
        header = next(reader, [])
        repeated = {column for column in header if header.count(column) > 1}
        if not header or repeated:
            reason = f"the column '{min(repeated)}' is there twice" if repeated else "there is no header"
            raise _invalid(name, 1, reason)
        folds = [_fold(name, column, pattern, header) for column, pattern in tensors.items()]
        folded = {place for _, places, _ in folds for place in places}
        found: list[dict[str, Any]] = []
        for cells in itertools.islice(filter(None, reader), limit):
            if len(cells) != len(header):
                raise _invalid(
                    name, reader.line_num, f"{counted(len(cells), 'cell')} where the header has {len(header)}"
                )
            row: dict[str, Any] = {c: Text(cells[i]) for i, c in enumerate(header) if i not in folded}
            for column, places, shape in folds:
                row[column] = shaped(
                    [_number(name, reader.line_num, header[i], cells[i]) for i in places], shape
                )
            found.append(row)
    except csv.Error as error:
        raise _invalid(name, reader.line_num, str(error)) from error
    return found


def _lines(name: str, data: bytes) -> Iterator[str]:
    """The file's lines, each decoded when it is read."""
    for number, line in enumerate(io.BytesIO(data), 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise _invalid(name, number, "a byte that is not UTF-8") from error
        yield from io.StringIO(text, newline="")


def _fold(
    name: str, column: str, pattern: str, header: Sequence[str]
) -> tuple[str, list[int], tuple[int, ...]]:
    match = _TENSOR.fullmatch(pattern)
    if match is None:
        raise click.UsageError(
            f"--tensor takes COLUMN=PREFIX*:SHAPE, such as image=pixel*:28x28, not '{column}={pattern}'."
        )
    prefix, shape = match["prefix"], tuple(int(n) for n in match["shape"].split("x"))
    members = numbered(prefix, header)
    if len(members) != math.prod(shape):
        wanted = f"{match['shape']} takes {math.prod(shape)}"
        raise _invalid(
            name,
            1,
            f"{counted(len(members), 'column is', 'columns are')} called '{prefix}' and a number, where {wanted}",
        )
    return column, [header.index(member) for member in members], shape


def _number(name: str, line: int, column: str, cell: str) -> int | float | None:
    value = spelled_number(cell)
    if isinstance(value, str):
        raise _invalid(name, line, f"column '{column}' holds '{cell}', which is no number")
    return value


def _invalid(name: str, line: int, reason: str) -> InvalidInput:
    return InvalidInput(
        f"{name}, line {line}: {reason}.",
        why="Nothing was asked.",
        hint="Correct the file.",
        code=codes.INVALID_ROWS,
    )
