"""Tokens: secrets by which a server knows who may ask for what, and until when.

A token is kept as one SHA-256 of it, and is itself shown once. It has 256 random bits, so no slow hash is needed:
there is nothing to guess.
"""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal

from tidemill.core import codes
from tidemill.core.clock import now, stamp
from tidemill.core.codes import ErrorCode
from tidemill.core.errors import InvalidInput, NotAllowed
from tidemill.edge.guard import SAFE, Headers

Scope = Literal["predict", "feedback", "read"]
SCOPES: tuple[Scope, ...] = ("predict", "feedback", "read")
"""To predict, to send labels, and to see what the server says of itself: metadata, OpenAPI, metrics."""
_PREFIX = "tm"
_LONGEST = 200
_AS_BEARER = "Send it as the header 'Authorization: Bearer TOKEN'."


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token.

    Attributes:
        id: Its public part, by which it is listed and revoked.
        sha256: Of the whole token, in hex.
        scopes: What it is good for.
        author: Who made it.
        created_at: When (``clock.stamp``).
        expires_at: From when on it is refused; None for never.
        revoked_at: When it was taken back; None if it was not.
        note: What it is for.
    """

    id: str
    sha256: str
    scopes: tuple[Scope, ...]
    author: str
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None
    note: str = ""


def make(
    scopes: tuple[Scope, ...], author: str, *, expires_at: str | None = None, note: str = ""
) -> tuple[Token, str]:
    """A new token: what is kept of it, and the secret itself, which is to be shown once."""
    name = secrets.token_hex(4)
    secret = f"{_PREFIX}_{name}_{secrets.token_urlsafe(32)}"
    kept = Token(name, digest(secret), scopes, author, stamp(now()), expires_at=expires_at, note=note)
    return kept, secret


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def id_of(secret: str) -> str:
    """The public part of a secret; empty where it has none."""
    parts = secret.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == _PREFIX else ""


def scopes_of(words: tuple[str, ...]) -> tuple[Scope, ...]:
    """Scopes by their names, in one order.

    Raises:
        InvalidInput: ``unknown-scope``.
    """
    for word in words:
        if word not in SCOPES:
            raise InvalidInput(
                f"There is no scope '{word}'.", hint=f"Take {', '.join(SCOPES)}.", code=codes.UNKNOWN_SCOPE
            )
    return tuple(scope for scope in SCOPES if scope in words)


def sent(method: str, headers: Headers) -> str | None:
    """The secret that a request brings: as a bearer, or, to look at something, as the password of HTTP Basic.

    A browser sends a password by itself with whatever any page asks for, so nothing is changed with one.

    Raises:
        NotAllowed: ``token-refused``, where it is sent otherwise.
    """
    given = next((value for name, value in headers if name == b"authorization"), None)
    if given is None or len(given) > _LONGEST:
        return None if given is None else ""
    kind, _, rest = given.decode("latin-1").partition(" ")
    rest = rest.strip()
    if kind.lower() == "bearer":
        return rest
    if kind.lower() != "basic":
        raise refused(
            "it is sent in another way than a server reads it", code=codes.TOKEN_REFUSED, hint=_AS_BEARER
        )
    if method not in SAFE:
        raise refused(
            f"as the password of HTTP Basic it is good to look at something (GET), and this is a {method}",
            code=codes.TOKEN_REFUSED,
            hint=_AS_BEARER,
        )
    try:
        return base64.b64decode(rest, validate=True).decode("latin-1").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def missing() -> NotAllowed:
    """What a stranger is told."""
    return NotAllowed(
        "This server answers who brings a token.",
        hint="Send it as the header 'Authorization: Bearer TOKEN'; whoever runs the server makes one with "
        "'tidemill token create ENVIRONMENT'.",
        code=codes.TOKEN_MISSING,
        details={"field": "authorization"},
    )


def refused(reason: str, *, code: ErrorCode, hint: str | None = None, **details: object) -> NotAllowed:
    """What is told to who brings a token that is not good for what is asked."""
    return NotAllowed(
        f"The token is not taken: {reason}.",
        hint=hint
        or "Ask whoever runs the server for another: 'tidemill token create ENVIRONMENT' makes one.",
        code=code,
        details={"field": "authorization", **details},
    )
