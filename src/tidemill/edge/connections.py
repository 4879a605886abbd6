"""HTTP connections: what a client may send and how long it may take, and how one is given to another process.

Loaded only in a server, never by ``import tidemill``.
"""

import asyncio
import socket
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tidemill.core import codes
from tidemill.core.errors import StorageError, TidemillError
from tidemill.core.settings import LimitSettings
from tidemill.edge import bodies, heads
from tidemill.edge.errors import encode, error_body, status_of

_CHUNKED = -1
"""In the place of a body's size: its end is told by the parser alone."""
_SHUTTING_SECONDS = 2.0
"""How long a client that was refused may go on sending before its connection is reset."""


class Connection(HttpToolsProtocol):
    """uvicorn's connection, which looks at each head before the parser does and knows whether it is idle.

    The parser gets each head whole, without an offer to upgrade, and after it as many bytes as its body has: so a
    body's bytes never are a request's first ones, whatever else is in the same packet.

    Args:
        limits: What a client may send, and in what time.
        options: uvicorn's.
    """

    def __init__(self, *, limits: LimitSettings, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits
        self._head = bytearray()
        self._since: float | None = None
        self._left = 0
        self._framing = 0
        self._whole = True
        self._refused = False
        self._answering: Any = None
        self._asked = False
        self._ended = self._shut = False
        self._opened = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Bytes of a client, as they come."""
        self._unset_keepalive_if_required()
        try:
            while data and not self._refused:
                data = self._body_received(data) if self._left else self._head_received(data)
        except TidemillError as error:
            self._refuse(error)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse(heads.bad_request(str(error) or "It cannot be read"))

    def on_message_begin(self) -> None:
        """A request's first byte is here."""
        if self._left == _CHUNKED:
            # In the packet in which a body in chunks ended: its head was not looked at. A client sends it again.
            raise _Pipelined
        self._whole, self._asked = False, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request's head is whole."""
        self._since = None
        self._left = self._body_size()
        self._framing = 0
        super().on_headers_complete()
        cycle: Any = self.cycle
        cycle.transport = _Out(self, cycle)
        if self._left == _CHUNKED:
            # What stands behind the last chunk is no header of the request, and goes where nobody reads it.
            self.headers = []
        if cycle.scope["http_version"] == "1.0":
            # It knows no interim answer (RFC 9110, 10.1.1).
            cycle.waiting_for_100_continue = False

    def on_body(self, body: bytes) -> None:
        """Some of a request's body is here."""
        self._framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request's last byte is here."""
        self._whole = True
        scope: Any = self.scope
        scope[bodies.WHOLE] = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer's last byte is on its way."""
        self._answering.transport.flush()
        super().on_response_complete()
        if self._ended and self._answering.response_complete:
            self.transport.close()

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride] - asyncio's is a bool or None
        """The client has sent its last byte: what it asked for whole is answered, then the connection ends."""
        cycle = self._answering
        if not self._whole and self.pipeline:
            # The first in the queue is the last that came, and its end will not come.
            self.pipeline.popleft()
        elif not self._whole or cycle is None or cycle.response_complete or self._shut:
            return False
        # TLS ends both directions together.
        self._ended = self.scheme != "https"
        return self._ended

    def sweep(self, now: float) -> None:
        """End the connection if its client does not go on.

        Args:
            now: The event loop's time.
        """
        if self._since is not None and now - self._since > self._limits.head_seconds:
            self._refuse(heads.too_slow(self._limits.head_seconds))
        elif not self._asked and now - self._opened > self._limits.idle_seconds:
            self.transport.close()

    @property
    def idle(self) -> bool:
        """Whether nothing of a request or an answer is on its way through this process."""
        cycle: Any = self.cycle
        answered = cycle is None or cycle.response_complete
        transport: Any = self.transport
        return (
            answered
            and self._whole
            and not self._head
            and not self.pipeline
            and not self._shut
            and not transport.is_closing()
            and transport.get_write_buffer_size() == 0
        )

    @property
    def speaks_tls(self) -> bool:
        """Whether what is on the wire can be read by this process alone."""
        return self.transport.get_extra_info("ssl_object") is not None

    def give_away(self) -> socket.socket:
        """The connection's socket, for another process; this one forgets it. Only while it is ``idle``.

        What the client sends from now on waits in the kernel for whoever reads the socket next.
        """
        transport: Any = self.transport
        transport.pause_reading()
        duplicate = transport.get_extra_info("socket").dup()
        # Closes this process's descriptor only: the connection lives as long as the duplicate does.
        transport.abort()
        return duplicate

    def _head_received(self, data: bytes) -> bytes:
        """Hands a head on once it is whole; what follows it."""
        if len(self._head) < len(heads.LINE_END):
            if self._head:
                data = bytes(self._head) + data
                self._head = bytearray()
            # Some clients end a body with an empty line that its length does not count (RFC 9112, 2.2).
            data = heads.after_empty_lines(data)
            if not data:
                return b""
        at = max(len(self._head) - len(heads.END) + 1, 0)
        if self._head:
            self._head += data
            data = bytes(self._head)
        end = data.find(heads.END, at)
        if end < 0:
            if len(data) > self._limits.head_bytes:
                raise heads.too_large(self._limits.head_bytes)
            heads.check_begun(data)
            self._head = bytearray(data)
            if self._since is None:
                self._since = self.loop.time()
            return b""
        end += len(heads.END)
        if end > self._limits.head_bytes:
            raise heads.too_large(self._limits.head_bytes)
        self._head = bytearray()
        head = data[:end]
        heads.check(head)
        self._parse(heads.without_upgrade(head))
        return data[end:]

    def _body_received(self, data: bytes) -> bytes:
        """Hands a body on; what follows it."""
        if self._left == _CHUNKED:
            # Sizes, extensions and trailers count for no body, and the parser keeps what it has of a trailer.
            self._framing += len(data)
            try:
                self._parse(data)
            except httptools.HttpParserCallbackError as error:
                if not isinstance(error.__context__, _Pipelined):
                    raise
                self._close_after_answer()
            if self._whole:
                self._left = 0
            elif self._framing > self._limits.head_bytes:
                raise heads.too_large(self._limits.head_bytes)
            return b""
        part = data[: self._left]
        self._left -= len(part)
        self._parse(part)
        return data[len(part) :]

    def _parse(self, data: bytes) -> None:
        parser: Any = self.parser
        parser.feed_data(data)

    def _body_size(self) -> int:
        # The parser has refused two lengths, a length beside chunks, and what is no length.
        for name, value in self.headers:
            if name == b"content-length":
                return int(value)
            if name == b"transfer-encoding":
                return _CHUNKED
        return 0

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse(self, error: TidemillError) -> None:
        """Answer in the application's place, and end the connection."""
        cycle = self._answering
        if self._refused or self.transport.is_closing():
            return
        if cycle is not None and not cycle.response_complete:
            if cycle is not self.cycle or cycle.response_started or not cycle.more_body:
                # An earlier request is being answered, and the end of the connection comes after it.
                self._close_after_answer()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self._refused, self._since = True, None
        body = encode({"error": error_body(error)})
        fields = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%b: %b\r\n" % field for field in fields)
        self.transport.write(STATUS_LINE[status_of(error)] + head + b"\r\n" + body)
        self.end()

    def write(self, data: bytes) -> None:
        """Send bytes of an answer; once the connection has ended they are dropped.

        It may have ended a moment ago, and is told of later; and of several requests uvicorn tells one alone.
        """
        if not self._shut and not self.transport.is_closing():
            self.transport.write(data)

    def end(self) -> None:
        """Close the connection behind what was written.

        One that is closed on a client that still sends is reset: the client never sees its answer.
        """
        transport: Any = self.transport
        if transport.is_closing() or self._shut:
            return
        if not self._refused or not transport.can_write_eof():
            transport.close()
            return
        self._shut = True
        transport.write_eof()
        self.loop.call_later(_SHUTTING_SECONDS, transport.abort)

    def _close_after_answer(self) -> None:
        self._refused, self._since = True, None
        self.pipeline.clear()
        cycle = self._answering
        if cycle is None or cycle.response_complete:
            self.end()
            return
        cycle.keep_alive = False


class _Out:
    """A request's way to its client, as uvicorn wants it.

    The head of an answer waits for its body: one packet, and one call of the system, are less than two.
    """

    def __init__(self, connection: Connection, cycle: Any) -> None:
        self._connection, self._cycle = connection, cycle
        self._head: bytes | None = None
        self.is_closing = connection.transport.is_closing

    def write(self, data: bytes) -> None:
        if self._cycle.response_started and self._head is None:
            self._head = data
        elif self._head:
            self._connection.write(self._head + data)
            self._head = b""
        else:
            self._connection.write(data)

    def flush(self) -> None:
        """Send a head that no body follows, which is the answer to HEAD."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._connection.end()


class Busy(asyncio.Protocol):
    """A connection for which there is no place: its client is told so, and when to come back."""

    def connection_made(self, transport: Any) -> None:
        """Answer and end, whatever is asked."""
        error = StorageError(
            "The server has as many connections as it may open.",
            hint="Come back in a second, or raise the limit of open files of the server's process.",
            code=codes.TOO_MANY_CONNECTIONS,
        )
        body = encode({"error": error_body(error)})
        fields = (b"content-type: application/json", b"content-length: %d" % len(body), b"retry-after: 1")
        transport.write(STATUS_LINE[503] + b"\r\n".join([*fields, b"connection: close", b"", body]))
        transport.close()


class _Pipelined(Exception):
    """A request begins in the packet in which a body in chunks ended."""
