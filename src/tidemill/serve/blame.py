"""Whose fault a failed prediction is: the row's, if the predictor still answers a row that it was proven on.

Loaded only in a server, never by ``import tidemill``.
"""

import traceback
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.core import codes
from tidemill.core.errors import Failed, InvalidInput, TidemillError, came_from
from tidemill.core.kinds import raised
from tidemill.models import sample
from tidemill.models.predictor import CODE_FOLDER, Predictor

_OF_ROWS = frozenset({codes.STAGE_FAILED, codes.MODEL_FAILED, codes.MODEL_NOT_FINITE})
_SHOWN = 200


def of_row(predictor: Predictor, columns: dict[str, Any], error: Failed) -> TidemillError:
    """What the client is told: which of its rows cannot be answered, and why; the error itself if none is to blame.

    An id or a category that training never had, a text that a step cannot parse, a number that overflows: the code
    is the same that answers other rows. That it is, a row of the bundle's own sample says.

    Args:
        predictor: What failed.
        columns: The rows that it was asked for.
        error: What it raised for all of them together.
    """
    if error.code not in _OF_ROWS or not _still_answers(predictor):
        return error
    rows = len(next(iter(columns.values()))) if columns else 0
    for row in range(rows):
        one = {name: values[row : row + 1] for name, values in columns.items()}
        if rows > 1:
            try:
                predictor.predict(one)
            except Failed as alone:
                found = alone
            except TidemillError:
                continue
            else:
                continue
        else:
            found = error
        return _told(predictor, one, row, found) if found.code in _OF_ROWS else error
    return error


def _still_answers(predictor: Predictor) -> bool:
    try:
        rows, _ = sample.read(predictor.folder)
        predictor.predict({name: values[:1] for name, values in rows.items()})
    except TidemillError:
        return False
    return True


def _told(predictor: Predictor, one: dict[str, Any], row: int, error: Failed) -> InvalidInput:
    # A step is run by Tidemill, which may have words of its own around what the step raised.
    causes = list(came_from(error))[1:]
    cause = next((c for c in causes if not isinstance(c, TidemillError)), causes[-1] if causes else None)
    details: dict[str, object] = {**error.details, "row": row}
    where = _line(predictor, cause)
    if where is not None:
        details["line"] = where
    named = _cell(one, cause)
    if named is not None:
        details["field"], details["value"] = named
    stage = details.get("stage")
    who = f"step '{stage}'" if stage else "the model"
    said = error.message if cause is None else raised(cause)
    found = InvalidInput(
        f"Row {row} cannot be answered: {who} failed on it"
        + (f" ({where})" if where else "")
        + (f", on {named[1]!r} in column '{named[0]}'" if named else "")
        + f": {said[:_SHOWN]}",
        why="The predictor answers a row that it was proven on, so this row has something that training did not have.",
        hint="Send another value, or let the pipeline handle such rows and make a new release.",
        code=codes.ROW_NOT_ANSWERED,
        details=details,
    )
    found.__cause__ = cause
    return found


def _line(predictor: Predictor, cause: BaseException | None) -> str | None:
    """Where in the project's code it happened: ``features.py, line 12``."""
    if cause is None:
        return None
    folder = (predictor.folder / CODE_FOLDER).resolve()
    for frame in reversed(traceback.extract_tb(cause.__traceback__)):
        try:
            return f"{_inside(frame.filename, folder)}, line {frame.lineno}"
        except ValueError:
            continue
    return None


def _inside(file: str, folder: Path) -> str:
    return Path(file).resolve().relative_to(folder).as_posix()


def _cell(one: dict[str, Any], cause: BaseException | None) -> tuple[str, str] | None:
    """The column and the cell that the failure names, if it names one and no other."""
    if cause is None:
        return None
    text = str(cause)
    keys = [str(a) for a in cause.args] if isinstance(cause, KeyError) else []
    found: list[tuple[str, str]] = []
    for name, values in one.items():
        if values.ndim != 1 or np.ma.getmaskarray(values).any():
            continue
        value = str(np.ma.getdata(values)[0])
        if value in keys or (value and (f"'{value}'" in text or f'"{value}"' in text)):
            found.append((name, value[:_SHOWN]))
    return found[0] if len(found) == 1 else None
