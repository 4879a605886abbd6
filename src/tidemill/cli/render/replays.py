"""Runs that were made again, drawn."""

from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import facts, seconds, short, stack, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.interpreters import Difference
    from tidemill.loop.replay_views import Reproduced, StepAgain


def reproduced(view: "Reproduced") -> "RenderableType":
    """Each step then and now, and the verdict."""
    from rich.text import Text  # noqa: PLC0415

    of_release = f" of release {view.release}" if view.release else ""
    rows = [(s.step, _digests(s.then), _digests(s.now), _yes(s)) for s in view.steps]
    if view.identical:
        verdict = Text(f"identical: all {len(view.steps)} steps gave what they had given", "green")
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


def _listed(found: "list[Difference]", most: int = 8) -> str:
    told = [f"{d.name} {d.then or '-'} (here {d.now or 'none'})" for d in found[:most]]
    return ", ".join(told) + (f" and {len(found) - most} more" if len(found) > most else "")


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
