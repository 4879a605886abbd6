"""The shape of an error over HTTP: one status for each group of errors, one JSON object."""

from typing import Any

import msgspec

from tidemill.core import codes
from tidemill.core.errors import Conflict, InvalidInput, NotAllowed, NotFound, StorageError, TidemillError

encode = msgspec.json.Encoder().encode
_STATUS = ((NotFound, 404), (Conflict, 409), (NotAllowed, 405), (InvalidInput, 400), (StorageError, 503))
_STATUS_OF_CODE = {
    codes.BODY_TOO_LARGE: 413,
    codes.BODY_TOO_SLOW: 408,
    codes.FOREIGN_HOST: 403,
    codes.FOREIGN_ORIGIN: 403,
    codes.HEAD_TOO_LARGE: 431,
    codes.HEAD_TOO_SLOW: 408,
    codes.ROW_NOT_ANSWERED: 422,
    codes.TOKEN_EXPIRED: 401,
    codes.TOKEN_MISSING: 401,
    codes.TOKEN_REFUSED: 401,
    codes.TOKEN_SCOPE: 403,
    codes.WRONG_CONTENT_ENCODING: 415,
    codes.WRONG_CONTENT_TYPE: 415,
}


def status_of(error: TidemillError) -> int:
    """The HTTP status that says what a client would do about it."""
    return _STATUS_OF_CODE.get(error.code) or next((n for kind, n in _STATUS if isinstance(error, kind)), 500)


def error_body(error: TidemillError) -> dict[str, Any]:
    """An error as the object that ``error`` holds: its JSON, its details beside the message."""
    body = error.to_json()
    details = body.pop("details", {})
    return {**details, **body} if isinstance(details, dict) else body
