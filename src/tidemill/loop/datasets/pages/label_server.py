"""A small server for the labelling page: on this machine only, at an address that nobody can guess."""

import json
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from tidemill.core.errors import Conflict, TidemillError
from tidemill.loop.datasets.pages import label as page

if TYPE_CHECKING:
    from tidemill.loop.datasets.labelling.turns import Labeller

_HOST = "127.0.0.1"
_BODY_BYTES = 64 * 1024
_DIGITS = 10
"""A length with more digits is over any limit."""


class LabelServer:
    """Serves one person's session until it is told to end, then gives the row back.

    Args:
        session: Whose labels they are.
        port: To bind to; 0 takes a free one.

    Raises:
        Conflict: ``port-taken``.
    """

    def __init__(self, session: "Labeller", port: int = 0) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._position: int | None = None
        self.token = secrets.token_urlsafe(24)
        try:
            self._http = ThreadingHTTPServer((_HOST, port), _handler(self))
        except OSError as error:
            raise Conflict(
                f"Port {port} of this machine is taken.",
                why=error.strerror,
                hint="Give another with --port, or leave it out.",
                code="port-taken",
            ) from error

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{self.host}/{self.token}/"

    @property
    def host(self) -> str:
        """The host that a request must name: another name that leads here is somebody's trick."""
        return f"{_HOST}:{self._http.server_address[1]}"

    def run(self) -> None:
        """Answer until ``close`` is called, or this thread is interrupted."""
        self._http.serve_forever(poll_interval=0.1)

    def close(self) -> None:
        """Let the port go, and give the row back."""
        self._http.server_close()
        with self._lock:
            self._session.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def document(self) -> bytes:
        """The page."""
        return page.document(self._session.progress(), self._session.author).encode()

    def act(self, what: str, body: dict[str, Any]) -> bytes | None:
        """Do what the page asks, and what it shows then; None where that is nothing it may ask."""
        session, said = self._session, ""
        acts: dict[str, Callable[[], object]] = {
            "task": lambda: None,
            "answer": lambda: session.answer(body.get("label")),
            "skip": session.skip,
            "undo": session.undo,
        }
        with self._lock:
            if what == "progress":
                return page.state(None, session.progress())
            if what not in acts:
                return None
            try:
                if what in ("answer", "skip") and body.get("position") != self._position:
                    said = "This row was answered in another window."
                else:
                    acts[what]()
            except TidemillError as error:
                said = f"{error.message} {error.hint or ''}".strip()
            try:
                task = session.take()
            except TidemillError as error:
                task, said = None, error.message
            self._position = None if task is None else task.position
            return page.state(task, session.progress(), said)


def _handler(server: LabelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            what = self._asked()
            if what == "":
                self._reply(200, server.document(), "text/html; charset=utf-8")
            elif what == "progress":
                self._reply(200, server.act(what, {}) or b"", "application/json")
            else:
                self._reply(404, b"", "text/plain")

        def do_POST(self) -> None:
            what = self._asked()
            said = self.headers.get("content-length") or "0"
            # A length below zero would have the body read to the connection's end, which may never come.
            size = int(said) if said.isascii() and said.isdigit() and len(said) < _DIGITS else _BODY_BYTES + 1
            if what is None or size > _BODY_BYTES:
                self._reply(404 if what is None else 413, b"", "text/plain")
                return
            try:
                body = json.loads(self.rfile.read(size) or b"{}")
            except (ValueError, RecursionError):
                body = None
            done = server.act(what, body) if isinstance(body, dict) else None
            self._reply(404 if done is None else 200, done or b"", "application/json")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Nothing: the terminal is not the page's."""

        def _asked(self) -> str | None:
            """What follows the token; None without the right one, or under another host's name."""
            token, _, what = self.path.lstrip("/").partition("/")
            right = secrets.compare_digest(token.encode(), server.token.encode())
            return what if right and self.headers.get("host") == server.host else None

        def _reply(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.send_header("cache-control", "no-store")
            self.send_header("referrer-policy", "no-referrer")
            self.end_headers()
            self.wfile.write(body)

    return Handler
