"""Where a request begins and ends: the connection against what was sent, and against a second parser."""

import asyncio
import random
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import h11
import pytest
import uvicorn
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from tidemill.core.settings import LimitSettings
from tidemill.edge.connections import Busy, Connection

Request = tuple[str, str, bytes]
"""Method, target, body."""
LIMITS = LimitSettings(head_bytes=4096)


class Served:
    """What an application was asked over one connection, and what the client read."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.read = b""
        self.held: asyncio.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        headers = list(scope["headers"])
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.headers.append(headers)
        self.requests.append((scope["method"], scope["raw_path"].decode(), body))
        if self.held is not None:
            await self.held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    @property
    def statuses(self) -> list[bytes]:
        return re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", self.read)


def served(pieces: Sequence[bytes], limits: LimitSettings = LIMITS, sweep_after: float = 0.0) -> Served:
    """Gives the pieces to a connection, each as one packet, and closes it once nothing more is answered."""
    return asyncio.run(asyncio.wait_for(_served(pieces, limits, sweep_after), 10))


async def _served(pieces: Sequence[bytes], limits: LimitSettings, sweep_after: float) -> Served:
    loop = asyncio.get_running_loop()
    found = Served()
    config = uvicorn.Config(found, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    here, there = socket.socketpair()
    there.setblocking(False)

    def make() -> Connection:
        return Connection(limits=limits, config=config, server_state=state, app_state={}, _loop=loop)

    _, connection = await loop.connect_accepted_socket(make, here)
    for piece in pieces:
        if connection.transport.is_closing():
            break
        connection.data_received(piece)
        await (asyncio.gather(*state.tasks) if connection._whole else asyncio.sleep(0))
    if sweep_after:
        connection.sweep(loop.time() + sweep_after)
    connection.transport.close()
    while chunk := await loop.sock_recv(there, 65536):
        found.read += chunk
    there.close()
    return found


async def half_closed(sent: bytes, *, gone: bool = False) -> Served:
    """What a client reads to the end that sends this and closes its side; or resets the connection at once."""
    loop = asyncio.get_running_loop()
    found = Served()
    config = uvicorn.Config(found, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    here, there = socket.socketpair()
    there.setblocking(False)
    _, connection = await loop.connect_accepted_socket(
        lambda: Connection(limits=LIMITS, config=config, server_state=state, app_state={}, _loop=loop), here
    )
    if gone:
        found.held = asyncio.Event()
        connection.data_received(sent)
        connection.transport.abort()
        there.close()
        while connection in state.connections:  # noqa: ASYNC110 - a transport tells no event
            await asyncio.sleep(0)
        found.held.set()
        await asyncio.gather(*state.tasks)
        return found
    await loop.sock_sendall(there, sent)
    there.shutdown(socket.SHUT_WR)
    while chunk := await asyncio.wait_for(loop.sock_recv(there, 65536), 10):
        found.read += chunk
    there.close()
    return found


def by_h11(stream: bytes) -> list[Request]:
    """The requests that another parser finds in a stream, up to its first error."""
    found: list[Request] = []
    # It takes no empty line before a request, which a server should pass over (RFC 9112, 2.2).
    while stream:
        if stream.startswith(b"\r\n"):
            stream = stream.removeprefix(b"\r\n")
            continue
        parser = h11.Connection(h11.SERVER)
        parser.receive_data(stream)
        request, body = None, b""
        try:
            while not isinstance(event := parser.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                else:
                    return found
        except h11.ProtocolError:
            return found
        assert request is not None
        found.append((request.method.decode(), request.target.decode(), body))
        stream = parser.trailing_data[0]
    return found


UPGRADES = (b"", b"Upgrade: h2c\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"UPGRADE :x\r\n")
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def written(number: int, offer: bytes, body: bytes, *, chunked: bool) -> bytes:
    head = b"POST /%d HTTP/1.1\r\nHost: x\r\n%b" % (number, offer)
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    parts = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:3], body[3:]) if p)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                (b"", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", b"uPgRaDe: x\r\n")
            ),
            st.sampled_from((b"", b"{}", GET, GET * 2, b"\r\n\r\n", b"5\r\nabc")),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 2**32),
)
def test_each_request_has_its_own_body_however_the_bytes_come(asked: list[tuple[bytes, bytes]], seed: int):
    stream = b"".join(written(n, offer, body, chunked=False) for n, (offer, body) in enumerate(asked))
    chance = random.Random(seed)
    cuts = sorted(chance.sample(range(len(stream)), min(chance.randrange(6), len(stream))))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert served(pieces).requests == [("POST", f"/{n}", body) for n, (_, body) in enumerate(asked)]


@given(st.integers(0, 2**32))
@settings(max_examples=300)
def test_what_another_parser_finds_in_damaged_bytes_is_all_that_is_answered(seed: int):
    chance = random.Random(seed)
    stream = bytearray(
        b"".join(
            written(
                n, chance.choice(UPGRADES), chance.choice((b"", b"{}", GET)), chunked=chance.random() < 0.3
            )
            for n in range(chance.randrange(1, 4))
        )
    )
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(stream))
        new = chance.choice(
            (
                b"",
                b"\r",
                b"\n",
                b"\r\n",
                b" ",
                b":",
                b"0",
                b"\t",
                b"\x00",
                b"chunked",
                b"Content-Length: 3\r\n",
            )
        )
        stream[at : at + chance.randrange(3)] = new
    ours = served([bytes(stream)]).requests
    assert ours == by_h11(bytes(stream))[: len(ours)]


def test_a_head_larger_than_the_limit_is_answered_before_it_ends():
    found = served([b"GET / HTTP/1.1\r\nHost: x\r\n", *[b"X: " + b"a" * 1000 + b"\r\n"] * 5])
    assert found.statuses == [b"431"]
    assert b"head-too-large" in found.read
    assert found.requests == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://x:80/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nUpgrade:\x00\r\n\r\n",
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(head: bytes):
    found = served([head + GET])
    assert found.statuses == [b"400"]
    assert b"bad-request" in found.read
    assert b"connection: close" in found.read
    assert found.requests == []


def test_what_is_wrong_with_a_request_does_not_cost_the_one_before_it_its_answer():
    found = served([GET + b"GET / HTTP/1.1\r\n\r\n" + GET])
    assert found.statuses == [b"200"]
    assert found.requests == [("GET", "/health", b"")]


def test_chunks_that_cannot_be_read_are_answered():
    found = served([b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"])
    assert found.statuses == [b"400"]
    assert found.requests == []


def test_a_request_behind_chunks_is_left_to_another_connection():
    """Where chunks end is known to the parser alone, so what follows them in their packet was not looked at."""
    first = written(0, b"", b"abcdef", chunked=True)
    together = served([first + GET])
    assert together.requests == [("POST", "/0", b"abcdef")]
    assert together.statuses == [b"200"]
    assert served([first, GET]).requests == [("POST", "/0", b"abcdef"), ("GET", "/health", b"")]


def test_a_header_that_ends_as_another_does_is_none_of_it():
    assert served([b"GET / HTTP/1.1\r\nHost: x\r\nX-Transfer-Encoding: gzip\r\n\r\n"]).statuses == [b"200"]


def test_what_stands_behind_the_last_chunk_is_no_header():
    chunks = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    # The second waits for the first, so its trailer is here before the application sees its headers.
    found = served([GET + chunks + b"Host: y\r\nX-Forwarded-Host: z\r\n\r\n"])
    assert found.requests == [("GET", "/health", b""), ("POST", "/a", b"{}")]
    assert found.headers[1] == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize(
    ("before", "packet"),
    [(b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 200), (b"2\r\n{}\r\n0\r\nX: ", b"a" * 1000), (b"2;x=", b"a" * 1000)],
    ids=["trailers", "trailer", "extension"],
)
def test_what_chunks_have_beside_their_bytes_is_limited_as_a_head_is(before: bytes, packet: bytes):
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    found = served([head, before, *[packet] * 5])
    assert found.statuses == [b"431"]
    assert found.requests == []
    # Many small chunks are no such thing.
    small = served([head, *[b"1\r\na\r\n"] * 1000, b"0\r\n\r\n"])
    assert small.requests == [("POST", "/", b"a" * 1000)]


@pytest.mark.parametrize(
    "begun", [b"\x16\x03\x01\x02\x00\x01", b"\x00", b"GET / HTTP/1.1\nHost: x\n\n", b"{}"]
)
def test_what_cannot_become_a_request_is_answered_before_its_end(begun: bytes):
    assert served([begun]).statuses == [b"400"]


@pytest.mark.parametrize("begun", [b"\r", b"\r\n", b"P", b"POST /a HTTP/1.1\r"])
def test_what_can_become_one_is_waited_for(begun: bytes):
    whole = b"POST /a HTTP/1.1\r\nHost: x\r\n\r\n" if not begun.isspace() else b"\r\n" + GET
    assert served([begun, whole[len(begun) :]]).statuses == [b"200"]


def test_an_older_client_gets_no_answer_before_the_answer():
    head = b"POST /a HTTP/%b\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert served([head % b"1.1", b"{}"]).statuses == [b"100", b"200"]
    assert served([head % b"1.0", b"{}"]).statuses == [b"200"]


def test_a_client_that_does_not_end_its_head_is_told_and_let_go():
    slow = served([b"GET / HTTP/1.1\r\nHost"], sweep_after=LIMITS.head_seconds + 1)
    assert slow.statuses == [b"408"]
    assert served([b"GET / HTTP/1.1\r\nHost"], sweep_after=LIMITS.head_seconds - 1).read == b""


def test_an_empty_line_before_a_request_is_passed_over():
    assert served([b"\r\n\r\n" + GET, b"\r\n", GET]).requests == [("GET", "/health", b"")] * 2


def test_a_client_for_which_there_is_no_place_is_told_when_to_come_back():
    async def asked() -> bytes:
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        there.setblocking(False)
        await loop.connect_accepted_socket(Busy, here)
        read = b""
        while chunk := await loop.sock_recv(there, 65536):
            read += chunk
        there.close()
        return read

    answer = asyncio.run(asyncio.wait_for(asked(), 10))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in answer
    assert b"too-many-connections" in answer


@pytest.mark.parametrize(
    ("most", "told"), [(150, "50 150"), (128, "28 128"), (127, "too-few-open-files 127")]
)
def test_files_for_other_things_are_left(most: int, told: str):
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (90, {most}))\n"
        "from tidemill.core.errors import Failed\n"
        "from tidemill.edge.sockets import most_connections\n"
        "try:\n    print(most_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
        "except Failed as error:\n    print(error.code, error.details['allowed'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == told


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (GET, 1),
        (GET * 3, 3),
        (GET + b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", 1),
        (GET + b"GET /half", 1),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", 0),
        (b"GET /half", 0),
        (b"", 0),
    ],
)
def test_a_client_that_has_sent_its_last_byte_gets_its_answers(sent: bytes, answered: int):
    found = asyncio.run(half_closed(sent))
    assert found.read.count(b"HTTP/1.1 200") == answered, found.read
    assert found.read.count(b"HTTP/1.1") == answered


def test_an_answer_to_a_client_that_is_gone_is_dropped(caplog: pytest.LogCaptureFixture):
    # Of a server's own loop: asyncio's drops it by itself.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(half_closed(GET * 3, gone=True))
    assert not caplog.records


def test_a_client_that_still_sends_when_it_is_refused_reads_its_answers():
    """The last request begins in the packet in which a body in chunks ended, and is long."""
    chunked = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for _ in range(20):
            found = runner.run(half_closed(chunked + GET + b"x" * 1_000_000))
            assert found.read.count(b"HTTP/1.1 200") == 1, found.read
