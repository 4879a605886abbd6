"""The hand-over of an environment from one server to the next, without a request lost between them.

The successor gets the *listening socket* over the control socket, so a connection that waits in its queue
is taken by whichever process comes first, and none is refused. Then the predecessor passes on its idle
connections, answers what is in flight with ``Connection: close``, and ends.
"""

import socket
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from tidemill.core import codes
from tidemill.core.errors import Failed
from tidemill.edge import sockets
from tidemill.edge.access import Access
from tidemill.edge.reports import report
from tidemill.serve import control, processes
from tidemill.serve.options import Options
from tidemill.store.locks import Locks

_REPLY_SECONDS = 30.0
_END_SECONDS = 5.0
_POLL_SECONDS = 0.005


class Server(Protocol):
    """What a hand-over needs of a server; the coroutines run in its event loop."""

    options: Options
    standby: bool
    handed_over: bool
    listener: socket.socket | None
    access: Access

    def in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the event loop and wait for it."""

    def take_name(self) -> None:
        """Be found as the environment's live server."""

    def status(self) -> dict[str, Any]:
        """What it says of itself."""
        ...

    async def become_live(self, listener: socket.socket) -> None:
        """Take connections from the environment's own socket: what comes is traffic now, no check."""

    async def accept_on(self, listener: socket.socket) -> None:
        """Take connections from a listening socket, which stays the caller's."""

    async def accept_only_on(self, listener: socket.socket | None) -> None:
        """Take no more connections from any other."""

    async def adopt(self, given: list[socket.socket]) -> None:
        """Go on with connections that another process had."""

    async def become_silent(self, *, draining: bool) -> None:
        """Stop taking connections, or, where the successor failed, take them again."""

    async def give_away_idle(self) -> tuple[list[socket.socket], int]:
        """The sockets of the connections on which nothing is on its way, and how many others are left."""
        ...

    async def end(self) -> None:
        """Finish what is in flight and end the process."""


def take_over(server: Server) -> None:
    """Become the live server of the environment: from the one that is, or on an address of its own.

    Called in a thread beside the event loop.

    Raises:
        Conflict: ``port-taken``; ``lock-timeout``, when another take-over does not end.
        InvalidInput: ``cannot-bind``.
        Failed: ``not-handed-over``: the live server neither hands over nor ends.
    """
    options = server.options
    with Locks(options.folder).hold(f"{options.environment}.take-over", timeout_seconds=_REPLY_SECONDS):
        live = control.socket_file(options.folder, options.environment)
        channel = control.connect(live, timeout_seconds=_REPLY_SECONDS + options.limits.drain_seconds)
        try:
            inherited = None if channel is None else _ask(server, channel)
            if inherited is not None and sockets.answers_at(inherited, options.host, options.port):
                listener = inherited
            else:
                listener = sockets.bind(options.host, options.port)
            _go_live(server, listener, inherited, channel)
        finally:
            if channel is not None:
                channel.close()
    report("live", **server.status())


def _go_live(
    server: Server, listener: socket.socket, inherited: socket.socket | None, channel: control.Channel | None
) -> None:
    try:
        server.in_loop(server.become_live(listener))
        if inherited is not None and inherited is not listener:
            # The address has changed: what still waits at the old one is answered too.
            server.in_loop(server.accept_on(inherited))
        server.take_name()
        if inherited is not None and channel is not None and not _adopt(server, channel):
            # It died or hangs. The socket is here, so requests are answered; what it had is lost with it. But it must
            # not come to itself later, and answer beside this one.
            processes.end(channel.peer())
            server.take_name()
        server.in_loop(server.accept_only_on(listener))
    except BaseException:
        # Neither live nor a standby any more. The predecessor hears that this end has hung up, and goes on.
        server.in_loop(server.end())
        raise


def hand_over(server: Server, channel: control.Channel) -> None:
    """Let the server at the other end become the live one, and end; go on serving if it fails.

    Called in a thread beside the event loop.
    """
    if server.listener is None or server.standby or server.handed_over:
        channel.send({"error": {"code": codes.NOT_LIVE, "message": "This server is not the live one."}})
        return
    try:
        # With its token: whoever asks with it does not notice that another answers.
        channel.send({"handing": True, "token": server.access.own}, [server.listener])
        message = channel.receive()
    except (OSError, ValueError):
        message = None
    if message is None or message.get("verb") != "accepting":
        report("successor-failed", environment=server.options.environment)
        # It may have taken this one's name before it died.
        server.take_name()
        return
    server.handed_over = True
    server.in_loop(server.become_silent(draining=True))
    unsent: list[socket.socket] = []
    try:
        _pass_on(server, channel, unsent)
        channel.send({"done": True})
    except OSError as error:
        report("successor-failed", environment=server.options.environment, error=repr(error))
        _go_on(server, unsent)
        return
    report("handed-over", environment=server.options.environment)
    server.in_loop(server.end())


def _ask(server: Server, channel: control.Channel) -> socket.socket | None:
    """The live server's listening socket; None if it ends just now.

    Raises:
        Failed: ``not-handed-over``.
    """
    try:
        channel.send({"verb": "hand_over", "protocol": control.PROTOCOL})
        reply = channel.receive()
    except (OSError, ValueError):
        reply = None
    given = channel.sockets()
    if reply is None or not reply.get("handing") or len(given) != 1:
        for one in given:
            one.close()
        if not processes.ends(channel.peer(), within_seconds=_END_SECONDS):
            raise Failed(
                f"The server that is live (process {channel.peer()}) does not hand over, and does not end.",
                why="It hangs, or has no file descriptor left. A second one beside it would share its requests.",
                hint=f"Type 'tidemill stop {server.options.environment}', or end that process.",
                code=codes.NOT_HANDED_OVER,
            )
        return None
    given[0].settimeout(0)
    if token := reply.get("token"):
        server.access.accept(token)
    return given[0]


def _adopt(server: Server, channel: control.Channel) -> bool:
    """Tell the predecessor to stop, and take its idle connections until it has no more; whether it came to that."""
    try:
        channel.send({"verb": "accepting"})
        while (message := channel.receive()) is not None:
            server.in_loop(server.adopt(channel.sockets()))
            if message.get("done"):
                return True
        report("predecessor-failed", error="it hung up")
    except (OSError, ValueError) as error:
        report("predecessor-failed", error=repr(error))
    return False


def _pass_on(server: Server, channel: control.Channel, unsent: list[socket.socket]) -> None:
    """Send idle connections away, and wait for the others to be answered, as long as the limits say."""
    deadline = time.monotonic() + server.options.limits.drain_seconds
    quiet = 0
    while True:
        idle, busy = server.in_loop(server.give_away_idle())
        unsent += idle
        while unsent:
            some = unsent[: control.SOCKETS_A_MESSAGE]
            channel.send({"connections": len(some)}, some)
            del unsent[: len(some)]
            for connection in some:
                connection.close()
        # Once more after a pause: a connection that was accepted last is counted a turn of the loop later.
        quiet = 0 if busy or idle else quiet + 1
        if quiet == 2 or time.monotonic() > deadline:
            return
        time.sleep(_POLL_SECONDS)


def _go_on(server: Server, unsent: list[socket.socket]) -> None:
    """Serve again, as before: the successor died."""
    server.handed_over = False
    server.in_loop(server.become_silent(draining=False))
    server.in_loop(server.adopt(unsent))
    server.take_name()
