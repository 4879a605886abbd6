"""What every kind of request and answer shares: JSON in and out, ids, errors as bodies.

Loaded only in a server, never by ``import tidemill``.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.models.signature import Tensor

_MOST_ID = 256
_NAME = re.compile(rb'"[ \t\r\n]*:')
_BYTE = re.compile(r"\(byte ([0-9]+)\)")
_LOOKED_INTO_BYTES = 1 << 20
_SHOWN = 500
_LARGE_BYTES = 1 << 17
_FIELD = re.compile(r"at `\$(.*?)`")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, decoded.

    Attributes:
        columns: Arrays, all with ``rows`` rows.
        rows: How many.
        id: The client's own id of the request, if it gave one.
    """

    columns: dict[str, Any]
    rows: int
    id: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        id: The request's.
        ids: One prediction id a row.
        outputs: Arrays, one row each.
        release: Digest of the release that answered.
        number: Its number.
    """

    id: str
    ids: Sequence[str]
    outputs: dict[str, Any]
    release: str
    number: int


def decode(decoder: Any, body: bytes) -> Any:
    """A body as the decoder's type.

    Raises:
        InvalidInput: ``not-json``, ``non-finite`` or ``wrong-field``, with ``field`` in the details.
    """
    try:
        if not body.isascii():
            # The decoder passes over values that it does not know, whatever their bytes are.
            body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        if len(text) > _SHOWN:
            # It quotes names that the client chose.
            text = f"{text[:_SHOWN]}..."
        found = _FIELD.search(text)
        name = (found.group(1).lstrip(".") if found else "") or _named(text) or "body"
        raise InvalidInput(
            f"The field '{name}' is not as it must be: {text}.",
            hint="Correct that field, and send the request again.",
            code=codes.WRONG_FIELD,
            details={"field": name},
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_finite(body, str(error)) or InvalidInput(
            f"The body is not JSON: {error}.",
            hint="Send a JSON object in UTF-8.",
            code=codes.NOT_JSON,
            details={"field": "body"},
        ) from error


def check_names(body: bytes, expected: int | None = None) -> None:
    """Refuse an object that has a name twice, of which a reader takes the one or the other.

    Args:
        body: JSON that was decoded.
        expected: How many names it has, if no name is there twice; None: unknown.

    Raises:
        InvalidInput: ``duplicated-name``.
    """
    # Texts may look like names, so more than are expected are a reason to look, and no more than that.
    if expected is not None and len(_NAME.findall(body)) <= expected:
        return
    try:
        # Numbers stay text: Python refuses to make a very long one of it, and nobody looks at them.
        json.loads(body, object_pairs_hook=_once, parse_int=str, parse_float=str)
    except _Twice as twice:
        raise InvalidInput(
            f"An object of the body has '{twice.name[:_SHOWN]}' twice.",
            hint="Send each name once.",
            code=codes.DUPLICATED_NAME,
            details={"field": twice.name[:_SHOWN]},
        ) from None


class _Twice(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for at, name in enumerate(names) if name in names[:at]))
    return found


def may_have_booleans(body: bytes) -> bool:
    """Whether a truth value is in a body; one without costs nothing more."""
    return b"true" in body or b"false" in body


def lists_of_a_row(tensors: Sequence[Tensor]) -> int | None:
    """How many lists the cells of a row are made of, nested as their shapes say; None where that is not known."""
    if any(t.datatype == "BYTES" or min(t.cell, default=0) < 0 for t in tensors):
        # A text may have any number of brackets.
        return None
    return sum(math.prod(t.cell[:depth]) for t in tensors for depth in range(len(t.cell)))


def check_brackets(body: bytes, rows: int, of_a_row: int | None, lists: int, objects: int) -> None:
    """Refuse a body that is made of more lists or objects than any request has, before they are made.

    Args:
        body: JSON.
        rows: The most that a request has.
        of_a_row: ``lists_of_a_row``.
        lists: How many may be around the rows.
        objects: How many there may be.

    Raises:
        InvalidInput: ``wrong-shape``.
    """
    if of_a_row is None or len(body) <= _LARGE_BYTES:
        return
    for mark, most, what in ((b"[", lists + rows * of_a_row, "lists"), (b"{", objects, "objects")):
        found = body.count(mark)
        if found > most:
            raise InvalidInput(
                f"The body is made of {found} {what}; the largest request has {most}.",
                hint="Send the rows in several requests, with cells nested as the model's inputs say.",
                code=codes.WRONG_SHAPE,
                details={"field": "body"},
            )


def request_id(given: str | None) -> str | None:
    """The client's id, if there is one.

    Raises:
        InvalidInput: ``invalid-id``.
    """
    if not given:
        return None
    if len(given) > _MOST_ID or not given.isprintable():
        raise InvalidInput(
            "The request's id cannot be used.",
            why=f"An id has 1 to {_MOST_ID} printable characters.",
            hint="Send a UUID, or no id.",
            code=codes.INVALID_ID,
            details={"field": "id"},
        )
    return given


def _named(text: str) -> str | None:
    found = re.search(r"field `(.*?)`", text)
    return found.group(1) if found else None


def _not_finite(body: bytes, said: str) -> InvalidInput | None:
    """The words for a body that is JSON but for a NaN or an Infinity, which Python's own writer lets pass."""
    if b"NaN" not in body and b"Infinity" not in body:
        return None
    if len(body) > _LOOKED_INTO_BYTES:
        # Reading it once more to name the row would cost many times what the first reading did.
        at = _BYTE.search(said)
        start = int(at.group(1)) if at else 0
        if body[start : start + 1] not in (b"N", b"I", b"-"):
            return None
        return _non_finite(
            f"The body holds NaN or Infinity at byte {start}.", {"field": "body", "byte": start}
        )
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        return None
    path = _path_of_non_finite(tree)
    if path is None:
        return None
    name, row = _field_and_row(tree, path)
    details: dict[str, object] = {"field": name}
    if row is not None:
        details["row"] = row
    return _non_finite(f"'{name}' holds a value that is not finite (NaN or Infinity).", details)


def _non_finite(message: str, details: dict[str, object]) -> InvalidInput:
    return InvalidInput(
        message,
        why="JSON has no such number, and no model can answer it.",
        hint="Send null where a value is missing, if the model takes such rows.",
        code=codes.NON_FINITE,
        details=details,
    )


def _path_of_non_finite(tree: Any) -> list[Any] | None:
    stack: list[tuple[Any, list[Any]]] = [(tree, [])]
    while stack:
        value, path = stack.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return path
        if isinstance(value, dict):
            stack.extend((member, [*path, key]) for key, member in value.items())
        elif isinstance(value, list):
            stack.extend((member, [*path, at]) for at, member in enumerate(value))
    return None


def _field_and_row(tree: Any, path: list[Any]) -> tuple[str, int | None]:
    """The column and the row that a path lies in, for both kinds of body."""
    match path:
        case ["inputs", int(at), "data", *_]:
            given = tree["inputs"][at]
            return str(given.get("name", "inputs")) if isinstance(given, dict) else "inputs", None
        case ["rows", int(row), str(name), *_]:
            return name, row
        case [str(name), *_]:
            return name, None
        case _:
            return "body", None
