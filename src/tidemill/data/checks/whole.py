"""Checks that judge a dataset as a whole: its types, how many rows it has, lacks or repeats, how far it drifted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core.dataset_settings import CheckSettings
from tidemill.core.figures import counted
from tidemill.core.percent import percent
from tidemill.data.checks.columns import Asked, lacking, type_word
from tidemill.data.checks.drift import stability_index
from tidemill.data.checks.outcome import Outcome, outcome
from tidemill.data.snapshot import Snapshot
from tidemill.store.polars_frames import series
from tidemill.store.table import ID, Table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


def check_whole(
    settings: CheckSettings,
    columns: Sequence[Asked],
    result: Snapshot,
    before: Snapshot | None,
    judged: "np.ndarray[Any, Any]",
) -> list[Outcome]:
    """Judge a dataset as a whole. Reads only the columns of which something is asked that takes all rows.

    Args:
        settings: What is asked.
        columns: The same, column by column.
        result: The dataset.
        before: The commit that drift is measured from; None for none.
        judged: The ``_id``s of the rows that can be said no to; uint64.
    """
    found: list[Outcome] = []
    if settings.min_rows:
        few = result.rows < settings.min_rows
        found.append(outcome("min_rows", f"it has {counted(result.rows, 'row')}" if few else ""))
    if settings.max_rows is not None:
        many = result.rows > settings.max_rows
        found.append(outcome("max_rows", f"it has {counted(result.rows, 'row')}" if many else ""))
    for column in columns:
        found += _check_type(column)
        rules = column.rules
        if rules.unique or rules.max_missing or rules.max_drift is not None:
            found += _check_column(column, result.read([ID, column.name]), before, judged)
    return found


def _check_type(column: Asked) -> list[Outcome]:
    found: list[Outcome] = []
    if column.rules.type is not None:
        have = type_word(column.cells)
        found.append(outcome(f"{column.name}.type", f"it is {have}" if have != column.rules.type else ""))
    if column.rules.shape:
        have = "x".join(map(str, column.shape)) or "no tensor"
        differs = column.shape != column.rules.shape
        found.append(outcome(f"{column.name}.shape", f"it is {have}" if differs else ""))
    return found


def _check_column(
    column: Asked, rows: Table, before: Snapshot | None, judged: "np.ndarray[Any, Any]"
) -> list[Outcome]:
    import numpy as np  # noqa: PLC0415

    name, rules, found = column.name, column.rules, list[Outcome]()
    ids = rows.numpy(ID)
    ours = np.isin(ids, judged)
    # A share of 0 is asked of each row by itself.
    if rules.max_missing:
        lacks = lacking(rows, name)
        share = lacks.mean() if len(rows) else 0.0
        reason = f"missing in {percent(share, 2)} of the rows" if share > rules.max_missing else ""
        found.append(outcome(f"{name}.max_missing", reason, ids[lacks & ours] if reason else None))
    if rules.unique:
        again = _repeated(_plain(column, rows), ours)
        reason = f"a value that is there already in {counted(len(again), 'row')}" if len(again) else ""
        found.append(outcome(f"{name}.unique", reason, ids[again]))
    if rules.max_drift is not None:
        drift = 0.0
        if before is not None and name in before.columns:
            drift = stability_index(_plain(column, before.read([name])), _plain(column, rows))
        reason = f"its stability index is {drift:.3g}" if drift > rules.max_drift else ""
        found.append(outcome(f"{name}.max_drift", reason))
    return found


def _repeated(values: "pl.Series", ours: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Where the judged rows are that have the value of a row that is not judged, or of a judged one before them."""
    import numpy as np  # noqa: PLC0415
    import polars as pl  # noqa: PLC0415

    # The rows that are there already come first, so that the first of equal values is one of theirs.
    order = np.argsort(ours, kind="stable")
    frame = pl.DataFrame({"value": values[order], "at": order, "ours": ours[order]})
    again = frame.filter(
        ~pl.col("value").is_first_distinct() & pl.col("value").is_not_null() & pl.col("ours")
    )
    return np.sort(again["at"].to_numpy())


def _plain(column: Asked, rows: Table) -> "pl.Series":
    """A column as plain values: a tensor is the mean of its cells."""
    cells = series(column.name, rows.to_arrow().column(column.name))
    if column.shape:
        cells = cells.arr.mean()
    return cells.fill_nan(None) if cells.dtype.is_float() else cells
