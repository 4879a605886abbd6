"""Runs that were made again, as HTML: a page of why a metric moved, and what a notebook shows of either."""

import html
from typing import TYPE_CHECKING

from tidemill.core.figures import figure
from tidemill.core.names import hex_of
from tidemill.evaluation import skeleton

if TYPE_CHECKING:
    from tidemill.loop.replay_views import Explanation, MetricExplained, Reproduced

_DIGEST = 12
_CSS = """
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .3rem .8rem; align-items: center; }
.bars .track { position: relative; height: 1rem; background: linear-gradient(var(--c1), var(--c1)) 50% / 1px 100% no-repeat; }
.bars .bar { position: absolute; top: 0; bottom: 0; }
.bars .more { background: var(--c1); } .bars .less { background: var(--c2); } .bars .rest { opacity: .4; }
"""


def explanation(view: "Explanation") -> str:
    """The page of an explanation: each metric with a bar for each part, what changed, and the runs."""
    return skeleton.document(
        f"{view.a.run} to {view.b.run}",
        heading=f"{view.a.pipeline}: why the metrics moved",
        subtitle=[f"from {html.escape(view.a.run)}", f"to {html.escape(view.b.run)}", html.escape(view.how)],
        sections=_sections(view),
        footer="Made by Tidemill. A share is the mean, over the orders in which the changes could be made, of what "
        "each adds.",
        css=_CSS,
    )


def explanation_part(view: "Explanation") -> str:
    """What a notebook shows of it."""
    colours = ".tidemill-part { --c1: #4269d0; --c2: #ff725c; }"
    body = "".join(_sections(view))
    return (
        f'<style>{colours}{_CSS}</style><div class="tidemill-part"><p>{html.escape(view.how)}</p>{body}</div>'
    )


def reproduced_part(view: "Reproduced") -> str:
    """What a notebook shows of a run that was made again: the verdict, and each step."""
    verdict = "identical" if view.identical else f"not identical: {view.first or 'it ended otherwise'}"
    rows = "".join(
        f"<tr><th scope=row>{html.escape(s.step)}</th><td>{_digests(s.then)}</td><td>{_digests(s.now)}</td>"
        f"<td>{s.result}</td></tr>"
        for s in view.steps
    )
    head = "<tr><th>step</th><th>then</th><th>now</th><th></th></tr>"
    return f"<p>Run {view.run}: <b>{html.escape(verdict)}</b></p><table>{head}{rows}</table>"


def _digests(outputs: dict[str, str]) -> str:
    shown = (hex_of(d)[:_DIGEST] for d in outputs.values())
    return " ".join(f"<code>{d}</code>" for d in shown)


def _sections(view: "Explanation") -> list[str]:
    return [*(_metric(m) for m in view.metrics), _factors(view), _states(view)]


def _metric(metric: "MetricExplained") -> str:
    parts = [
        (s.factor, s.share, f" ({figure(s.lowest, form='+')} to {figure(s.highest, form='+')})")
        for s in metric.shares
    ]
    parts.append(("not shown by a run", metric.remainder, ""))
    widest = max((abs(value) for _, value, _ in parts), default=0.0) or 1.0
    bars = "".join(
        f"<span>{html.escape(name)}</span>{_bar(value, widest, rest=not spread)}"
        f"<span>{figure(value, form='+')}{html.escape(spread)}</span>"
        for name, value, spread in parts
        if value or spread
    )
    moved = f"{figure(metric.a)} → {figure(metric.b)} ({figure(metric.difference, form='+')})"
    return f'<section><h2>{html.escape(metric.name)}: {moved}</h2><div class="bars">{bars}</div></section>'


def _bar(value: float, widest: float, *, rest: bool) -> str:
    width = 50 * abs(value) / widest
    left = 50 if value >= 0 else 50 - width
    kind = ("more" if value >= 0 else "less") + (" rest" if rest else "")
    return f'<span class="track"><span class="bar {kind}" style="left:{left:.2f}%;width:{width:.2f}%"></span></span>'


def _factors(view: "Explanation") -> str:
    rows = "".join(
        f"<tr><th scope=row>{f.name}</th><td>{html.escape('; '.join(f.changes[:20])) or 'equal'}</td>"
        f"<td>{html.escape(f.note or '')}</td></tr>"
        for f in view.factors
    )
    return f"<section><h2>What changed</h2><table><tbody>{rows}</tbody></table></section>"


def _states(view: "Explanation") -> str:
    names = [m.name for m in view.metrics]
    head = "".join(f"<th>{html.escape(n)}</th>" for n in names)
    rows = "".join(
        f"<tr><th scope=row>{' and '.join(s.changed) or 'nothing'}</th>"
        + "".join(f"<td>{figure(s.metrics[n])}</td>" if n in s.metrics else "<td>failed</td>" for n in names)
        + f"<td>{'' if s.computed is None else s.computed}</td></tr>"
        for s in view.states
    )
    return (
        f'<section><h2>The runs</h2><div class="scroll"><table><thead><tr><th>changed</th>{head}<th>computed steps</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )
