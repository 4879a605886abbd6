"""Checks that judge each row by itself. The rules are run by dataframely; a tensor is folded to what they ask of it.

The only file that imports dataframely.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import NeedsExtra
from tidemill.core.figures import counted
from tidemill.data.checks.bounds import within
from tidemill.data.checks.columns import Asked, lacking
from tidemill.data.checks.outcome import Outcome, outcome
from tidemill.store import polars_frames
from tidemill.store.table import ID, Table

if TYPE_CHECKING:
    import dataframely as dy
    import polars as pl

    from tidemill.core.dataset_settings import Bound

_EXAMPLES = 3
"""Values that a reason quotes."""


@dataclass(frozen=True)
class _Rule:
    """A rule as dataframely runs it.

    Attributes:
        check: What the outcome is called.
        column: The column of the frame that it looks at.
        holds: True where the row is right; a missing cell is, unless the rule is about that.
        complaint: How a reason begins that goes on ``in 3 rows``.
        quotes: Whether the reason gives examples.
    """

    check: str
    column: str
    holds: "pl.Expr"
    complaint: str
    quotes: bool = True


def check_rows(columns: Sequence[Asked], pieces: Iterable[Table]) -> list[Outcome]:
    """Judge rows, piece by piece.

    Args:
        columns: What is asked.
        pieces: The rows, with ``_id`` and these columns.

    Raises:
        NeedsExtra: ``needs-extra``, when dataframely is not installed.
    """
    import numpy as np  # noqa: PLC0415
    import polars as pl  # noqa: PLC0415

    rules = [rule for column in columns for rule in _rules(column)]
    if not rules:
        return []
    schema = _schema(rules)
    gone: dict[str, list[Any]] = {rule.check: [] for rule in rules}
    examples: dict[str, dict[Any, None]] = {rule.check: {} for rule in rules}
    for piece in pieces:
        failure = schema.filter(_frame(piece, columns), cast=False).failure
        if not failure.counts():
            continue
        details = failure.details()
        for number, rule in enumerate(rules):
            wrong = details.filter(pl.col(f"rule{number}") == "invalid")
            gone[rule.check].append(wrong[ID].to_numpy())
            examples[rule.check].update(
                dict.fromkeys(wrong[rule.column].unique(maintain_order=True).head(_EXAMPLES))
            )
    found: list[Outcome] = []
    for rule in rules:
        ids = np.concatenate([np.zeros(0, np.uint64), *gone[rule.check]])
        quoted = ", ".join(map(_quoted, list(examples[rule.check])[:_EXAMPLES]))
        reason = f"{rule.complaint} in {counted(len(ids), 'row')}" + (f": {quoted}" if rule.quotes else "")
        found.append(outcome(rule.check, reason if len(ids) else "", ids))
    return found


def needed(columns: Sequence[Asked]) -> list[str]:
    """The columns that ``check_rows`` looks at."""
    return [column.name for column in columns if _rules(column)]


def _rules(column: Asked) -> list[_Rule]:
    import polars as pl  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    name, rules, found = column.name, column.rules, list[_Rule]()
    low, high = (f"{name} minimum", f"{name} maximum") if column.shape else (name, name)
    inside = "a cell " if column.shape else ""
    if rules.minimum is not None:
        holds = within(pl.col(low), column.cells, rules.minimum, "minimum")
        found.append(_Rule(f"{name}.minimum", low, holds, f"{inside}below {_bound(rules.minimum)}"))
    if rules.maximum is not None:
        holds = within(pl.col(high), column.cells, rules.maximum, "maximum")
        found.append(_Rule(f"{name}.maximum", high, holds, f"{inside}above {_bound(rules.maximum)}"))
    if rules.one_of:
        values = polars_frames.series(name, pa.array(rules.one_of, column.cells))
        known = pl.col(name).is_in(values.implode())
        found.append(_Rule(f"{name}.one_of", name, known, "another value"))
    if rules.matches is not None:
        whole = pl.col(name).str.contains(rf"\A(?:{rules.matches})\z")
        found.append(_Rule(f"{name}.matches", name, whole, "no match"))
    if rules.max_missing == 0:
        flag = _missing_flag(column)
        found.append(_Rule(f"{name}.max_missing", flag, ~pl.col(flag), "missing", quotes=False))
    return found


def _missing_flag(column: Asked) -> str:
    """What a frame's column is called that says in which rows ``column`` is missing."""
    return f"{column.name} missing"


def _schema(rules: Sequence[_Rule]) -> "type[dy.Schema]":
    try:
        import dataframely as dy  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise NeedsExtra(
            "Checks need dataframely, which is not installed.",
            why="tidemill.toml asks for checks of this branch's rows.",
            hint="Type 'pip install tidemill[checks]'.",
        ) from error
    names = dict.fromkeys([ID, *(rule.column for rule in rules)])
    body: dict[str, Any] = {f"column{n}": dy.Any(alias=name) for n, name in enumerate(names)}
    for number, rule in enumerate(rules):
        body[f"rule{number}"] = dy.rule()(lambda _, holds=rule.holds: holds)
    return type("Checks", (dy.Schema,), body)


def _frame(piece: Table, columns: Sequence[Asked]) -> "pl.DataFrame":
    """The rows with only plain columns: a tensor is its least and its greatest cell."""
    import polars as pl  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    series = [pl.Series(ID, piece.numpy(ID))]
    for column in columns:
        if column.name not in piece.columns:
            continue
        series.append(pl.Series(_missing_flag(column), lacking(piece, column.name)))
        cells = polars_frames.series(column.name, piece.to_arrow().column(column.name))
        if pa.types.is_floating(column.cells) and not column.shape:
            cells = cells.fill_nan(None)
        if not column.shape:
            series.append(cells)
        elif (column.rules.minimum, column.rules.maximum) != (None, None):
            series.append(cells.arr.min().alias(f"{column.name} minimum"))
            series.append(cells.arr.max().alias(f"{column.name} maximum"))
    return pl.DataFrame(series)


def _bound(bound: "Bound") -> str:
    return f"{bound:g}" if isinstance(bound, float) and bound == float(f"{bound:g}") else str(bound)


def _quoted(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value).removesuffix(".0")
    return text if len(text) <= 40 else f"{text[:39]}…"
