"""Bodies that are sent compressed, within the limit that a plain one has."""

import zlib

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

_GZIP = 16 + zlib.MAX_WBITS
TAKEN = "gzip"


def check(encoding: str) -> None:
    """Refuse an encoding that is not known, before the body is read.

    Raises:
        InvalidInput: ``wrong-content-encoding``.
    """
    if encoding.lower() not in ("", "identity", TAKEN, f"x-{TAKEN}"):
        raise InvalidInput(
            f"The body is encoded as '{encoding[:200]}'.",
            hint=f"Send it plain, or with 'Content-Encoding: {TAKEN}'.",
            code=codes.WRONG_CONTENT_ENCODING,
            details={"field": "content-encoding"},
        )


def decoded(body: bytes, encoding: str, most: int) -> bytes | None:
    """The plain body; None where it would be larger than ``most`` bytes, of which no more are made.

    Raises:
        InvalidInput: ``wrong-content-encoding``, when it is no gzip or is cut short.
    """
    if encoding.lower() in ("", "identity"):
        return body
    parts: list[bytes] = []
    left = most
    try:
        while body:
            reader = zlib.decompressobj(_GZIP)
            parts.append(reader.decompress(body, left + 1))
            left -= len(parts[-1])
            if left < 0:
                return None
            if not reader.eof:
                raise _no_gzip("it is cut short")
            # A file of gzip may have several members.
            body = reader.unused_data
    except zlib.error as error:
        raise _no_gzip(str(error)) from error
    return b"".join(parts)


def _no_gzip(reason: str) -> InvalidInput:
    return InvalidInput(
        f"The body is no gzip: {reason}.",
        hint="Compress it anew, or send it plain.",
        code=codes.WRONG_CONTENT_ENCODING,
        details={"field": "body"},
    )
