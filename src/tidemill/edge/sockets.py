"""Listening for HTTP: one socket bound to an address, and what that address is."""

import contextlib
import errno
import ipaddress
import os
import resource
import socket

from tidemill.core import codes
from tidemill.core.errors import Conflict, Failed, InvalidInput

BACKLOG = 2048
_MOST_CONNECTIONS = 10_000
_FEWEST_CONNECTIONS = 28
"""With less, clients would be sent away that ask one after the other and keep their connections."""
_OTHER_FILES = 100
"""Left for the log, the control socket and what a step of the pipeline opens."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        Conflict: ``port-taken``.
        InvalidInput: ``cannot-bind``.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_bind(host, port, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.settimeout(0)
    except OSError as error:
        listener.close()
        raise _cannot_bind(host, port, error) from error
    return listener


def is_free(host: str, port: int) -> bool:
    """Whether something could listen there now."""
    try:
        bind(host, port).close()
    except Conflict:
        return False
    return True


def most_connections() -> int:
    """How many connections this process may have open, once its limit of open files is as high as it may be.

    Raises:
        Failed: ``too-few-open-files``, where that are too few for a server.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    most = _MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(soft, _MOST_CONNECTIONS)
    needed = _OTHER_FILES + _FEWEST_CONNECTIONS
    if most < needed:
        raise Failed(
            f"A server needs to open {needed} files at once, and may open {most}.",
            why=f"Each connection is one; its log, its control socket and the model take up to {_OTHER_FILES}.",
            hint="Type 'ulimit -n 1024' in a new shell (or as root), then the same again; of a service systemd's LimitNOFILE=1024, "
            "of a container '--ulimit nofile=1024'.",
            code=codes.TOO_FEW_OPEN_FILES,
            details={"needed": needed, "allowed": most},
        )
    return most - _OTHER_FILES


def beyond_loopback(host: str) -> bool:
    """Whether what listens on an address is reached from other machines.

    Raises:
        InvalidInput: ``cannot-bind``, when there is no such address.
    """
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _cannot_bind(host, 0, error) from error
    return not all(ipaddress.ip_address(place[4][0]).is_loopback for place in found)


def url(listener: socket.socket, scheme: str = "http") -> str:
    """``http://host:port`` of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def answers_at(listener: socket.socket, host: str, port: int) -> bool:
    """Whether a listening socket is bound to this address; any port is right where 0 is asked for."""
    bound_host, bound_port = listener.getsockname()[:2]
    wanted = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][4][0]
    return bound_host == wanted and port in (0, bound_port)


def _cannot_bind(host: str, port: int, error: OSError) -> Conflict | InvalidInput:
    details = {"host": host, "port": port}
    if error.errno == errno.EADDRINUSE:
        return Conflict(
            f"Port {port} of {host} is taken.",
            why="Another process listens there.",
            hint="End it, or choose another port ('--port', or 'port' of the environment); 0 takes a free one.",
            code=codes.PORT_TAKEN,
            details=details,
        )
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return InvalidInput(
        f"Cannot listen on {host}, port {port}: {reason}.",
        hint="Give an address of this machine, and a port above 1023.",
        code=codes.CANNOT_BIND,
        details=details,
    )
