"""A sheet of an Excel workbook: a row of names and rows of values, as openpyxl reads them."""

import datetime as dt
import re
import zipfile
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NeedsExtra, NotFound
from tidemill.core.events import Progress, Sink
from tidemill.core.names import did_you_mean
from tidemill.data.sources import zips
from tidemill.data.sources.kept import Kept
from tidemill.data.sources.paths import check_same_columns, name_of
from tidemill.data.sources.source import Group, Note, Place
from tidemill.data.sources.values import column, types_of

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE_ROWS = 20_000
_UNNAMED = "index"


class Excel:
    """A sheet of one or more workbooks with the same columns, as one source.

    Args:
        paths: The workbooks.
        sheet: The sheet's name; None for the only one with a cell in it.
        sink: Is told how far it is.
    """

    how = "found in the cells"
    sparse = False
    spellings: Mapping[str, str] = MappingProxyType({})

    def __init__(self, paths: Sequence[Path], sheet: str | None, sink: Sink) -> None:
        self.name = name_of(paths)
        self._paths = list(paths)
        self._sheet = sheet
        self._sink = sink
        self._found: dict[str, Note] = {}
        self._counts: list[tuple[str, int, int]] = []

    @property
    def head(self) -> Place:
        """The first workbook."""
        return Place(self._paths[0].name)

    @property
    def notes(self) -> Sequence[Note]:
        """What became of cells that are shown in another way than they are kept."""
        return list(self._found.values())

    @cached_property
    def _kept(self) -> tuple[list[str], Kept]:
        """The columns' names, and all rows."""
        kept = Kept()
        names: list[str] = []
        for path in self._paths:
            with _workbook(path) as book:
                sheet = _sheet(book, path, self._sheet)
                first, found = _table(sheet, path)
                own = self._named(path, next(found))
                if not names:
                    names = own
                check_same_columns(self._paths[0].name, names, path.name, own)
                order = [own.index(name) for name in names]
                before = kept.rows
                self._keep(kept, names, order, found, Sheet(path, sheet.title, first + 1))
                title = sheet.title
                self._counts.append((f"{path.name}, sheet '{sheet.title}'", kept.rows - before, first + 1))
            _check_computed(path, title)
        if not kept.rows:
            raise InvalidInput(
                f"{self.name} has a row of names and no row after it.",
                hint="Give it at least one row.",
                code=codes.EMPTY_FILE,
                details={"file": self.head.file, "row": 1, "column": 1},
            )
        return names, kept

    def _keep(
        self,
        kept: Kept,
        names: Sequence[str],
        order: Sequence[int],
        rows: Iterator[list[Any]],
        sheet: "Sheet",
    ) -> None:
        some: list[list[Any]] = []
        empty = 0
        for row in rows:
            if len(row) > len(order) and any(cell.value is not None for cell in row[len(order) :]):
                at = next(n for n in range(len(order), len(row)) if row[n].value is not None)
                raise _wrong(
                    sheet, row[at], "is in a column that has no name", "Give the column a name in row 1."
                )
            if all(cell.value is None for cell in row):
                # Empty rows at the end are no rows; between others they are.
                empty += 1
                continue
            some += [[None] * len(order) for _ in range(empty)]
            empty = 0
            some.append(
                [
                    self._value(row[at], names[n], sheet) if at < len(row) else None
                    for n, at in enumerate(order)
                ]
            )
            if len(some) >= _PIECE_ROWS:
                kept.add(list(zip(*some, strict=True)))
                self._sink(Progress(f"Reading {sheet.path.name}", kept.rows, None, "rows"))
                some = []
        if some:
            kept.add(list(zip(*some, strict=True)))

    def _named(self, path: Path, cells: list[Any]) -> list[str]:
        """The names in a sheet's first row."""
        values = [cell.value for cell in cells]
        while values and values[-1] is None:
            values.pop()
        names = ["" if value is None else str(value) for value in values]
        if not names[0] and len(names) > 1 and _UNNAMED not in names:
            text = f"The first column of {path.name} has no name: it is imported as '{_UNNAMED}'."
            self._found["unnamed-column"] = Note("unnamed-column", _UNNAMED, text)
            names[0] = _UNNAMED
        for at, name in enumerate(names):
            if not name:
                raise InvalidInput(
                    f"{path.name}: column {_letters(at)} has no name in its first row.",
                    why="A cell that is merged over several columns names the first of them alone.",
                    hint="Give each column a name of its own, in one row.",
                    code=codes.INVALID_COLUMN_NAME,
                    details={"file": path.name, "row": 1, "column": at + 1},
                )
        return names

    def _value(self, cell: Any, name: str, sheet: "Sheet") -> Any:
        """A cell's value, as a person sees it."""
        value = cell.value
        if value is None or isinstance(value, (str, bool)):
            if getattr(cell, "data_type", None) == "e":
                raise _wrong(
                    sheet, cell, f"is the error {value}", "Correct its formula, or empty the cell.", name
                )
            return value
        if isinstance(value, dt.timedelta):
            seconds = int(value.total_seconds())
            return f"{seconds // 3600}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
        kind: str = cell.number_format or ""
        if isinstance(value, dt.datetime):
            return value.date() if value.time() == dt.time() and not re.search("[hsHS]", kind) else value
        if isinstance(value, int) and re.fullmatch("0{2,}", kind):
            text = f"'{name}' is text: its numbers are shown with leading zeros, as {kind}."
            self._found.setdefault(f"zeros {name}", Note("leading-zeros", name, text))
            return format(value, f"0{len(kind)}d")
        return value

    def fields(self) -> "Sequence[pa.Field]":
        """The columns; all types are to be found."""
        import pyarrow as pa  # noqa: PLC0415

        return [pa.field(name, pa.null()) for name in self._kept[0]]

    def types(self, groups: Sequence[Group], fixed: "Mapping[str, pa.DataType]") -> "dict[str, pa.DataType]":
        """The type of each source column of the groups: the narrowest that every value fits."""
        del fixed
        names, kept = self._kept
        return types_of(groups, lambda: kept.named(names), self.place)

    def pieces(self, types: "Mapping[str, pa.DataType]", given: Collection[str] = ()) -> "Iterator[pa.Table]":
        """All rows, in order, in these types."""
        import pyarrow as pa  # noqa: PLC0415

        names, kept = self._kept
        for start, columns in kept.pieces():
            arrays = [
                column(values, types[name], name, lambda n, s=start: self.place(s + n), given=name in given)
                for name, values in zip(names, columns, strict=True)
            ]
            yield pa.Table.from_arrays(arrays, names=names)

    def place(self, row: int) -> Place:
        """Where a row is."""
        for name, count, first in self._counts:
            if row < count:
                return Place(name, "row", first + row + 1)
            row -= count
        raise AssertionError(row)


class Sheet:
    """Where the rows of a workbook are: its file, its sheet, and the number of the row of names, from 1."""

    def __init__(self, path: Path, title: str, head: int) -> None:
        self.path = path
        self.title = title
        self.head = head


@contextmanager
def _workbook(path: Path) -> Generator[Any]:
    try:
        import openpyxl  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise NeedsExtra(
            f"{path.name} is an Excel workbook; reading it needs openpyxl, which is not installed.",
            hint="Type: pip install 'tidemill[excel]', or save the sheet as CSV.",
        ) from error
    import warnings  # noqa: PLC0415

    with _readable(path), warnings.catch_warnings():
        # It warns of what it does not keep, such as charts; only cells are wanted here.
        warnings.simplefilter("ignore")
        # Closed here, whatever still reads from it.
        with path.open("rb") as file:
            yield openpyxl.load_workbook(file, read_only=True, data_only=True)


def _readable(path: Path) -> AbstractContextManager[None]:
    what, hint = (
        "this is not readable as an Excel workbook",
        "Open it in Excel and save it again, or save the sheet as CSV.",
    )
    return zips.readable(path, what, hint, KeyError, TypeError, SyntaxError)


def _sheet(book: Any, path: Path, wanted: str | None) -> Any:
    """The sheet that is meant.

    Raises:
        NotFound: ``sheet-not-found``.
        InvalidInput: ``sheet-not-said``; ``empty-file``.
    """
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    if wanted is not None:
        if wanted not in sheets:
            raise NotFound(
                f"{path.name} has no sheet '{wanted}'.",
                hint=did_you_mean(wanted, sheets),
                code=codes.SHEET_NOT_FOUND,
            )
        return sheets[wanted]
    filled = [s for s in sheets.values() if s.sheet_state == "visible" and _has_cell(s)]
    if not filled:
        raise InvalidInput(
            f"{path.name} is empty.",
            why="None of its sheets that are shown has a cell.",
            hint="Name another file, or a hidden sheet with --sheet.",
            code=codes.EMPTY_FILE,
            details={"file": path.name, "row": 1, "column": 1},
        )
    if len(filled) > 1:
        raise InvalidInput(
            f"{path.name} has {len(filled)} sheets: {', '.join(s.title for s in filled)}.",
            why="One sheet is one table.",
            hint=f"Say which: --sheet '{filled[0].title}'.",
            code=codes.SHEET_NOT_SAID,
            details={"file": path.name, "sheets": [s.title for s in filled]},
        )
    return filled[0]


def _has_cell(sheet: Any) -> bool:
    return any(cell.value is not None for row in sheet.iter_rows() for cell in row)


def _table(sheet: Any, path: Path) -> tuple[int, Iterator[list[Any]]]:
    """How many empty rows a sheet begins with, and its rows from the first one that is not empty."""
    # What a file says of its size is often wrong.
    sheet.reset_dimensions()
    rows = iter(sheet.iter_rows())
    for number, row in enumerate(rows):
        if any(cell.value is not None for cell in row):
            return number, _from(list(row), rows)
    raise InvalidInput(
        f"{path.name}: sheet '{sheet.title}' is empty.",
        hint="Name another sheet: --sheet NAME.",
        code=codes.EMPTY_FILE,
        details={"file": path.name, "row": 1, "column": 1},
    )


def _from(first: list[Any], rows: Iterator[Any]) -> Iterator[list[Any]]:
    yield first
    yield from map(list, rows)


def _check_computed(path: Path, title: str) -> None:
    """Refuse a formula of a sheet whose value the file does not hold: it would come in as a missing cell.

    Raises:
        InvalidInput: ``formula-not-computed``.
    """
    import openpyxl  # noqa: PLC0415

    with _readable(path):
        if not _has_formula(path):
            return
    with _readable(path), path.open("rb") as one, path.open("rb") as two:
        values = openpyxl.load_workbook(one, read_only=True, data_only=True)
        formulas = openpyxl.load_workbook(two, read_only=True)
        rows = zip(values[title].iter_rows(), formulas[title].iter_rows(), strict=True)
        for cell, twin in (pair for row in rows for pair in zip(*row, strict=True)):
            if cell.value is None and getattr(twin, "data_type", None) == "f":
                raise InvalidInput(
                    f"{path.name}, sheet '{title}', cell {twin.coordinate}: the value of its formula is "
                    "not in the file.",
                    why="The program that wrote it did not compute it, so it would come in as missing.",
                    hint="Open the workbook in Excel, let it compute, and save it.",
                    code=codes.FORMULA_NOT_COMPUTED,
                    details={"file": path.name, "row": twin.row, "column": twin.column},
                )


def _has_formula(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                with archive.open(name) as part:
                    before = b""
                    while data := part.read(1 << 20):
                        if re.search(rb"<f[ >/]", before + data):
                            return True
                        before = data[-3:]
    return False


def _wrong(sheet: Sheet, cell: Any, what: str, hint: str, name: str | None = None) -> InvalidInput:
    where = f"{sheet.path.name}, sheet '{sheet.title}', cell {cell.coordinate}"
    return InvalidInput(
        f"{where}{f', column {name!r}' if name else ''}: it {what}.",
        hint=hint,
        code=codes.UNREADABLE_CELL,
        details={"file": sheet.path.name, "row": cell.row, "column": name or cell.column},
    )


def _letters(at: int) -> str:
    """What Excel calls a column, by its number from 0."""
    letters = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
