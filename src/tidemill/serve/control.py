"""The control socket of a server: one JSON object a line over a Unix socket, and sockets beside them.

Each server has one with its process id in the name as long as it runs, by which it is found whatever became of the
others; ``<folder>/<environment>.sock`` is a second name of the one that is live. Verbs: ``status``, ``stop``, ``access`` (a token for whoever may open this socket),
``read_tokens`` (now, as they were changed), ``take_over`` (to a standby), ``hand_over`` (from a standby to the live
server).
"""

import contextlib
import json
import os
import shutil
import socket
import struct
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import Failed

PROTOCOL = 1
SOCKETS_A_MESSAGE = 64
_LONGEST_ADDRESS = 100
_LINE_BYTES = 64 * 1024


def socket_file(folder: Path, environment: str, pid: int | None = None) -> Path:
    """Where the live server's control socket is, or that of a process."""
    return folder / (f"{environment}.sock" if pid is None else f"{environment}.{pid}.sock")


def own_sockets(folder: Path) -> list[tuple[str, int]]:
    """The environment and the process of each server that has, or had, a control socket."""
    found: list[tuple[str, int]] = []
    for file in sorted(folder.glob("*.sock")):
        environment, separator, pid = file.name.removesuffix(".sock").rpartition(".")
        if separator and pid.isdecimal():
            found.append((environment, int(pid)))
    return found


def give_name(own: Path, name: Path) -> None:
    """Let a control socket be found by a second name, in place of whatever had it."""
    beside = own.with_name(f"{own.name}.name")
    beside.unlink(missing_ok=True)
    os.link(own, beside)
    os.replace(beside, name)
    # Where both are one file already, replacing does nothing.
    beside.unlink(missing_ok=True)


def take_away(folder: int, own: str, name: str) -> None:
    """Take a control socket's name away, and its second one if that is of the same socket.

    Args:
        folder: An open descriptor of the folder, which may have been moved.
        own: The name of the process's own socket.
        name: The second name.
    """
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.stat(own, dir_fd=folder), os.stat(name, dir_fd=folder)):
            os.unlink(name, dir_fd=folder)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(own, dir_fd=folder)


class Channel:
    """One end of a control connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = b""
        self._received: list[socket.socket] = []

    def send(self, message: dict[str, Any], sockets: Sequence[socket.socket] = ()) -> None:
        """Send one message, with at most ``SOCKETS_A_MESSAGE`` sockets."""
        data = json.dumps(message).encode() + b"\n"
        if sockets:
            sent = socket.send_fds(self._socket, [data], [s.fileno() for s in sockets])
            data = data[sent:]
        if data:
            self._socket.sendall(data)

    def receive(self) -> dict[str, Any] | None:
        """The next message; None when the other side has hung up."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LINE_BYTES:
                return None
            data, descriptors, _, _ = socket.recv_fds(self._socket, _LINE_BYTES, SOCKETS_A_MESSAGE)
            self._received += [socket.socket(fileno=d) for d in descriptors]
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message = json.loads(line)
        return message if isinstance(message, dict) else None

    def sockets(self) -> list[socket.socket]:
        """The sockets that came with the messages so far; the caller's from now on."""
        taken, self._received = self._received, []
        return taken

    def peer(self) -> int | None:
        """The process at the other end, which was connected to; None where the system does not tell."""
        if not hasattr(socket, "SO_PEERCRED"):
            return None
        told = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return struct.unpack("3i", told)[0] or None

    def wait_for_end(self) -> None:
        """Until the other process has closed its end, as it does when it exits."""
        while self._socket.recv(_LINE_BYTES):
            pass

    def close(self) -> None:
        """Hang up."""
        for received in self.sockets():
            received.close()
        self._socket.close()


def connect(path: Path, *, timeout_seconds: float) -> Channel | None:
    """A connection to the server behind a control socket; None where none listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_seconds)
    try:
        with short_address(path) as address:
            connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise Failed(
            f"The server behind {path} cannot be reached: {error}.",
            hint="Look whether its process still runs; end it if it does not answer.",
            code=codes.SERVER_UNREACHABLE,
        ) from error
    return Channel(connection)


def listen(path: Path) -> socket.socket:
    """A listening control socket at ``path``, for this user only; a left-over one is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Before it has a name: what can be asked here is the owner's alone.
    os.fchmod(listener.fileno(), 0o600)
    with short_address(path) as address:
        listener.bind(address)
    path.chmod(0o600)
    listener.listen(16)
    return listener


@contextlib.contextmanager
def short_address(path: Path) -> Generator[str]:
    """A name for ``path`` that fits into a Unix socket address, which holds about 100 bytes."""
    absolute = path.absolute()
    if len(os.fsencode(absolute)) <= _LONGEST_ADDRESS:
        yield str(absolute)
        return
    folder = tempfile.mkdtemp(prefix="tm-", dir="/tmp")
    try:
        link = Path(folder) / "f"
        link.symlink_to(absolute.parent, target_is_directory=True)
        yield str(link / absolute.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
