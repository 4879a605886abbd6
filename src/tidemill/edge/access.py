"""Whether who asks may: the tokens that a running server knows, as its file has them now."""

import hmac
import secrets
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.core import codes
from tidemill.core.clock import parse
from tidemill.core.errors import NotAllowed, StorageError
from tidemill.edge import token_file, tokens
from tidemill.edge.guard import Headers
from tidemill.edge.reports import report
from tidemill.edge.tokens import SCOPES, Scope, Token

_OWN = "own"


@dataclass(frozen=True, slots=True)
class _Known:
    sha256: bytes
    scopes: frozenset[Scope]
    expires: float
    revoked: bool


class Access:
    """Lets in who brings a token, where tokens are on.

    They are on once the environment has had one, and wherever more than this machine can ask.

    Attributes:
        own: A token of this process alone, for whoever may speak with it over its control socket: it ends with the
            process, and is nowhere written.

    Args:
        file: Where the tokens are; None for ``own`` alone.
        required: Whether tokens are on though there has been none.
        off: Whether everybody is let in.
    """

    def __init__(self, file: Path | None = None, *, required: bool = False, off: bool = False) -> None:
        self.own = f"tm_{_OWN}_{secrets.token_urlsafe(32)}"
        self._file, self._off = file, off
        self._on = required and not off
        self._mark: tuple[int, int, int] | None = None
        self._known: dict[str, _Known] = {}
        self.accept(self.own)
        self.refresh()

    @property
    def on(self) -> bool:
        """Whether a token is asked for."""
        return self._on

    def accept(self, own: str) -> None:
        """Know another process's ``own`` token from now on, in place of this one's."""
        self.own = own
        self._known[_OWN] = _known(tokens.digest(own), frozenset(SCOPES), None, revoked=False)

    def refresh(self) -> None:
        """Read the file, if it is not as it was: what was revoked is refused from now on.

        Where it cannot be understood, nobody is let in by it; where the system does not let it be read just now
        (no descriptor is left), what it said last still holds.
        """
        if self._file is None or self._off:
            return
        try:
            mark = _mark(self._file)
            if mark == self._mark:
                return
            found = _found(self._file)
        except OSError as error:
            report("tokens-not-read", error=repr(error))
            return
        self._mark = mark
        # Once on, they stay on: that a file goes lets nobody in.
        self._on = self._on or mark is not None
        own = self._known[_OWN]
        self._known = {
            t.id: _known(t.sha256, frozenset(t.scopes), t.expires_at, revoked=t.revoked_at is not None)
            for t in found
        }
        self._known[_OWN] = own

    def check(self, scope: Scope | None, method: str, headers: Headers) -> None:
        """Refuse who brings no token that is good for this.

        Args:
            scope: What is asked for; None for what any token is good for.
            method: The request's.
            headers: The request's.

        Raises:
            NotAllowed: ``token-missing``, ``token-refused``, ``token-expired``, ``token-scope``.
        """
        if not self._on:
            return
        secret = tokens.sent(method, headers)
        if secret is None:
            raise tokens.missing()
        known = self._known.get(tokens.id_of(secret))
        if known is None or not hmac.compare_digest(known.sha256, tokens.digest(secret).encode()):
            raise tokens.refused("nobody has made it here", code=codes.TOKEN_REFUSED)
        if known.revoked:
            raise tokens.refused("it was revoked", code=codes.TOKEN_REFUSED)
        if known.expires <= time.time():
            raise tokens.refused("its time is over", code=codes.TOKEN_EXPIRED)
        if scope is not None and scope not in known.scopes:
            has = ", ".join(s for s in SCOPES if s in known.scopes)
            raise tokens.refused(
                f"it is good for {has or 'nothing'}, and this needs '{scope}'",
                code=codes.TOKEN_SCOPE,
                needs=scope,
            )


def check_start(
    place: str, *, beyond_loopback: bool, off: bool, file: Path, told: Mapping[str, Any] | None = None
) -> None:
    """Refuse to start a server that anybody could ask.

    Args:
        place: The server's environment.
        beyond_loopback: Whether other machines reach it.
        off: Whether everybody is let in.
        file: Where the tokens are.
        told: What ``tidemill serve`` was told in place of the environment's settings.

    Raises:
        NotAllowed: ``tokens-needed``.
    """
    if not beyond_loopback or off:
        return
    made = token_file.read(file)
    if all(t.revoked_at is not None for t in made):
        has = "all its tokens are revoked" if made else "it has no token"
        raise NotAllowed(
            f"'{place}' would answer whoever reaches this machine.",
            why=f"Its address is reached from beyond this machine, and {has}.",
            hint=f"Make one: 'tidemill token create {place}'. To let everybody in, type "
            f"'{typed(place, {**(told or {}), 'no_auth': True})}', or set 'no_auth' of the environment.",
            code=codes.TOKENS_NEEDED,
        )


def typed(place: str, told: Mapping[str, Any]) -> str:
    """The command that serves an environment with what was told in place of its settings."""
    words = ["tidemill", "serve", place]
    for name, value in told.items():
        option = f"--{name.replace('_', '-')}"
        if name == "trusted_proxies":
            words += [word for each in value for word in ("--trusted-proxy", str(each))]
        else:
            words += [option] if value is True else [option, str(value)]
    return shlex.join(words)


def warnings(place: str, *, beyond_loopback: bool, off: bool, in_clear: bool) -> list[str]:
    """What whoever starts a server should know.

    Args:
        place: The server's environment.
        beyond_loopback: Whether other machines reach it.
        off: Whether everybody is let in.
        in_clear: Whether neither it nor a proxy before it speaks TLS.
    """
    if not beyond_loopback:
        return []
    if off:
        words = (
            f"{place} answers whoever reaches this machine, without a token (--no-auth): it lets them predict, "
            "and send feedback that a model may be trained on."
        )
        return [words]
    if not in_clear:
        return []
    words = (
        f"{place} is reached from other machines over plain HTTP: whoever is on the way can read and reuse tokens. "
        "Give it '--tls-cert' and '--tls-key', or name the proxy before it with '--trusted-proxy'."
    )
    return [words]


def _mark(file: Path) -> tuple[int, int, int] | None:
    """What changes whenever a file does; None where there is none."""
    try:
        about = file.stat()
    except FileNotFoundError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino


def _found(file: Path) -> list[Token]:
    try:
        return token_file.read(file)
    except StorageError as error:
        report("tokens-not-read", error=error.message)
        return []


def _known(sha256: str, scopes: frozenset[Scope], expires_at: str | None, *, revoked: bool) -> _Known:
    expires = float("inf") if expires_at is None else parse(expires_at).timestamp()
    return _Known(sha256.encode("ascii", "replace"), scopes, expires, revoked)
