"""Where exactly a CSV file is wrong: the slow, careful pass after the fast one has failed."""

import csv
import re
import sys
from collections.abc import Iterator, Sequence

from tidemill.core.errors import InvalidInput

_PIECE_BYTES = 1 << 20
_NOT_EMPTY = re.compile(rb"[^\r\n]")


def check_text(file: str, data: bytearray) -> None:
    """Refuse bytes that are not UTF-8.

    Raises:
        InvalidInput: ``not-utf8``, with line, column and byte.
    """
    if data.isascii():
        return
    # Cut at line ends, so that no character is cut in two and memory stays small.
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + _PIECE_BYTES) + 1 or len(data)
        try:
            data[start:end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise _not_utf8(file, data, start + error.start) from None
        start = end


def header(file: str, data: bytearray) -> list[str]:
    """The names in the first line.

    Raises:
        InvalidInput: ``empty-file``, when there is no first line, or nothing after it; ``unreadable-csv``.
    """
    _, line, first = next(_records(file, data), (0, 0, None))
    # A record ends a line, so what follows the first one starts where its last line ended.
    end = 0
    for _ in range(line):
        end = data.find(b"\n", end) + 1 or len(data)
    second = _NOT_EMPTY.search(data, end)
    if first is None or second is None:
        raise InvalidInput(
            f"{file} is empty." if first is None else f"{file} has a header and no row after it.",
            why=f"It ends {'before a first line' if first is None else 'after line 1'}.",
            hint="Give it a line of column names and at least one row.",
            code="empty-file",
            details={"file": file, "line": 1, "column": 1},
        )
    return first


def check_quotes(file: str, data: bytearray) -> None:
    """Refuse a double quote that is never closed; slow.

    Raises:
        InvalidInput: ``unreadable-csv``, with the line where that value begins.
    """
    for _ in _records(file, data):
        pass


def first_fault(
    file: str, data: bytearray, names: Sequence[str], arrow_says: str, types: Sequence[str]
) -> InvalidInput:
    """The first place that the fast reader stumbled over.

    Args:
        file: The file's name.
        data: Its bytes.
        names: Its columns.
        arrow_says: The fast reader's complaint.
        types: The type of each column, for the message.
    """
    ragged = _first_ragged(file, data, names)
    if ragged:
        return ragged
    found = re.search(r"In CSV column #(\d+):.*invalid value '(.*)'", arrow_says, re.DOTALL)
    if found:
        position, value = int(found[1]), found[2]
        for line, cells in _rows(file, data):
            if cells[position].strip() == value.strip():
                return InvalidInput(
                    f"{file}, line {line}, column '{names[position]}': '{value}' is not {types[position]}.",
                    why=f"The column's type is {types[position]}.",
                    hint="Correct that cell, or give the column another type when the dataset is made.",
                    code="wrong-type",
                    details={"file": file, "line": line, "column": names[position]},
                )
    return _unreadable(file, None, arrow_says.splitlines()[0])


def _first_ragged(file: str, data: bytearray, names: Sequence[str]) -> InvalidInput | None:
    for line, cells in _rows(file, data):
        if len(cells) == len(names):
            continue
        short = len(cells) < len(names)
        column = names[len(cells)] if short else str(len(names) + 1)
        where = f"it ends before column '{column}'" if short else f"cell {column} has no column"
        return InvalidInput(
            f"{file}, line {line}: {len(cells)} cells where the header names {len(names)} columns; {where}.",
            hint="Correct that line; a comma inside a value needs double quotes around the value.",
            code="ragged-row",
            details={"file": file, "line": line, "column": column},
        )
    return None


def _rows(file: str, data: bytearray) -> Iterator[tuple[int, list[str]]]:
    """First line and cells of each record after the header."""
    records = _records(file, data)
    next(records, None)
    return ((start, cells) for start, _, cells in records)


def _records(file: str, data: bytearray) -> Iterator[tuple[int, int, list[str]]]:
    """First line, last line and cells of each record; empty lines are skipped, as the fast reader does."""
    reader = csv.reader(_lines(data), strict=True)
    start = 1
    limit = csv.field_size_limit(sys.maxsize)
    try:
        for cells in reader:
            if cells:
                yield start, reader.line_num, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise _unreadable(file, start, str(error)) from error
    finally:
        csv.field_size_limit(limit)


def _lines(data: bytearray) -> Iterator[str]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end].decode("utf-8" if start else "utf-8-sig")
        start = end


def _not_utf8(file: str, data: bytearray, at: int) -> InvalidInput:
    line = data.count(b"\n", 0, at) + 1
    start = data.rfind(b"\n", 0, at) + 1
    before = data[start:at].decode("latin-1")
    position = max(len(next(csv.reader([before]), [])), 1)
    first = data[: data.find(b"\n") + 1 or len(data)].decode("utf-8", "replace")
    names = next(csv.reader([first.removeprefix("\ufeff")]), [])
    column = names[position - 1].strip() if line > 1 and position <= len(names) else str(position)
    return InvalidInput(
        f"{file}, line {line}, column {column!r}: byte 0x{data[at]:02x} (byte {at - start + 1} of the line) "
        "is not UTF-8.",
        hint="Save the file as UTF-8; from Latin-1 or Windows: 'iconv -f cp1252 -t utf-8 OLD > NEW'.",
        code="not-utf8",
        details={"file": file, "line": line, "column": column, "byte": at - start + 1},
    )


def _unreadable(file: str, line: int | None, why: str) -> InvalidInput:
    return InvalidInput(
        f"{file}{f', line {line}' if line else ''}: this is not readable as CSV.",
        why=why,
        hint="Look for a double quote that is not closed, or doubled inside a value.",
        code="unreadable-csv",
        details={"file": file, "line": line},
    )
