"""The report as a page: one HTML file that needs no network and no script."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.core.figures import figure
from tidemill.core.percent import percent
from tidemill.evaluation import plots, skeleton
from tidemill.evaluation.explain import two_accuracies
from tidemill.evaluation.report import Mistake, Report

_TILES = {
    "accuracy": "accuracy",
    "f1_macro": "F1, mean of classes",
    "precision_macro": "precision, mean of classes",
    "recall_macro": "recall, mean of classes",
    "elementwise_accuracy": "element-wise accuracy",
    "log_loss": "log loss",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
}
_ELSEWHERE = frozenset({"n", "precision_micro", "recall_micro", "f1_micro"})
"""Shown in the subtitle and in the table of classes."""
_SHARES = frozenset(n for n in _TILES if n not in {"log_loss", "mae", "rmse", "r2"})


def render(
    report: Report,
    *,
    facts: Mapping[str, object] | None = None,
    verdict: Mapping[str, Any] | None = None,
) -> str:
    """A self-contained page.

    Args:
        report: What to show.
        facts: What the model was made of, by name (run, data commit, parameters); a mapping among the
            values becomes lines of its own.
        verdict: A gate's verdict: ``passed`` and ``rules``, each with ``name``, ``passed``, ``reason``.
    """
    sections = [
        _tiles(report),
        _own_metrics(report),
        _verdict(verdict),
        two_accuracies(report) if report.classes else "",
        _classes(report),
        _confusion(report),
        _curves(report),
        _mistakes(report.mistakes, report),
        _facts(facts),
        _notes(report.notes),
    ]
    return skeleton.document(
        f"{report.name} · report",
        heading=report.name,
        subtitle=_subtitle(report, verdict),
        sections=sections,
        footer="Made by Tidemill. "
        + (
            "The numbers are those that the pipeline's own step put into its report."
            if _own(report)
            else "Every number on this page is computed from the answers on the test rows, none is taken from the "
            "training framework."
        ),
    )


def _subtitle(report: Report, verdict: Mapping[str, Any] | None) -> list[str]:
    parts = [f"{int(report.metrics['n']):,} test rows"] if "n" in report.metrics else []
    if report.classes:
        parts.append(f"{len(report.classes)} classes")
    if verdict is not None:
        good = bool(verdict["passed"])
        parts.append(skeleton.pill("Gate passed" if good else "Gate failed", good=good))
    return parts


def _tiles(report: Report) -> str:
    shown = [(number(n, report.metrics[n]), words) for n, words in _TILES.items() if n in report.metrics]
    return skeleton.tiles(shown, lead=_TILES["accuracy"]) if shown else ""


def _own(report: Report) -> dict[str, float]:
    """The metrics that Tidemill does not know by name."""
    return {n: v for n, v in report.metrics.items() if n not in _TILES and n not in _ELSEWHERE}


def _own_metrics(report: Report) -> str:
    rows = "".join(
        f'<tr><th scope=row>{html.escape(n)}</th><td class="n">{html.escape(_plain(v))}</td></tr>'
        for n, v in _own(report).items()
    )
    if not rows:
        return ""
    return f'<section><h2>Metrics of its own</h2><div class="scroll"><table><tbody>{rows}</tbody></table></div></section>'


def _plain(value: object) -> str:
    return (
        figure(value, form=",")
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else str(value)
    )


def number(name: str, value: float) -> str:
    """A metric as a person reads it."""
    return percent(value, 2) if name in _SHARES else figure(value, form=",")


def _verdict(verdict: Mapping[str, Any] | None) -> str:
    if verdict is None:
        return ""
    rows = "".join(
        f"<tr><th scope=row>{html.escape(str(r['name']))}</th>"
        f'<td class="{"yes" if r["passed"] else "no"}">{"✓ passed" if r["passed"] else "✗ failed"}</td>'
        f"<td>{html.escape(str(r.get('reason', '')))}</td></tr>"
        for r in verdict["rules"]
    )
    return (
        '<section><h2>Gate</h2><div class="scroll"><table><thead><tr><th>rule</th><th>verdict</th>'
        f"<th>reason</th></tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _classes(report: Report) -> str:
    if not report.per_class:
        return ""
    rows = "".join(
        f"<tr><th scope=row>{html.escape(s.name)}</th>"
        f'<td class="n">{s.precision:.3f}</td><td class="n">{s.recall:.3f}</td>'
        f'<td class="n">{s.f1:.3f}</td><td class="n">{s.support:,}</td></tr>'
        for s in report.per_class
    )
    means = "".join(
        f'<tr><th scope=row class="muted">{label}</th>'
        + "".join(
            f'<td class="n">{report.metrics[f"{m}_{kind}"]:.3f}</td>' for m in ("precision", "recall", "f1")
        )
        + f'<td class="n muted">{int(report.metrics["n"]):,}</td></tr>'
        for kind, label in (("macro", "macro: mean of classes"), ("micro", "micro: all rows"))
        if f"f1_{kind}" in report.metrics
    )
    table = (
        '<div class="scroll"><table><thead><tr><th>class</th><th class="n">precision</th><th class="n">recall</th>'
        f'<th class="n">F1</th><th class="n">rows</th></tr></thead><tbody>{rows}{means}</tbody></table></div>'
    )
    caption = "The weakest class on top. The bar is F1; a gap between the two points says which way it errs."
    figure = _figure(plots.per_class(report.per_class), "Precision, recall and F1 of each class", caption)
    return f'<section><h2>Class by class</h2><div class="two">{table}{figure}</div></section>'


def _confusion(report: Report) -> str:
    if not report.confusion:
        return ""
    names = [html.escape(c) for c in report.classes]
    figure = _figure(
        plots.confusion(report.confusion, report.classes),
        "Confusion matrix",
        "Rows are the true class, columns the answer; the deeper the colour, the greater its share of the row.",
    )
    head = "".join(f'<th class="n">{c}</th>' for c in names)
    body = "".join(
        f"<tr><th scope=row>{names[i]}</th>" + "".join(f'<td class="n">{n:,}</td>' for n in row) + "</tr>"
        for i, row in enumerate(report.confusion)
    )
    return (
        f'<section><h2>What it takes for what</h2><div class="two"><div class="scroll wide">{figure}</div>'
        f"{_top_confusions(report)}</div>"
        '<details><summary>The same as a table</summary><div class="scroll"><table><thead><tr>'
        f"<th>true \\ answer</th>{head}</tr></thead><tbody>{body}</tbody></table></div></details></section>"
    )


def _top_confusions(report: Report) -> str:
    found = sorted(
        (
            (-count, report.classes[i], report.classes[j], count / (sum(row) or 1))
            for i, row in enumerate(report.confusion)
            for j, count in enumerate(row)
            if i != j and count
        ),
    )[:6]
    if not found:
        return "<p>It made no mistake on these rows.</p>"
    rows = "".join(
        f"<tr><th scope=row>{html.escape(truth)}</th><td>{html.escape(answer)}</td>"
        f'<td class="n">{-count:,}</td><td class="n">{html.escape(percent(share))}</td></tr>'
        for count, truth, answer, share in found
    )
    return (
        '<div class="scroll"><h3>Most frequent mistakes</h3><table><thead><tr><th>true</th><th>answered</th>'
        f'<th class="n">rows</th><th class="n">of its class</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _curves(report: Report) -> str:
    drawn = [
        f"<div><h3>{html.escape(measure.replace('_', ' '))}</h3>{_figure(spec, f'{measure} by epoch', '')}</div>"
        for measure, spec in plots.curves(report.curves).items()
    ]
    return f'<section><h2>Training</h2><div class="curves">{"".join(drawn)}</div></section>' if drawn else ""


def _mistakes(mistakes: Sequence[Mistake], report: Report) -> str:
    if not report.classes or not mistakes:
        return ""
    items = "".join(_mistake(m) for m in mistakes)
    return (
        "<section><h2>Worst mistakes</h2><p class=muted>Wrong, and surest of it. Some are hard to tell for a person too; "
        f'some are wrong labels, which are worth correcting in the data.</p><ul class="mistakes">{items}</ul></section>'
    )


def _mistake(mistake: Mistake) -> str:
    image = "" if mistake.image is None else skeleton.image(mistake.image, mistake.truth)
    row = "" if mistake.id is None else f'<div class="id">{mistake.id}</div>'
    return (
        f'<li>{image}<div class="said">{html.escape(mistake.predicted)} {html.escape(percent(mistake.confidence, 0))}</div>'
        f"<div>is {html.escape(mistake.truth)}</div>{row}</li>"
    )


def _facts(facts: Mapping[str, object] | None) -> str:
    if not facts:
        return ""
    rows: list[str] = []
    for name, value in facts.items():
        members = value.items() if isinstance(value, Mapping) else [("", value)]
        rows += [
            f"<tr><th scope=row>{html.escape(f'{name} {inner}'.strip())}</th><td>{html.escape(_text(v))}</td></tr>"
            for inner, v in members
        ]
    return f'<section><h2>What it was made of</h2><table class="facts"><tbody>{"".join(rows)}</tbody></table></section>'


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(v) for v in value)
    return str(value)


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return f"<section><h2>Notes</h2>{''.join(f'<p>{html.escape(n)}</p>' for n in notes)}</section>"


def _figure(spec: plots.Spec, label: str, caption: str) -> str:
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f'<figure role="img" aria-label="{html.escape(label)}">{plots.svg(spec)}{below}</figure>'
