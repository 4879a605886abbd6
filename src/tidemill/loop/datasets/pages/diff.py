"""What differs between two commits as a page: each changed row with its picture, its cells old and new."""

import html
from typing import TYPE_CHECKING, Any

from tidemill.data.cell_values import as_text
from tidemill.evaluation import png, skeleton

if TYPE_CHECKING:
    from tidemill.data import Diff, Snapshot
    from tidemill.loop.datasets.views import DiffView
    from tidemill.store.table import Table

_MOST = 80
"""Characters of a value before it is cut."""


def render(diff: "Diff", view: "DiffView") -> str:
    """The page.

    Args:
        diff: Where the pictures come from.
        view: The same as facts; its changed cells and rows are what is drawn.
    """
    return skeleton.document(
        f"{view.a} to {view.b}",
        heading=f"{view.a} → {view.b}",
        subtitle=[f"commit {diff.old.commit.id}", f"to {diff.new.commit.id}"],
        sections=sections(diff, view),
        footer="Made by Tidemill. Of two images, the first is before, the second after.",
    )


def sections(diff: "Diff", view: "DiffView") -> list[str]:
    """How many rows differ, then each that is drawn; for this page, and for others that show a difference."""
    old, new = _Side(diff.old, view), _Side(diff.new, view)
    changed: dict[str, list[dict[str, Any]]] = {}
    for cell in view.cells:
        changed.setdefault(cell["id"], []).append(cell)
    return [
        skeleton.tiles(
            [(f"{n:,}", f"rows {word}") for n, word in zip(_counts(view), _WORDS, strict=True)],
            lead="rows changed",
        ),
        _hidden(view, len(changed)),
        _section("Changed", [_changed(row, cells, old, new) for row, cells in changed.items()]),
        *(_section(word.capitalize(), _whole(view, word, old, new)) for word in ("added", "removed")),
    ]


_WORDS = ("added", "changed", "removed")


def _counts(view: "DiffView") -> tuple[int, int, int]:
    return view.added, view.changed, view.removed


class _Side:
    """The rows that are drawn, at one of the two commits."""

    def __init__(self, snapshot: "Snapshot", view: "DiffView") -> None:
        ids = {int(c["id"]) for c in view.cells} | {int(r["id"]) for r in view.rows}
        self._table: Table = snapshot.read(ids=ids)
        self._places = {row: at for at, row in enumerate(self._table.to_arrow()["_id"].to_pylist())}
        self.images = [n for n in self._table.columns if png.is_image_shape(self._table.shape_of(n))]

    def picture(self, row: str, column: str, words: str) -> str:
        """A cell as an image; nothing where it is missing."""
        import numpy as np  # noqa: PLC0415

        from tidemill.data.cell_values import value  # noqa: PLC0415

        at = self._places.get(int(row))
        if at is None or column not in self.images:
            return ""
        cells = value(self._table.to_arrow()[column], at)
        if cells is None:
            return ""
        pixels = np.array([0 if c is None else c for c in cells]).reshape(self._table.shape_of(column))
        return skeleton.image(
            png.encode(pixels.astype(np.uint8) if pixels.dtype.kind in "iu" else pixels), words
        )


def _hidden(view: "DiffView", changed: int) -> str:
    """Which rows are not drawn, where there are more than were asked for."""
    whole = [r["change"] for r in view.rows]
    parts = [
        f"{shown:,} of {count:,} {word} rows"
        for word, shown, count in (
            ("added", whole.count("added"), view.added),
            ("changed", changed, view.changed),
            ("removed", whole.count("removed"), view.removed),
        )
        if shown < count
    ]
    return f"<section><p class=muted>Drawn here: {', '.join(parts)}.</p></section>" if parts else ""


def _section(title: str, items: list[str]) -> str:
    return f'<section><h2>{title}</h2><ul class="mistakes">{"".join(items)}</ul></section>' if items else ""


def _changed(row: str, cells: list[dict[str, Any]], old: _Side, new: _Side) -> str:
    columns = {c["column"] for c in cells}
    pictures = "".join(
        old.picture(row, name, f"{name} before") + new.picture(row, name, f"{name} after")
        if name in columns
        else new.picture(row, name, name)
        for name in new.images
    )
    lines = "".join(
        f'<div>{html.escape(c["column"])}: {text(c["old"])} → <span class="said">{text(c["new"])}</span></div>'
        for c in cells
        if c["column"] not in new.images
    )
    return f'<li>{pictures}{lines}<div class="id">{row}</div></li>'


def _whole(view: "DiffView", change: str, old: _Side, new: _Side) -> list[str]:
    side = new if change == "added" else old
    return [
        f"<li>{''.join(side.picture(r['id'], name, name) for name in side.images)}"
        + "".join(
            f"<div>{html.escape(name)}: {text(value)}</div>"
            for name, value in r["cells"].items()
            if name not in side.images and value is not None
        )
        + f'<div class="id">{r["id"]}</div></li>'
        for r in view.rows
        if r["change"] == change
    ]


def text(value: Any) -> str:
    """A cell's value, escaped, and cut where it is long."""
    words = "-" if value is None else as_text(value)
    return html.escape(words if len(words) <= _MOST else words[: _MOST - 1] + "…")
