"""What differs between two commits: as counts, rows and cells, by column and label, as CSV and as a page."""

import csv
import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core.names import Reference
from tidemill.data.cell_values import as_text
from tidemill.loop import written
from tidemill.loop.datasets.references import open_reference
from tidemill.loop.datasets.views import DiffStat, DiffView
from tidemill.loop.workspace import Workspace
from tidemill.store.table import ID

if TYPE_CHECKING:
    from tidemill.data import Diff, Snapshot


def diff(ws: Workspace, a: str, b: str, limit: int | None = 20) -> DiffView:
    """What changed from commit ``a`` to commit ``b`` of one dataset; ``b`` may be a bare branch, tag or commit.

    Args:
        ws: The project.
        a: The commit before.
        b: The commit after.
        limit: How many changed cells, and how many added and removed rows, are told at most; None for all.
    """
    return as_view(_diff(ws, a, b), a, b, limit)


def stat(ws: Workspace, a: str, b: str, label: str = "label") -> DiffStat:
    """How many cells of each column changed, and what came and went of each label.

    Args:
        ws: The project.
        a: The commit before.
        b: The commit after.
        label: The column with the labels; where there is none of that name, they are not told.
    """
    found = _diff(ws, a, b)
    counts = found.counts
    columns = [{"column": name, "changed": len(ids)} for name, ids in found.changed_in.items()]
    labels: list[dict[str, Any]] = []
    if label in found.old.columns and label in found.new.columns:
        before, after = _labels(found.old, label), _labels(found.new, label)
        came = _labels(found.new, label, found.added)
        went = _labels(found.old, label, found.removed)
        moved = found.changed_in.get(label)
        was = _labels(found.old, label, moved) if moved is not None else Counter[str | None]()
        now = _labels(found.new, label, moved) if moved is not None else Counter[str | None]()
        labels = [
            {
                "label": name,
                "before": before[name],
                "added": came[name],
                "removed": went[name],
                "relabelled_to": now[name],
                "relabelled_from": was[name],
                "after": after[name],
            }
            for name in sorted({*before, *after}, key=lambda n: (n is None, str(n)))
        ]
    return DiffStat(a, b, counts.added, counts.changed, counts.removed, columns, labels)


def as_csv(ws: Workspace, a: str, b: str, limit: int | None = None) -> str:
    """A line a cell that differs: of changed rows, and each cell of added and removed ones."""
    view = diff(ws, a, b, limit)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["change", "_id", "column", "old", "new"])
    for cell in view.cells:
        writer.writerow(["changed", cell["id"], cell["column"], as_text(cell["old"]), as_text(cell["new"])])
    for row in view.rows:
        for column, value in row["cells"].items():
            pair = ["", as_text(value)] if row["change"] == "added" else [as_text(value), ""]
            writer.writerow([row["change"], row["id"], column, *pair])
    return text.getvalue()


def as_page(ws: Workspace, a: str, b: str, limit: int | None = 200) -> str:
    """One HTML file, with images drawn: old and new side by side."""
    from tidemill.loop.datasets.pages import diff as page  # noqa: PLC0415

    found = _diff(ws, a, b)
    return page.render(found, as_view(found, a, b, limit))


def shown(ws: Workspace, a: str, b: str) -> written.Shown:
    """What a file of this difference is about to show; asked before it is told."""
    found = _diff(ws, a, b)
    return written.shown(ws.store, Reference.parse(a).name, [found.old.commit.id, found.new.commit.id])


def write(ws: Workspace, path: Path, about: written.Shown, text: str) -> None:
    """Write a difference to a file; the errors are those of ``core.files.replacing``."""
    written.write_page(ws.store, path, "difference", [about], text)


def as_view(found: "Diff", a: str, b: str, limit: int | None) -> DiffView:
    """A difference as facts, called by what was asked for; of cells and rows at most so many."""
    from tidemill.data import cell_values as values  # noqa: PLC0415

    counts = found.counts
    cells = [
        {"id": str(i), "column": column, "old": old, "new": new} for i, column, old, new in found.cells(limit)
    ]
    rows = [
        {"id": str(row.pop(ID)), "change": change, "cells": row}
        for change, snapshot, ids in (
            ("added", found.new, found.added),
            ("removed", found.old, found.removed),
        )
        for row in values.rows(snapshot.read([ID, *snapshot.columns], ids=ids[:limit]).to_arrow())
    ]
    return DiffView(a, b, counts.added, counts.changed, counts.removed, cells, rows)


def _diff(ws: Workspace, a: str, b: str) -> "Diff":
    dataset, at = open_reference(ws, a)
    other = open_reference(ws, b)[1] if b.startswith(f"{dataset.name}@") or b == dataset.name else b
    return dataset.diff(at, other)


def _labels(snapshot: "Snapshot", column: str, ids: Any = None) -> "Counter[str | None]":
    values = snapshot.read([column], ids=ids).to_arrow()[column].to_pylist()
    return Counter(None if v is None else str(v) for v in values)
