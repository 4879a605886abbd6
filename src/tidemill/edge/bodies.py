"""Reading a request's body within limits of size and time, and letting go of one that is not read."""

import asyncio
from concurrent.futures import Executor
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.settings import LimitSettings
from tidemill.edge import encoding
from tidemill.edge.guard import Headers

_LINGER_SECONDS = 5.0
_PASSED_OVER_BYTES = 64 * 1024
"""What is left of a body that nobody reads costs less than a new connection."""


WHOLE = "tidemill.whole"
"""Stands in the scope of a request all of whose body is here: nobody need look at the time."""


class Gone(Exception):
    """The client went away before its body was whole."""


async def received(scope: Any, receive: Any, limits: LimitSettings) -> bytes:
    """The body of a request, as it was sent.

    Raises:
        InvalidInput: ``body-too-large``, ``body-too-slow``, ``wrong-content-encoding``; then it is not read further.
        Gone: When there is no client any more.
    """
    most = limits.body_bytes
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > most:
            raise _too_large(most)
        if name == b"content-encoding":
            encoding.check(value.decode("latin-1"))
    if WHOLE in scope:
        return await _received(receive, most)
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _received(receive, most)
    except TimeoutError:
        raise _too_slow(limits.body_seconds) from None


async def plain(headers: Headers, body: bytes, limits: LimitSettings, reader: Executor) -> bytes:
    """The body without its encoding, which is undone by ``reader``, beside the event loop.

    Raises:
        InvalidInput: ``body-too-large``, ``wrong-content-encoding``.
    """
    how = next((value for name, value in headers if name == b"content-encoding"), b"")
    if not how:
        return body
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(
        reader, encoding.decoded, body, how.decode("latin-1"), limits.body_bytes
    )
    if found is None:
        raise _too_large(limits.body_bytes)
    return found


async def pass_over(receive: Any) -> None:
    """Take what a client still sends, for a moment, and keep none of it.

    A connection that is closed on a client that still sends is reset, and the client never sees its answer.
    """
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while (await receive()).get("more_body"):
                pass
    except TimeoutError:
        pass


def is_long(headers: Headers) -> bool:
    """Whether a request has a body that is not worth waiting for where nobody reads it."""
    for name, value in headers:
        if name == b"content-length":
            return not value.isdigit() or int(value) > _PASSED_OVER_BYTES
        if name == b"transfer-encoding":
            return True
    return False


async def _received(receive: Any, most: int) -> bytes:
    message = await receive()
    if not message.get("more_body"):
        if message["type"] == "http.disconnect":
            raise Gone
        body = message["body"]
        if len(body) > most:
            raise _too_large(most)
        return body
    parts = [message["body"]]
    size = len(parts[0])
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message["body"])
        size += len(parts[-1])
        if size > most:
            raise _too_large(most)
    return b"".join(parts)


def _too_slow(seconds: float) -> InvalidInput:
    return InvalidInput(
        f"The body was not whole after {seconds:g} seconds.",
        why="A client that sends slower holds a place that others need.",
        hint="Send fewer rows in one request, or raise 'limits.body_seconds'.",
        code=codes.BODY_TOO_SLOW,
        details={"field": "body", "seconds": seconds},
    )


def _too_large(most: int) -> InvalidInput:
    return InvalidInput(
        f"The body is larger than the server takes ({most} bytes).",
        hint="Send fewer rows in one request, or raise 'limits.body_bytes'.",
        code=codes.BODY_TOO_LARGE,
        details={"field": "body", "most": most},
    )
