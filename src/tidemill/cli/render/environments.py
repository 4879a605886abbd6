"""What runs where, drawn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidemill.cli.render.shapes import damaged, seconds, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tidemill.loop.deploy import Serving
    from tidemill.loop.views import DeploymentView, EnvironmentView

SERVING = ("environment", "release", "number", "address", "pid")
"""The fields of what ``loop.deploy.serve`` returns that ``--json`` prints."""


def _named(release: str, number: int) -> str:
    """``fashion/2``, whether or not ``release`` already says its number."""
    return release if release.endswith(f"/{number}") else f"{release}/{number}"


def deployment(view: "DeploymentView") -> str:
    """What runs now, where, and instead of what."""
    instead = (
        f", in place of {view.replaced}" if view.replaced is not None and view.replaced != view.number else ""
    )
    where = f" at {view.address}" if view.address else ""
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
    return f"{view.environment} serves release {_named(view.release, view.number)}.{beyond} {end}"


def stopped(view: Mapping[str, Any]) -> str:
    """Whether there was anything to stop."""
    return f"{view['environment']} {'stopped' if view['stopped'] else 'was not running'}."


def environments(views: "Sequence[EnvironmentView]") -> "RenderableType":
    """One line an environment."""
    return table(
        ["environment", "release", "state", "address", "predictions"],
        [
            (
                v.environment,
                None if v.release is None or v.number is None else _named(v.release, v.number),
                ("running" if v.running else "elsewhere" if v.note else "stopped" if v.release else "empty")
                + (f" ({v.note})" if v.note else ""),
                v.address if v.running else None,
                damaged() if v.error else v.predictions,
            )
            for v in views
        ],
        empty="The settings name no environment.",
    )


def deployments(views: "Sequence[Any]") -> "RenderableType":
    """One line a deployment, newest first."""
    return table(
        ["number", "release", "status", "by", "from", "since (UTC)", "reason"],
        [
            (
                v.number,
                _named(v.release_name, v.release_number),
                v.status,
                v.author,
                v.machine,
                v.started_at[:19].replace("T", " "),
                v.reason if v.back_from is None else f"back from {v.back_from}: {v.reason}",
            )
            for v in views
        ],
        empty="No release has entered it yet.",
    )
