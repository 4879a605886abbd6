"""What a fuzzed call may not do to the machine: write outside of its folder, start programs, open connections.

The hook sees what Python itself does; what is written in C or Rust is kept inside by the words that are tried.
"""

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_HARMLESS = ("/dev/", "/proc/")
_CHANGES = {
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.rename": (0, 1),
    "os.link": (0, 1),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "shutil.rmtree": (0,),
}
"""Audit event to the places of the paths that it changes."""
_STARTS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork", "os.forkpty", "os.system"})
_CONNECTS = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname"})
_BEYOND = frozenset({"os.kill", "os.killpg", "webbrowser.open"})


class Stopped(BaseException):
    """The call was about to start a program or open a connection; a fuzzed one ends there."""


class Outside(BaseException):
    """The call was about to change something outside of its folder."""


class Guard:
    """Watches what this process does while a call is tried. Python keeps it for the rest of the process.

    Args:
        root: The folder in which everything may be changed.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root) + os.sep
        self._on = False
        self._thread = threading.get_ident()
        self.outside: list[str] = []
        sys.addaudithook(self._see)

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch the block."""
        self.outside.clear()
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES:
                self._inside(event, path)
        elif event == "os.mkdir" and Path(os.fsdecode(arguments[0])).is_dir():
            # A folder that is there already is asked for, and stays as it is.
            return
        elif event in _CHANGES:
            for place in _CHANGES[event]:
                self._inside(event, arguments[place])
        elif event in _STARTS or event in _CONNECTS or event in _BEYOND:
            raise Stopped(event)

    def _inside(self, event: str, path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        text = os.fsdecode(path)
        try:
            real = os.path.realpath(text)
        except (OSError, ValueError):
            return
        if not (real + os.sep).startswith((self._root, *_HARMLESS)):
            self.outside.append(f"{event} {text}")
            raise Outside(text)
