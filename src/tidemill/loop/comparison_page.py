"""Two runs side by side as a page: what differs first, then the curves and the classes of both."""

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tidemill.core.figures import figure
from tidemill.core.names import hex_of
from tidemill.evaluation import plots, skeleton

if TYPE_CHECKING:
    from tidemill.evaluation import Report
    from tidemill.loop.views import CodeSides, Comparison, MetricSides, RunSummary, Sides

_CSS = "td.differs { color: var(--c2); font-weight: 600; } td code { font-size: .85em; } pre { overflow-x: auto; font-size: .85rem; }\n"
_DIGEST = 12


def render(view: "Comparison", a: "Report | None", b: "Report | None") -> str:
    """The page.

    Args:
        view: What was compared.
        a: The report of the run on the left, if it made one.
        b: That of the run on the right.
    """
    return skeleton.document(
        f"{view.a.run} and {view.b.run}",
        heading=_heading(view),
        subtitle=[_run("a", view.a), _run("b", view.b)],
        sections=[
            _tiles(view.metrics),
            _table("Metrics", ("metric", "a", "b", "difference"), _metrics(view.metrics)),
            _table("Parameters", ("parameter", "a", "b"), _rows(view.parameters)),
            _table("Data", ("dataset", "a", "b", "rows"), _data(view)),
            _table("Code", ("reached by a step", "a", "b", "steps"), _code(view.code)),
            _diffs(view.code),
            _table("Packages", ("package", "a", "b", "steps"), _rows(view.packages, steps=True)),
            _table("Settings", ("step and setting", "a", "b"), _rows(view.settings)),
            _table("Results", ("output", "a", "b"), _rows(view.artifacts)),
            _table("Steps", ("step", "results", "a", "b", "seconds a", "seconds b"), _steps(view)),
            _curves(a, b),
            _classes(a, b),
        ],
        footer="Made by Tidemill. On the left, and called a, the run that was named first.",
        css=_CSS,
    )


def _heading(view: "Comparison") -> str:
    names = dict.fromkeys((view.a.pipeline, view.b.pipeline))
    return f"{' and '.join(names)}: two runs"


def _run(side: str, run: "RunSummary") -> str:
    return f"{side}: {html.escape(run.run)}, {html.escape(run.status)}"


def _tiles(metrics: "Sequence[MetricSides]") -> str:
    shown = [
        (figure(m.difference, form="+"), f"{m.name}: {_number(m.a)} → {_number(m.b)}")
        for m in metrics
        if m.difference
    ][:6]
    return skeleton.tiles(shown, lead=shown[0][1]) if shown else ""


def _number(value: float | None) -> str:
    return "-" if value is None else figure(value, form=",")


def _table(title: str, head: Sequence[str], rows: Iterable[str]) -> str:
    body = "".join(rows)
    if not body:
        return ""
    columns = "".join(f"<th>{html.escape(c)}</th>" for c in head)
    return (
        f'<section><h2>{title}</h2><div class="scroll"><table><thead><tr>{columns}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _line(name: str, *cells: object, differs: bool, marked: int = 2) -> str:
    mark = ' class="differs"' if differs else ""
    made = "".join(f"<td{mark if at < marked else ''}>{_cell(cell)}</td>" for at, cell in enumerate(cells))
    return f"<tr><th scope=row>{html.escape(name)}</th>{made}</tr>"


def _cell(value: object) -> str:
    if value is None:
        return '<span class="muted">-</span>'
    words = str(value)
    if words.startswith("sha256:"):
        return f"<code>{hex_of(words)[:_DIGEST]}</code>"
    return html.escape(words)


def _rows(sides: "Iterable[Sides]", *, steps: bool = False) -> Iterable[str]:
    return (
        _line(s.name, s.a, s.b, *([", ".join(s.steps)] if steps else []), differs=not s.equal) for s in sides
    )


def _code(sides: "Iterable[CodeSides]") -> Iterable[str]:
    return (_line(s.name, s.a, s.b, ", ".join(s.steps), differs=True) for s in sides)


def _diffs(sides: "Iterable[CodeSides]") -> str:
    """The text of what differs in the code, where it was kept."""
    parts = [
        f"<details open><summary>{html.escape(s.name)}</summary><pre>{html.escape(s.diff)}</pre></details>"
        for s in sides
        if s.diff
    ]
    return f"<section><h2>What changed in the code</h2>{''.join(parts)}</section>" if parts else ""


def _metrics(metrics: "Iterable[MetricSides]") -> Iterable[str]:
    return (
        _line(
            m.name,
            _number(m.a),
            _number(m.b),
            None if m.difference is None else figure(m.difference, form="+"),
            differs=m.a != m.b,
        )
        for m in metrics
    )


def _data(view: "Comparison") -> Iterable[str]:
    for data in view.data:
        rows = data.rows
        told = None
        if rows is not None:
            told = f"{rows.added:,} added, {rows.changed:,} changed, {rows.removed:,} removed"
        yield _line(data.name, data.a, data.b, "the same" if data.equal else told, differs=not data.equal)


def _steps(view: "Comparison") -> Iterable[str]:
    for step in view.steps:
        seconds = ("-" if s is None else f"{s:.3f}" for s in (step.seconds_a, step.seconds_b))
        yield _line(
            step.name, step.results, step.a, step.b, *seconds, differs=step.results == "different", marked=1
        )


def _curves(a: "Report | None", b: "Report | None") -> str:
    """Each measure of the training, of both runs beside each other."""
    drawn = [plots.curves(r.curves) if r else {} for r in (a, b)]
    figures: list[str] = []
    for measure in {**drawn[0], **drawn[1]}:
        for side, specs in zip("ab", drawn, strict=True):
            if measure in specs:
                label = html.escape(f"{measure.replace('_', ' ')}, {side}")
                figures.append(
                    f'<div><h3>{label}</h3><figure role="img" aria-label="{label}">'
                    f"{plots.svg(specs[measure])}</figure></div>"
                )
    return (
        f'<section><h2>Training</h2><div class="curves">{"".join(figures)}</div></section>' if figures else ""
    )


def _classes(a: "Report | None", b: "Report | None") -> str:
    """F1 of each class in both runs."""
    scores = [{s.name: s.f1 for s in r.per_class} if r else {} for r in (a, b)]
    if not (scores[0] and scores[1]):
        return ""
    rows: list[str] = []
    for name in {**scores[0], **scores[1]}:
        old, new = scores[0].get(name), scores[1].get(name)
        difference = None if old is None or new is None else f"{new - old:+.3f}"
        rows.append(_line(name, _number(old), _number(new), difference, differs=old != new))
    return _table("F1 of each class", ("class", "a", "b", "difference"), rows)
