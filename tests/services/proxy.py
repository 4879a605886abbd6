"""A small TCP proxy in front of a real HTTP server, which spoils what passes through it as it is told."""

import re
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["500", "503", "drop-before", "drop-answer", "drop-midway"]
"""An answer of that status; the connection closed before the request is sent on, after it was carried out but
before its answer is sent back, or in the middle of the answer."""

_ANSWERS = {
    "500": ("500 Internal Server Error", "InternalError", "We encountered an internal error."),
    "503": ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
}


@dataclass(slots=True)
class Proxy:
    """A running proxy.

    Attributes:
        url: Where it listens.
        plan: Decides a request's fault from its first line; None lets it pass.
        met: The first lines of the requests that were spoilt.
    """

    url: str
    plan: Callable[[str], Fault | None] = field(default=lambda _: None)
    met: list[str] = field(default_factory=list[str])

    def spoil(self, *faults: Fault, of: str = "") -> None:
        """Spoil the next requests whose first line matches ``of``, one by each fault; then let all pass."""
        left = list(faults)
        lock = threading.Lock()

        def plan(line: str) -> Fault | None:
            with lock:
                return left.pop(0) if left and re.search(of, line) else None

        self.met.clear()
        self.plan = plan

    def spoil_all(self, fault: Fault) -> None:
        """Spoil every request from now on."""
        self.met.clear()
        self.plan = lambda _: fault


@contextmanager
def proxy_to(url: str) -> Generator[Proxy]:
    """Run a proxy in front of a server on loopback."""
    port = int(url.rpartition(":")[2])
    listening = socket.create_server(("127.0.0.1", 0))
    proxy = Proxy(f"http://127.0.0.1:{listening.getsockname()[1]}")
    closing = threading.Event()

    def accept() -> None:
        while not closing.is_set():
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_serve, args=(proxy, client, port), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield proxy
    finally:
        closing.set()
        # What waits in `accept` is woken by this, not by `close`.
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join()


def _serve(proxy: Proxy, client: socket.socket, port: int) -> None:
    """One request a connection: it is closed after its answer, so that each is looked at."""
    with client, suppress(OSError):
        head, body = _message(client)
        if not head:
            return
        line = head.partition(b"\r\n")[0].decode("latin-1")
        fault = proxy.plan(line)
        if fault is not None:
            proxy.met.append(line)
        if fault == "drop-before":
            return
        if fault in _ANSWERS:
            status, code, message = _ANSWERS[fault]
            text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            client.sendall(
                f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
            )
            return
        with socket.create_connection(("127.0.0.1", port)) as server:
            server.sendall(_closing(head) + body)
            answer = b""
            while piece := server.recv(65536):
                answer += piece
        if fault == "drop-answer":
            return
        client.sendall(answer[: len(answer) // 2] if fault == "drop-midway" else answer)


def _message(client: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        if not piece:
            return b"", b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(h.partition(b":")[2]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")),
        0,
    )
    while len(body) < length:
        piece = client.recv(65536)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n", body


def _closing(head: bytes) -> bytes:
    """The request's head, asking the server to close: the signature covers no ``Connection`` header."""
    lines = [h for h in head.rstrip(b"\r\n").split(b"\r\n") if not h.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n"
