"""Taking connections from a real socket, in the process that answers them."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tidemill.core.settings import LimitSettings
from tidemill.edge import listening, sockets
from tidemill.edge.access import Access
from tidemill.edge.application import JSON, Application, Route, fixed
from tidemill.edge.guard import Guard
from tidemill.edge.listening import Listening

END = b": localhost\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def connected(
    limits: LimitSettings,
) -> AsyncGenerator[tuple[Listening, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server of one route, and a connection to it."""
    routes = [Route("GET", "/", "read", fixed(JSON, b"{}"))]
    taking = Listening(Application(routes, guard=Guard(), access=Access(off=True), limits=limits), limits)
    listener = sockets.bind("127.0.0.1", 0)
    await taking.accept_on(listener)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
    async with asyncio.timeout(20):
        yield taking, reader, writer
    writer.close()
    taking.accept_only_on(None)
    listener.close()


@pytest.mark.parametrize(("late_seconds", "status"), [(0.02, b"200"), (60.0, b"408")])
def test_a_client_is_not_blamed_for_what_held_up_the_server(
    monkeypatch: pytest.MonkeyPatch, late_seconds: float, status: bytes
):
    """The rest of a head lies in the kernel while the server's loop stands still; the sweep comes before it is read."""
    monkeypatch.setattr(listening, "_LATE_SECONDS", late_seconds)
    limits = LimitSettings(head_seconds=0.05)

    async def main() -> bytes:
        async with connected(limits) as (taking, reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost")
            while not any(c._head for c in taking._connections):  # noqa: ASYNC110 - a protocol tells no event
                await asyncio.sleep(0)
            taking.sweep()
            writer.write(END)
            time.sleep(2 * limits.head_seconds)  # noqa: ASYNC251 - it is the loop that is to stand still
            taking.sweep()
            return await reader.read()

    assert asyncio.run(main()).startswith(b"HTTP/1.1 " + status)


def test_an_answer_without_a_body_leaves_too():
    async def main() -> tuple[bytes, bytes]:
        async with connected(LimitSettings()) as (_, reader, writer):
            writer.write(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"GET / HTTP/1.1\r\nHost" + END)
            return head, await reader.read()

    head, rest = asyncio.run(main())
    assert head.startswith(b"HTTP/1.1 200 ") and b"content-length: 2\r\n" in head
    assert rest.startswith(b"HTTP/1.1 200 ") and rest.endswith(b"\r\n\r\n{}")
