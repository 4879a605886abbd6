"""What is typed, as what ``loop`` takes: name=value pairs, files, labels, rows."""

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.figures import counted
from tidemill.core.files import whole
from tidemill.core.given import Json, Text, tree_of

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


def given(texts: Sequence[str]) -> dict[str, Text | Json]:
    """What ``-p`` says: ``n=3``, text that the parameter's annotation reads; ``n:=3``, JSON.

    Raises:
        click.UsageError: As ``assignments``; and for what is not JSON after ``:=``.
    """
    found: dict[str, Text | Json] = {}
    for name, text in assignments("--parameter", texts).items():
        plain = name.removesuffix(":").strip()
        if not plain:
            raise click.UsageError(f"--parameter takes NAME=VALUE or NAME:=JSON, not '{name}={text}'.")
        if plain in found:
            raise click.UsageError(f"--parameter gives '{plain}' twice.")
        found[plain] = _json(plain, text) if name.endswith(":") else Text(text)
    return found


def _json(name: str, text: str) -> Json:
    try:
        return Json(tree_of(text))
    except (ValueError, RecursionError) as error:
        raise click.UsageError(
            f"--parameter {name}:= takes JSON, not {text[:80]!r}: {error}. For text, type {name}=."
        ) from error


def file_and_name(text: str) -> tuple[str, str | None]:
    """``pipeline.py:fashion`` as the file and the pipeline in it; a file whose own name has a colon is that file."""
    file, separator, name = text.rpartition(":")
    if not separator or not file or "/" in name or Path(text).exists():
        return text, None
    return file, name


def rows_from(file: str, tensors: Mapping[str, str], limit: int | None = None) -> list[dict[str, Any]]:
    """The rows to predict, from a file or from standard input for ``-``.

    Args:
        file: ``.csv``; anything else is JSON: a list of objects, ``{"rows": [...]}``, or one object a line.
        tensors: Column to the CSV columns that are folded into it (``pixel*:28x28``).
        limit: Only the first so many. Of a CSV file, or of one object a line, no more is read.

    Raises:
        InvalidInput: ``invalid-rows``, naming file and line.
        NotFound: ``file-not-found``.
        click.UsageError: When a tensor cannot be read, or the rows are JSON.
    """
    name, data = _read(file)
    if Path(file).suffix.lower() == ".csv":
        from tidemill.cli import rows_csv  # noqa: PLC0415

        return rows_csv.rows(name, data, tensors, limit)
    if tensors:
        raise click.UsageError(
            "--tensor folds the columns of a CSV file; JSON rows hold their tensors as lists."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid_rows(name, f"line {_line(data, error.start)} has a byte that is not UTF-8") from error
    return _json_rows(name, text, limit)


def _json_rows(name: str, text: str, limit: int | None) -> list[dict[str, Any]]:
    try:
        tree: Any = tree_of(text)
    except (ValueError, RecursionError) as whole:
        tree = _json_lines(name, text, limit)
        if tree is None:
            raise _invalid_rows(name, f"it is not JSON: {whole}") from whole
    rows: Any = tree.get("rows", [tree]) if isinstance(tree, dict) else tree
    if not isinstance(rows, list):
        raise _invalid_rows(name, "it is no list of objects")
    rows = rows[:limit]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise _invalid_rows(name, f"row {number} is no object")
    return rows


def _json_lines(name: str, text: str, limit: int | None) -> list[Any] | None:
    """What stands on each line; None where these are no JSON lines."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    found: list[Any] = []
    for number, line in lines[:limit]:
        try:
            found.append(tree_of(line))
        except (ValueError, RecursionError) as error:
            if not found:
                return None
            raise _invalid_rows(name, f"line {number} is not JSON: {error}") from error
    return found if len(lines) > 1 else None


def _invalid_rows(name: str, reason: str) -> InvalidInput:
    return InvalidInput(
        f"{name} does not hold rows: {reason}.",
        hint='Write a JSON list with an object for each row, or {"rows": [...]}, or a .csv file.',
        code=codes.INVALID_ROWS,
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
    name, data = _read(file)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid_feedback(
            f"{name}, line {_line(data, error.start)}: a byte that is not UTF-8."
        ) from error
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
                    f"{name}, line {reader.line_num}: {counted(len(row), 'cell')} where the header has {len(header)}."
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


def _read(file: str) -> tuple[str, bytes]:
    """What to call a file, and what is in it; ``-`` is standard input."""
    if file == "-":
        return "standard input", sys.stdin.buffer.read()
    try:
        return file, whole(Path(file))
    except OSError as error:
        raise NotFound(
            f"'{file}' cannot be read: {error.strerror}.", hint="Check the path.", code=codes.FILE_NOT_FOUND
        ) from error


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def _invalid_feedback(message: str) -> InvalidInput:
    return InvalidInput(
        message,
        why="Nothing was sent.",
        hint="Write a CSV file whose first line is prediction,label.",
        code=codes.INVALID_FEEDBACK,
    )


def only(environment: str, every: "Sequence[EnvironmentView]") -> "list[EnvironmentView]":
    """The one of this name.

    Raises:
        NotFound: ``environment-not-found``.
    """
    found = [view for view in every if view.environment == environment]
    if not found:
        from tidemill.core.names import did_you_mean  # noqa: PLC0415

        names = [view.environment for view in every]
        raise NotFound(
            f"There is no environment '{environment}'.",
            hint=did_you_mean(environment, names),
            code=codes.ENVIRONMENT_NOT_FOUND,
        )
    return found
