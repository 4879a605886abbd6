"""The server of the labelling page: on this machine only, at an address that nobody can guess."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, TidemillError
from tidemill.core.settings import LimitSettings
from tidemill.edge import application, sockets
from tidemill.edge.access import Access
from tidemill.edge.application import JSON, Response, Route
from tidemill.edge.guard import Guard, check_json
from tidemill.edge.listening import Listening
from tidemill.loop.datasets.pages import label as page

if TYPE_CHECKING:
    import socket

    from tidemill.loop.datasets.labelling.turns import Labeller

_HOST = "127.0.0.1"
_LIMITS = LimitSettings(body_bytes=64 * 1024)
_SWEEP_SECONDS = 1.0
_PRIVATE = [(b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer")]


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
        self._listener = sockets.bind(_HOST, port)
        self._access = Access(required=True)
        self._ending = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="label", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where the page is: its token is in the path, since a browser that is given an address sends no header."""
        return f"{sockets.url(self._listener)}/{self._access.own}/"

    def run(self) -> None:
        """Answer until this thread is interrupted, or the server fails."""
        self._ending.wait()

    def close(self) -> None:
        """Let the port go, and give the row back."""
        with contextlib.suppress(RuntimeError):
            # It has failed, and its loop is closed, where this raises.
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._listener.close()
        self._session.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve(self._listener))
        finally:
            self._loop.close()
            self._ending.set()

    async def _serve(self, listener: "socket.socket") -> None:
        listening = Listening(LabelApplication(self._session, self._access), _LIMITS)
        await listening.accept_on(listener)
        while not self._stop.is_set():
            listening.sweep()
            try:
                await asyncio.wait_for(self._stop.wait(), _SWEEP_SECONDS)
            except TimeoutError:
                continue
        await listening.drain(_LIMITS.drain_seconds)


class LabelApplication(application.Application):
    """What the page asks for, one thing at a time.

    Args:
        session: Whose labels they are.
        access: Knows the token that is the first part of each path.
    """

    challenges = (b"Bearer",)

    def __init__(self, session: "Labeller", access: Access) -> None:
        self._session = session
        self._position: int | None = None
        acts: dict[str, Callable[[dict[str, Any]], object]] = {
            "task": lambda _: None,
            "answer": lambda body: session.answer(body.get("label")),
            "skip": lambda _: session.skip(),
            "undo": lambda _: session.undo(),
        }
        super().__init__(
            [
                Route("GET", "/", "read", self._document),
                Route("GET", "/progress", "read", self._progress),
                *(
                    Route("POST", f"/{name}", "feedback", self._acting(name, act))
                    for name, act in acts.items()
                ),
            ],
            guard=Guard(),
            access=access,
            limits=_LIMITS,
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; the token comes from its path."""
        if scope["type"] == "http":
            token, _, what = scope["path"].removeprefix("/").partition("/")
            headers = [field for field in scope["headers"] if field[0] != b"authorization"]
            headers.append((b"authorization", b"Bearer " + token.encode()))
            scope = {**scope, "path": f"/{what}", "headers": headers}
        await super().__call__(scope, receive, send)

    async def _document(self, scope: Any, body: bytes, held: Any) -> Response:
        del scope, body, held
        text = await self.alone(lambda: page.document(self._session.progress(), self._session.author))
        return 200, b"text/html; charset=utf-8", text.encode(), _PRIVATE

    async def _progress(self, scope: Any, body: bytes, held: Any) -> Response:
        del scope, body, held
        return 200, JSON, await self.alone(lambda: page.state(None, self._session.progress())), _PRIVATE

    def _acting(self, name: str, act: Callable[[dict[str, Any]], object]) -> application.Handler:
        async def handler(scope: Any, body: bytes, held: Any) -> Response:
            del held
            check_json(scope["headers"])
            given = _read(body)
            return 200, JSON, await self.alone(lambda: self._act(name, act, given)), _PRIVATE

        return handler

    def _act(self, name: str, act: Callable[[dict[str, Any]], object], body: dict[str, Any]) -> bytes:
        """Do what the page asks; what it shows then."""
        session, said = self._session, ""
        try:
            if name in ("answer", "skip") and body.get("position") != self._position:
                said = "This row was answered in another window."
            else:
                act(body)
        except TidemillError as error:
            said = f"{error.message} {error.hint or ''}".strip()
        try:
            task = session.take()
        except TidemillError as error:
            task, said = None, error.message
        self._position = None if task is None else task.position
        return page.state(task, session.progress(), said)


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInput(
            "The body is no JSON object.",
            hint="Load the page again.",
            code=codes.NOT_JSON,
            details={"field": "body"},
        )
    return found
