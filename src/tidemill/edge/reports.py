"""A server's own log: one JSON object a line on standard error, whatever a client sends."""

import json
import sys

from tidemill.core.clock import now, stamp


def report(event: str, **facts: object) -> None:
    """Write one line."""
    line = json.dumps({"time": stamp(now()), "event": event, **facts}, default=str)
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
