"""What runs where, drawn."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import damaged, seconds, stack, table, when
from tidemill.core.clock import ago, now, parse

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.serving import Serving
    from tidemill.loop.views import DeploymentView, EnvironmentView, HistoryLine, StopView, WishView

_FRESH = timedelta(minutes=1)
SERVING = ("environment", "release", "number", "address", "pid", "taken_over", "not_ready", "warnings")
"""The fields of what ``loop.serving.serve`` returns that ``--json`` prints."""


def _named(release: str, number: int) -> str:
    """``fashion/2``, whether or not ``release`` already says its number."""
    return release if release.endswith(f"/{number}") else f"{release}/{number}"


def deployment(view: "DeploymentView") -> str:
    """What runs now, where, and instead of what."""
    instead = (
        f", in place of {view.replaced}" if view.replaced is not None and view.replaced != view.number else ""
    )
    where = f" at {view.address}" if view.address else ""
    where += f" on {view.machine}" if view.machine else ""
    done = (
        f"{view.environment}: release {_named(view.release, view.number)} is {view.status}{where}{instead} "
        f"({seconds(view.seconds)})"
    )
    return "\n".join([done, *view.notes])


def serving(view: "Serving", machine: str) -> str:
    """What stands behind the address, and what other machines ask where that is every address of this one."""
    there = view.address.replace("://0.0.0.0:", f"://{machine}:").replace("://[::]:", f"://{machine}:")
    beyond = f" Other machines ask {there}." if there != view.address else ""
    end = (
        "Ctrl-C stops it."
        if view.started
        else f"It ran already, as process {view.pid}: Ctrl-C leaves it, 'tidemill stop {view.environment}' stops it."
    )
    over = f" It was {view.taken_over}." if view.taken_over else ""
    named = f"release {_named(view.release, view.number)}"
    if view.not_ready:
        return f"{view.environment} has {named} and is {refuses(view.not_ready)}{over}{beyond} {end}"
    return f"{view.environment} serves {named}.{over}{beyond} {end}"


def stopped(view: "StopView") -> str:
    """Whether there was anything to stop."""
    done = "stopped" if view.stopped else "is to stop" if view.wanted else "was not running"
    return "\n".join(
        [f"{view.environment} {done}{f' on {view.machine}' if view.machine else ''}.", *view.notes]
    )


def environments(views: "Sequence[EnvironmentView]") -> "RenderableType":
    """One line an environment, and beneath them what is to be said of one."""
    from rich.text import Text  # noqa: PLC0415

    lines = table(
        ["environment", "kind", "wanted", "running", "machine", "address", "predictions"],
        [
            (
                v.environment,
                "personal" if v.personal else "shared",
                v.wanted,
                _runs(v),
                None if v.machine is None else v.machine if v.elsewhere else "here",
                v.address,
                damaged() if v.error else v.predictions,
            )
            for v in views
        ],
        empty="The settings name no environment.",
    )
    notes = [f"{v.environment}: {v.note.removesuffix('.')}." for v in views if v.note]
    notes += [f"{v.environment}: {_wished(v.wish)}" for v in views if v.wish]
    notes += [f"{v.environment}: {_not_ready(v)}" for v in views if v.not_ready]
    notes += [f"{v.environment}: {_not_renewed(v.not_renewed)}" for v in views if v.not_renewed]
    return stack(lines, Text("\n".join(notes)) if notes else None)


def _runs(view: "EnvironmentView") -> str:
    """What answers; of one that is served elsewhere, as of when that last looked, where that is a minute ago or more."""
    if view.runs is None:
        known = view.stopped or not view.elsewhere
        ended = "not answering" if view.not_ready else "stopped"
        return "empty" if view.release is None else ended if known else "not known here"
    if view.not_ready:
        return f"{view.runs}, not ready"
    is_old = view.looked_at is not None and now() - parse(view.looked_at) > _FRESH
    return f"{view.runs}, {ago(view.looked_at)}" if is_old and view.looked_at else view.runs


def _not_ready(view: "EnvironmentView") -> str:
    error = view.not_ready or {}
    if view.running:
        return refuses(error)
    return f"not answering ({error['code']}): {error['message']} {error.get('hint', '')}".rstrip()


def _not_renewed(error: "Mapping[str, Any]") -> str:
    return f"its certificate is not renewed, and the one before is shown: {error['message']} {error.get('why') or ''}".rstrip()


def refuses(error: "Mapping[str, Any]") -> str:
    """Why a server that runs answers no prediction, and what to type."""
    return f"not ready, every prediction is refused ({error['code']}): {error['message']} {error.get('hint', '')}".rstrip()


def _wished(wish: "WishView") -> str:
    """What was typed elsewhere, and what came of it."""
    asked = f"{wish.author} at {wish.machine} wants '{wish.wants}' since {when(wish.wished_at)} UTC ({wish.reason})"
    if wish.state == "wanted":
        return f"{asked}; not carried out yet."
    return f"{asked}; {wish.answered_by} failed at {when(wish.answered_at or '')}: {wish.answer}"


def deployments(views: "Sequence[HistoryLine]") -> "RenderableType":
    """One line a deployment, newest first, and one for each thing that became of it, or was wanted instead in vain."""
    rows: list[Sequence[Any]] = []
    for v in views:
        rows.append(
            (
                v.number,
                _named(v.release_name, v.release_number),
                v.status,
                v.author,
                v.asked_from or v.machine,
                when(v.started_at),
                v.reason if v.back_from is None else f"back from {v.back_from}: {v.reason}",
            )
        )
        below = [(c.status, c.author, c.machine, c.changed_at, c.reason) for c in v.changes]
        below += [
            (
                w.state,
                w.author,
                w.machine,
                w.answered_at or w.wished_at,
                f"{w.wants} ({w.reason}): {w.answer}",
            )
            for w in v.wishes
        ]
        rows += [
            ("", "", f"  {state}", author, machine, when(moment), words)
            for state, author, machine, moment, words in sorted(below, key=lambda row: row[3])
        ]
    return table(
        ["number", "release", "status", "by", "from", "since (UTC)", "reason"],
        rows,
        empty="No release has entered it yet.",
    )
