"""HTTP connections that can be given to another process while they are idle.

Loaded only in a server, never by ``import tidemill``.
"""

import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Connection(HttpToolsProtocol):
    """uvicorn's connection, which also knows whether a request has begun to come in."""

    _receiving = False

    def on_message_begin(self) -> None:
        """A request's first byte is here."""
        self._receiving = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """A request's last byte is here."""
        self._receiving = False
        super().on_message_complete()

    @property
    def idle(self) -> bool:
        """Whether nothing of a request or an answer is on its way through this process."""
        cycle: Any = self.cycle
        answered = cycle is None or cycle.response_complete
        transport: Any = self.transport
        return (
            answered
            and not self._receiving
            and not self.pipeline
            and not transport.is_closing()
            and transport.get_write_buffer_size() == 0
        )

    def give_away(self) -> socket.socket:
        """The connection's socket, for another process; this one forgets it. Only while it is ``idle``.

        What the client sends from now on waits in the kernel for whoever reads the socket next.
        """
        transport: Any = self.transport
        transport.pause_reading()
        duplicate = transport.get_extra_info("socket").dup()
        # Closes this process's descriptor only: the connection lives as long as the duplicate does.
        transport.abort()
        return duplicate
