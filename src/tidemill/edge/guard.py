"""Who may ask: requests under another host's name, and those that another site's page sends, are refused.

A page that somebody visits can send requests to servers on that person's machine and network. Its browser names the
page in ``Origin``; a name that the page's owner lets lead here (DNS rebinding) stands in ``Host``.
"""

import ipaddress
import socket
from collections.abc import Iterable, Sequence

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NotAllowed

SAFE = frozenset({"GET", "HEAD"})
_MOST_KNOWN = 1000
ANY = "*"

Headers = Iterable[tuple[bytes, bytes]]


class Guard:
    """Tells whether a request may be answered.

    Args:
        hosts: Names by which the server is reached, beside addresses, ``localhost`` and the machine's own name;
            ``*`` is any.
        origins: Sites whose pages may send requests, as ``https://app.example``.
        proxies: Addresses or networks whose ``X-Forwarded-*`` is believed.

    Raises:
        InvalidInput: ``invalid-proxy``.
    """

    def __init__(
        self, hosts: Sequence[str] = (), origins: Sequence[str] = (), proxies: Sequence[str] = ()
    ) -> None:
        self._proxies = [_network(text) for text in proxies]
        self._hosts = {name.lower().rstrip(".") for name in (*hosts, "localhost", socket.gethostname())}
        self._origins = {origin.lower().rstrip("/").encode() for origin in origins}
        self._known: set[bytes] = set()

    def is_proxy(self, peer: str | None) -> bool:
        """Whether what the other end of a connection says of a request is believed."""
        if not self._proxies or not peer or not _is_address(peer):
            return False
        address = ipaddress.ip_address(peer)
        return any(address in network for network in self._proxies)

    def check(self, method: str, headers: Headers, peer: str | None = None) -> None:
        """Refuse a request that is not meant for this server, or that a foreign page sends.

        A proxy's word for the host is checked beside the request's own: neither may be a foreign name.

        Args:
            method: The request's.
            headers: The request's.
            peer: The address of the connection's other end.

        Raises:
            NotAllowed: ``foreign-host`` or ``foreign-origin``.
        """
        host = origin = site = b""
        for name, value in headers:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
        if host not in self._known:
            self._check_host(host)
        if self._proxies and self.is_proxy(peer):
            host = forwarded(headers, b"x-forwarded-host") or host
            if host not in self._known:
                self._check_host(host)
        if method in SAFE or not (origin or site):
            return
        # A page of this server itself names it, and a program that is no browser sends neither header.
        own = (
            origin.lower().partition(b"://")[2] == host.lower()
            if origin
            else site in (b"same-origin", b"none")
        )
        if not own and origin.lower() not in self._origins:
            raise _foreign_origin(origin or site)

    def allowed_origin(self, headers: Headers) -> bytes | None:
        """The site, if it is one that was allowed, whose page asks."""
        origin = next((value for name, value in headers if name == b"origin"), b"")
        return origin if origin.lower() in self._origins else None

    def _check_host(self, host: bytes) -> None:
        name = _name(host)
        if not (
            ANY in self._hosts or name in self._hosts or name.endswith(".localhost") or _is_address(name)
        ):
            raise _foreign_host(name)
        if len(self._known) < _MOST_KNOWN:
            self._known.add(host)


def forwarded(headers: Headers, name: bytes) -> bytes:
    """What the last proxy says in a header; empty where it says nothing."""
    given = b",".join(value for field, value in headers if field == name)
    return given.rpartition(b",")[2].strip()


def check_json(headers: Headers) -> None:
    """Refuse a body that does not say that it is JSON: a browser asks first before it sends one to another site.

    Raises:
        InvalidInput: ``wrong-content-type``.
    """
    given = next((value for name, value in headers if name == b"content-type"), b"").decode("latin-1")
    kind = given.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise InvalidInput(
            f"The body is sent as '{given[:200]}'." if given else "The body is sent without a Content-Type.",
            why="What changes something is taken as JSON alone, which a page of another site cannot send unasked.",
            hint="Send the header 'Content-Type: application/json'; with curl, use --json in the place of -d.",
            code=codes.WRONG_CONTENT_TYPE,
            details={"field": "content-type"},
        )


def _name(host: bytes) -> str:
    """The name in ``name:port``, which is the one thing that somebody else can choose."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidInput(
            f"'{text}' is no address of a proxy.",
            why=str(error),
            hint="Give its address, or its network, such as 10.0.0.0/8.",
            code=codes.INVALID_PROXY,
        ) from error


def _is_address(name: str) -> bool:
    # What is reached by its address is not reached by a name that leads there.
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _foreign_host(name: str) -> NotAllowed:
    if not name:
        return NotAllowed(
            "The request does not say which host it is for.",
            why="A name that is somebody else's could stand behind it.",
            hint="Send the header 'Host' with the server's address.",
            code=codes.FOREIGN_HOST,
            details={"field": "host"},
        )
    return NotAllowed(
        f"This server is not '{name[:200]}'.",
        why="Under a name of somebody else's, a web page could read what only this network may.",
        hint=f"Ask by the server's address, or add '{name[:200]}' to 'hosts' of the environment in tidemill.toml.",
        code=codes.FOREIGN_HOST,
        details={"field": "host"},
    )


def _foreign_origin(origin: bytes) -> NotAllowed:
    shown = origin.decode("latin-1")[:200]
    return NotAllowed(
        f"A page of '{shown}' may not send requests to this server.",
        why="Any page that somebody visits could otherwise make predictions and feedback in that person's name.",
        hint="If the page is yours, add its origin to 'origins' of the environment in tidemill.toml.",
        code=codes.FOREIGN_ORIGIN,
        details={"field": "origin"},
    )
