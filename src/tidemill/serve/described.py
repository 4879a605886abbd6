"""What a server says of itself to people and programs: its inputs as JSON Schema, OpenAPI, and an example.

Loaded only in a server, never by ``import tidemill``.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import tidemill
from tidemill.edge.application import Route, named
from tidemill.models.predictor import Predictor
from tidemill.models.signature import DATATYPES, Signature, Tensor
from tidemill.serve.rows import Rows

_MOST_INPUTS = 50
"""More are not listed in an error."""
_TEXTS = {"date": "2026-01-31", "time": "12:00:00", "timestamp": "2026-01-31T12:00:00", "decimal": "1"}
_SCOPE_WORDS = {
    "predict": "Needs a token with scope `predict`, where the server asks for tokens.",
    "feedback": "Needs a token with scope `feedback`, where the server asks for tokens.",
    "read": "Needs a token with scope `read`, where the server asks for tokens.",
    None: "Open to everybody.",
}


def words(tensor: Tensor) -> str:
    """A column's type and the shape of its cell, for a person: ``UINT8 28x28``."""
    cell = "x".join("?" if size < 0 else str(size) for size in tensor.cell)
    kind = tensor.type or ("text" if tensor.datatype == "BYTES" else tensor.datatype)
    return f"{kind} {cell}" if cell else kind


def expected(path: str, signature: Signature, classes: Sequence[str] | None) -> dict[str, Any] | None:
    """The shape of the body that a path takes; None where it takes none, or it would be long."""
    if len(signature.logged) > _MOST_INPUTS:
        return None
    if path == "/predict":
        return {"rows": [{t.name: words(t) for t in signature.inputs}]}
    if path == "/feedback":
        label = "one of the model's classes" if classes is not None else "a number"
        return {"feedback": [{"prediction": "the id that it was answered with", "label": label}]}
    if path.endswith("/infer"):
        return {
            "inputs": [
                {
                    "name": t.name,
                    "datatype": t.datatype,
                    "shape": list(t.shape),
                    "data": "rows x cell, nested or flat",
                }
                for t in signature.inputs
            ]
        }
    return None


def example(predictor: Predictor) -> tuple[dict[str, Any], bool]:
    """A row of made-up values, and whether the predictor answers it: what it does not take cannot be known before."""
    signature = predictor.signature
    rows = Rows(signature, predictor.classes)
    tried: list[dict[str, Any]] = []
    for row in _candidates(signature.inputs):
        tried.append(row)
        # Anything may come of values that nobody has seen: the pipeline's own code is asked.
        with contextlib.suppress(Exception):
            asked = rows.read(json.dumps({"rows": [row]}).encode(), 1)
            predictor.predict({t.name: asked.columns[t.name] for t in signature.inputs})
            return row, True
    return tried[0], False


def openapi(
    signature: Signature, classes: Sequence[str] | None, number: int, routes: Sequence[Route]
) -> dict[str, Any]:
    """The OpenAPI document of a server with these routes."""
    paths: dict[str, Any] = {}
    for route in named(routes):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": signature.name,
            "version": str(number),
            "description": f"A model served by Tidemill {tidemill.__version__}: plain rows, and the Open Inference Protocol v2.",
        },
        "paths": paths,
        "security": [{}, {"bearer": []}],
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(signature, classes),
        },
    }


def cell_schema(tensor: Tensor, *, missing: bool = True) -> dict[str, Any]:
    """The JSON Schema of one cell of a column; null is a missing one."""
    schema: dict[str, Any] = _value_schema(tensor)
    for size in reversed(tensor.cell):
        bounds = {"minItems": size, "maxItems": size} if size >= 0 else {}
        schema = {"type": "array", "items": schema, **bounds}
    if missing:
        schema["type"] = [schema["type"], "null"]
    return schema


def _value_schema(tensor: Tensor) -> dict[str, Any]:
    if tensor.datatype == "BOOL":
        return {"type": "boolean"}
    if tensor.datatype == "BYTES":
        return {"type": "string"} | ({"description": tensor.type} if tensor.type else {})
    dtype = np.dtype(DATATYPES[tensor.datatype])
    if dtype.kind == "f":
        return {"type": "number"}
    limits = np.iinfo(dtype)
    return {"type": "integer", "minimum": int(limits.min), "maximum": int(limits.max)}


def _schemas(signature: Signature, classes: Sequence[str] | None) -> dict[str, Any]:
    text = {"type": "string"}
    row = {t.name: cell_schema(t) for t in signature.logged}
    outputs: dict[str, Any] = {t.name: cell_schema(t) for t in signature.outputs}
    if classes is not None and "probabilities" in outputs:
        outputs["probabilities"] = {"type": "object", "additionalProperties": {"type": ["number", "null"]}}
    request_id = {"type": ["string", "null"], "maxLength": 256, "description": "Makes it safe to repeat."}
    fields: dict[str, Any] = dict.fromkeys(("code", "message", "why", "hint", "field"), text)
    fields["expects"] = {"description": "The shape that the body must have, where it has another one."}
    return {
        "Row": {
            "type": "object",
            "properties": row,
            "required": [t.name for t in signature.inputs],
            "additionalProperties": False,
        },
        "Rows": _object({"id": request_id, "rows": _list("Row", minItems=1)}, "rows"),
        "Predictions": _object(
            {
                "id": text,
                "release": text,
                "number": {"type": "integer"},
                "predictions": {
                    "type": "array",
                    "items": _object({"prediction": text, **outputs}, "prediction", *outputs),
                },
            },
            *("id", "release", "number", "predictions"),
        ),
        "Label": _object(
            {"prediction": text, "label": {"type": ["string", "number"]}, "new_class": {"type": "boolean"}},
            *("prediction", "label"),
        ),
        "Feedback": _object({"feedback": _list("Label")}, "feedback"),
        "Recorded": _object(
            {
                "recorded": {"type": "integer"},
                "refused": {"type": "array", "items": {"type": "object"}},
                "note": text,
            },
            "recorded",
        ),
        # As the Open Inference Protocol v2 has it. That lengths agree is beyond a schema: ``expects`` of an error says them.
        "Tensors": _object(
            {
                "id": request_id,
                "inputs": _list("Tensor", minItems=1),
                "outputs": {"type": "array", "items": _object({"name": text}, "name")},
                "parameters": {"type": ["object", "null"]},
            },
            "inputs",
        ),
        "Tensor": _object(
            {
                "name": {"enum": [t.name for t in signature.logged]},
                "datatype": {"enum": sorted(DATATYPES)},
                "shape": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
                "data": {"type": "array", "description": "All cells, row by row, nested or flat."},
                "parameters": {"type": ["object", "null"]},
            },
            *("name", "datatype", "shape", "data"),
        ),
        "Error": _object({"error": _object(fields, "code", "message")}, "error"),
        # The protocol wants a text at 'error', and what else there is to say stands beside it.
        "ProtocolError": _object({**fields, "error": text}, "error", "code", "message"),
    }


def _operation(route: Route) -> dict[str, Any]:
    protocol = route.path.startswith("/v2")
    error = "ProtocolError" if protocol else "Error"
    asks = {"/predict": "Rows", "/feedback": "Feedback"}.get(route.path, "Tensors")
    gives = {"/predict": "Predictions", "/feedback": "Recorded"}.get(route.path)
    kind = {"/": "text/html", "/metrics": "text/plain"}.get(route.path, "application/json")
    responses: dict[str, Any] = {
        "200": {"description": "Answered.", "content": {kind: {"schema": _ref(gives) if gives else {}}}},
        "default": {
            "description": "Refused.",
            "content": {"application/json": {"schema": _ref(error)}},
        },
    }
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{route.path.replace('/', '_')}",
        "description": _SCOPE_WORDS[route.scope],
        "responses": responses,
    }
    if route.scope is None:
        operation["security"] = []
        responses["503"] = {"description": "No."}
    if route.method == "POST":
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(asks)}},
        }
    return operation


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": [*required]}


def _list(name: str, **more: int) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name), **more}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _candidates(inputs: Sequence[Tensor]) -> Iterator[dict[str, Any]]:
    for number, text in ((0, "a"), (1, "1")):
        yield {t.name: _filled(t.cell, _value(t, number, text)) for t in inputs}
    yield {t.name: None for t in inputs}


def _value(tensor: Tensor, number: int, text: str) -> Any:
    if tensor.type:
        found = next((word for kind, word in _TEXTS.items() if tensor.type.startswith(kind)), text)
        return f"{found}+00:00" if "tz=" in tensor.type else found
    if tensor.datatype == "BYTES":
        return text
    return bool(number) if tensor.datatype == "BOOL" else number


def _filled(cell: Sequence[int], value: Any) -> Any:
    for size in reversed(cell):
        value = [value] * max(size, 1)
    return value
