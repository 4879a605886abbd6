"""Runs that were made again, drawn."""

from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import facts, heading, seconds, short, stack, table, when
from tidemill.core.figures import counted, figure
from tidemill.core.names import listed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.interpreters import Difference
    from tidemill.loop.replay_views import (
        Explanation,
        FactorView,
        MetricExplained,
        Reproduced,
        StateView,
        StepAgain,
    )
    from tidemill.loop.views import RunSummary


def reproduced(view: "Reproduced") -> "RenderableType":
    """Each step then and now, and the verdict."""
    from rich.text import Text  # noqa: PLC0415

    of_release = f" of release {view.release}" if view.release else ""
    rows = [(s.step, _digests(s.then), _digests(s.now), _yes(s)) for s in view.steps]
    if view.identical:
        every = counted(len(view.steps), "step gave what it", "steps gave what they")
        verdict = Text(f"identical: {'its' if len(view.steps) == 1 else 'all'} {every} had given", "green")
    elif view.first is None:
        verdict = Text("not identical: the run ended otherwise", "red")
    else:
        verdict = Text(f"not identical: {view.first} is the first step that differs", "red")
    return stack(
        facts(
            [
                ("run", f"{view.run}  {view.pipeline}{of_release}, made again in {seconds(view.seconds)}"),
                ("packages", _installed(view)),
                *([("not as then", _listed(view.lacking))] if view.lacking else []),
            ]
        ),
        table(["step", "then", "now", "identical?"], rows, empty="It has no step."),
        verdict,
        None if view.first is None else Text(_reasons(view)),
        f"It stays in {view.folder}" if view.folder else None,
    )


def _digests(outputs: dict[str, str]) -> str:
    if set(outputs) == {"result"}:
        return short(outputs["result"])
    return ", ".join(f"{name} {short(digest)}" for name, digest in outputs.items()) or "-"


def _yes(step: "StepAgain") -> str:
    words = {"identical": "yes", "same rows": "yes, in other chunks", "different": "no"}
    return words.get(step.result, step.result)


def _installed(view: "Reproduced") -> str:
    if not view.installed:
        return "those that are installed here are the run's"
    return "brought back: " + _listed(view.installed)


def _listed(found: "list[Difference]") -> str:
    return listed((f"{d.name} {d.then or '-'} (here {d.now or 'none'})" for d in found), 8)


def _reasons(view: "Reproduced") -> str:
    if view.reasons:
        return "Another than then: " + "; ".join(view.reasons)
    step = next(s for s in view.steps if s.step == view.first)
    if step.result == "not reached":
        return "The run did not get so far."
    return (
        "Its code, packages, settings and inputs are the same: it gives something else each time. "
        "Look in it for the time, for random numbers without a seed, for what it reads by itself."
    )


def explanation(view: "Explanation") -> "RenderableType":
    """What changed, and what each change contributes to each metric."""
    changed = [(f.name, _told(f)) for f in view.factors]
    if view.dry_run:
        runs = [(str(n), _changed(s)) for n, s in enumerate(view.states, 1)]
        return stack(
            facts([("from", _run(view.a)), ("to", _run(view.b))]),
            heading("What changed", facts(changed)),
            heading("Runs to make", table(["", f"as in {view.b.run}"], runs, empty="None.")),
        )
    return stack(
        facts([("from", _run(view.a)), ("to", _run(view.b)), ("shares", view.how)]),
        heading("What changed", facts(changed)),
        *(heading(_moved(m), _shares(m)) for m in view.metrics),
        *_again(view),
        f"The page is {view.path}" if view.path else None,
    )


def _run(run: "RunSummary") -> str:
    return f"{run.run}  {run.pipeline}, {when(run.started_at)} UTC"


def _changed(state: "StateView") -> str:
    return " and ".join(state.changed) or "nothing"


def _told(factor: "FactorView", most: int = 6) -> str:
    more = len(factor.changes) - most
    words = "; ".join(factor.changes[:most]) + (f"; and {more} more" if more > 0 else "")
    if factor.differs and not factor.replayed:
        words += f" (not replayed: {factor.note})" if words else f"not replayed: {factor.note}"
    elif factor.note:
        words += f" ({factor.note})"
    return words or "equal"


def _moved(metric: "MetricExplained") -> str:
    return f"{metric.name}: {figure(metric.a, 6)} → {figure(metric.b, 6)} ({figure(metric.difference, form='+')})"


def _shares(metric: "MetricExplained") -> "RenderableType":
    rows = [
        (
            s.factor,
            figure(s.share, form="+"),
            _percent(s.share, metric.difference),
            "-" if s.in_order is None else figure(s.in_order, form="+"),
            "no"
            if s.lowest == s.highest
            else f"{figure(s.lowest, form='+')} to {figure(s.highest, form='+')}",
        )
        for s in metric.shares
    ]
    if metric.remainder:
        rows.append(
            (
                "not replayed",
                figure(metric.remainder, form="+"),
                _percent(metric.remainder, metric.difference),
                "",
                "",
            )
        )
    head = ["", "share", "of it", "one after the other", "by order"]
    return table(head, rows, empty="Nothing that was replayed differs.")


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _again(view: "Explanation") -> list[str]:
    """Where a run that was made again gave another metric than its record has."""
    told: list[str] = []
    for metric in view.metrics:
        pairs = ((view.a, metric.a, metric.a_again), (view.b, metric.b, metric.b_again))
        told += [
            f"{metric.name} of run {run.run} was {figure(was, 6)}, and {figure(now, 6)} when it was made again: "
            f"{abs(was - now):.2g} apart."
            for run, was, now in pairs
            if now is not None and was != now
        ]
    data = next((f.note for f in view.factors if f.name == "data" and f.note), None)
    return [*told, f"The data are {data}."] if told and data else told
