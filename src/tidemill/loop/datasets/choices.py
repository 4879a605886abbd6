"""What a person says to the conflicts of a merge, as it is typed or written into a CSV file."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.files import whole
from tidemill.core.names import nearest
from tidemill.data.cell_values import as_text
from tidemill.data.conflicts import SIDES, Choice, Choices, Side, Value
from tidemill.loop.datasets.views import ConflictView

_COLUMNS = (
    "_id",
    "column",
    "kind",
    "base",
    "ours",
    "theirs",
    "ours_author",
    "ours_time",
    "theirs_author",
    "theirs_time",
    "choice",
)
_ROW = "(row)"
"""In the place of a column: the choice is about the whole row."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was typed; of a cell's own choice, its column's side and the side for all, the first counts.

    Attributes:
        side: ``ours``, ``theirs`` or ``base`` for all conflicts that nothing else is said of.
        columns: Column to side.
        file: A CSV file as ``write_conflicts`` writes it, with its last column filled in.
        cells: ``_id`` and column (None for the whole row) to a choice as it would stand in that file.
    """

    side: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    cells: Mapping[tuple[int, str | None], str] = field(default_factory=dict)


def as_choices(decisions: Decisions) -> Choices:
    """What was typed, read.

    Raises:
        InvalidInput: ``unknown-choice``, ``missing-choice``, ``invalid-choices``.
        NotFound: ``file-not-found``.
    """
    cells: dict[tuple[int, str | None], Choice] = {
        cell: _choice(text, f"row {cell[0]}") for cell, text in decisions.cells.items()
    }
    if decisions.file is not None:
        cells |= _read(decisions.file, decisions)
    columns: dict[str, Side] = {
        name: _side(text, f"column '{name}'") for name, text in decisions.columns.items()
    }
    return Choices(_side(decisions.side, "all") if decisions.side else None, columns, cells)


def write_conflicts(path: Path, conflicts: Sequence[ConflictView]) -> None:
    """Write conflicts as CSV, a line each, with an empty column ``choice`` at the end."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for c in conflicts:
            values = [as_text(v) for v in (c.base, c.ours, c.theirs)]
            who = [c.ours_by.author, c.ours_by.time, c.theirs_by.author, c.theirs_by.time]
            writer.writerow([c.id, c.column or _ROW, c.kind, *values, *who, ""])


def _read(path: Path, decisions: Decisions) -> dict[tuple[int, str | None], Choice]:
    try:
        text = whole(path).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound(
            f"There is no file {path}.", hint="Check the path.", code=codes.FILE_NOT_FOUND
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(path, 1, f"it cannot be read: {error}") from error
    reader = csv.DictReader(text.splitlines())
    lacking = [n for n in ("_id", "column", "choice") if n not in (reader.fieldnames or ())]
    if lacking:
        raise _invalid(path, 1, f"there is no column '{lacking[0]}'")
    found: dict[tuple[int, str | None], Choice] = {}
    open_lines: list[int] = []
    for line in reader:
        at = reader.line_num
        row, column, choice = (line[n] or "" for n in ("_id", "column", "choice"))
        if not row.isdecimal():
            raise _invalid(path, at, f"'{row}' is no _id")
        cell = (int(row), None if column in ("", _ROW) else column)
        if cell in found:
            raise _invalid(path, at, f"row {row}, column '{column}' is there twice")
        if choice.strip():
            found[cell] = _choice(choice.strip(), f"{path}, line {at}")
        elif not (decisions.side or column in decisions.columns):
            open_lines.append(at)
    if open_lines:
        count = len(open_lines)
        raise InvalidInput(
            f"{path}, line {open_lines[0]}: the column 'choice' is empty"
            + (f", and so in {count - 1} more lines." if count > 1 else "."),
            why="Each conflict needs a choice. Nothing was merged.",
            hint="Write ours, theirs, base or a value there; or add --ours or --theirs for all that are empty.",
            code=codes.MISSING_CHOICE,
            details={"lines": open_lines[:20]},
        )
    return found


def _choice(text: str, where: str) -> Choice:
    """A side, or a value: what follows a ``=`` as it is, and any text that is not nearly a side's name."""
    if text in SIDES:
        return _side(text, where)
    if text.startswith("="):
        return Value(text[1:] or None)
    close = nearest(text.lower(), SIDES)
    if close:
        raise InvalidInput(
            f"{where}: '{text}' is no choice.",
            hint=f"Write '{close}'; or '={text}', if the cell is to hold that text.",
            code=codes.UNKNOWN_CHOICE,
        )
    return Value(text)


def _side(text: str, where: str) -> Side:
    for side in SIDES:
        if text == side:
            return side
    raise InvalidInput(
        f"'{text}' cannot be chosen for {where}.",
        hint="Choose ours, theirs or base.",
        code=codes.UNKNOWN_CHOICE,
    )


def _invalid(path: Path, line: int, reason: str) -> InvalidInput:
    return InvalidInput(
        f"{path}, line {line}: {reason}.",
        why="It is to be a list of conflicts with the column 'choice' filled in. Nothing was merged.",
        hint="Write the list with --conflicts FILE, and fill in its last column.",
        code=codes.INVALID_CHOICES,
    )
