"""A blocking client of a served environment, on the standard library alone: predictions and feedback over HTTP."""

import http.client
import json
import math
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from tidemill.core import codes, errors
from tidemill.core.clock import new_id
from tidemill.core.codes import ErrorCode
from tidemill.core.errors import Failed, TidemillError
from tidemill.core.kinds import type_name
from tidemill.serve.ids import row_ids

if TYPE_CHECKING:
    import numpy as np

_BY_STATUS: dict[int, type[TidemillError]] = {
    400: errors.InvalidInput,
    401: errors.NotAllowed,
    403: errors.NotAllowed,
    404: errors.NotFound,
    405: errors.InvalidInput,
    409: errors.Conflict,
    413: errors.InvalidInput,
    415: errors.InvalidInput,
    422: errors.InvalidInput,
    431: errors.InvalidInput,
    503: errors.StorageError,
}
_HEADER = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True)
class Predicted:
    """One answered row.

    Attributes:
        prediction: Its id, to send feedback with.
        release: Digest of the release that answered.
        number: Its number.
        values: What it answered: ``label`` and ``probabilities`` (by class), or ``value``.
    """

    prediction: str
    release: str
    number: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Inferred:
    """An answer of the inference protocol.

    Attributes:
        predictions: One id a row.
        release: Digest of the release that answered.
        number: Its number.
        outputs: Arrays by output name, one row each.
    """

    predictions: list[str]
    release: str
    number: int
    outputs: "dict[str, np.ndarray[Any, Any]]"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of labels that were sent: how many are in the log, why each of the others is not, and what is said of all."""

    recorded: int
    refused: list[TidemillError]
    note: str = ""


class Client:
    """Speaks with the server at an address, over one connection that is kept. For one thread.

    A request that found its connection closed is sent again on a new one, with the same id, so that it is
    answered and logged once.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        certificate: str | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        """Connect at the first request.

        Args:
            address: ``http://host:port``, as ``client.Status`` has it, or ``https://...``.
            token: Sent with each request, where the server asks for one.
            certificate: The one that the server must show, as PEM, under whatever name it is reached; None for one
                that this machine trusts, made out for that name.
            timeout_seconds: How long to wait for the server at each step of a request.

        Raises:
            InvalidInput: ``invalid-address``.
        """
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.InvalidInput(
                f"'{address}' is no address of a server.",
                hint="Give it as http://host:port, or https://host:port.",
                code=codes.INVALID_ADDRESS,
            )
        self.address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        if parts.scheme == "http":
            self._connection = _Connection(parts.hostname, parts.port or 80, timeout=timeout_seconds)
        else:
            self._connection = _secure(parts.hostname, parts.port or 443, certificate, timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def predict(self, rows: Sequence[Mapping[str, Any]], *, id: str | None = None) -> list[Predicted]:  # noqa: A002
        """Ask with rows as plain values (numbers, text, dates, nested lists; None where a cell is missing).

        Args:
            rows: Each with every input of the model; NaN is a missing cell too.
            id: The request's id: the same id and rows get the same answer, logged once. A new one if None.

        Raises:
            InvalidInput, NotFound, Conflict, StorageError: As the server says; the details name ``field``
                and ``row``.
            Failed: ``server-unreachable``, or what else the server says.
        """
        answer = self._json("POST", "/predict", {"id": id or new_id(), "rows": [dict(row) for row in rows]})
        return [
            Predicted(
                row["prediction"],
                answer["release"],
                answer["number"],
                {name: value for name, value in row.items() if name != "prediction"},
            )
            for row in answer["predictions"]
        ]

    def infer(
        self,
        model: str,
        columns: "Mapping[str, np.ndarray[Any, Any]]",
        *,
        id: str | None = None,  # noqa: A002
    ) -> Inferred:
        """Ask over the Open Inference Protocol v2 with arrays, sent and answered as raw bytes.

        Args:
            model: The model's name.
            columns: Arrays of shape ``(rows, *cell)``; text as object or str arrays. Of missing cells, only
                floating point numbers have a word: NaN, or a mask.
            id: As for ``predict``.

        Raises:
            InvalidInput, NotFound, Conflict, StorageError, Failed: As ``predict``.
        """
        from tidemill.serve import tensors  # noqa: PLC0415 - NumPy loads when arrays are sent

        inputs: list[dict[str, Any]] = []
        tail: list[bytes] = []
        for name, values in columns.items():
            datatype = tensors.datatype_of(name, values)
            tail.append(tensors.to_bytes(values, datatype))
            inputs.append(
                {
                    "name": name,
                    "shape": list(values.shape),
                    "datatype": datatype,
                    "parameters": {"binary_data_size": len(tail[-1])},
                }
            )
        head = json.dumps(
            {"id": id or new_id(), "inputs": inputs, "parameters": {"binary_data_output": True}}
        ).encode()
        headers = {"Content-Type": "application/octet-stream", _HEADER: str(len(head))}
        path = f"/v2/models/{quote(model, safe='')}/infer"
        given, body = self._send("POST", path, b"".join([head, *tail]), headers)
        length = int(given[_HEADER] or len(body))
        answer, rest = json.loads(body[:length]), memoryview(body)[length:]
        outputs: dict[str, np.ndarray[Any, Any]] = {}
        for output in answer["outputs"]:
            size = output["parameters"]["binary_data_size"]
            outputs[output["name"]] = tensors.from_bytes(
                output["name"], rest[:size], output["datatype"], tuple(output["shape"])
            )
            rest = rest[size:]
        rows = answer["outputs"][0]["shape"][0]
        release = answer["parameters"]["release"]
        return Inferred(row_ids(answer["id"], rows), release, int(answer["model_version"]), outputs)

    def feedback(self, labels: Mapping[str, str | float | int]) -> int:
        """Send labels by prediction id; how many were recorded. A later label for the same one wins.

        Raises:
            NotFound: ``prediction-not-found``. What can be recorded is, whatever is refused beside it.
            InvalidInput: ``unknown-class``, ``label-not-a-number``; likewise.
            StorageError, Failed: As ``predict``.
        """
        found = self.send_labels(list(labels.items()))
        if found.refused:
            raise found.refused[0]
        return found.recorded

    def send_labels(
        self, labels: Sequence[tuple[str, str | float | int]], *, new_classes: bool = False
    ) -> "Recorded":
        """Send labels by prediction id: what was recorded, and why anything was not.

        Args:
            labels: Prediction id and label of each; of several for one prediction, the last counts.
            new_classes: Whether a label may be a class that the model does not know yet.

        Raises:
            StorageError, Failed: As ``predict``; then none is recorded.
        """
        more = {"new_class": True} if new_classes else {}
        body = {"feedback": [{"prediction": name, "label": label, **more} for name, label in labels]}
        try:
            answer = self._json("POST", "/feedback", body)
        except (errors.InvalidInput, errors.NotFound) as error:
            # None of them was taken; each has its own reason, and a body that is wrong as a whole has one.
            each = error.details.pop("refused", None)
            return Recorded(0, [_refusal(one) for one in each] if isinstance(each, list) else [error])
        refused = [_refusal(one) for one in answer.get("refused", [])]
        return Recorded(int(answer["recorded"]), refused, str(answer.get("note", "")))

    def ready(self) -> bool:
        """Whether the server answers and can log."""
        try:
            return bool(self._json("GET", "/v2/health/ready", None)["ready"])
        except TidemillError:
            return False

    def model(self, name: str) -> dict[str, Any]:
        """The model's metadata: ``inputs`` and ``outputs``, each with name, datatype and shape."""
        return self._json("GET", f"/v2/models/{quote(name, safe='')}", None)

    def metrics(self) -> str:
        """The server's metrics as Prometheus text."""
        return self._send("GET", "/metrics", None, {})[1].decode()

    def _json(self, method: str, path: str, tree: Any) -> Any:
        body = None if tree is None else _encoded(tree)
        return json.loads(self._send(method, path, body, {"Content-Type": "application/json"})[1])

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[Any, bytes]:
        kept = self._connection.sock is not None
        try:
            try:
                status, given, data = self._once(method, path, body, headers)
            except (ConnectionError, ssl.SSLEOFError, http.client.HTTPException):
                # A server may close a connection that was idle; that says nothing about the next one.
                if not kept:
                    raise
                self._connection.close()
                status, given, data = self._once(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Failed(
                f"The server at {self.address} cannot be reached: {error}.",
                hint="Type 'tidemill serve ENVIRONMENT' to start it again.",
                code=codes.SERVER_UNREACHABLE,
            ) from error
        if status != 200:
            raise _error(status, data)
        return given, data

    def _once(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Any, bytes]:
        self._connection.request(method, path, body, {**headers, **self._headers})
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        """Connect, and send small requests at once."""
        super().connect()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _secure(
    host: str, port: int, certificate: str | None, timeout_seconds: float
) -> http.client.HTTPSConnection:
    from tidemill.edge.tls import pinned  # noqa: PLC0415

    context = ssl.create_default_context() if certificate is None else pinned(certificate)
    return http.client.HTTPSConnection(host, port, timeout=timeout_seconds, context=context)


def _encoded(tree: Any) -> bytes:
    """JSON; NaN, which is a missing cell, as null. Looked for only where there is one: a row may be a whole image."""
    try:
        return json.dumps(tree, allow_nan=False, default=_word).encode()
    except ValueError:
        return json.dumps(_without_nan(tree), default=_word).encode()


def _word(value: Any) -> Any:
    """What JSON says of a value that it has no word for: dates and times in ISO 8601, a decimal's digits."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if hasattr(value, "tolist"):
        return value.tolist()
    raise errors.InvalidInput(
        f"A value of type {type_name(value)} cannot be sent.",
        why="A row is sent as JSON.",
        hint="Send numbers, text, truth values, dates, times, decimals, and lists of them; None where a cell is missing.",
        code=codes.WRONG_DTYPE,
    )


def _without_nan(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _without_nan(member) for name, member in tree.items()}
    if isinstance(tree, list):
        return [_without_nan(member) for member in tree]
    return None if isinstance(tree, float) and math.isnan(tree) else tree


def _error(status: int, data: bytes) -> TidemillError:
    try:
        tree: Any = json.loads(data)
        body = dict(tree if isinstance(tree.get("error"), str) else tree["error"])
        message, code = body.pop("message"), body.pop("code")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Failed(
            f"The server answered with status {status}.",
            why=data[:200].decode("utf-8", "replace"),
            hint="Check that a Tidemill server listens at that address: 'tidemill status'.",
        )
    body.pop("error", None)
    return _made(_BY_STATUS.get(status, Failed), message, code, body)


def _refusal(body: dict[str, Any]) -> TidemillError:
    """Why one item of a request was refused."""
    body = dict(body)
    message, code = body.pop("message"), body.pop("code")
    kind = errors.NotFound if code == codes.PREDICTION_NOT_FOUND else errors.InvalidInput
    return _made(kind, message, code, body)


def _made(kind: type[TidemillError], message: str, code: str, body: dict[str, Any]) -> TidemillError:
    why, hint = body.pop("why", None), body.pop("hint", None)
    return kind(message, why=why, hint=hint, code=ErrorCode(code), details=body)
