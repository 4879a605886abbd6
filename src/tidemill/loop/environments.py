"""Environments as they are: what is wanted in each, what runs where, and what ran."""

import dataclasses
from typing import TYPE_CHECKING, Any

from tidemill.core.errors import Failed, TidemillError
from tidemill.loop import wishing
from tidemill.loop.deploy import predictions_in
from tidemill.loop.unreadable import error_of_one
from tidemill.loop.view_of import view_of
from tidemill.loop.views import ChangeView, EnvironmentView, HistoryLine
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.release.servers import Status
    from tidemill.store.catalog import records


def environments(ws: Workspace) -> list[EnvironmentView]:
    """Every environment: what is wanted, what runs and where, and how much it has answered here."""
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.release import settling  # noqa: PLC0415

    author, carried = ws.project.author, None
    wishing.end_taken_over(ws, *ws.settings.environments)
    if not ws.store.catalog.is_older:
        carried = settling.carry_along(ws.store, ws.settings, author)
        places.recover(ws.store, ws.settings, author)
    found: list[EnvironmentView] = []
    seen: set[int] = set()
    for name in ws.settings.environments:
        view, running = _environment(ws, name)
        # What was carried along is said once, with the first that it is about.
        if carried and view.release is not None:
            view, carried = dataclasses.replace(view, note=carried), None
        found.append(view)
        seen |= {running.pid} if running else set()
    for other in places.running(ws.store):
        if other.pid not in seen:
            odd = _odd(other, {view.environment: view for view in found}.get(other.environment))
            name = f"{other.name}/{other.number}"
            found.append(
                EnvironmentView(
                    other.environment,
                    other.name,
                    other.number,
                    other.address,
                    True,  # noqa: FBT003 - it runs
                    *_counted(ws, other.environment, odd),
                    runs=name,
                    not_ready=other.not_ready,
                    not_renewed=other.not_renewed,
                )
            )
    return found


def deployments(ws: Workspace, environment: str) -> list[HistoryLine]:
    """What ran in an environment, newest first: who brought it there, from where and why, and what became of it.

    Raises:
        NotFound: ``environment-not-found``.
    """
    from tidemill.release import settling  # noqa: PLC0415
    from tidemill.release.history import environment_settings  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    environment_settings(ws.settings, environment)
    found = settling.seen(ws.store, ws.settings, environment)
    with ws.store.catalog.read() as read:
        recorded = {d.id: d.machine for d in read.find(records.Deployment, {"environment": environment})}
        changes = read.find(records.DeploymentChange, {"environment": environment}, order=("position",))
        wished = read.find(records.Wish, {"environment": environment}, order=("number",))
    # What was carried out is a deployment, or a stop of one.
    answered = {d.wish for d in found if d.wish is not None}
    in_vain = [w for w in wished if w.state not in ("wanted", "carried-out") and w.number not in answered]
    return [
        HistoryLine(
            # Where it was when it was recorded: that it is served elsewhere since is one of the changes.
            **dataclasses.asdict(dataclasses.replace(each, machine=recorded[each.id])),
            changes=[view_of(ChangeView, c) for c in changes if c.deployment == each.id],
            wishes=[wishing.view(w) for w in in_vain if w.live is not None and w.live == each.number],
        )
        for each in found
    ]


def _odd(other: "Status", view: EnvironmentView | None) -> str:
    """What is odd about a server that is not what its environment's row is about."""
    if view is None:
        return "not in tidemill.toml"
    end = f"'tidemill stop {other.environment}' ends"
    if view.elsewhere:
        return (
            f"a server answers here too, process {other.pid}, which {view.machine} took over from: {end} it"
        )
    return f"a second server, process {other.pid}: {end} both"


def _environment(ws: Workspace, name: str) -> "tuple[EnvironmentView, Status | None]":
    """An environment, and the server here that its row is about."""
    from tidemill.release import lookouts, settling, wishes  # noqa: PLC0415
    from tidemill.release.history import is_personal, is_stopped, live_of  # noqa: PLC0415
    from tidemill.release.place import here  # noqa: PLC0415

    live = live_of(settling.seen(ws.store, ws.settings, name))
    elsewhere = settling.is_elsewhere(ws.store, live)
    has_moved = live is not None and elsewhere and here(ws.store).has_moved_with(live)
    running, not_ready = None, None
    # What answers here is not what the row is about, where another place serves it.
    if not elsewhere or has_moved:
        running, not_ready = _answering(ws, name, live)
    lookout = lookouts.last(ws.store, name, live.place) if live and elsewhere else None
    personal = is_personal(ws.settings, name)
    wish = None if personal or live is None else wishes.newest(ws.store, name)
    if wish is not None and wish.state != "wanted" and not _is_news(wish, live):
        wish = None
    if running is not None:
        runs = f"{running.name}/{running.number}"
    elif lookout is not None and lookout.release_name and lookout.ended_at is None:
        runs = f"{lookout.release_name}/{lookout.release_number}"
    else:
        runs = None
    if live is None or not elsewhere:
        note = None
    elif has_moved:
        note = f"this folder was moved from {live.machine}; 'tidemill serve {name} --take-over --reason moved' serves it from here"
    else:
        note = f"served by {live.machine}; {lookouts.in_words(lookout, name)}"
    # The log of what another place answers is there.
    counted = (None, note, None) if elsewhere and not has_moved else _counted(ws, name, note)
    view = EnvironmentView(
        name,
        live.release_name if live else None,
        live.release_number if live else None,
        running.address if running else lookout.address if lookout and runs else None,
        running is not None,
        *counted,
        personal=personal,
        machine=live.machine if live else None,
        elsewhere=elsewhere,
        wanted=_wanted(live, wish),
        runs=runs,
        looked_at=lookout.looked_at if lookout else None,
        wish=wishing.view(wish) if wish else None,
        not_ready=not_ready,
        not_renewed=running.not_renewed if running else None,
        stopped=live is not None and runs is None and is_stopped(ws.store, live),
    )
    return view, running


def _answering(
    ws: Workspace, name: str, live: "records.Deployment | None"
) -> "tuple[Status | None, dict[str, Any] | None]":
    """The server here, and why it answers no prediction though it should."""
    from tidemill.release import environments as places  # noqa: PLC0415

    try:
        running = places.status(ws.store, name)
    except Failed as error:
        return None, error.to_json()
    if running is not None:
        return running, running.not_ready
    ended = places.ended(ws.store, ws.settings, name) if live is not None else None
    return None, ended.to_json() if ended else None


def _is_news(wish: "records.Wish", live: "records.Deployment | None") -> bool:
    """Whether a wish failed, and nothing went live since."""
    return wish.state == "failed" and live is not None and live.number == wish.live


def _counted(
    ws: Workspace, environment: str, note: str | None
) -> tuple[int | None, str | None, dict[str, Any] | None]:
    """How many predictions, the note, and why its log cannot be read: they follow each other in a view."""
    try:
        return predictions_in(ws, environment), note, None
    except TidemillError as error:
        return None, note, error_of_one(error)


def _wanted(live: "records.Deployment | None", wish: "records.Wish | None") -> str | None:
    if wish is not None and wish.state == "wanted":
        return "stopped" if wish.verb == "stop" else f"{wish.release_name}/{wish.release_number}"
    return f"{live.release_name}/{live.release_number}" if live else None
