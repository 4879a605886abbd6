"""The ids of requests and of the rows in them."""

import os
import time


def new_id() -> str:
    """A request's id: unique, and in the order of time, so that the log's index grows at one end."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def row_ids(request: str, rows: int) -> list[str]:
    """The prediction ids of a request's rows: its own id for one row, ``id/0``, ``id/1``... for more."""
    return [request] if rows == 1 else [f"{request}/{row}" for row in range(rows)]
