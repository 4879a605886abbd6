"""What is asked of one column, held against what the column is. A question that makes no sense names its setting."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core.dataset_settings import ColumnCheckSettings
from tidemill.core.names import did_you_mean
from tidemill.data.checks.bounds import mismatch
from tidemill.data.checks.outcome import invalid_check
from tidemill.store.table import SHAPE, SYSTEM_COLUMNS, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class Asked:
    """A column, and what is asked of it.

    Attributes:
        name: The column.
        rules: What its settings say.
        cells: The Arrow type of its cells; of a tensor, of the cells inside.
        shape: Of its tensors; empty for a plain column.
    """

    name: str
    rules: ColumnCheckSettings
    cells: "pa.DataType"
    shape: tuple[int, ...]


def asked(columns: "Mapping[str, ColumnCheckSettings]", schema: "pa.Schema", path: str) -> list[Asked]:
    """What is asked of the columns of a dataset.

    Args:
        columns: Column to what its settings say.
        schema: The dataset's.
        path: Of ``columns`` in the settings, for complaints.

    Raises:
        InvalidInput: ``invalid-check``: a column that is not there, or what cannot be asked of its type.
    """
    found: list[Asked] = []
    for name, rules in columns.items():
        own = [n for n in schema.names if n not in SYSTEM_COLUMNS]
        if name not in own:
            raise invalid_check(
                f"{path}.{name}",
                "names no column of the dataset",
                did_you_mean(name, own),
            )
        column = _asked(name, rules, schema.field(name))
        _check_sense(column, f"{path}.{name}")
        found.append(column)
    return found


def _asked(name: str, rules: ColumnCheckSettings, field: "pa.Field") -> Asked:
    import pyarrow as pa  # noqa: PLC0415

    if not pa.types.is_fixed_size_list(field.type):
        return Asked(name, rules, field.type, ())
    stored = (field.metadata or {}).get(SHAPE)
    shape = tuple(json.loads(stored)) if stored else (field.type.list_size,)
    return Asked(name, rules, field.type.value_type, shape)


def _check_sense(column: Asked, path: str) -> None:
    rules, word = column.rules, type_word(column.cells)
    for name, bound in (("minimum", rules.minimum), ("maximum", rules.maximum)):
        wrong = mismatch(bound, column.cells) if bound is not None else None
        if wrong == "compares numbers and times":
            raise invalid_check(
                f"{path}.{name}",
                f"{wrong}, and the column is {word}",
                "Ask 'one_of' or 'matches' of it.",
            )
        if wrong:
            raise invalid_check(f"{path}.{name}", wrong, "Write it as the column has it.")
    for name, given in (("one_of", rules.one_of), ("unique", rules.unique)):
        if given and column.shape:
            raise invalid_check(f"{path}.{name}", "cannot be asked of a tensor", "Leave it out.")
    if rules.one_of:
        _check_values(column, f"{path}.one_of", word)
    if rules.matches is not None:
        _check_pattern(column, f"{path}.matches", word)


def _check_values(column: Asked, path: str, word: str) -> None:
    import pyarrow as pa  # noqa: PLC0415

    for number, value in enumerate(column.rules.one_of):
        try:
            # Arrow takes true for the number 1; nobody who writes it means that.
            if isinstance(value, bool) != pa.types.is_boolean(column.cells):
                raise pa.ArrowInvalid
            fitted = pa.scalar(value, column.cells)
            if pa.types.is_integer(column.cells) and fitted.as_py() != value:
                raise pa.ArrowInvalid
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise invalid_check(
                f"{path}[{number}]",
                f"is {value!r}, and the column is {word}",
                "Write values as the column has them.",
            ) from error


def _check_pattern(column: Asked, path: str, word: str) -> None:
    import polars as pl  # noqa: PLC0415

    if word != "string" or column.shape:
        raise invalid_check(path, f"is about texts, and the column is {word}", "Leave it out.")
    try:
        pl.Series([""]).str.contains(str(column.rules.matches))
    except pl.exceptions.ComputeError as error:
        raise invalid_check(
            path,
            f"is no regular expression: {_last_line(error)}",
            "Correct it; the syntax is that of Rust's 'regex'.",
        ) from error


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].removeprefix("error: ").rstrip(".")


def lacking(rows: Table, column: str) -> "np.ndarray[Any, Any]":
    """Which rows lack a column, or of a tensor any cell; bool, one a row."""
    import numpy as np  # noqa: PLC0415

    missing = rows.missing(column)
    return np.asarray(missing.any(axis=tuple(range(1, missing.ndim)))) if missing.ndim > 1 else missing


def type_word(kind: Any) -> str:
    """A type by the name that the settings and an import take."""
    import pyarrow as pa  # noqa: PLC0415

    for word, fits in (
        ("string", pa.types.is_large_string),
        ("float64", pa.types.is_float64),
        ("float32", pa.types.is_float32),
        ("date", pa.types.is_date),
        ("time", pa.types.is_time),
        ("timestamp", pa.types.is_timestamp),
    ):
        if fits(kind):
            return word
    return str(kind)
