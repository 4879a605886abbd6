"""What every ASGI application of the package does with a request, whatever it serves.

Who may not ask is refused before the body is read and before it is said whether there is anything at that path.
"""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from tidemill.core import codes
from tidemill.core.errors import InternalError, InvalidInput, NotAllowed, NotFound, TidemillError
from tidemill.core.names import did_you_mean
from tidemill.core.settings import LimitSettings
from tidemill.edge import bodies
from tidemill.edge.access import Access
from tidemill.edge.errors import encode, error_body, status_of
from tidemill.edge.guard import Guard, Headers, forwarded
from tidemill.edge.reports import report
from tidemill.edge.tokens import Scope

T = TypeVar("T")
JSON = b"application/json"
_INLINE_BYTES = 128 * 1024
"""A larger body is read in a thread: what that costs is little beside the reading."""
_OF_BODIES = {codes.BODY_TOO_LARGE, codes.BODY_TOO_SLOW}
"""What ends a connection: the client may be sending still."""

Response = tuple[int, bytes, bytes, list[tuple[bytes, bytes]]]
"""Status, content type, body, further headers."""
Handler = Callable[[Any, bytes, Any], Awaitable[Response]]
"""Answers a request: its ASGI scope, its body, and what ``Application.expect`` gave for it."""


class Route(NamedTuple):
    """What is answered at one path.

    Attributes:
        method: ``GET``, which is HEAD too, or ``POST``.
        path: All of it.
        scope: What a token must be good for; None where anybody may ask, under any name of the server.
        handler: Answers it.
    """

    method: str
    path: str
    scope: Scope | None
    handler: Handler


class Application:
    """An ASGI application: routes behind a guard.

    Attributes:
        draining: Whether every answer asks the client to come back on a new connection.
        challenges: How a token may be sent, as ``WWW-Authenticate`` says it; the second is for browsers.
    """

    challenges = (b"Bearer", b'Basic realm="tidemill", charset="UTF-8"')

    def __init__(
        self, routes: Sequence[Route], *, guard: Guard, access: Access, limits: LimitSettings
    ) -> None:
        self.draining = False
        self._guard, self._access, self._limits = guard, access, limits
        # One at a time: a body takes many times its size while it is read.
        self._reader = ThreadPoolExecutor(1, "reader")
        self._routes: dict[str, dict[str, Route]] = {"GET": {}, "POST": {}}
        for route in routes:
            self._routes[route.method][route.path] = route
        self._routes["HEAD"] = self._routes["GET"]

    @property
    def routes(self) -> list[Route]:
        """Each of them."""
        return [*self._routes["GET"].values(), *self._routes["POST"].values()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        path, method, headers = scope["path"], scope["method"], scope["headers"]
        route = self._routes.get(method, _NO_ROUTES).get(path)
        self.begin()
        held, unread, sending = None, True, False
        try:
            if route is None or route.scope is not None:
                self._guard.check(method, headers, scope["client"] and scope["client"][0])
                if method == "OPTIONS" and self._guard.allowed_origin(headers):
                    # A browser asks so before it sends, and cannot bring a token; it is told nothing else.
                    route = _PREFLIGHT
                else:
                    self._access.check(None if route is None else route.scope, method, headers)
            body, handler = b"", self._missing if route is None else route.handler
            if route is not None and route.method == "POST":
                held = self.expect()
                body = await bodies.received(scope, receive, self._limits)
                unread = False
                body = await bodies.plain(headers, body, self._limits, self._reader)
            status, kind, body, more = await handler(scope, body, held)
        except bodies.Gone:
            self.end(None, 0, 0.0)
            return
        except Exception as error:  # noqa: BLE001 - the server goes on whatever a request did
            status, kind, body, more = self.failed(scope, error)
            sending = isinstance(error, InvalidInput) and error.code in _OF_BODIES
        finally:
            if held is not None:
                self.arrived(held)
        more = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *more]
        allowed = self._guard.allowed_origin(headers)
        if allowed is not None:
            more += [(b"access-control-allow-origin", allowed), (b"vary", b"origin")]
        linger = unread and (sending or bodies.is_long(headers))
        try:
            await self._send(send, receive, status, more, body, linger=linger)
        finally:
            self.end(path if route is not None else "other", status, time.perf_counter() - began)

    async def alone(self, work: Callable[[], T]) -> T:
        """What a piece of work makes, beside the event loop and after the one before it."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, work)

    async def reading(self, body: bytes, read: Callable[..., Any], *given: Any) -> Any:
        """What ``read`` makes of a body: of a large one beside the event loop, where others go on meanwhile."""
        if len(body) <= _INLINE_BYTES:
            return read(*given)
        return await asyncio.get_running_loop().run_in_executor(self._reader, read, *given)

    def address(self, scope: Any) -> str:
        """How whoever asks reaches the server, as far as they, or a proxy that is believed, say it."""
        headers, scheme = scope["headers"], scope["scheme"]
        host = next((value for name, value in headers if name == b"host"), b"localhost")
        if self._guard.is_proxy(scope["client"] and scope["client"][0]):
            host = forwarded(headers, b"x-forwarded-host") or host
            scheme = "https" if forwarded(headers, b"x-forwarded-proto") == b"https" else scheme
        return f"{scheme}://{host.decode('latin-1')}"

    def begin(self) -> None:
        """A request has come."""

    def end(self, path: str | None, status: int, seconds: float) -> None:
        """It is answered, or, with None for its path, its client is gone."""

    def expect(self) -> Any:
        """A request that may change something, and may be asked for it, has come; its body has not. None for nothing."""

    def arrived(self, held: Any) -> None:
        """What ``expect`` gave is dealt with, whatever came of it."""

    def error_tree(self, path: str, status: int, body: dict[str, Any]) -> dict[str, Any]:
        """An error as the object that is answered."""
        del path, status
        return {"error": body}

    def no_route(self, method: str, path: str) -> TidemillError:
        """What is told to who asks for nothing that there is."""
        for allowed in ("POST", "GET"):
            if path in self._routes[allowed]:
                return NotAllowed(
                    f"{path} does not take {method}.",
                    hint=f"Use {allowed}.",
                    code=codes.WRONG_METHOD,
                    details={"field": "method", "allowed": allowed},
                )
        known = [route.path for route in named(self.routes)]
        return NotFound(
            f"There is nothing at {path[:200]}.",
            hint=did_you_mean(path, known, f"There are: {', '.join(sorted(known))}."),
            code=codes.ROUTE_NOT_FOUND,
            details={"field": "path"},
        )

    def failed(self, scope: Any, error: Exception) -> Response:
        """What is answered in the place of what failed."""
        path = scope["path"]
        if not isinstance(error, TidemillError):
            report(
                "request-failed", path=path[:200], error=repr(error), trace=traceback.format_exception(error)
            )
            error = InternalError(
                "The server failed on this request.",
                why=f"{type(error).__name__}; its log has the trace.",
                hint="Please report it.",
            )
        status = status_of(error)
        if error.__cause__ is not None and status in (422, 500):
            # The project's own code failed: whoever wrote it needs the trace, the client does not.
            report(
                "request-failed",
                path=path[:200],
                status=status,
                code=error.code,
                message=error.message,
                trace=traceback.format_exception(error.__cause__),
            )
        body = error_body(error)
        headers: list[tuple[bytes, bytes]] = []
        if status == 401:
            headers += [(b"www-authenticate", challenge) for challenge in self.challenges]
        if status == 405:
            headers.append((b"allow", str(body["allowed"]).encode()))
        if status == 503:
            headers.append((b"retry-after", b"1"))
        return status, JSON, encode(self.error_tree(path, status, body)), headers

    async def _send(
        self, send: Any, receive: Any, status: int, headers: Headers, body: bytes, *, linger: bool
    ) -> None:
        if self.draining or linger:
            headers = [*headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if linger:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await bodies.pass_over(receive)
            body = b""
        await send({"type": "http.response.body", "body": body})

    async def _missing(self, scope: Any, body: bytes, held: Any) -> Response:
        del body, held
        raise self.no_route(scope["method"], scope["path"])


def named(routes: Sequence[Route]) -> list[Route]:
    """The routes that people are told of: what answers with a slash at its end and without one is one."""
    paths = {route.path for route in routes}
    return [r for r in routes if not r.path.endswith("/") or r.path.removesuffix("/") not in paths]


async def _preflight(scope: Any, body: bytes, held: Any) -> Response:
    del scope, body, held
    allowed = [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", b"authorization, content-type"),
        (b"access-control-max-age", b"600"),
    ]
    return 200, JSON, b"{}", allowed


_PREFLIGHT = Route("OPTIONS", "", None, _preflight)
_NO_ROUTES: dict[str, Route] = {}


def fixed(kind: bytes, body: bytes) -> Handler:
    """A handler that always answers the same."""

    async def handler(scope: Any, given: bytes, held: Any) -> Response:
        del scope, given, held
        return 200, kind, body, []

    return handler
