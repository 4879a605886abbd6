"""Orders and outcomes as JSON: for whoever computes them elsewhere, in whatever process and on whatever machine.

What has a type is spelled as it is. Where anything may stand (settings, inputs, an artifact's facts, an error) a
value that JSON does not have is an object of one member whose name begins with ``$``. No secret is written: a
store is named by its address, a setting by the variable or file that holds it; the rest is for the receiver to know.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import msgspec

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.events import Progress
from tidemill.core.kinds import full_type_name
from tidemill.core.names import is_text
from tidemill.engine.orders import Order, Outcome, Ref
from tidemill.pipeline.secret import Secret
from tidemill.store.blobs import Place

_VERSION = 1
_LARGEST = 2**53
"""Whole numbers beyond it are written as text: many readers of JSON have no others than doubles."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """An order on its way."""

    version: int
    order: Order


@dataclass(frozen=True, slots=True)
class _Answered:
    """An outcome on its way."""

    version: int
    outcome: Outcome


def order_to_json(order: Order) -> bytes:
    """An order on one line.

    Raises:
        InvalidInput: ``no-wire-form``.
    """
    packed = replace(
        order,
        settings=_packed(order.settings),
        inputs=_packed(order.inputs),
        blobs=Place(order.blobs.address, ""),
    )
    return _encoded(_Sent(_VERSION, packed))


def order_from_json(data: bytes, local: Path) -> Order:
    """The order that ``order_to_json`` wrote.

    Args:
        data: Its JSON.
        local: The folder where this machine keeps its copies of what a remote store has.

    Raises:
        InvalidInput: ``invalid-order``.
    """
    order = _decoded(data, _Sent).order
    try:
        return replace(
            order,
            settings=_unpacked(order.settings),
            inputs=_unpacked(order.inputs),
            blobs=Place(order.blobs.address, str(local)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _invalid(error) from error


def outcome_to_json(outcome: Outcome) -> bytes:
    """An outcome on one line.

    Raises:
        InvalidInput: ``no-wire-form``.
    """
    saved = {n: replace(s, meta=_packed(s.meta)) for n, s in outcome.saved.items()}
    error = None if outcome.error is None else _packed(outcome.error)
    return _encoded(_Answered(_VERSION, replace(outcome, saved=saved, error=error)))


def outcome_from_json(data: bytes) -> Outcome:
    """The outcome that ``outcome_to_json`` wrote.

    Raises:
        InvalidInput: ``invalid-order``.
    """
    outcome = _decoded(data, _Answered).outcome
    try:
        saved = {n: replace(s, meta=_unpacked(s.meta)) for n, s in outcome.saved.items()}
        error = None if outcome.error is None else _unpacked(outcome.error)
    except (KeyError, TypeError, ValueError) as error:
        raise _invalid(error) from error
    return replace(outcome, saved=saved, error=error)


def progress_to_json(progress: Progress) -> bytes:
    """How far a step is, on one line that begins with ``[``, which no outcome does."""
    return msgspec.json.encode((progress.label, progress.done, progress.total, progress.unit))


def progress_from_json(line: bytes) -> Progress | None:
    """What ``progress_to_json`` wrote; None for another line."""
    if not line.startswith(b"["):
        return None
    return Progress(*msgspec.json.decode(line, type=tuple[str, float, float | None, str]))


def _encoded(message: object) -> bytes:
    try:
        return msgspec.json.encode(message)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"This cannot be written as JSON: {error}.",
            hint="Give the step plain values, or a step's result.",
            code=codes.NO_WIRE_FORM,
        ) from error


def _decoded(data: bytes, kind: "type[Any]") -> Any:
    try:
        message = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(error) from error
    if message.version != _VERSION:
        raise _invalid(ValueError(f"it is of version {message.version}, not {_VERSION}"))
    return message


def _invalid(error: Exception) -> InvalidInput:
    return InvalidInput(
        "This is no order, or no outcome, that this Tidemill can read.",
        why=str(error),
        hint="Let both sides have the same version of Tidemill.",
        code=codes.INVALID_ORDER,
    )


def _packed(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case int():
            return value if -_LARGEST <= value <= _LARGEST else {"$int": str(value)}
        case float():
            return value if math.isfinite(value) else {"$float": str(value)}
        case str():
            return value if is_text(value) else {"$text": _base64(value.encode("utf-8", "surrogatepass"))}
        case bytes():
            return {"$bytes": _base64(value)}
        case list():
            return [_packed(v) for v in cast("list[Any]", value)]
        case tuple():
            return {"$tuple": [_packed(v) for v in cast("tuple[Any, ...]", value)]}
        case Secret():
            return {"$secret": str(value)}
        case Ref():
            return {"$ref": [value.digest, value.kind, _packed(value.meta)]}
        case Mapping():
            pairs = cast("Mapping[Any, Any]", value)
            if all(isinstance(k, str) and not k.startswith("$") and is_text(k) for k in pairs):
                return {k: _packed(v) for k, v in pairs.items()}
            return {"$dict": [[_packed(k), _packed(v)] for k, v in pairs.items()]}
        case _:
            raise InvalidInput(
                f"A {full_type_name(value)} cannot be sent with an order.",
                why="What is sent is None, bool, int, float, str, bytes, or a list, tuple or dict of them.",
                hint="Give the step such a value, or let a step before it make this one.",
                code=codes.NO_WIRE_FORM,
            )


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(v) for v in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    kind = next(iter(members), "")
    if not kind.startswith("$"):
        return {k: _unpacked(v) for k, v in members.items()}
    body: Any = members[kind]
    match kind:
        case "$int":
            return int(body)
        case "$float":
            return float(body)
        case "$text":
            return base64.b64decode(body, validate=True).decode("utf-8", "surrogatepass")
        case "$bytes":
            return base64.b64decode(body, validate=True)
        case "$tuple":
            return tuple(_unpacked(v) for v in body)
        case "$ref":
            digest, of_kind, meta = body
            return Ref(digest, of_kind, _unpacked(meta))
        case "$secret":
            return Secret.parse(body)
        case "$dict":
            return {_unpacked(k): _unpacked(v) for k, v in body}
        case _:
            raise ValueError(f"there is no kind of value {kind}")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
