"""A profile, drawn in the terminal: bars for the classes, a line of blocks for each histogram."""

from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import facts, heading, stack, table, written
from tidemill.core.figures import counted
from tidemill.core.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.text import Text

    from tidemill.data.profile import ColumnProfile
    from tidemill.loop.datasets.views import ProfileView

_BLOCKS = "▁▂▃▄▅▆▇█"
_BAR = 28
_SHOWN_COLUMNS = 40
_SHOWN_CLASSES = 30
_SHOWN_VALUES = 3


def profile(view: "ProfileView") -> "RenderableType":
    """The dataset, its classes, its columns."""
    from rich.text import Text  # noqa: PLC0415

    cells = sum(c.missing for c in view.columns)
    about = facts(
        [
            ("dataset", f"{view.dataset} at {view.commit}"),
            ("rows", view.rows),
            ("columns", len(view.columns)),
            ("missing", counted(cells, "cell") if cells else "nothing"),
            ("label", view.label),
            ("page", view.path),
        ]
    )
    hidden = len(view.columns) - _SHOWN_COLUMNS
    more = Text(f"{hidden:,} more columns: --json has them all.", style="dim") if hidden > 0 else None
    return stack(about, _classes(view), *_columns(view), more)


def _classes(view: "ProfileView") -> "RenderableType | None":
    from rich.text import Text  # noqa: PLC0415

    if not view.classes:
        return None
    most = max(c.rows for c in view.classes)
    shown = sorted(view.classes, key=lambda c: -c.rows)[:_SHOWN_CLASSES]
    rows = [
        (str(c.name), c.rows, Text(f"{percent(c.share):>7}", style="dim"), _bar(c.rows / most)) for c in shown
    ]
    words = f"Classes of {view.label}: {len(view.classes)}"
    if view.evenness is not None:
        words += f", evenness {view.evenness:.2f} (1 is all equal)"
    if view.unlabelled:
        words += f"; {counted(view.unlabelled, 'row')} without one"
    return heading(words, table([str(view.label), "rows", "share", ""], rows, empty=""))


def _columns(view: "ProfileView") -> list["RenderableType"]:
    """The columns of numbers, then those of other values."""
    columns = view.columns[:_SHOWN_COLUMNS]
    spread = [c for c in columns if c.quantiles]
    others = [c for c in columns if not c.quantiles]
    strength = view.label is not None
    parts: list[RenderableType] = []
    if spread:
        names = ["column", "type", "missing", "distinct", "min", "median", "max", "histogram"]
        rows = [
            (
                c.name,
                c.type,
                c.missing,
                _distinct(c),
                *(written(c.quantiles[q]) for q in ("min", "median", "max")),
                _sparkline(c.histogram.counts) if c.histogram else "",
                *([_association(c)] if strength else []),
            )
            for c in spread
        ]
        with_label = [f"with {view.label}"] if strength else []
        parts.append(heading("Numbers", table([*names, *with_label], rows, empty="")))
    if others:
        names = ["column", "type", "missing", "distinct", "most frequent"]
        rows = [
            (
                c.name,
                c.type,
                c.missing,
                _distinct(c),
                ", ".join(f"{written(v)} ({n:,})" for v, n in c.top[:_SHOWN_VALUES]) or "-",
                *([_association(c)] if strength else []),
            )
            for c in others
        ]
        with_label = [f"with {view.label}"] if strength else []
        parts.append(heading("Other values", table([*names, *with_label], rows, empty="")))
    return parts


def _distinct(column: "ColumnProfile") -> str:
    if column.distinct is None:
        return "-"
    return f"{'' if column.distinct_exact else '~'}{column.distinct:,}"


def _association(column: "ColumnProfile") -> "Text":
    from rich.text import Text  # noqa: PLC0415

    found = column.association
    if found is None:
        return Text("-", style="dim")
    strong = abs(found.value)
    return Text(f"{found.value:5.2f} ", style="bold" if strong >= 0.5 else "").append(
        f"{found.measure}", style="dim"
    )


def _sparkline(counts: "Sequence[int]") -> "Text":
    from rich.text import Text  # noqa: PLC0415

    most = max(counts, default=0) or 1
    # What is there at all is seen, however little beside the greatest.
    line = "".join(_BLOCKS[max(0, -(-n * len(_BLOCKS) // most) - 1)] if n else " " for n in counts)
    return Text(line.rstrip() or " ", style="cyan")


def _bar(share: float) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    eighths = round(share * _BAR * 8)
    partial: Any = " ▏▎▍▌▋▊▉"[eighths % 8]
    return Text(("█" * (eighths // 8) + partial).rstrip() or "▏", style="cyan")
