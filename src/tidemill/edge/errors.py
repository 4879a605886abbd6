"""The shape of an error over HTTP: one status for each group of errors, one JSON object."""

from typing import Any

import msgspec

from tidemill.core.errors import Conflict, InvalidInput, NotAllowed, NotFound, StorageError, TidemillError

encode = msgspec.json.Encoder().encode
_STATUS = ((NotFound, 404), (Conflict, 409), (NotAllowed, 405), (InvalidInput, 400), (StorageError, 503))
_STATUS_OF_CODE = {
    "body-too-large": 413,
    "body-too-slow": 408,
    "foreign-host": 403,
    "foreign-origin": 403,
    "head-too-large": 431,
    "head-too-slow": 408,
    "row-not-answered": 422,
    "token-expired": 401,
    "token-missing": 401,
    "token-refused": 401,
    "token-scope": 403,
    "wrong-content-encoding": 415,
    "wrong-content-type": 415,
}


def status_of(error: TidemillError) -> int:
    """The HTTP status that says what a client would do about it."""
    return _STATUS_OF_CODE.get(error.code) or next((n for kind, n in _STATUS if isinstance(error, kind)), 500)


def error_body(error: TidemillError) -> dict[str, Any]:
    """An error as the object that ``error`` holds: its JSON, its details beside the message."""
    body = error.to_json()
    details = body.pop("details", {})
    return {**details, **body} if isinstance(details, dict) else body
