"""The time, and the ids that are made from it. Not for measuring: use ``time.perf_counter``."""

import secrets
from datetime import UTC, datetime


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds, fixed width, so that text order is time order."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse(text: str) -> datetime:
    """The moment that ``stamp`` wrote."""
    return datetime.fromisoformat(text)


def ago(stamp: str) -> str:
    """How long ago that was, to a number that says it: ``3 minutes ago``."""
    seconds = max(0, int((now() - parse(stamp)).total_seconds()))
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"


def new_run_id() -> str:
    """A run's id: readable, sorted by time, unique (``20261124-105904-7f3a9c``)."""
    return f"{now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def new_id() -> str:
    """128 random bits as 32 hex digits."""
    return secrets.token_hex(16)
