"""The project's source files as an order names them: by their path in the project's folder, and by content.

So an order holds where the folder is another one: on another machine, or in a copy.
"""

import functools
import os
from pathlib import Path

from tidemill.core import identity

CHANGED = ""
"""Instead of a digest: the file is no longer what it was when the key was made."""


@functools.lru_cache(maxsize=4096)
def digest(file: str, stat: tuple[int, int]) -> str:
    """The content of a file that had this time and size when it was loaded; ``CHANGED``, when it has others now."""
    path = Path(file)
    try:
        content, now = path.read_bytes(), path.stat()
    except OSError:
        return CHANGED
    if (now.st_mtime_ns, now.st_size) != stat:
        return CHANGED
    return identity.blob(content)


@functools.lru_cache(maxsize=4096)
def name_in(folder: str, file: str) -> str:
    """A file's path from the folder on."""
    return Path(os.path.relpath(file, folder)).as_posix()
