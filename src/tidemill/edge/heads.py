"""The head of an HTTP/1.1 request: where it ends, and what is wrong with it before a parser sees it.

A parser and whatever stands before it must agree on where a request begins and ends, else what one takes for a body
is a request to the other. So a head has exactly one form here: lines that end in CR LF, and an empty one.
"""

import re

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.figures import counted

LINE_END = b"\r\n"
END = LINE_END * 2
_EMPTY_LINES = re.compile(rb"(?:\r\n)*+")
_FIRST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/1\.[01]\r\n")
_BEGUN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: |\Z)|\r?\Z")
_HOST = re.compile(rb"\r\nhost:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE)
_NAMED = re.compile(rb"[^ ]+ [a-z][a-z0-9+.-]*://([^/?# ]*)", re.IGNORECASE)
_CODING = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE)
_BARE = "A line of its head ends in a bare CR or LF"
_UPGRADE = re.compile(rb"(?<=\r\n)upgrade:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", re.IGNORECASE)


def after_empty_lines(data: bytes) -> bytes:
    """The bytes from a request's first on."""
    found = _EMPTY_LINES.match(data)
    return data[found.end() :] if found else data


def check(head: bytes) -> None:
    """Refuse a whole head that could be read in two ways.

    Raises:
        InvalidInput: ``bad-request``.
    """
    if _FIRST_LINE.match(head) is None:
        raise bad_request("Its first line is not METHOD, target and HTTP/1.1, with one space between")
    if b"\0" in head:
        raise bad_request("Its head has a NUL")
    lines = head.count(b"\r\n")
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise bad_request(_BARE)
    hosts = _HOST.findall(head)
    if len(hosts) > 1 or (not hosts and b" HTTP/1.0\r\n" not in head):
        found = f"{counted(len(hosts), 'header')}" if hosts else "no header"
        raise bad_request(f"It has {found} 'Host', and one says whom it is for")
    named = _NAMED.match(head)
    if named is not None and hosts and named[1].lower() != hosts[0].lower():
        raise bad_request("Its first line names another host than its header 'Host'")
    if b"\r\ntransfer-encoding:" in head.lower() and [c.lower() for c in _CODING.findall(head)] != [
        b"chunked"
    ]:
        raise bad_request("Its 'Transfer-Encoding' is not 'chunked', the one that this server knows")
    if head.startswith(b"CONNECT "):
        raise bad_request("It asks for a tunnel (CONNECT), and this is no proxy")


def check_begun(head: bytes) -> None:
    """Refuse at once what cannot become a head, such as the first bytes of TLS, rather than wait for its end.

    Raises:
        InvalidInput: ``bad-request``.
    """
    if _BEGUN.match(head) is None:
        raise bad_request("It does not begin with a method; a client of HTTPS needs a server with 'tls_cert'")
    if head.count(b"\n") != head.count(b"\r\n"):
        raise bad_request(_BARE)


def without_upgrade(head: bytes) -> bytes:
    """The head without an offer to go on in another protocol, which a server may pass over (RFC 9110, 7.8).

    A parser that sees the offer takes all that follows the head for the other protocol, the request's body too.
    """
    return _UPGRADE.sub(b"", head) if b"upgrade" in head.lower() else head


def bad_request(reason: str) -> InvalidInput:
    """What a client is told that does not speak HTTP/1.1."""
    return InvalidInput(
        f"This is no HTTP/1.1 request. {reason}.",
        hint="Send it with a client that speaks HTTP/1.1.",
        code=codes.BAD_REQUEST,
    )


def too_large(most: int) -> InvalidInput:
    """What a client is told whose head does not end."""
    return InvalidInput(
        f"The head of the request is larger than the server takes ({most} bytes).",
        hint="Send fewer or shorter headers.",
        code=codes.HEAD_TOO_LARGE,
        details={"most": most},
    )


def too_slow(seconds: float) -> InvalidInput:
    """What a client is told that does not go on."""
    return InvalidInput(
        f"The head of the request was not whole after {seconds:g} seconds.",
        why="A client that sends slower holds a place that others need.",
        hint="Send the whole head at once.",
        code=codes.HEAD_TOO_SLOW,
        details={"seconds": seconds},
    )
