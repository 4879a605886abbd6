"""Whether what was exported has the cells that were imported, judged by other readers than Tidemill's."""

import csv
import io
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "nil", "-", "#n/a", "<na>", "nat", "missing"})


_MARKS = ",;\t|"


def lost(source: Path, target: Path, *, tensors: bool) -> str:
    """What the exported file lacks of a CSV file, or has too much; empty where both say the same.

    Only plain CSV is compared: of the others, what a cell is depends on the reader.

    Args:
        source: What was imported.
        target: What was exported, CSV.
        tensors: Whether columns were folded, so that their names are new.
    """
    if source.suffix != ".csv" or target.suffix != ".csv" or tensors:
        return ""
    after = _rows(target, ",")
    if after is None:
        return ""
    kept_head, kept = after
    # Which mark parts the cells is for the import to find; of a file that is read by none, nothing is compared.
    read = {mark: found for mark in _MARKS if (found := _rows(source, mark)) is not None}
    head, rows = max(read.values(), key=lambda found: len(found[0]), default=([], []))
    # A first column without a name gets one.
    if not head or "" in head:
        return ""
    # By a mark that parts its names Python's reader sees no table, where others do.
    if len(head) == 1 and any(mark in head[0] for mark in _MARKS if mark not in read):
        return ""
    if sorted(head) != sorted(kept_head):
        return f"columns {head} became {kept_head}"
    order = [kept_head.index(name) for name in head]
    # Rows that are equal in everything are one row, so a set of them is compared.
    was = {tuple(_cell(c) for c in row) for row in rows}
    now = {tuple(_cell(row[i]) for i in order) for row in kept}
    if was == now:
        return ""
    return f"went in: {_some(was - now)}\ncame out: {_some(now - was)}"


def _rows(path: Path, delimiter: str) -> tuple[list[str], list[list[str]]] | None:
    """The header and the rows; None where Python's reader sees no table in it."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        read = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except (ValueError, csv.Error):
        return None
    if not read:
        return None
    # An empty line is an empty cell where there is one column, and none otherwise.
    head, *rows = [row or [""] for row in read] if len(read[0]) < 2 else [row for row in read if row]
    if len(set(head)) < len(head) or any(len(row) != len(head) for row in rows) or "_id" in head:
        return None
    return head, rows


def _cell(text: str) -> Any:
    """What a cell says: a number by its value, a word by itself."""
    if text.strip().lower() in _MISSING:
        return None
    if text.lower() in ("true", "false"):
        return text.lower()
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return number.normalize() if number.is_finite() and "_" not in text else text


def _some(rows: set[tuple[Any, ...]]) -> str:
    return "; ".join(repr(row)[:300] for row in list(rows)[:3])
