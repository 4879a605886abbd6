"""The ASGI application: routes, bodies and their limits, errors as JSON.

Loaded only in a server, never by ``import tidemill``.
"""

import asyncio
import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tidemill
from tidemill.core.clock import now, stamp
from tidemill.core.errors import (
    InternalError,
    InvalidInput,
    NotAllowed,
    NotFound,
    StorageError,
    TidemillError,
)
from tidemill.core.names import nearest
from tidemill.core.settings import LimitSettings
from tidemill.edge import encoding
from tidemill.edge.errors import encode, error_body, status_of
from tidemill.edge.guard import Guard, check_json
from tidemill.models.predictor import Predictor
from tidemill.serve import inference, metrics
from tidemill.serve.answering import Answering
from tidemill.serve.labels import Labels
from tidemill.serve.prediction_log import Expected, PredictionLog
from tidemill.serve.rows import Rows

_LINGER_SECONDS = 5.0
_INLINE_BYTES = 128 * 1024
"""A larger body is read in a thread: what that costs is little beside the reading."""
_JSON = b"application/json"
_BINARY = b"application/octet-stream"
_HEALTH = frozenset({"/v2/health/live", "/v2/health/ready"})
"""What a probe asks, which knows the server by any name."""
_UNANSWERABLE = "row-not-answered"
_OF_BODIES = {"body-too-large", "body-too-slow"}
"""What ends a connection: the client may be sending still."""

Headers = list[tuple[bytes, bytes]]
Response = tuple[int, bytes, bytes, Headers]
"""Status, content type, body, further headers."""
Handler = Callable[[Any, bytes, Expected | None], Awaitable[Response]]


class _Gone(Exception):
    """The client went away before its body was whole."""


class Application:
    """The server's HTTP face.

    Attributes:
        draining: Whether every answer asks the client to come back on a new connection.
    """

    def __init__(
        self,
        *,
        name: str,
        number: int,
        release: str,
        environment: str,
        predictor: Predictor,
        answering: Answering,
        log: PredictionLog,
        counted: metrics.Metrics,
        guard: Guard,
        limits: LimitSettings,
    ) -> None:
        self.draining = False
        self._name, self._log, self._metrics, self._answering = name, log, counted, answering
        self._guard, self._limits = guard, limits
        # One at a time: a body takes many times its size while it is read.
        self._reader = ThreadPoolExecutor(1, "reader")
        self._info = {"model": name, "number": str(number), "release": release, "environment": environment}
        self._inference = inference.Inference(predictor.signature, name, number, release)
        self._rows = Rows(predictor.signature, predictor.classes)
        self._labels = Labels(predictor.signature, predictor.classes)
        model = f"/v2/models/{name}"
        versioned = f"{model}/versions/{number}"
        described = encode(inference.metadata(predictor.signature, name, number, predictor.form))
        server = encode(
            {"name": "tidemill", "version": tidemill.__version__, "extensions": ["binary_tensor_data"]}
        )
        self._get: dict[str, Handler] = {
            "/v2": _fixed(server),
            "/v2/": _fixed(server),
            "/v2/health/live": _fixed(encode({"live": True})),
            "/v2/health/ready": self._ready,
            model: _fixed(described),
            versioned: _fixed(described),
            f"{model}/ready": self._model_ready,
            f"{versioned}/ready": self._model_ready,
            "/metrics": self._metrics_text,
        }
        self._post: dict[str, Handler] = {
            f"{model}/infer": self._infer,
            f"{versioned}/infer": self._infer,
            "/predict": self._predict,
            "/feedback": self._feedback,
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        path, method = scope["path"], scope["method"]
        handler = (self._post if method == "POST" else self._get if method in ("GET", "HEAD") else {}).get(
            path
        )
        self._metrics.in_flight += 1
        # A request that may write is waited for by the log's next commit, a moment.
        expected = self._log.expect() if handler is not None and method == "POST" else None
        linger = False
        try:
            if path not in _HEALTH:
                self._guard.check(method, scope["headers"])
            if method == "OPTIONS" and self._guard.allowed_origin(scope["headers"]):
                handler = self._preflight
            body = b"" if expected is None else await self._body(scope, receive)
            response = await (handler or _refusing(self._no_route(method, path)))(scope, body, expected)
        except _Gone:
            self._metrics.in_flight -= 1
            return
        except Exception as error:  # noqa: BLE001 - the server goes on whatever a request did
            response = self._error(path, error)
            linger = isinstance(error, InvalidInput) and error.code in _OF_BODIES
        finally:
            if expected is not None:
                expected.arrived()
        status, kind, body, headers = response
        try:
            allowed = self._guard.allowed_origin(scope["headers"])
            await self._send(send, receive, status, kind, body, headers, allowed=allowed, linger=linger)
        finally:
            self._metrics.in_flight -= 1
            route = path if handler is not None else "other"
            self._metrics.answered(route, status, time.perf_counter() - began)

    async def _send(
        self,
        send: Any,
        receive: Any,
        status: int,
        kind: bytes,
        body: bytes,
        headers: Headers,
        *,
        allowed: bytes | None,
        linger: bool,
    ) -> None:
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *headers]
        if allowed is not None:
            headers += [(b"access-control-allow-origin", allowed), (b"vary", b"origin")]
        if self.draining or linger:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if not linger:
            await send({"type": "http.response.body", "body": body})
            return
        # A connection that is closed on a client that still sends is reset, and the client never sees why.
        await send({"type": "http.response.body", "body": body, "more_body": True})
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b""})

    async def _body(self, scope: Any, receive: Any) -> bytes:
        most = self._limits.body_bytes
        how = ""
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > most:
                raise _too_large(most)
            if name == b"content-encoding":
                how = value.decode("latin-1")
                encoding.check(how)
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                body = await self._received(receive, most)
        except TimeoutError:
            raise _too_slow(self._limits.body_seconds) from None
        if not how:
            return body
        loop = asyncio.get_running_loop()
        plain = await loop.run_in_executor(self._reader, encoding.decoded, body, how, most)
        if plain is None:
            raise _too_large(most)
        return plain

    async def _received(self, receive: Any, most: int) -> bytes:
        message = await receive()
        if not message.get("more_body"):
            if message["type"] == "http.disconnect":
                raise _Gone
            body = message["body"]
            if len(body) > most:
                raise _too_large(most)
            return body
        parts = [message["body"]]
        size = len(parts[0])
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            parts.append(message["body"])
            size += len(parts[-1])
            if size > most:
                raise _too_large(most)
        return b"".join(parts)

    async def _reading(self, body: bytes, read: Callable[..., Any], *given: Any) -> Any:
        """What ``read`` makes of a body: of a large one beside the event loop, where others go on meanwhile."""
        if len(body) <= _INLINE_BYTES:
            return read(*given)
        return await asyncio.get_running_loop().run_in_executor(self._reader, read, *given)

    async def _infer(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        header = next((v for n, v in scope["headers"] if n == inference.HEADER), None)
        asked, wanted = await self._reading(
            body, self._inference.read, body, header, self._limits.request_rows
        )
        written, json_bytes = await self._answering.answer(
            asked, lambda answer: self._inference.write(answer, wanted), expected
        )
        if json_bytes is None:
            return 200, _JSON, written, []
        return 200, _BINARY, written, [(inference.HEADER, b"%d" % json_bytes)]

    async def _predict(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        del scope
        asked = await self._reading(body, self._rows.read, body, self._limits.request_rows)
        written, _ = await self._answering.answer(
            asked, lambda answer: (self._rows.write(answer), None), expected
        )
        return 200, _JSON, written, []

    async def _feedback(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        check_json(scope["headers"])
        items, refused = await self._reading(body, self._labels.read, body, self._limits.request_rows)
        recorded, unknown = await self._answering.correct(items, expected)
        refused |= unknown
        self._metrics.feedback += recorded
        told = [{"item": row, **error_body(refused[row])} for row in sorted(refused)]
        if refused and not recorded:
            first = refused[min(refused)]
            if len(told) > 1:
                first.details["refused"] = told
            raise first
        note = {"note": self._labels.note} if self._labels.note else {}
        answer = {"recorded": recorded, **({"refused": told} if told else {}), **note}
        return 200, _JSON, encode(answer), []

    async def _preflight(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        del scope, body, expected
        allowed = [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", b"content-type"),
        ]
        return 200, _JSON, b"{}", [*allowed, (b"access-control-max-age", b"600")]

    async def _ready(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        del scope, body, expected
        if self._log.failing is not None:
            try:
                await self._log.probe()
            except StorageError as error:
                return 503, _JSON, encode({"ready": False, "error": error_body(error)}), []
        return 200, _JSON, encode({"ready": True}), []

    async def _model_ready(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        status, kind, answer, headers = await self._ready(scope, body, expected)
        if status != 200:
            return status, kind, answer, headers
        return 200, _JSON, encode({"name": self._name, "ready": True}), []

    async def _metrics_text(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        del scope, body, expected
        text = self._metrics.text(self._log.figures, self._info)
        return 200, metrics.CONTENT_TYPE, text.encode(), []

    def _no_route(self, method: str, path: str) -> TidemillError:
        allowed = "POST" if path in self._post else "GET" if path in self._get else None
        if allowed is not None:
            return NotAllowed(
                f"{path} does not take {method}.",
                hint=f"Use {allowed}.",
                code="wrong-method",
                details={"field": "method", "allowed": allowed},
            )
        parts = path.split("/")
        if path.startswith("/v2/models/") and parts[3] != self._name:
            return NotFound(
                f"There is no model '{parts[3]}' here.",
                hint=f"This server has '{self._name}'.",
                code="model-not-found",
                details={"field": "model", "model": parts[3]},
            )
        if path.startswith(f"/v2/models/{self._name}/versions/"):
            return NotFound(
                f"The model '{self._name}' has no version '{parts[5]}' here.",
                hint=f"This server has version {self._info['number']}; leave the version out to get it.",
                code="version-not-found",
                details={"field": "version", "version": parts[5]},
            )
        known = [*self._get, *self._post]
        close = nearest(path, known)
        return NotFound(
            f"There is nothing at {path[:200]}.",
            hint=f"Did you mean {close}?" if close else f"There are: {', '.join(sorted(known))}.",
            code="route-not-found",
            details={"field": "path"},
        )

    def _error(self, path: str, error: Exception) -> Response:
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
        if error.__cause__ is not None and (error.code == _UNANSWERABLE or status == 500):
            # The pipeline's own code failed: whoever wrote it needs the trace, the client does not.
            report(
                "request-failed",
                path=path[:200],
                status=status,
                code=error.code,
                message=error.message,
                trace=traceback.format_exception(error.__cause__),
            )
        body = error_body(error)
        headers = [(b"allow", str(body["allowed"]).encode())] if status == 405 else []
        if status == 503:
            headers.append((b"retry-after", b"1"))
        # The protocol wants a text at 'error', so what else there is to say stands beside it.
        tree = {"error": error.message, **body} if path.startswith("/v2") else {"error": body}
        return status, _JSON, encode(tree), headers


def report(event: str, **facts: object) -> None:
    """One line of JSON on stderr: a server's own log."""
    line = json.dumps({"time": stamp(now()), "event": event, **facts}, default=str)
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _fixed(body: bytes) -> Handler:
    async def handler(scope: Any, given: bytes, expected: Expected | None) -> Response:
        del scope, given, expected
        return 200, _JSON, body, []

    return handler


def _refusing(error: TidemillError) -> Handler:
    async def handler(scope: Any, given: bytes, expected: Expected | None) -> Response:
        del scope, given, expected
        raise error

    return handler


def _too_slow(seconds: float) -> InvalidInput:
    return InvalidInput(
        f"The body was not whole after {seconds:g} seconds.",
        why="A client that sends slower holds a place that others need.",
        hint="Send fewer rows in one request, or raise 'limits.body_seconds'.",
        code="body-too-slow",
        details={"field": "body", "seconds": seconds},
    )


def _too_large(most: int) -> InvalidInput:
    return InvalidInput(
        f"The body is larger than the server takes ({most} bytes).",
        hint="Send fewer rows in one request, or raise 'limits.body_bytes'.",
        code="body-too-large",
        details={"field": "body", "most": most},
    )
