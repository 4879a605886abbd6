"""When the ``tidemill serve`` of a place last looked what is wanted of its environment, and what answered there then."""

from tidemill.core.clock import ago, now, stamp
from tidemill.release.place import here
from tidemill.release.servers import Status
from tidemill.store.catalog import records
from tidemill.store.open import Store

EVERY_SECONDS = 3.0
"""Between two looks."""


def looked(store: Store, environment: str, running: Status | None, *, ended: bool = False) -> None:
    """Record that this place has looked, and what answers here; with ``ended``, that it will not look again."""
    own, moment = here(store), stamp(now())
    lookout = records.Lookout(
        environment=environment,
        place=own.id,
        machine=own.machine,
        looked_at=moment,
        ended_at=moment if ended else None,
        release_name=running.name if running else None,
        release_number=running.number if running else None,
        address=running.address if running else None,
    )
    with store.catalog.write() as write:
        write.put(lookout)


def last(store: Store, environment: str, place: str | None) -> records.Lookout | None:
    """The last look of a place; None where no ``tidemill serve`` of an environment ever looked there."""
    if place is None:
        return None
    with store.catalog.read() as read:
        return read.first(records.Lookout, {"environment": environment, "place": place})


def in_words(lookout: records.Lookout | None, environment: str) -> str:
    """Whether somebody looks there, as far as is known here."""
    serve = f"'tidemill serve {environment}'"
    if lookout is None:
        return f"{serve} has never run there"
    if lookout.ended_at is not None:
        return f"{serve} does not run there: it ended at {_when(lookout.ended_at)}"
    return f"{serve} last looked there at {_when(lookout.looked_at)}"


def _when(moment: str) -> str:
    return f"{moment[:19].replace('T', ' ')} UTC, {ago(moment)}"
