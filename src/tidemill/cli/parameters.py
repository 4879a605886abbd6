"""What is typed, as what ``loop`` takes: name=value pairs, files, labels, rows."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidemill.core.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from tidemill.loop.views import EnvironmentView


def assignments(option: str, texts: Sequence[str]) -> dict[str, str]:
    """``("epochs=3", ...)`` as a dict.

    Raises:
        click.UsageError: For one without ``=``, and for a name that is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise click.UsageError(f"{option} takes NAME=VALUE, not '{text}'.")
        if name.strip() in found:
            raise click.UsageError(f"{option} gives '{name.strip()}' twice.")
        found[name.strip()] = value
    return found


def file_and_name(text: str) -> tuple[str, str | None]:
    """``pipeline.py:fashion`` as the file and the pipeline in it; a file whose own name has a colon is that file."""
    file, separator, name = text.rpartition(":")
    if not separator or not file or "/" in name or Path(text).exists():
        return text, None
    return file, name


def rows_from(file: str) -> Path | list[dict[str, Any]]:
    """The file to predict, or the JSON rows of standard input for ``-``.

    Raises:
        InvalidInput: ``invalid-rows``, when standard input is no JSON list of objects.
    """
    import json  # noqa: PLC0415

    if file != "-":
        return Path(file)
    try:
        tree = json.load(sys.stdin)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _invalid_rows(f"it is not JSON: {error}") from error
    rows = tree["rows"] if isinstance(tree, dict) and "rows" in tree else tree
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _invalid_rows("it is no list of objects")
    return rows


def _invalid_rows(reason: str) -> InvalidInput:
    return InvalidInput(
        f"Standard input does not hold rows: {reason}.",
        hint='Send a JSON list with an object for each row, or {"rows": [...]}.',
        code="invalid-rows",
    )


def labels_from(file: str | None, prediction: str | None, label: str | None) -> list[tuple[str, str]] | None:
    """The (prediction, label) pairs that were given; None where none were asked for.

    Raises:
        click.UsageError: When both ways of giving them are mixed, or one is half there.
        InvalidInput: ``invalid-feedback``, naming file, line and column.
        NotFound: ``file-not-found``.
    """
    if (prediction is None) != (label is None):
        raise click.UsageError("--prediction and --label go together.")
    if prediction is not None and label is not None:
        if file is not None:
            raise click.UsageError("Give a FILE, or --prediction with --label, not both.")
        return [(prediction, label)]
    if file is None:
        return None
    name, data = ("standard input", sys.stdin.buffer.read()) if file == "-" else (file, _bytes(Path(file)))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _invalid_feedback(f"{name}, line {line}: a byte that is not UTF-8.") from error
    return list(_pairs(name, text))


def _pairs(name: str, text: str) -> Sequence[tuple[str, str]]:
    import csv  # noqa: PLC0415

    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: list[tuple[str, str]] = []
    try:
        header = [column.strip() for column in next(reader, [])]
        for column in ("prediction", "label"):
            if header.count(column) != 1:
                raise _invalid_feedback(f"{name}, line 1: there must be one column '{column}'.")
        at = (header.index("prediction"), header.index("label"))
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise _invalid_feedback(
                    f"{name}, line {reader.line_num}: {len(row)} cells where the header has {len(header)}."
                )
            for place, column in zip(at, ("prediction", "label"), strict=True):
                if not row[place].strip():
                    raise _invalid_feedback(
                        f"{name}, line {reader.line_num}, column '{column}': the cell is empty."
                    )
            found.append((row[at[0]].strip(), row[at[1]]))
    except csv.Error as error:
        raise _invalid_feedback(f"{name}, line {reader.line_num}: {error}.") from error
    return found


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise NotFound(
            f"'{file}' cannot be read: {error.strerror}.", hint="Check the path.", code="file-not-found"
        ) from error


def _invalid_feedback(message: str) -> InvalidInput:
    return InvalidInput(
        message,
        why="Nothing was sent.",
        hint="Write a CSV file whose first line is prediction,label.",
        code="invalid-feedback",
    )


def only(environment: str, every: "Sequence[EnvironmentView]") -> "list[EnvironmentView]":
    """The one of this name.

    Raises:
        NotFound: ``environment-not-found``.
    """
    found = [view for view in every if view.environment == environment]
    if not found:
        from tidemill.core.names import nearest  # noqa: PLC0415

        names = [view.environment for view in every]
        close = nearest(environment, names)
        raise NotFound(
            f"There is no environment '{environment}'.",
            hint=f"Did you mean '{close}'?" if close else f"There are {', '.join(names)}.",
            code="environment-not-found",
        )
    return found
