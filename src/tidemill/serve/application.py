"""What a release's server answers: routes, and what stands behind each.

Loaded only in a server, never by ``import tidemill``.
"""

from typing import Any

import tidemill
from tidemill.core import codes
from tidemill.core.errors import NotFound, TidemillError
from tidemill.core.settings import LimitSettings
from tidemill.edge import application
from tidemill.edge.access import Access
from tidemill.edge.application import JSON, Response, Route, fixed
from tidemill.edge.errors import encode, error_body
from tidemill.edge.guard import Guard, check_json
from tidemill.models.predictor import Predictor
from tidemill.serve import described, home, inference, metrics
from tidemill.serve.answering import Answering
from tidemill.serve.labels import Labels
from tidemill.serve.prediction_log import Expected, PredictionLog
from tidemill.serve.rows import Rows

_BINARY = b"application/octet-stream"


class Application(application.Application):
    """A release's HTTP face."""

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
        access: Access,
        limits: LimitSettings,
    ) -> None:
        self._name, self._log, self._metrics, self._answering = name, log, counted, answering
        self._info = {"model": name, "number": str(number), "release": release, "environment": environment}
        self._inference = inference.Inference(predictor.signature, name, number, release)
        self._rows = Rows(predictor.signature, predictor.classes)
        self._labels = Labels(predictor.signature, predictor.classes)
        self._body_rows = limits.request_rows
        self._signature, self._classes = predictor.signature, predictor.classes
        self._example = described.example(predictor)
        metadata = fixed(JSON, encode(inference.metadata(predictor.signature, name, number, predictor.form)))
        routes = self._all_routes(f"/v2/models/{name}", number, metadata)
        super().__init__(routes, guard=guard, access=access, limits=limits)
        self._openapi = encode(described.openapi(predictor.signature, predictor.classes, number, routes))

    def begin(self) -> None:
        """A request has come."""
        self._metrics.in_flight += 1

    def end(self, path: str | None, status: int, seconds: float) -> None:
        """It is answered, or its client is gone."""
        self._metrics.in_flight -= 1
        if path is not None:
            self._metrics.answered(path, status, seconds)

    def expect(self) -> Expected:
        """A request that may write is waited for by the log's next commit, a moment."""
        return self._log.expect()

    def arrived(self, held: Expected) -> None:
        """The log need not wait for it any more."""
        held.arrived()

    def failed(self, scope: Any, error: Exception) -> Response:
        """An error; where a browser is to show it, as a page."""
        status, kind, body, headers = super().failed(scope, error)
        accepts = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        if status == 401 and b"text/html" in accepts and isinstance(error, TidemillError):
            return status, home.KIND, home.stranger(error), [*headers, *home.HEADERS]
        return status, kind, body, headers

    def error_tree(self, path: str, status: int, body: dict[str, Any]) -> dict[str, Any]:
        """With the shape that a body must have, where it has another one.

        The protocol wants a text at 'error', so what else there is to say stands beside it.
        """
        if status == 400 and (shape := described.expected(path, self._signature, self._classes)):
            body = {**body, "expects": shape}
        return {"error": body["message"], **body} if path.startswith("/v2") else {"error": body}

    def no_route(self, method: str, path: str) -> TidemillError:
        """What is told to who asks for another model, or for nothing that there is."""
        error = super().no_route(method, path)
        parts = path.split("/")
        if error.code != codes.ROUTE_NOT_FOUND or not path.startswith("/v2/models/"):
            return error
        if parts[3] != self._name:
            return NotFound(
                f"There is no model '{parts[3]}' here.",
                hint=f"This server has '{self._name}'.",
                code=codes.MODEL_NOT_FOUND,
                details={"field": "model", "model": parts[3]},
            )
        if path.startswith(f"/v2/models/{self._name}/versions/"):
            return NotFound(
                f"The model '{self._name}' has no version '{parts[5]}' here.",
                hint=f"This server has version {self._info['number']}; leave the version out to get it.",
                code=codes.VERSION_NOT_FOUND,
                details={"field": "version", "version": parts[5]},
            )
        return error

    def _all_routes(self, model: str, number: int, metadata: application.Handler) -> list[Route]:
        server = fixed(
            JSON,
            encode(
                {"name": "tidemill", "version": tidemill.__version__, "extensions": ["binary_tensor_data"]}
            ),
        )
        routes = [
            Route("GET", "/", "read", self._home),
            Route("GET", "/openapi.json", "read", self._described),
            Route("GET", "/v2", "read", server),
            Route("GET", "/v2/", "read", server),
            Route("GET", "/v2/health/live", None, fixed(JSON, encode({"live": True}))),
            Route("GET", "/v2/health/ready", None, self._ready),
            Route("GET", "/metrics", "read", self._metrics_text),
            Route("POST", "/predict", "predict", self._predict),
            Route("POST", "/feedback", "feedback", self._feedback),
        ]
        for place in (model, f"{model}/versions/{number}"):
            routes += [
                Route("GET", place, "read", metadata),
                Route("GET", f"{place}/ready", "read", self._model_ready),
                Route("POST", f"{place}/infer", "predict", self._infer),
            ]
        return routes

    async def _infer(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        header = next((v for n, v in scope["headers"] if n == inference.HEADER), None)
        asked, wanted = await self.reading(body, self._inference.read, body, header, self._body_rows)
        written, json_bytes = await self._answering.answer(
            asked, lambda answer: self._inference.write(answer, wanted), expected
        )
        if json_bytes is None:
            return 200, JSON, written, []
        return 200, _BINARY, written, [(inference.HEADER, b"%d" % json_bytes)]

    async def _predict(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        del scope
        asked = await self.reading(body, self._rows.read, body, self._body_rows)
        written, _ = await self._answering.answer(
            asked, lambda answer: (self._rows.write(answer), None), expected
        )
        return 200, JSON, written, []

    async def _feedback(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        check_json(scope["headers"])
        items, refused = await self.reading(body, self._labels.read, body, self._body_rows)
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
        return 200, JSON, encode(answer), []

    async def _ready(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        del scope, body, expected
        # Anybody may ask this, so it says yes or no.
        if await self._log.failure() is not None:
            return 503, JSON, encode({"ready": False}), [(b"retry-after", b"1")]
        return 200, JSON, encode({"ready": True}), []

    async def _model_ready(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        del scope, body, expected
        error = await self._log.failure()
        if error is not None:
            tree = {"name": self._name, "ready": False, "error": error_body(error)}
            return 503, JSON, encode(tree), [(b"retry-after", b"1")]
        return 200, JSON, encode({"name": self._name, "ready": True}), []

    async def _home(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        del body, expected
        row, works = self._example
        written = home.page(
            self._signature,
            int(self._info["number"]),
            self._info["environment"],
            row,
            works=works,
            address=self.address(scope),
            tokens=self._access.on,
        )
        return 200, home.KIND, written, home.HEADERS

    async def _described(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        del scope, body, expected
        return 200, JSON, self._openapi, []

    async def _metrics_text(self, scope: Any, body: bytes, expected: Expected | None) -> Response:
        del scope, body, expected
        text = self._metrics.text(self._log.figures, self._info)
        return 200, metrics.CONTENT_TYPE, text.encode(), []
