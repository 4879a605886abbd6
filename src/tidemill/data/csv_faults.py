"""Where exactly a CSV file is wrong: the slow, careful pass after the fast one has failed."""

import csv
import re
from collections.abc import Iterator, Sequence

from tidemill.core.errors import InvalidInput

_PIECE_BYTES = 1 << 20


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
        InvalidInput: ``empty-file``, when there is no first line, or nothing after it.
    """
    records = _records(data)
    try:
        first = next((cells for _, cells in records if cells), None)
        second = next((cells for _, cells in records if cells), None)
    except csv.Error as error:
        raise _unreadable(file, 1, str(error)) from error
    if first is None or second is None:
        raise InvalidInput(
            f"{file} is empty." if first is None else f"{file} has a header and no row after it.",
            why=f"It ends {'before a first line' if first is None else 'after line 1'}.",
            hint="Give it a line of column names and at least one row.",
            code="empty-file",
            details={"file": file, "line": 1, "column": 1},
        )
    return first


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
        for line, cells in _rows(data):
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
    line = 0
    try:
        for line, cells in _rows(data):
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
    except csv.Error as error:
        return _unreadable(file, line + 1, str(error))
    return None


def _rows(data: bytearray) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of each record after the header; empty lines are skipped, as the fast reader does."""
    records = ((line, cells) for line, cells in _records(data) if cells)
    next(records, None)
    return records


def _records(data: bytearray) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_lines(data), strict=True)
    line = 0
    for cells in reader:
        yield line + 1, cells
        line = reader.line_num


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
