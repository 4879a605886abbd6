"""The ids of requests and of the rows in them."""

import os
import re
import time
from datetime import UTC, datetime

_BYTES = 10
_MADE_AT_ONCE = 256
_random: list[bytes] = []
"""From the system, for many ids at once: asking it costs more than the rest of an id. Each is taken once."""
os.register_at_fork(after_in_child=_random.clear)
_OURS = re.compile(r"([0-9a-f]{12})[0-9a-f]{20}(/\d+)?")


def new_id() -> str:
    """A request's id: unique, and in the order of time, so that the log's index grows at one end."""
    try:
        # One step of the interpreter: no two threads get the same.
        drawn = _random.pop()
    except IndexError:
        drawn, *more = _drawn()
        _random.extend(more)
    return f"{time.time_ns() // 1_000_000:012x}{drawn.hex()}"


def row_ids(request: str, rows: int) -> list[str]:
    """The prediction ids of a request's rows: its own id for one row, ``id/0``, ``id/1``... for more."""
    return [request] if rows == 1 else [f"{request}/{row}" for row in range(rows)]


def made_at(name: str) -> datetime | None:
    """When the server made a prediction's id, in UTC; None where a client chose it."""
    found = _OURS.fullmatch(name)
    if found is None:
        return None
    try:
        return datetime.fromtimestamp(int(found[1], 16) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _drawn() -> list[bytes]:
    whole = os.urandom(_BYTES * _MADE_AT_ONCE)
    return [whole[at : at + _BYTES] for at in range(0, len(whole), _BYTES)]
