"""What is wanted of an environment that another place serves: recorded there, carried out by that place, and answered.

One thing is wanted at a time: a newer wish takes an older one's place, as long as nobody has begun with that. It knows no server.
"""

from contextlib import suppress

from tidemill.core.clock import now, stamp
from tidemill.core.errors import StorageError
from tidemill.release.place import here
from tidemill.store.catalog import records
from tidemill.store.open import Store


def in_words(wish: records.Wish) -> str:
    """What is wanted, as one would type it."""
    release = f" {wish.release_name}/{wish.release_number}" if wish.verb == "promote" else ""
    return f"{wish.verb}{release}"


def add(
    store: Store,
    *,
    environment: str,
    verb: records.WishVerb,
    release: records.Release | None,
    live: records.Deployment,
    author: str,
    reason: str,
) -> records.Wish:
    """Record a wish, in place of those that nobody has begun with.

    Args:
        store: The store.
        environment: Of which environment.
        verb: What to do there.
        release: Which release is to answer then; None of a stop.
        live: What is live there now.
        author: Who wants it.
        reason: Why.
    """
    machine = here(store).machine
    with store.catalog.write() as write:
        number = write.greatest(records.Wish, "number", {"environment": environment}) + 1
        wish = records.Wish(
            environment=environment,
            number=number,
            verb=verb,
            release_name=release.name if release else None,
            release_number=release.number if release else None,
            live=live.number,
            author=author,
            machine=machine,
            reason=reason,
            wished_at=stamp(now()),
        )
        write.change(
            records.Wish,
            {"environment": environment, "state": "wanted", "taken_at": None},
            **_answer("replaced", machine, f"{author} wants something else: {in_words(wish)}"),
        )
        write.add(wish)
    return wish


def withdraw(store: Store, environment: str, author: str, answer: str) -> list[records.Wish]:
    """Want no more what nobody has begun with; the wishes that this was so for."""
    return _end(store, {"environment": environment, "taken_at": None}, "withdrawn", f"{author}: {answer}")


def give_way(store: Store, environment: str, author: str, done: str) -> list[records.Wish]:
    """Want no more what was wanted until somebody typed something newer where the environment is served."""
    return _end(store, {"environment": environment}, "replaced", f"{author} was at the server: {done}")


def serve_instead(store: Store, environment: str, author: str) -> None:
    """Want no more a stop that was recorded before somebody typed ``serve`` at the server."""
    for wish in wanted(store, environment):
        if wish.verb == "stop":
            answer(store, wish, "replaced", f"{author} was at the server: it is served again")


def wanted(store: Store, environment: str) -> list[records.Wish]:
    """What is wanted and not answered, oldest first; more than one only where one was begun with and cut off."""
    with store.catalog.read() as read:
        return read.find(records.Wish, {"environment": environment, "state": "wanted"}, order=("number",))


def newest(store: Store, environment: str) -> records.Wish | None:
    """The wish that was recorded last, whatever came of it."""
    with store.catalog.read() as read:
        return read.first(records.Wish, {"environment": environment}, order=("-number",))


def again(store: Store, wish: records.Wish) -> records.Wish:
    """A wish as it is now."""
    with store.catalog.read() as read:
        return read.find(records.Wish, _key(wish))[0]


def take(store: Store, wish: records.Wish) -> bool:
    """Begin with a wish; whether it is still wanted."""
    with store.catalog.write() as write:
        return bool(write.change(records.Wish, _key(wish) | {"state": "wanted"}, taken_at=stamp(now())))


def put_back(store: Store, wish: records.Wish) -> None:
    """Have not begun with a wish, where that can be said: it was cut off, and is still wanted."""
    with suppress(StorageError), store.catalog.write() as write:
        write.change(records.Wish, _key(wish) | {"state": "wanted"}, taken_at=None)


def answer(
    store: Store,
    wish: records.Wish,
    state: records.WishState,
    words: str,
    error: dict[str, object] | None = None,
) -> records.Wish:
    """Say what came of a wish."""
    with store.catalog.write() as write:
        said = _answer(state, here(store).machine, words, error)
        write.change(records.Wish, _key(wish) | {"state": "wanted"}, **said)
    return again(store, wish)


def _end(store: Store, where: dict[str, object], state: records.WishState, words: str) -> list[records.Wish]:
    where = where | {"state": "wanted"}
    # Mostly there is none: then nothing is written, and an older catalog is left as it is.
    with store.catalog.read() as read:
        found = read.find(records.Wish, where, order=("number",))
    if found:
        with store.catalog.write() as write:
            write.change(records.Wish, where, **_answer(state, here(store).machine, words))
    return found


def _answer(
    state: records.WishState, machine: str, words: str, error: dict[str, object] | None = None
) -> dict[str, object]:
    return {
        "state": state,
        "answered_at": stamp(now()),
        "answered_by": machine,
        "answer": words,
        "error": error,
    }


def _key(wish: records.Wish) -> dict[str, object]:
    return {"environment": wish.environment, "number": wish.number}
