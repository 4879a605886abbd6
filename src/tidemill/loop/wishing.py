"""What is typed here of an environment that another place serves: recorded there as wanted, and its answer waited for."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import Conflict, Failed, TidemillError
from tidemill.core.events import Note, Sink
from tidemill.loop.view_of import view_of
from tidemill.loop.views import DeploymentView, StopView, WishView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog import records

_ANSWER_SECONDS = 15.0
"""How long somebody who types waits until the place begins with it."""
_DONE_SECONDS = 120.0
"""And, once it has begun, for what comes of it."""
_POLL_SECONDS = 0.2


def end_taken_over(ws: Workspace, *environments: str) -> None:
    """End what still serves these here and was taken over by another place, and tell so. While that cannot be read nothing ends.

    Whoever looks at an environment does this first, so that what was taken over while nobody looked answers no more.
    """
    from tidemill.release import environments as places  # noqa: PLC0415

    if not ws.store.is_shared:
        return
    for environment in environments:
        # The record is not looked for where nothing answers.
        with suppress(TidemillError):
            if places.status(ws.store, environment) is not None:
                ended = places.end_if_taken_over(ws.store, ws.settings, environment)
                if ended is not None:
                    ws.tell(ended)


def elsewhere(ws: Workspace, environment: str) -> "records.Deployment | None":
    """What is live in an environment, where another place serves it; what still serves it here ends.

    Where this folder served it before it was moved there is no other place, and its server is here: nobody would carry out what is
    wanted, and whoever changes what it serves refuses that.

    Raises:
        NotFound: ``environment-not-found``.
    """
    from tidemill.release import environments as places  # noqa: PLC0415
    from tidemill.release import settling  # noqa: PLC0415
    from tidemill.release.history import environment_settings, live_of  # noqa: PLC0415
    from tidemill.release.place import here  # noqa: PLC0415

    if all(told.environment != environment for told in places.running(ws.store)):
        environment_settings(ws.settings, environment)
    live = live_of(settling.seen(ws.store, ws.settings, environment))
    if live is None or not settling.is_elsewhere(ws.store, live) or here(ws.store).has_moved_with(live):
        return None
    end_taken_over(ws, environment)
    return live


def promote(
    ws: Workspace, release: "records.Release", live: "records.Deployment", reason: str, sink: Sink
) -> DeploymentView:
    """Want a release of an environment that another place serves. Of the one that is live, what else was wanted is withdrawn.

    Raises:
        NotAllowed: ``promotion-order``.
        Failed: What it failed with there; what ran before still does.
        Conflict: ``wish-replaced``, when something else was typed meanwhile.
    """
    from tidemill.release import wishes  # noqa: PLC0415
    from tidemill.release.history import check_order  # noqa: PLC0415

    started, environment, author = time.perf_counter(), live.environment, ws.project.author
    check_order(ws.store, ws.settings, release, environment)
    if live.release_digest == release.digest:
        stays = f"{release.name}/{release.number} stays"
        withdrawn = wishes.withdraw(ws.store, environment, author, stays)
        if not wishes.wanted(ws.store, environment):
            notes = [f"Withdrawn: {wishes.in_words(w)}, which {w.author} wanted." for w in withdrawn]
            return _deployed(ws, live, None, started, notes)
    wish = wishes.add(
        ws.store,
        environment=environment,
        verb="promote",
        release=release,
        live=live,
        author=author,
        reason=reason,
    )
    return _view(ws, _answered(ws, wish, live, sink), live, started)


def rollback(ws: Workspace, live: "records.Deployment", reason: str, sink: Sink) -> DeploymentView:
    """Want an environment that another place serves to be rolled back.

    Raises:
        NotAllowed: ``nothing-to-roll-back-to``.
        Failed: What it failed with there; what ran before still does.
        Conflict: ``wish-replaced``, when something else was typed meanwhile.
    """
    from tidemill.release import bundle, settling, wishes  # noqa: PLC0415
    from tidemill.release.history import nothing_before, previous  # noqa: PLC0415

    started, environment = time.perf_counter(), live.environment
    every = settling.seen(ws.store, ws.settings, environment)
    before = previous(every)
    if before is None:
        raise nothing_before(environment, every, live)
    wish = wishes.add(
        ws.store,
        environment=environment,
        verb="rollback",
        release=bundle.find(ws.store, before.release_name, before.release_number),
        live=live,
        author=ws.project.author,
        reason=reason,
    )
    return _view(ws, _answered(ws, wish, live, sink), live, started)


def stop(ws: Workspace, live: "records.Deployment", reason: str, sink: Sink) -> StopView:
    """Want an environment that another place serves to be stopped.

    Raises:
        Failed: What it failed with there.
        Conflict: ``wish-replaced``, when something else was typed meanwhile.
    """
    from tidemill.release import wishes  # noqa: PLC0415

    wish = wishes.add(
        ws.store,
        environment=live.environment,
        verb="stop",
        release=None,
        live=live,
        author=ws.project.author,
        reason=reason,
    )
    done = _answered(ws, wish, live, sink)
    is_open = done.state == "wanted"
    note = _not_yet(ws, done, live) if is_open else f"{done.answered_by}: {done.answer}."
    return StopView(live.environment, done.answer == "stopped", is_open, live.machine, [note])


def view(wish: "records.Wish") -> WishView:
    """A wish as people see it."""
    from tidemill.release import wishes  # noqa: PLC0415

    return view_of(WishView, wish, wants=wishes.in_words(wish))


def _answered(ws: Workspace, wish: "records.Wish", live: "records.Deployment", sink: Sink) -> "records.Wish":
    """Wait a short time for a wish's answer; the wish as it is then."""
    from tidemill.release import lookouts, wishes  # noqa: PLC0415

    lookout = lookouts.last(ws.store, wish.environment, live.place)
    if lookout is not None and lookout.ended_at is None:
        sink(Note(f"Recorded. Waiting for the server at {live.machine} to carry it out"))
    began = time.monotonic()
    while True:
        now = wishes.again(ws.store, wish)
        lookout = lookouts.last(ws.store, wish.environment, live.place)
        nobody = lookout is None or lookout.ended_at is not None
        patience = _DONE_SECONDS if now.taken_at else 0.0 if nobody else _ANSWER_SECONDS
        if now.state != "wanted" or time.monotonic() - began > patience:
            break
        time.sleep(_POLL_SECONDS)
    if now.state == "failed":
        raise _failed(now)
    if now.state in ("replaced", "withdrawn"):
        raise Conflict(
            f"'{wishes.in_words(wish)}' in '{wish.environment}' was not carried out: {now.answer}.",
            hint=f"Type 'tidemill status {wish.environment}' to see what is wanted now.",
            code=codes.WISH_REPLACED,
        )
    return now


def _failed(wish: "records.Wish") -> Failed:
    error = wish.error or {}
    return Failed(
        f"{wish.answered_by} could not do it, and what ran there goes on: {wish.answer}",
        why=error.get("why"),
        hint=error.get("hint"),
        code=error.get("code"),
        details={**error.get("details", {}), "machine": wish.answered_by, "wish": wish.number},
    )


def _view(ws: Workspace, wish: "records.Wish", live: "records.Deployment", started: float) -> DeploymentView:
    from tidemill.release import bundle  # noqa: PLC0415
    from tidemill.release.history import history, live_of  # noqa: PLC0415

    if wish.state == "wanted":
        release = bundle.find(ws.store, str(wish.release_name), str(wish.release_number))
        return DeploymentView(
            wish.environment,
            release.name,
            release.number,
            release.digest,
            None,
            "wanted",
            None,
            time.perf_counter() - started,
            [
                _not_yet(ws, wish, live),
                f"Until then {live.release_name}/{live.release_number} stays.",
            ],
            live.machine,
        )
    every = history(ws.store, wish.environment)
    made = next((d for d in every if d.wish == wish.number), None) or live_of(every) or live
    return _deployed(ws, made, live, started, [])


def _deployed(
    ws: Workspace,
    made: "records.Deployment",
    before: "records.Deployment | None",
    started: float,
    notes: list[str],
) -> DeploymentView:
    from tidemill.release import lookouts  # noqa: PLC0415

    lookout = lookouts.last(ws.store, made.environment, made.place)
    return DeploymentView(
        made.environment,
        made.release_name,
        made.release_number,
        made.release_digest,
        lookout.address if lookout else None,
        made.status,
        before.release_number if before and before.release_digest != made.release_digest else None,
        time.perf_counter() - started,
        notes,
        made.machine,
    )


def _not_yet(ws: Workspace, wish: "records.Wish", live: "records.Deployment") -> str:
    from tidemill.release import lookouts  # noqa: PLC0415

    if wish.taken_at is not None:
        return f"Not yet: the server at {live.machine} has begun with it at {wish.taken_at[:19]}Z, and goes on with it."
    lookout = lookouts.last(ws.store, wish.environment, live.place)
    return (
        f"Not yet: the server at {live.machine} has not answered; it will when it looks "
        f"({lookouts.in_words(lookout, wish.environment)})."
    )
