"""Listening for an application's connections: taking, ending and passing them on, each within its limits.

Loaded only in a server, never by ``import tidemill``.
"""

import asyncio
import socket
import time
from email.utils import formatdate
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from tidemill.core.settings import LimitSettings
from tidemill.edge import sockets
from tidemill.edge.application import Application
from tidemill.edge.connections import Busy, Connection
from tidemill.edge.tls import Tls

_POLL_SECONDS = 0.005
_LATE_SECONDS = 1.5


class Listening:
    """An application's connections. Made in its event loop, in which everything of it is called.

    Args:
        application: Answers.
        limits: What a client may send, and in what time.

    Raises:
        Failed: ``too-few-open-files``.
    """

    def __init__(self, application: Application, limits: LimitSettings) -> None:
        self._application, self._limits = application, limits
        self._loop = asyncio.get_running_loop()
        self._state = ServerState()
        self._swept = self._loop.time()
        self._most = sockets.most_connections()
        self._accepting: list[tuple[socket.socket, asyncio.Server]] = []
        self._config = uvicorn.Config(
            application,
            http=Connection,
            ws="none",
            lifespan="off",
            loop="none",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            # Its default believes what any local client says of itself.
            proxy_headers=False,
            timeout_keep_alive=int(limits.idle_seconds),
        )
        self._config.load()
        self.sweep()

    def sweep(self) -> None:
        """End the connections of clients that do not go on. To be called each second."""
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
        now, before, self._swept = self._loop.time(), self._swept, self._loop.time()
        if now - before > _LATE_SECONDS:
            # This process was held up itself: what clients sent meanwhile is not read yet.
            return
        for connection in self._connections:
            connection.sweep(now)

    async def accept_on(self, listener: socket.socket, tls: Tls | None = None) -> None:
        """Take connections from a listening socket, which stays the caller's; with ``tls``, only such."""
        server = await self._loop.create_server(
            self._connection,
            sock=listener.dup(),
            backlog=sockets.BACKLOG,
            ssl=tls.context if tls else None,
            ssl_handshake_timeout=self._limits.head_seconds if tls else None,
        )
        self._accepting.append((listener, server))

    def accept_only_on(self, listener: socket.socket | None) -> list[socket.socket]:
        """Take no more connections from any other; those that connections were taken from."""
        ended: list[socket.socket] = []
        for other, server in [*self._accepting]:
            if other is not listener:
                self._accepting.remove((other, server))
                server.close()
                ended.append(other)
        return ended

    async def adopt(self, given: list[socket.socket]) -> None:
        """Go on with connections that another process had."""
        for connection in given:
            connection.settimeout(0)
            await self._loop.connect_accepted_socket(self._connection, connection)

    def give_away_idle(self) -> tuple[list[socket.socket], int]:
        """The sockets of the connections on which nothing is on its way, and how many others are left.

        One that speaks TLS stays: its keys are this process's. It ends after its next answer, or with this process.
        """
        connections = self._connections
        idle = [c.give_away() for c in connections if c.idle and not c.speaks_tls]
        return idle, len(connections) - len(idle)

    async def drain(self, seconds: float) -> None:
        """Take no more connections, answer what is on its way for so long, and end all of them."""
        self._application.draining = True
        self.accept_only_on(None)
        deadline = self._loop.time() + seconds
        over = False
        while self._state.connections and not over:
            over = self._loop.time() >= deadline
            for connection in self._connections:
                if connection.idle:
                    connection.transport.close()
            # A moment at the end too, in which TLS says that it closes.
            await asyncio.sleep(_POLL_SECONDS)
        for connection in self._connections:
            connection.transport.abort()

    @property
    def _connections(self) -> list[Any]:
        return [*self._state.connections]

    def _connection(self) -> asyncio.Protocol:
        if len(self._state.connections) >= self._most:
            return Busy()
        return Connection(
            limits=self._limits,
            config=self._config,
            server_state=self._state,
            app_state={},
            _loop=self._loop,
        )
