"""Datasets and their rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import counts, damaged, facts, stack, table, when, written
from tidemill.core.figures import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.datasets.views import (
        DatasetView,
        DataShow,
        Exported,
    )
    from tidemill.loop.unreadable import Unreadable

_COLUMNS = 40
_ACROSS = 12
"""Columns that are listed, and that the first rows are shown with."""


def datasets(views: "Sequence[DatasetView | Unreadable]") -> "RenderableType":
    """One line a dataset."""
    from tidemill.loop.unreadable import Unreadable  # noqa: PLC0415

    return table(
        ["dataset", "branch", "rows", "commit", "commit no.", "branches", "tags", "time (UTC)"],
        [
            (v.name, damaged(), *[None] * 6)
            if isinstance(v, Unreadable)
            else (v.name, v.branch, v.rows, v.commit, v.number, v.branches, v.tags, when(v.time))
            for v in views
        ],
        empty="There are no datasets. Type: tidemill data import NAME FILE.csv",
    )


def show(view: "DataShow") -> "RenderableType":
    """The commit, the columns, some rows; of a wide table only the first columns."""
    from rich.text import Text  # noqa: PLC0415

    commit, made = view.commit, view.changes
    about = facts(
        [
            ("dataset", view.dataset),
            ("commit", f"{commit.number} ({commit.id}) on {commit.branch}"),
            ("tags", ", ".join(commit.tags) or None),
            ("time", f"{when(commit.time)} UTC by {commit.author}"),
            ("message", commit.message or None),
            ("made from", " and ".join(commit.parents) or None),
            ("changed", counts(made.added, made.changed, made.removed) if made else None),
            ("rows", commit.rows),
        ]
    )
    columns = table(
        ["column", "type"],
        [(c["name"], c["type"]) for c in view.columns[:_COLUMNS]],
        empty="No columns.",
    )
    every = list(dict.fromkeys(name for row in view.sample for name in row))
    names, beyond = every[:_ACROSS], len(every) - _ACROSS
    types = {c["name"]: c["type"] for c in view.columns}
    sample = table(
        names,
        [[_cell(name, row.get(name), types.get(name)) for name in names] for row in view.sample],
        empty="No rows.",
    )
    more = len(view.columns) - _COLUMNS
    return stack(
        about,
        columns,
        Text(f"and {more:,} more columns; --json has them all.") if more > 0 else None,
        sample,
        Text(f"Each row has {beyond:,} more columns; --json has them all.") if beyond > 0 else None,
    )


def _cell(name: str, value: object, kind: str | None) -> str:
    if isinstance(value, float) and kind in ("float", "halffloat"):
        import numpy as np  # noqa: PLC0415

        # The digits that give it back in its own precision: 0.1, not 0.10000000149011612.
        return written(float(str((np.float32 if kind == "float" else np.float16)(value))))
    # A 64-bit id with thousands separators reads as an amount.
    return str(value) if name.startswith("_") and value is not None else written(value)


def exported(view: "Exported") -> str:
    """The file that was written, and in which form its unusual cells are."""
    said = f"{view.path}: {counted(view.rows, 'row')} of {view.dataset} at {view.commit}, as {view.format}."
    ways = dict.fromkeys(view.forms.values())
    columns = {way: [name for name, own in view.forms.items() if own == way] for way in ways}
    if view.by_id and view.format in ("csv", "jsonl"):
        said += " With _id, since some rows are not what they came as, and no key names them."
    return said + "".join(f" Written as {way}: {', '.join(names)}." for way, names in columns.items())
