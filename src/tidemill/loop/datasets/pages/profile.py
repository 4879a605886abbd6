"""A dataset's profile as a page: the classes with some of their rows, then a card for each column."""

import html
import importlib.resources
from typing import TYPE_CHECKING, Any

from tidemill.core.figures import counted, figure
from tidemill.core.percent import percent
from tidemill.evaluation import png, skeleton

if TYPE_CHECKING:
    import numpy as np

    from tidemill.data.profile import ColumnProfile, Histogram, Maps, Profile
    from tidemill.data.snapshot import Snapshot
    from tidemill.loop.datasets.views import ClassView, ProfileView

    Array = np.ndarray[Any, Any]

_CARDS = 60
_CLASSES = 40
_VALUES = 6
_WIDTH, _HEIGHT = 240, 60
_FEW = 0.2
"""A class below this share of the greatest one is drawn as rare."""


def render(snapshot: "Snapshot", found: "Profile", view: "ProfileView") -> str:
    """The page.

    Args:
        snapshot: Where the pictures of the sample rows come from.
        found: The profile, with its maps.
        view: The same as facts.
    """
    images = [n for n, m in found.maps.items() if png.is_image_shape(m.mean.shape)]
    drawn = _pictures(snapshot, images[0], found) if images else {}
    subtitle = [
        f"commit {view.commit}",
        counted(view.rows, "row"),
        f"{counted(len(view.columns), 'column')}",
    ]
    return skeleton.document(
        f"{view.dataset} · profile",
        heading=view.dataset,
        subtitle=subtitle,
        sections=[
            _tiles(view),
            _classes(view, drawn),
            _samples(drawn) if not view.classes else "",
            *(_maps(name, found.maps[name], view) for name in images),
            _columns(view),
        ],
        footer=_footer(view),
        css=importlib.resources.files("tidemill.loop.datasets.pages")
        .joinpath("profile.css")
        .read_text("utf-8"),
    )


def _tiles(view: "ProfileView") -> str:
    cells = sum(c.missing_cells for c in view.columns)
    numbers = [(f"{view.rows:,}", "rows"), (f"{len(view.columns):,}", "columns")]
    numbers.append((f"{cells:,}", "missing cells"))
    if view.classes:
        numbers.append((f"{len(view.classes):,}", f"classes of {view.label}"))
    if view.evenness is not None:
        numbers.append((f"{view.evenness:.2f}", "evenness of the classes"))
    strongest = max((c for c in view.columns if c.association), key=lambda c: abs(_strength(c)), default=None)
    if strongest is not None:
        numbers.append((f"{_strength(strongest):.2f}", f"{strongest.name} with {view.label}"))
    return skeleton.tiles(numbers, lead="rows")


def _classes(view: "ProfileView", drawn: "dict[int, bytes]") -> str:
    if not view.classes:
        return ""
    most = max(c.rows for c in view.classes)
    ranked = sorted(view.classes, key=lambda c: -c.rows)
    rows = "".join(_class(c, c.rows / most, drawn) for c in ranked[:_CLASSES])
    hidden = len(ranked) - _CLASSES
    more = f"<p class=muted>{hidden:,} more classes, all of them smaller.</p>" if hidden > 0 else ""
    lacking = (
        f"<p class=muted>{counted(view.unlabelled, 'row')} without a label.</p>" if view.unlabelled else ""
    )
    return (
        f"<section><h2>Classes of {html.escape(str(view.label))}</h2>"
        f'<div class="classes">{rows}</div>{more}{lacking}</section>'
    )


def _class(view: "ClassView", share: float, drawn: "dict[int, bytes]") -> str:
    name = str(view.name)
    images = [skeleton.image(drawn[int(i)], name) for i in view.samples if int(i) in drawn]
    strip = f'<div class="strip">{"".join(images)}</div>' if images else ""
    return (
        f'<div class="class"><b>{html.escape(name)}</b>{_bar(share, few=share < _FEW)}'
        f'<span class="n"><b>{view.rows:,}</b> · {html.escape(percent(view.share))}</span>{strip}</div>'
    )


def _samples(drawn: "dict[int, bytes]") -> str:
    if not drawn:
        return ""
    images = "".join(skeleton.image(data, f"row {i}") for i, data in drawn.items())
    return f'<section><h2>Some rows</h2><div class="strip">{images}</div></section>'


def _maps(name: str, maps: "Maps", view: "ProfileView") -> str:
    items: list[str] = []
    if maps.strength is not None:
        words = f"where {name} tells {view.label}"
        items.append(_map(abs(maps.strength), words, stretch=True, lead=True))
    items.append(_map(maps.mean, "mean of all rows"))
    common = sorted(zip(view.classes, maps.by_class, strict=False), key=lambda pair: -pair[0].rows)[:_CLASSES]
    items += [_map(mean, f"mean of {c.name}") for c, mean in common]
    return f'<section><h2>{html.escape(name)}, place by place</h2><ul class="maps">{"".join(items)}</ul></section>'


def _map(values: "Array", words: str, *, stretch: bool = False, lead: bool = False) -> str:
    import numpy as np  # noqa: PLC0415

    values = np.nan_to_num(values)
    if stretch:
        values = np.rint(values / (values.max() or 1) * 255).astype(np.uint8)
    picture = skeleton.image(png.encode(values), words)
    return f"<li{' class=lead' if lead else ''}>{picture}{html.escape(words)}</li>"


def _columns(view: "ProfileView") -> str:
    ranked = view.columns
    if len(ranked) > _CARDS:
        ranked = sorted(ranked, key=lambda c: (-abs(_strength(c)), view.columns.index(c)))[:_CARDS]
    cards = "".join(_card(c, view) for c in ranked)
    shown = {c.name for c in ranked}
    rest = [c for c in view.columns if c.name not in shown]
    return f'<div class="columns">{cards}</div>{_rest(rest, view)}'


def _rest(columns: "list[ColumnProfile]", view: "ProfileView") -> str:
    if not columns:
        return ""
    rows = "".join(
        f"<tr><th scope=row>{html.escape(c.name)}</th><td>{html.escape(c.type)}</td>"
        f'<td class="n">{c.missing:,}</td><td class="n">{_distinct(c)}</td>'
        + "".join(f'<td class="n">{_value(c.quantiles.get(q))}</td>' for q in ("min", "median", "max"))
        + f'<td class="n">{f"{_strength(c):.2f}" if c.association else ""}</td></tr>'
        for c in columns
    )
    with_label = f"with {html.escape(view.label)}" if view.label else ""
    return (
        f"<section><h2>{len(columns):,} more columns</h2><details><summary>As a table</summary>"
        '<div class="scroll"><table><thead><tr><th>column</th><th>type</th><th class="n">missing</th>'
        '<th class="n">distinct</th><th class="n">min</th><th class="n">median</th><th class="n">max</th>'
        f'<th class="n">{with_label}</th></tr></thead><tbody>{rows}</tbody></table></div></details></section>'
    )


def _card(column: "ColumnProfile", view: "ProfileView") -> str:
    histogram = _histogram(column, column.histogram) if column.histogram and column.quantiles else ""
    values = "" if histogram else _frequent(column)
    return (
        f'<section class="column"><h3>{html.escape(column.name)}<code>{html.escape(column.type)}</code></h3>'
        f"{histogram}{values}{_facts(column, view.rows)}{_with(column, view)}</section>"
    )


def _histogram(column: "ColumnProfile", histogram: "Histogram") -> str:
    most = max(histogram.counts) or 1
    step = _WIDTH / len(histogram.counts)
    bars = "".join(
        f'<rect x="{i * step + 0.5:.1f}" y="{_HEIGHT - h:.1f}" width="{step - 1:.1f}" height="{h:.1f}" rx="1.5"/>'
        for i, n in enumerate(histogram.counts)
        if (h := max(n / most * _HEIGHT, 1.5 if n else 0))
    )
    words = f"histogram of {column.name}"
    return (
        f'<figure role="img" aria-label="{html.escape(words)}"><svg viewBox="0 0 {_WIDTH} {_HEIGHT + 16}" '
        f'preserveAspectRatio="none"><g fill="var(--c1)">{bars}</g>{_box(column, histogram)}</svg>'
        f'<div class="ends"><span>{_value(column.quantiles["min"])}</span>'
        f"<span>{_value(column.quantiles['max'])}</span></div></figure>"
    )


def _box(column: "ColumnProfile", histogram: "Histogram") -> str:
    """A line from 5 to 95 %, a box from 25 to 75 %, a stroke at the median; none for times."""
    width = histogram.width * len(histogram.counts)
    if column.kind == "time" or not width:
        return ""
    at = {q: (float(v) - histogram.low) / width * _WIDTH for q, v in column.quantiles.items()}
    y = _HEIGHT + 10
    return (
        f'<line x1="{at["5 %"]:.1f}" x2="{at["95 %"]:.1f}" y1="{y}" y2="{y}" stroke="var(--muted)" '
        'stroke-width="1.5" vector-effect="non-scaling-stroke"/>'
        f'<rect x="{at["25 %"]:.1f}" y="{y - 3.5}" width="{max(at["75 %"] - at["25 %"], 1):.1f}" height="7" rx="2" '
        'fill="var(--c1-soft)" stroke="var(--c1)" stroke-width="1" vector-effect="non-scaling-stroke"/>'
        f'<line x1="{at["median"]:.1f}" x2="{at["median"]:.1f}" y1="{y - 5}" y2="{y + 5}" stroke="var(--c2)" '
        'stroke-width="2.5" vector-effect="non-scaling-stroke"/>'
    )


def _frequent(column: "ColumnProfile") -> str:
    shown = column.top[:_VALUES]
    if not shown:
        return "<p class=muted>No value is frequent.</p>" if column.distinct else ""
    most = shown[0][1] or 1
    items = "".join(
        f'<li><i style="width:{n / most * 100:.1f}%"></i><span>{html.escape(_value(v)) or "(empty)"}</span>'
        f'<span class="n">{"" if column.top_exact else "≥ "}{n:,}</span></li>'
        for v, n in shown
    )
    return f'<ul class="values">{items}</ul>'


def _facts(column: "ColumnProfile", rows: int) -> str:
    share = column.missing / rows if rows else 0
    facts: list[tuple[str, str, bool]] = [
        (
            "missing",
            f"{column.missing:,}" + (f" · {html.escape(percent(share))}" if column.missing else ""),
            share > 0.05,
        )
    ]
    if column.kind == "tensor":
        facts.append(("cells", f"{column.missing_cells:,} missing", False))
    if column.distinct is not None:
        facts.append(("distinct", _distinct(column), column.distinct == 1))
    if column.infinite:
        facts.append(("infinite", f"{column.infinite:,}", True))
    if column.kind != "truth":
        for name, value in (("mean", column.mean), ("std", column.std)):
            if value is not None:
                facts.append(
                    (name, figure(value, form=",") if isinstance(value, float) else _value(value), False)
                )
    if column.kind != "time":
        quarters = ("25 %", "median", "75 %")
        facts += [(q, _value(column.quantiles[q]), False) for q in quarters if q in column.quantiles]
    if column.lengths is not None:
        low, mean, high = column.lengths
        facts.append(("length", f"{low:,} to {high:,}", False))
        facts.append(("mean", f"{mean:.3g}", False))
    made = "".join(
        f"<dt>{name}</dt><dd{' class=warn' if warn else ''}>{value}</dd>" for name, value, warn in facts
    )
    return f"<dl>{made}</dl>"


def _with(column: "ColumnProfile", view: "ProfileView") -> str:
    found = column.association
    if found is None or view.label is None:
        return ""
    return (
        f'<div class="with"><span>{html.escape(found.measure)} with {html.escape(view.label)}</span>'
        f"<b>{found.value:.2f}</b>{_bar(abs(found.value))}</div>"
    )


def _footer(view: "ProfileView") -> str:
    about = [c for c in view.columns if not (c.quantiles_exact and c.distinct_exact and c.top_exact)]
    words = "Made by Tidemill. All numbers are exact"
    if about:
        names = ", ".join(c.name for c in about[:5]) + (" and others" if len(about) > 5 else "")
        words += (
            f", but for {html.escape(names)}: quantiles there are off by less than 0.2 % in rank, what is "
            "marked ~ by some 2 %, what is marked ≥ is a lower bound"
        )
    return words + ". Under a histogram: 5 to 95 %, 25 to 75 %, and the median."


def _bar(share: float, *, few: bool = False) -> str:
    return f'<div class="bar{" few" if few else ""}"><i style="width:{share * 100:.1f}%"></i></div>'


def _strength(column: "ColumnProfile") -> float:
    return column.association.value if column.association else 0.0


def _distinct(column: "ColumnProfile") -> str:
    if column.distinct is None:
        return ""
    return f"{'' if column.distinct_exact else '~'}{column.distinct:,}"


def _value(value: object) -> str:
    """A cell as a person reads it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,}".removesuffix(".0")
        case _:
            return str(value)


def _pictures(snapshot: "Snapshot", column: str, found: "Profile") -> "dict[int, bytes]":
    """The sample rows as PNG files, by their ``_id``."""
    from tidemill.data.profile import pictures  # noqa: PLC0415

    wanted = [i for ids in found.samples.values() for i in ids]
    return {i: png.encode(image) for i, image in pictures(snapshot, column, wanted).items()}
