"""Carrying out what is wanted of an environment, by the place that serves it: with its checks, as if it were typed there.

A wish that was begun with and cut off (the process was killed, the catalog went away) is answered by what came of it, or done
again, by whoever looks next.
"""

from tidemill.core import codes
from tidemill.core.errors import Conflict, TidemillError
from tidemill.core.events import Note, Sink
from tidemill.core.settings import Settings
from tidemill.release import bundle, environments, servers, wishes
from tidemill.release.environments import Asked
from tidemill.release.history import history, is_personal, is_stopped, live_of
from tidemill.release.settling import is_elsewhere, lock, seen, settle
from tidemill.store.catalog import records
from tidemill.store.open import Store

_OF_THE_CATALOG = (codes.CATALOG_LOST, codes.CATALOG_UNREACHABLE)
_AWAY = (*_OF_THE_CATALOG, codes.LOCK_TIMEOUT, codes.STORE_UNREACHABLE)
"""What is no answer: it is tried again."""


def carry_out(
    store: Store, settings: Settings, environment: str, author: str, sink: Sink
) -> records.Wish | None:
    """Carry out what is wanted of an environment that this place serves, and answer.

    Args:
        store: The store.
        settings: The project's.
        environment: Which.
        author: Who serves it; the deployment is in the name of whoever wants it.
        sink: Told what happens.

    Returns:
        The wish with its answer; None where nothing is wanted of this place.

    Raises:
        Conflict: ``lock-timeout``, while another process changes the environment; it is to be tried again.
        StorageError: While the store is away; likewise.
    """
    # Of one that each place has for itself nothing is wanted from elsewhere, whatever was while it was shared.
    wanted = [] if is_personal(settings, environment) else wishes.wanted(store, environment)
    if not wanted:
        return None
    newest = wanted[-1]
    _fetch(store, newest)
    with store.locks.hold(lock(environment), timeout_seconds=0):
        settle(store, settings, environment, author)
        if is_elsewhere(store, live_of(seen(store, settings, environment))):
            return None
        wanted = wishes.wanted(store, environment)
        if not wanted or wanted[-1].number != newest.number:
            # Something else was typed meanwhile: that is for the next look.
            return None
        for older in wanted[:-1]:
            if _finished(store, older) is None:
                wishes.answer(store, older, "replaced", "it was cut off, and something else is wanted now")
        return _finished(store, newest) or _done(store, settings, newest, sink)


def _fetch(store: Store, wish: records.Wish) -> None:
    """Have the release here before the lock is held and the wish is taken.

    While the bucket is away each try takes seconds: nobody who stops the server waits for them, no deployment has failed, and
    something else may be wanted in its place.

    Raises:
        StorageError: While the store is away.
    """
    if wish.release_name is None or wish.release_number is None:
        return
    try:
        release = bundle.find(store, wish.release_name, wish.release_number)
        bundle.unpack(store, release, store.environments_folder / "bundles")
    except TidemillError as error:
        # What else is wrong is its answer, once it is begun with.
        if error.code in _AWAY:
            raise


def _finished(store: Store, wish: records.Wish) -> records.Wish | None:
    """The answer to a wish that was carried out before its process was cut off."""
    made = [d for d in history(store, wish.environment) if d.wish == wish.number]
    if not any(d.status in ("live", "retired") for d in made):
        return None
    return wishes.answer(store, wish, "carried-out", _went_live(made[0]))


def _done(store: Store, settings: Settings, wish: records.Wish, sink: Sink) -> records.Wish | None:
    if not wishes.take(store, wish):
        return None
    sink(
        Note(
            f"{wish.environment}: {wish.author} at {wish.machine} wants: {wishes.in_words(wish)} ({wish.reason})"
        )
    )
    try:
        words = _act(store, settings, wish, sink)
    except TidemillError as error:
        if error.code in _AWAY:
            if error.code not in _OF_THE_CATALOG:
                wishes.put_back(store, wish)
            raise
        sink(Note(f"{wish.environment}: that failed, and what ran goes on. {error.message}"))
        return wishes.answer(store, wish, "failed", error.message, error.to_json())
    except BaseException:
        # Whoever serves ends it: it stays wanted, and something else may be wanted in its place.
        wishes.put_back(store, wish)
        raise
    sink(Note(f"{wish.environment}: {words}"))
    return wishes.answer(store, wish, "carried-out", words)


def _act(store: Store, settings: Settings, wish: records.Wish, sink: Sink) -> str:
    asked = Asked(wish.author, wish.reason, wish.machine, wish.number)
    if wish.verb == "stop":
        if servers.stop(store, wish.environment):
            environments.note_stop(store, settings, wish.environment, asked)
            return "stopped"
        if wish.taken_at is None:
            return "it was not running"
        # It was begun with and cut off: perhaps before this was recorded.
        live = live_of(seen(store, settings, wish.environment))
        if live is not None and not is_stopped(store, live):
            environments.note_stop(store, settings, wish.environment, asked)
        return "stopped"
    if wish.verb == "rollback":
        _check_same(wish, live_of(seen(store, settings, wish.environment)))
        return _went_live(environments.bring_back(store, settings, wish.environment, asked, sink))
    release = bundle.find(store, str(wish.release_name), str(wish.release_number))
    return _went_live(environments.bring_in(store, settings, release, wish.environment, asked, sink))


def _check_same(wish: records.Wish, live: records.Deployment | None) -> None:
    """Refuse to roll back what went live after the rollback was typed.

    Raises:
        Conflict: ``live-moved``.
    """
    if live is None or wish.live is None or live.number == wish.live:
        return
    raise Conflict(
        f"Another release went live in '{wish.environment}' since: {live.release_name}/{live.release_number}.",
        why=f"The rollback was typed while deployment {wish.live} was live; {live.number} is now ({live.author}: {live.reason}).",
        hint=f"Type 'tidemill rollback {wish.environment}' again if that one is to be taken off.",
        code=codes.LIVE_MOVED,
    )


def _went_live(made: records.Deployment) -> str:
    return f"release {made.release_name}/{made.release_number} is live"
