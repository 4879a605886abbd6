"""Where exactly a CSV file is wrong: the slow, careful reading after the fast one has failed."""

import csv
import io
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.figures import counted
from tidemill.data.sources.source import Place
from tidemill.data.sources.unpacking import NotUtf8, Unpacked
from tidemill.data.spelling import quoted, why_lost

if TYPE_CHECKING:
    import pyarrow as pa


def header(path: Path, delimiter: str) -> list[str]:
    """The names in the first line.

    Raises:
        InvalidInput: ``empty-file``, when there is no first line, or nothing after it; ``unreadable-csv``.
    """
    data = Unpacked(path)
    with closing(records(path, delimiter, data)) as found:
        try:
            first, second = next(found, None), next(found, None)
        finally:
            check(path, delimiter, data)
    if first is None or second is None:
        raise InvalidInput(
            f"{path.name} is empty." if first is None else f"{path.name} has a header and no row after it.",
            why=f"It ends {'before a first line' if first is None else 'after line 1'}.",
            hint="Give it a line of column names and at least one row.",
            code=codes.EMPTY_FILE,
            details={"file": path.name, "line": 1, "column": 1},
        )
    return first[1]


def check_quotes(path: Path, delimiter: str) -> None:
    """Refuse a double quote that is never closed; slow.

    Raises:
        InvalidInput: ``unreadable-csv``, with the line where that value begins.
    """
    for _ in records(path, delimiter):
        pass


def place(path: Path, delimiter: str, row: int) -> Place:
    """The line where a row (from 0) begins."""
    with closing(_rows(path, delimiter)) as found:
        return next((Place(path.name, "line", line) for n, (line, _) in enumerate(found) if n == row))


def wrong_type(place: Place, column: str, text: str, kind: "pa.DataType") -> InvalidInput:
    """The error for a cell that its column's type does not take."""
    return InvalidInput(
        f"{place}, column '{column}': {quoted(text)} {why_lost(text, kind)}.",
        why=f"The column's type is {kind}.",
        hint="Correct that cell, or give its column a type by --type, and only the value counts. A new dataset finds "
        "its own types; to change a dataset's type, add --allow-schema-change.",
        code=codes.WRONG_TYPE,
        details=place.details(column),
    )


def first_fault(paths: Sequence[Path], delimiter: str, arrow_says: str) -> InvalidInput:
    """The first place that the fast reader stumbled over.

    Args:
        paths: The files, in the order in which they were read.
        delimiter: Between their cells.
        arrow_says: The fast reader's complaint.
    """
    for path in paths:
        _, names = next(records(path, delimiter))
        ragged = _first_ragged(path, delimiter, names)
        if ragged:
            return ragged
    return _unreadable(paths[0].name, None, arrow_says.splitlines()[0])


def blank_lines(path: Path) -> int:
    """How many empty lines a file begins with."""
    count = 0
    with io.TextIOWrapper(
        io.BufferedReader(Unpacked(path, text=False)), "utf-8-sig", errors="replace"
    ) as text:
        for line in text:
            if line.strip("\r\n"):
                break
            count += 1
    return count


def not_utf8(path: Path, delimiter: str, fault: NotUtf8) -> InvalidInput:
    """What is wrong with a byte, with its column."""
    before = fault.before.decode("latin-1")
    position = max(
        len(next(csv.reader([before.splitlines()[-1]] if before else [], delimiter=delimiter), [])), 1
    )
    _, names = next(records(path, delimiter), (1, list[str]()))
    named = fault.line > 1 and position <= len(names)
    return fault.error(path.name, names[position - 1].strip() if named else str(position))


def records(path: Path, delimiter: str, data: Unpacked | None = None) -> Generator[tuple[int, list[str]]]:
    """First line and cells of each record, the header too.

    Empty lines are skipped, as the fast reader does; after the name of an only column each is a missing cell.
    """
    data = data or Unpacked(path, text=False)
    limit = csv.field_size_limit(sys.maxsize)
    start = 1
    alone = False
    first = True
    try:
        with io.TextIOWrapper(io.BufferedReader(data), "utf-8-sig", errors="replace", newline="") as text:
            reader = csv.reader(text, strict=True, delimiter=delimiter)
            for cells in reader:
                if cells or alone:
                    yield start, cells or [""]
                if cells and first:
                    first, alone = False, len(cells) == 1
                start = reader.line_num + 1
    except csv.Error as error:
        raise _unreadable(path.name, start, str(error)) from error
    finally:
        csv.field_size_limit(limit)


def check(path: Path, delimiter: str, data: Unpacked) -> None:
    """Raise what is wrong with the bytes that were read, for a person."""
    try:
        data.check()
    except NotUtf8 as fault:
        raise not_utf8(path, delimiter, fault) from None


def _rows(path: Path, delimiter: str) -> Generator[tuple[int, list[str]]]:
    found = records(path, delimiter)
    next(found, None)
    return found


def _first_ragged(path: Path, delimiter: str, names: Sequence[str]) -> InvalidInput | None:
    for line, cells in _rows(path, delimiter):
        if len(cells) == len(names):
            continue
        short = len(cells) < len(names)
        column = names[len(cells)] if short else str(len(names) + 1)
        where = f"it ends before column '{column}'" if short else f"cell {column} has no column"
        return InvalidInput(
            f"{path.name}, line {line}: {counted(len(cells), 'cell')} where the header names {counted(len(names), 'column')}; {where}.",
            hint="Correct that line; what separates cells, inside a value, needs double quotes around the value.",
            code=codes.RAGGED_ROW,
            details={"file": path.name, "line": line, "column": column},
        )
    return None


def _unreadable(file: str, line: int | None, why: str) -> InvalidInput:
    return InvalidInput(
        f"{file}{f', line {line}' if line else ''}: this is not readable as CSV.",
        why=why,
        hint="Look for a double quote that is not closed, or doubled inside a value.",
        code=codes.UNREADABLE_CSV,
        details={"file": file, "line": line},
    )
