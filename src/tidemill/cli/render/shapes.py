"""The shapes that views are drawn with: tables, facts, and one way to write each kind of value.

Rich is imported when the first of them is drawn, so that ``--json`` never loads it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.core.figures import figure
from tidemill.core.names import hex_of

if TYPE_CHECKING:
    from rich.console import RenderableType

RIGHT = frozenset(
    {
        "rows",
        "commit no.",
        "branches",
        "tags",
        "seconds",
        "seconds a",
        "seconds b",
        "difference",
        "version",
        "number",
        "predictions",
        "missing",
        "computed",
        "cached",
        "memory",
        "read",
        "written",
    }
)
"""Columns that hold numbers, and stand right."""
_CELL = 40
"""Characters of a value in a table before it is cut."""
_LISTED = 6
"""Members of a list before it is cut."""


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> "RenderableType":
    """A table; where there are no rows, the sentence ``empty``. Texts are not cut."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        drawn.add_column(column, justify="right" if column in RIGHT else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
    return drawn if drawn.row_count else Text(empty)


def _cell(value: Any) -> str:
    """A text as it is, on one line; anything else as it is written."""
    return " ".join(value.splitlines()) if isinstance(value, str) else written(value)


def facts(pairs: Iterable[tuple[str, Any]]) -> "RenderableType":
    """Names and values, one pair a line; a value that is None is left out."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            drawn.add_row(name, value if isinstance(value, Text) else Text(written(value, limit=None)))
    return drawn


def stack(*parts: "RenderableType | None") -> "RenderableType":
    """Parts under each other, with an empty line between."""
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown: list[RenderableType] = []
    for part in parts:
        if part is not None:
            shown += [Text(""), part] if shown else [part]
    return Group(*shown)


def heading(words: str, then: "RenderableType") -> "RenderableType":
    """A bold line and what follows it."""
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    return Group(Text(words, style="bold"), then)


def mark(*, good: bool) -> "RenderableType":
    """``ok`` or ``no``, coloured; a word, since a colour alone says nothing in a file."""
    from rich.text import Text  # noqa: PLC0415

    return Text("ok", style="green") if good else Text("no", style="bold red")


def damaged() -> "RenderableType":
    """In the place of what cannot be read; the error that says why is told beside it."""
    from rich.text import Text  # noqa: PLC0415

    return Text("damaged", style="bold red")


STYLES = {
    "succeeded": "green",
    "computed": "cyan",
    "cached": "green",
    "failed": "bold red",
    "interrupted": "yellow",
    "skipped": "yellow",
    "running": "cyan",
    "live": "green",
}


def status(word: str) -> "RenderableType":
    """A status in its colour."""
    from rich.text import Text  # noqa: PLC0415

    return Text(word, style=STYLES.get(word, ""))


def written(value: object, limit: int | None = _CELL) -> str:
    """Any value of a view on one line, cut after ``limit`` characters; a number has all its digits."""
    match value:
        case None:
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case int():
            text = f"{value:,}"
        case float():
            # The shortest text that gives it back: of a cell no digit is lost.
            text = repr(float(value)).removesuffix(".0")
        case str():
            text = value if limit is None else " ".join(value.split())
        case bytes():
            text = value.hex()
        case Mapping():
            text = ", ".join(f"{name} {written(member, limit)}" for name, member in value.items())
        case list() | tuple():
            text = _members(value)
        case _:
            text = str(value)
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def measured(values: Mapping[str, object]) -> str | None:
    """Metrics with the digits that matter; None where there are none."""
    numbers = {n: v for n, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return ", ".join(f"{name} {figure(value)}" for name, value in numbers.items()) or None


def exact(value: object) -> str:
    """A value as it would be typed: no thousands separators, nothing cut."""
    return str(value).lower() if isinstance(value, bool) else "none" if value is None else str(value)


def _members(values: Sequence[Any]) -> str:
    if values and isinstance(values[0], list | tuple):
        shape: list[int] = []
        inner: Any = values
        while isinstance(inner, list | tuple):
            shape.append(len(inner))
            inner = inner[0] if inner else None
        return f"[{'x'.join(map(str, shape))} values]"
    shown = ", ".join(written(v) for v in values[:_LISTED])
    return f"{shown}, … ({len(values):,})" if len(values) > _LISTED else shown


def seconds(value: float | None) -> str:
    """A duration with the digits that matter: ``4 ms``, ``1.23 s``, ``2 min 5 s``."""
    if value is None:
        return "-"
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.3g} s"
    return f"{int(value) // 60} min {int(value) % 60} s"


def size(count: int) -> str:
    """Bytes, in the unit that suits."""
    if count == 1:
        return "1 byte"
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:,.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError


def when(stamp: str) -> str:
    """A stamp of ``core.clock`` to the second. Columns that hold it say that it is UTC."""
    return stamp[:19].replace("T", " ")


def short(digest: str) -> str:
    """The beginning of a digest, enough to name it."""
    return hex_of(digest)[:12]


def counts(added: int, changed: int, removed: int) -> str:
    """What a change did to rows, in words."""
    parts = [
        f"{n:,} {word}" for n, word in ((added, "added"), (changed, "changed"), (removed, "removed")) if n
    ]
    return ", ".join(parts) or "nothing"
